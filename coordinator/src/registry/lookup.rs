//! What another coordinator has just registered: the store is asked before anybody hears that a function is unknown.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use udfleet_edge::clock;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::ErrorCode;

use super::Registry;
use super::entries::FUNCTIONS;

/// Between two looks, whatever is asked for: callers of unknown names cost the store no more than this.
const GAP: Duration = Duration::from_millis(10);
/// Callers that wait for a look.
const MOST_WAITING: usize = 256;
/// How long a function counts as new here.
const NEW_FOR: Duration = Duration::from_secs(5);

/// Finds functions that this process has not heard of.
#[tonic::async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// True where the function is known after all, to the registry and in the routes.
    ///
    /// # Errors
    /// Where the store can't say.
    async fn look_up(&self, function: &FunctionRef) -> Result<bool, Error>;

    /// True where another coordinator has registered it (`add@3`) in the last few seconds: executors may be about to report
    /// it.
    fn is_new(&self, function: &str) -> bool;
}

/// Whose turn it is to look, and what was looked at when.
#[derive(Default)]
pub(super) struct Looks {
    turn: tokio::sync::Mutex<Option<Instant>>,
    /// When the latest look at a name began.
    begun: Mutex<BTreeMap<String, Instant>>,
    waiting: std::sync::atomic::AtomicUsize,
}

/// One of those that wait.
struct Waiting<'l>(&'l Looks);

impl Looks {
    fn wait(&self) -> Result<Waiting<'_>, Error> {
        let before = self.waiting.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let waiting = Waiting(self);
        if before < MOST_WAITING {
            return Ok(waiting);
        }
        let message = format!("more than {MOST_WAITING} calls of unknown functions wait for the metadata store");
        Err(Error::new(ErrorCode::NoCapacity, message)
            .hint("try again later, and see who calls what is not registered"))
    }

    /// True where somebody has begun to look at the name after `since`.
    fn looked_after(&self, name: &str, since: Instant) -> bool {
        self.begun.lock().get(name).is_some_and(|begun| *begun >= since)
    }

    fn begin(&self, name: &str, now: Instant) {
        let mut begun = self.begun.lock();
        begun.retain(|_, begun| now.saturating_duration_since(*begun) < NEW_FOR);
        begun.insert(name.to_owned(), now);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Functions that have come from the store, and when.
#[derive(Default)]
pub(super) struct Arrivals(Mutex<VecDeque<(Instant, String)>>);

impl Arrivals {
    pub fn note(&self, function: &str) {
        let now = clock::now();
        let mut all = self.0.lock();
        while all.front().is_some_and(|(came, _)| now.saturating_duration_since(*came) >= NEW_FOR) {
            all.pop_front();
        }
        all.push_back((now, function.to_owned()));
    }

    fn has(&self, function: &str) -> bool {
        let now = clock::now();
        self.0.lock().iter().any(|(came, held)| held == function && now.saturating_duration_since(*came) < NEW_FOR)
    }
}

impl Registry {
    /// Takes in what the store holds of a name at some moment after this was called; true where that was news. Those who
    /// ask for one name at once share a look.
    ///
    /// # Errors
    /// Where the store can't say, or too many wait.
    pub async fn look_up(&self, name: &str) -> Result<bool, Error> {
        let asked = clock::now();
        let _waiting = self.looks.wait()?;
        let mut latest = self.looks.turn.lock().await;
        if self.looks.looked_after(name, asked) {
            // What it has found is in the catalog.
            return Ok(true);
        }
        if let Some(latest) = *latest {
            clock::sleep_until(latest + GAP).await;
        }
        self.looks.begin(name, clock::now());
        let listing = self.store.list(&format!("{FUNCTIONS}{name}/")).await;
        *latest = Some(clock::now());
        let mut news = false;
        for entry in listing?.entries {
            news |= self.take_in(&entry.key).await?;
        }
        Ok(news)
    }

    /// See [`Lookup::is_new`].
    #[must_use]
    pub fn is_new(&self, function: &str) -> bool {
        self.arrivals.has(function)
    }
}
