//! Which executors serve which functions, as one immutable snapshot: all that the hot path reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rpds::HashTrieMapSync;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::Channel;
use udfleet_edge::tls::{Connector, ExpectedPeer};
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ErrorCode, Hello};

use crate::plan::Library;
use crate::registry::{Catalog, Function};

/// One HTTP/2 connection is one task at each end: a few let a peer use more than one core.
const CONNECTIONS: usize = 2;

/// One attached executor, with the connections that all streams to it share.
#[derive(Debug)]
pub struct Endpoint {
    /// Its id.
    pub executor: String,
    /// `host:port` of its Flight service.
    pub address: String,
    /// Of the attach that this stands for.
    pub epoch: u64,
    /// Where clients reach it, as Flight says it.
    pub location: String,
    /// It says how streams stand where it is asked to: only then does its silence mean that one hangs.
    pub reports_progress: bool,
    channels: Vec<Channel>,
    lost: CancellationToken,
    next: AtomicUsize,
    in_flight: AtomicUsize,
    since: Instant,
    /// Until when others are preferred to it, in milliseconds from `since`. 0: it answers.
    silent_until_ms: AtomicU64,
}

/// How long others are preferred to an executor of which a stream was found to hang.
const SILENT: Duration = Duration::from_secs(60);

impl Endpoint {
    /// Makes the connections lazily. Call within a tokio runtime.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(connector: &Connector, hello: &Hello, epoch: u64) -> Result<Self, Error> {
        let Hello { executor, address, .. } = hello;
        let peer = udfleet_edge::channel::endpoint(address).map_err(|e| {
            let message = format!("executor {executor} says that its address is {address:?}: {e}");
            Error::new(ErrorCode::InvalidInput, message).hint("an address is host:port")
        })?;
        let peer = peer
            // Clients that vanish leave streams that are reset; executors are trusted.
            .http2_max_local_error_reset_streams(None)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10));
        let expected = ExpectedPeer::Executor(executor.to_owned());
        let channels = (0..CONNECTIONS).map(|_| connector.connect_lazy(&peer, Some(expected.clone()))).collect();
        Ok(Self {
            executor: executor.clone(),
            address: address.clone(),
            epoch,
            location: format!("{}://{address}", connector.scheme()),
            reports_progress: hello.reports_progress,
            channels,
            lost: CancellationToken::new(),
            next: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            since: Instant::now(),
            silent_until_ms: AtomicU64::new(0),
        })
    }

    /// The connection for the next stream, in turns.
    #[must_use]
    pub fn channel(&self) -> Channel {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.channels[turn % self.channels.len()].clone()
    }

    /// The executor has gone silent: streams must not wait until its connections notice.
    pub fn give_up(&self) {
        self.lost.cancel();
    }

    /// Resolves once it is given up.
    pub fn lost(&self) -> WaitForCancellationFutureOwned {
        self.lost.clone().cancelled_owned()
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A stream of it hangs, or is answered again.
    pub fn note_silent(&self, silent: bool) {
        let until = if silent { self.age_ms() + SILENT.as_millis() as u64 } else { 0 };
        self.silent_until_ms.store(until, Ordering::Relaxed);
    }

    /// A stream of it was found to hang, not long ago.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        let until = self.silent_until_ms.load(Ordering::Relaxed);
        until > 0 && self.age_ms() < until
    }

    /// Batches that this coordinator has sent and not seen answered, over all streams.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts one batch as in flight until the guard is dropped.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }
}

/// One batch in flight at an executor.
#[derive(Debug)]
pub struct InFlight(Arc<Endpoint>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An executor that serves a function.
#[derive(Debug, Clone)]
pub struct Server {
    /// Which.
    pub endpoint: Arc<Endpoint>,
    /// Interpreters that serve the function there.
    pub interpreters: u32,
    /// Long calls hold all of them, as of the executor's latest report.
    pub blocked: Arc<AtomicBool>,
}

/// One function version and who serves it.
#[derive(Debug)]
pub struct Target {
    /// The version.
    pub function: Arc<Function>,
    /// Executors that report it READY.
    pub servers: Vec<Server>,
    /// Why there is none.
    pub reason: String,
}

impl Target {
    /// The error if no executor serves it.
    #[must_use]
    pub fn no_capacity(&self) -> Error {
        let reason = if self.reason.is_empty() { "no executor serves it now" } else { &self.reason };
        Error::new(ErrorCode::NoCapacity, format!("the function is not ready: {reason}"))
            .function(self.function.name.as_str())
            .hint("`udfleet status` shows what is pending and why; try again later")
    }
}

/// All functions at one moment: by `add@3`, and by `add` for the newest that is ready.
#[derive(Debug, Default)]
pub struct Routes {
    targets: HashTrieMapSync<Arc<str>, Arc<Target>>,
    catalog: Arc<Catalog>,
}

impl Routes {
    /// With other functions registered, and with changed targets by `add@3`; `None`: it is there no more.
    #[must_use]
    pub fn with(&self, catalog: Arc<Catalog>, changes: Vec<(Arc<str>, Option<Target>)>) -> Self {
        let mut routes = Self { targets: self.targets.clone(), catalog };
        let mut names = BTreeSet::new();
        for (versioned, target) in changes {
            names.insert(versioned.split_once('@').map_or(&*versioned, |(name, _)| name).to_owned());
            match target {
                Some(target) => routes.targets.insert_mut(versioned, Arc::new(target)),
                None => drop(routes.targets.remove_mut(&versioned)),
            }
        }
        for name in names {
            let newest_first = || routes.catalog.versions(&name).rev().filter_map(|f| routes.exact(&f.name));
            let ready = newest_first().find(|target| !target.servers.is_empty());
            match ready.or_else(|| newest_first().next()).cloned() {
                Some(target) => routes.targets.insert_mut(Arc::from(name), target),
                None => drop(routes.targets.remove_mut(name.as_str())),
            }
        }
        routes
    }

    /// What these routes were made from.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Looks a function up.
    ///
    /// # Errors
    /// [`ErrorCode::FunctionNotFound`] with the nearest name.
    pub fn find(&self, function: &FunctionRef) -> Result<&Arc<Target>, Error> {
        let found = match function.version {
            None => self.targets.get(function.name.as_str()),
            Some(_) => self.targets.get(function.to_string().as_str()),
        };
        let target = found.ok_or_else(|| self.catalog.not_found(function))?;
        target.function.check().map(|()| target)
    }

    /// By `add@3`.
    #[must_use]
    pub fn exact(&self, versioned: &str) -> Option<&Arc<Target>> {
        self.targets.get(versioned)
    }

    /// All versions of all functions; some of them twice.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.targets.values()
    }

    /// All versions of functions of this environment.
    pub fn in_environment<'a>(&'a self, environment: &'a str) -> impl Iterator<Item = &'a Arc<Target>> {
        self.targets.values().filter(move |target| target.function.environment == environment)
    }

    /// The newest ready version of each name.
    pub fn by_name(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.catalog.names().filter_map(|name| self.targets.get(name))
    }
}

impl Library for Routes {
    fn function(&self, name: &FunctionRef) -> Result<Arc<Function>, Error> {
        self.find(name).map(|target| Arc::clone(&target.function))
    }

    /// The one that most executors serve.
    fn environment(&self) -> Option<String> {
        let served = self.targets.values().filter(|target| !target.servers.is_empty());
        let most = served.max_by_key(|target| (target.servers.len(), &target.function.environment));
        most.map(|target| target.function.environment.clone())
    }

    fn interpreters(&self, functions: &[&str], environment: &str) -> u32 {
        let of = |target: &Arc<Target>| target.servers.iter().map(|server| server.interpreters).sum();
        match functions {
            [] => self.in_environment(environment).map(of).max().unwrap_or(0),
            functions => functions.iter().map(|name| self.exact(name).map_or(0, of)).min().unwrap_or(0),
        }
    }
}

/// The current [`Routes`], replaced as a whole.
#[derive(Debug)]
pub struct RouteTable {
    current: ArcSwap<Routes>,
    changed: watch::Sender<u64>,
    connector: Connector,
}

impl Default for RouteTable {
    fn default() -> Self {
        Self::new(Connector::default())
    }
}

impl RouteTable {
    /// Of executors that are connected to in this way.
    #[must_use]
    pub fn new(connector: Connector) -> Self {
        Self { current: ArcSwap::default(), changed: watch::Sender::new(0), connector }
    }

    /// How executors are connected to.
    #[must_use]
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The snapshot of now; lock-free.
    #[must_use]
    pub fn load(&self) -> arc_swap::Guard<Arc<Routes>> {
        self.current.load()
    }

    /// The snapshot of now, to be kept.
    #[must_use]
    pub fn load_full(&self) -> Arc<Routes> {
        self.current.load_full()
    }

    /// Replaces the snapshot.
    pub fn publish(&self, routes: Routes) {
        self.current.store(Arc::new(routes));
        self.changed.send_modify(|count| *count += 1);
    }

    /// Tells of each replacement.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
