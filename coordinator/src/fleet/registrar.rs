//! Registrations that have been found good: they are stored and watched until executors serve them, whoever asked for
//! them and whether or not that one still listens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tonic::Status;
use udfleet_edge::clock;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::registration_event::Kind;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition, FunctionInfo, LoadState, RegistrationEvent};

use super::later::{self, RegistrationOutcome};
use crate::leader::Session;
use crate::membership::{MembershipHandle, Unplaced, WatchEvent};
use crate::registry::{Function, RegisterError, RegistrationEnd, Registry, UnresolvedRegistration};

/// The receiver of events; they are dropped if it does not read.
pub struct Events(pub mpsc::Sender<Result<RegistrationEvent, Status>>);

impl Events {
    /// Never waits: a client that does not read misses lines and delays nothing.
    pub(super) fn tell(&self, kind: Kind) {
        let _ = self.0.try_send(event(kind));
    }
}

pub(super) fn event(kind: Kind) -> Result<RegistrationEvent, Status> {
    Ok(RegistrationEvent { kind: Some(kind) })
}

/// Sees registrations through.
pub struct Registrar {
    /// Registered functions.
    pub registry: Arc<Registry>,
    /// The executors.
    pub fleet: MembershipHandle,
    /// This coordinator among the others.
    pub session: Session,
    /// For registrations whose caller sets none.
    pub registration_timeout: Duration,
}

impl Registrar {
    /// Stores a definition that has been checked, and answers once it is served.
    ///
    /// # Errors
    /// When the store fails, or nobody will serve it: then nothing stays registered.
    pub async fn register(
        self: &Arc<Self>,
        definition: FunctionDefinition,
        timeout: Duration,
        events: &Events,
    ) -> Result<FunctionInfo, Error> {
        let registered = self.registry.register(definition).await;
        // One that is refused may have read anew what others have registered: of what is known already, the store's changes
        // tell nobody.
        self.fleet.catalog_changed();
        let (function, new) = match registered {
            Ok(registered) => registered,
            Err(RegisterError::Failed(error)) => return Err(error),
            Err(RegisterError::Unresolved(error, registration)) => {
                let function = resolved(self, registration, error).await?;
                self.fleet.catalog_changed();
                (function, true)
            }
        };
        let line = if new { "registering" } else { "identical to" };
        events.tell(Kind::Progress(format!("{line} {}", function.name)));
        let mut served = false;
        let result = watched(self, &function, timeout, Unplaced::Fails, events, &mut served).await;
        if !new {
            return result;
        }
        let info = end(self, &function, served, result).await?;
        for line in failures(&info) {
            events.tell(Kind::Progress(line));
        }
        events.tell(Kind::Progress(format!("registered as {}", function.name)));
        Ok(info)
    }
}

/// What has become of a registration that the store did not answer. Where it can't say that either, it is found out later.
async fn resolved(
    registrar: &Arc<Registrar>,
    registration: Box<UnresolvedRegistration>,
    error: Error,
) -> Result<Arc<Function>, Error> {
    match registrar.registry.resolve(&registration).await {
        Ok(Some(function)) => Ok(function),
        Ok(None) => Err(error.with(|info| info.has_no_side_effects = true)),
        Err(_) => {
            tokio::spawn(later::resolve(Arc::clone(registrar), registration));
            Err(error.hint("it may have been registered: the same request again finds it"))
        }
    }
}

/// Executors that can't serve it although others do, and why.
fn failures(info: &FunctionInfo) -> impl Iterator<Item = String> {
    info.executors.iter().filter_map(|on| {
        let error = on.status.as_ref().filter(|status| status.state() == LoadState::Failed)?.error.clone()?;
        Some(format!("{} can't serve it: {}", on.executor, Error::from(error)))
    })
}

/// Goes on with a registration that was cut short: nobody hears of it, but it too ends.
pub(super) fn go_on(registrar: Arc<Registrar>, function: Arc<Function>) {
    registrar.fleet.catalog_changed();
    tokio::spawn(async move {
        let (nobody, _) = mpsc::channel(1);
        let timeout = registrar.registration_timeout;
        let mut served = false;
        let result = watched(&registrar, &function, timeout, Unplaced::Waits, &Events(nobody), &mut served).await;
        // It may have been called before.
        match end(&registrar, &function, true, result).await {
            Ok(_) => tracing::info!(function = function.name, "a registration that was cut short: ready"),
            Err(error) => tracing::warn!(function = function.name, %error, "a registration that was cut short"),
        }
    });
}

async fn watched(
    registrar: &Registrar,
    function: &Function,
    timeout: Duration,
    unplaced: Unplaced,
    events: &Events,
    served: &mut bool,
) -> Result<FunctionInfo, Error> {
    let news = registrar.fleet.watch(&function.name, unplaced);
    let result = match clock::timeout(timeout, wait(news, events, served)).await {
        Ok(result) => result,
        Err(_) => Err(too_slow(registrar, function, timeout)),
    };
    result.map_err(|error| error.function(function.name.as_str()))
}

/// Records how the registration of a new version ended, and says so only then: what is acknowledged is there afterwards. A
/// failed one leaves nothing, not even a used version number, unless it was `served` for a while. While the store is
/// unavailable, that is recorded later.
async fn end(
    registrar: &Arc<Registrar>,
    function: &Function,
    served: bool,
    result: Result<FunctionInfo, Error>,
) -> Result<FunctionInfo, Error> {
    let outcome = RegistrationOutcome { ready: result.is_ok(), served };
    match later::record(registrar, function, outcome).await {
        Ok(RegistrationEnd::Recorded) => result,
        Ok(RegistrationEnd::Removed) => Err(result.err().unwrap_or_else(|| removed(function))),
        Ok(RegistrationEnd::TakenOver) => Err(taken_over(function)),
        Err(error) if !error.code().retryable() => Err(error),
        Err(error) => {
            tokio::spawn(later::record_later(Arc::clone(registrar), function.clone(), outcome));
            let hint = "it can be called, and stays once that is stored; register it again to hear so";
            Err(result.err().unwrap_or_else(|| error.function(&*function.name).hint(hint)))
        }
    }
}

fn removed(function: &Function) -> Error {
    Error::new(ErrorCode::FunctionNotFound, "it was dropped while it was registered").function(&*function.name)
}

fn taken_over(function: &Function) -> Error {
    let message = "this coordinator was cut off, and another one sees to the registration now";
    Error::new(ErrorCode::NoCapacity, message)
        .function(&*function.name)
        .hint("register it again: the answer is how it has ended")
}

async fn wait(
    mut news: mpsc::UnboundedReceiver<WatchEvent>,
    events: &Events,
    served: &mut bool,
) -> Result<FunctionInfo, Error> {
    while let Some(event) = news.recv().await {
        match event {
            WatchEvent::Progress(line) => events.tell(Kind::Progress(line)),
            WatchEvent::BuildLog(line) => events.tell(Kind::BuildLog(line)),
            WatchEvent::Served => *served = true,
            WatchEvent::Ready(info) => return Ok(*info),
            WatchEvent::Failed(info) => return Err((*info).into()),
        }
    }
    Err(Error::new(ErrorCode::NoCapacity, "the coordinator stopped while the function was registered"))
}

/// The error of a timeout: what the registration was still waiting for.
fn too_slow(registrar: &Registrar, function: &Function, timeout: Duration) -> Error {
    let which = FunctionRef { name: function.definition.name.clone(), version: Some(function.definition.version) };
    let entry = registrar.fleet.snapshot().find(&which);
    let (state, reason) =
        entry.map_or((LoadState::Pending, String::new()), |entry| (entry.state(), entry.reason().to_owned()));
    let code = match state {
        LoadState::Building => ErrorCode::EnvironmentFailed,
        LoadState::Loading | LoadState::Ready | LoadState::Failed => ErrorCode::LoadFailed,
        LoadState::Pending | LoadState::Unspecified => ErrorCode::NoCapacity,
    };
    Error::new(code, format!("not ready within {} s: {reason}", timeout.as_secs_f64()))
        .hint("allow more time (timeout=...), or see the executors' logs")
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;
    use udfleet_edge::tenant::Tenants;

    use super::*;
    use crate::leader::{Announcement, Timing};
    use crate::registry::{Owner, RegistrationQuota};
    use crate::store::SharedStore;
    use crate::store::embedded::EmbeddedStore;

    async fn limited(store: &SharedStore, coordinator: &str) -> Registry {
        let owner = Owner { coordinator: coordinator.to_owned(), incarnation: "1".to_owned() };
        let (registry, _) = Registry::open(Arc::clone(store), owner).await.unwrap();
        let limits = toml::from_str("[acme]\nfunctions = 1\n").unwrap();
        registry.limited(RegistrationQuota::new(Arc::new(Tenants::new(limits))))
    }

    #[tokio::test]
    async fn what_a_refused_registration_has_read_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap());
        let (here, there) = (Arc::new(limited(&store, "here").await), limited(&store, "there").await);
        let owner = Owner { coordinator: "here".to_owned(), incarnation: "1".to_owned() };
        let me = Announcement { owner, address: "127.0.0.1:1".to_owned(), http_address: String::new() };
        // It never leads, nor follows the store: nothing else reads the registry.
        let ended = CancellationToken::new();
        ended.cancel();
        let minute = Duration::from_secs(60);
        let (session, _) = Session::start(Arc::clone(&store), me, Timing { ttl: minute }, ended);
        let (s, r) = (store, Arc::clone(&here));
        let fleet = MembershipHandle::start(s, session.clone(), r, Arc::default(), minute).await.unwrap();
        let registrar = Registrar { registry: here, fleet: fleet.clone(), session, registration_timeout: minute };
        let of = |name: &str| FunctionDefinition {
            name: name.to_owned(),
            tenant: "acme".to_owned(),
            ..FunctionDefinition::default()
        };
        there.register(of("theirs")).await.unwrap();
        let (nobody, _) = mpsc::channel(1);
        let refused = Arc::new(registrar).register(of("ours"), minute, &Events(nobody)).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::LimitExceeded);
        let theirs = FunctionRef { name: "theirs".to_owned(), version: None };
        let shown = async {
            while fleet.snapshot().find(&theirs).is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), shown).await.expect("nobody is told of it");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_delays_nothing() {
        let (sender, mut unread) = mpsc::channel(8);
        let events = Events(sender);
        let (news, heard) = mpsc::unbounded_channel();
        for line in 0..100 {
            news.send(WatchEvent::Progress(line.to_string())).unwrap();
        }
        news.send(WatchEvent::Ready(Box::default())).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(10), wait(heard, &events, &mut false)).await;
        assert!(ended.expect("it waits for the client").is_ok());
        drop(events);
        let mut lines = 0;
        while unread.recv().await.is_some() {
            lines += 1;
        }
        assert_eq!(lines, 8, "what there was room for");
    }
}
