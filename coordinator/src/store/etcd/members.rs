//! The members of etcd: requests go to the one that answered last, and on to the next where it fails. Every request
//! ends within [`PATIENCE`]; while etcd is known to be away, it fails at once.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::super::{StoreError, StoreOutage};
use super::connect::{Connector, Services};
use super::failure::{Failure, Refusal};
use crate::config::EtcdConfig;

/// How long one member may take for a request that can be sent again.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long a request may take over all members.
const PATIENCE: Duration = Duration::from_secs(5);
/// Why a try that was told nothing has failed.
const NO_ANSWER: &str = "no answer in time";
/// Between rounds over all members.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a request that may have happened can be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// Only where it is known not to have happened.
    Unsafe,
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum RequestError {
    /// etcd has understood it, and says no.
    Refused(Refusal),
    /// etcd can't be reached.
    Unavailable(String),
}

impl From<RequestError> for StoreError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(refusal) => refusal.into_error(),
            RequestError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

struct EtcdMember {
    endpoint: String,
    /// Made with the first request.
    services: tokio::sync::Mutex<Option<Services>>,
}

/// See the module.
pub(super) struct Members {
    connector: Connector,
    members: Vec<EtcdMember>,
    /// The member that requests go to.
    current: AtomicUsize,
    outage: Mutex<Option<StoreOutage>>,
}

impl Members {
    pub fn new(config: &EtcdConfig) -> Result<Self, StoreError> {
        let member = |endpoint: &String| EtcdMember { endpoint: endpoint.clone(), services: Default::default() };
        Ok(Self {
            connector: Connector::new(config)?,
            members: config.url.endpoints.iter().map(member).collect(),
            current: AtomicUsize::new(0),
            outage: Mutex::new(None),
        })
    }

    /// Since when no member answers, and why.
    pub fn outage(&self) -> Option<StoreOutage> {
        self.outage.lock().clone()
    }

    /// Sends a request. While etcd is away it fails at once.
    pub async fn request<T, F>(&self, repeat: Repeat, request: impl Fn(Services) -> F) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        match self.outage() {
            Some(outage) => Err(RequestError::Unavailable(outage.to_string())),
            None => self.send(repeat, request).await,
        }
    }

    /// Sends a request that can be repeated, even while etcd is thought to be away, and notes whether it is.
    pub async fn probe<T, F>(&self, request: impl Fn(Services) -> F) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        self.send(Repeat::Safe, request).await
    }

    async fn send<T, F>(&self, repeat: Repeat, request: impl Fn(Services) -> F) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let end = Instant::now() + PATIENCE;
        let mut tries = 0;
        // What a try was told: it says more than that the last one, which has the least time, was told nothing.
        let mut told = None;
        loop {
            let current = self.current.load(Ordering::Relaxed);
            let limit = if repeat == Repeat::Safe { end.min(Instant::now() + ATTEMPT) } else { end };
            let failure = match self.send_to(&self.members[current], limit, &request).await {
                Ok(answer) => {
                    self.answered();
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            let (why, again) = match failure {
                Failure::Final(refusal) => {
                    self.answered();
                    return Err(RequestError::Refused(refusal));
                }
                Failure::NotDone(why) => (why, true),
                Failure::Unknown(why) => (why, repeat == Repeat::Safe),
            };
            let is_silence = why == NO_ANSWER;
            let why = format!("etcd at {}: {why}", self.members[current].endpoint);
            let why = if is_silence { told.unwrap_or(why) } else { why };
            told = Some(why.clone());
            self.pass_over(current);
            tries += 1;
            if !again {
                return Err(RequestError::Unavailable(why));
            }
            if Instant::now() + PAUSE >= end {
                self.missed(&why);
                return Err(RequestError::Unavailable(why));
            }
            if tries % self.members.len() == 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn send_to<T, F>(
        &self,
        member: &EtcdMember,
        limit: Instant,
        request: &impl Fn(Services) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let services = tokio::time::timeout_at(limit, self.services(member)).await;
        let services = services.map_err(|_| Failure::NotDone("it does not let us in in time".to_owned()))?;
        let services = services.map_err(|error| match error.into() {
            // Only the user was to be checked.
            Failure::Unknown(why) => Failure::NotDone(why),
            failure => failure,
        })?;
        match tokio::time::timeout_at(limit, request(services)).await {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => Err(Failure::Unknown(NO_ANSWER.to_owned())),
        }
    }

    async fn services(&self, member: &EtcdMember) -> Result<Services, etcd_client::Error> {
        let mut services = member.services.lock().await;
        if let Some(services) = &*services {
            return Ok(services.clone());
        }
        Ok(services.insert(self.connector.connect(&member.endpoint).await?).clone())
    }

    /// The next requests go to another member, unless somebody has seen to that already.
    fn pass_over(&self, failed: usize) {
        let next = (failed + 1) % self.members.len();
        // Another request may have moved on before.
        let _ = self.current.compare_exchange(failed, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn answered(&self) {
        if let Some(outage) = self.outage.lock().take() {
            tracing::info!(seconds = outage.seconds(), "etcd answers again");
        }
    }

    fn missed(&self, why: &str) {
        let mut outage = self.outage.lock();
        if outage.is_none() {
            tracing::error!("etcd is away: registrations and drains fail until it answers again: {why}");
            *outage = Some(StoreOutage { since: SystemTime::now(), reason: why.to_owned() });
        }
    }
}
