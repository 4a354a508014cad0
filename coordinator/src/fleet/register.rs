//! A registration, from request to its last event. It continues when the client disconnects.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tonic::Status;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::registration_event::Kind;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition, FunctionInfo, LoadState, RegistrationEvent};

use super::later::{self, RegistrationOutcome};
use super::service::FleetContext;
use crate::audit::AuditEvent;
use crate::config;
use crate::membership::{Unplaced, WatchEvent};
use crate::registry::{self, Function, RegisterError, RegistrationEnd, UnresolvedRegistration};

/// The receiver of events; they are dropped if it does not read.
pub(super) struct Events(pub mpsc::Sender<Result<RegistrationEvent, Status>>);

impl Events {
    /// Never waits: a client that does not read misses lines and delays nothing.
    fn tell(&self, kind: Kind) {
        let _ = self.0.try_send(event(kind));
    }
}

fn event(kind: Kind) -> Result<RegistrationEvent, Status> {
    Ok(RegistrationEvent { kind: Some(kind) })
}

/// Runs one registration; its last event is `ready` or `failed`.
pub(super) async fn run(
    context: Arc<FleetContext>,
    definition: FunctionDefinition,
    timeout: Duration,
    events: Events,
    asked: AuditEvent,
) {
    // Lines can't take the last event's place. Fails only if the receiver is gone.
    let place = events.0.clone().try_reserve_owned();
    let wanted = Function::new(definition.clone());
    let registered = register(&context, definition, timeout, &events).await;
    let function = registered.as_ref().ok().and_then(|info| info.definition.clone()).map_or(wanted, Function::new);
    context.audit.note(asked.function(&function.hash, &function.environment).ended(&registered)).await;
    let last = match registered {
        Ok(info) => Kind::Ready(info),
        Err(error) => Kind::Failed(error.into_info()),
    };
    if let Ok(place) = place {
        place.send(event(last));
    }
}

async fn register(
    context: &Arc<FleetContext>,
    mut definition: FunctionDefinition,
    timeout: Duration,
    events: &Events,
) -> Result<FunctionInfo, Error> {
    config::fill(&mut definition, &context.function_config);
    registry::validate(&definition)?;
    present(context, &definition).await?;
    context.fleet.feasible(definition.clone()).await?;
    let (function, new) = match context.registry.register(definition).await {
        Ok(registered) => registered,
        Err(RegisterError::Failed(error)) => return Err(error),
        Err(RegisterError::Unresolved(error, registration)) => (resolved(context, registration, error).await?, true),
    };
    context.fleet.catalog_changed();
    let line = if new { "registering" } else { "identical to" };
    events.tell(Kind::Progress(format!("{line} {}", function.name)));
    let mut served = false;
    let result = watched(context, &function, timeout, Unplaced::Fails, events, &mut served).await;
    if !new {
        return result;
    }
    let info = end(context, &function, served, result).await?;
    for line in failures(&info) {
        events.tell(Kind::Progress(line));
    }
    events.tell(Kind::Progress(format!("registered as {}", function.name)));
    Ok(info)
}

/// What has become of a registration that the store did not answer. Where it can't say that either, it is found out later.
async fn resolved(
    context: &Arc<FleetContext>,
    registration: Box<UnresolvedRegistration>,
    error: Error,
) -> Result<Arc<Function>, Error> {
    match context.registry.resolve(&registration).await {
        Ok(Some(function)) => Ok(function),
        Ok(None) => Err(error.with(|info| info.has_no_side_effects = true)),
        Err(_) => {
            tokio::spawn(later::resolve(Arc::clone(context), registration));
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
pub(super) fn go_on(context: Arc<FleetContext>, function: Arc<Function>) {
    context.fleet.catalog_changed();
    tokio::spawn(async move {
        let (nobody, _) = mpsc::channel(1);
        let timeout = context.registration_timeout;
        let mut served = false;
        let result = watched(&context, &function, timeout, Unplaced::Waits, &Events(nobody), &mut served).await;
        // It may have been called before.
        match end(&context, &function, true, result).await {
            Ok(_) => tracing::info!(function = function.name, "a registration that was cut short: ready"),
            Err(error) => tracing::warn!(function = function.name, %error, "a registration that was cut short"),
        }
    });
}

async fn watched(
    context: &FleetContext,
    function: &Function,
    timeout: Duration,
    unplaced: Unplaced,
    events: &Events,
    served: &mut bool,
) -> Result<FunctionInfo, Error> {
    let news = context.fleet.watch(&function.name, unplaced);
    let result = match tokio::time::timeout(timeout, wait(news, events, served)).await {
        Ok(result) => result,
        Err(_) => Err(too_slow(context, function, timeout)),
    };
    result.map_err(|error| error.function(function.name.as_str()))
}

/// Records how the registration of a new version ended, and says so only then: what is acknowledged is there afterwards. A
/// failed one leaves nothing, not even a used version number, unless it was `served` for a while. While the store is
/// unavailable, that is recorded later.
async fn end(
    context: &Arc<FleetContext>,
    function: &Function,
    served: bool,
    result: Result<FunctionInfo, Error>,
) -> Result<FunctionInfo, Error> {
    let outcome = RegistrationOutcome { ready: result.is_ok(), served };
    match later::record(context, function, outcome).await {
        Ok(RegistrationEnd::Recorded) => result,
        Ok(RegistrationEnd::Removed) => Err(result.err().unwrap_or_else(|| removed(function))),
        Ok(RegistrationEnd::TakenOver) => Err(taken_over(function)),
        Err(error) if !error.code().retryable() => Err(error),
        Err(error) => {
            tokio::spawn(later::record_later(Arc::clone(context), function.clone(), outcome));
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

pub(super) async fn present(context: &FleetContext, definition: &FunctionDefinition) -> Result<(), Error> {
    for (hash, artifact) in registry::artifacts(definition) {
        if !context.artifacts.reserve(hash, Some(artifact.size)).await? {
            let message = format!("artifact {hash} ({:?}) has not been sent", artifact.name);
            return Err(Error::new(ErrorCode::ArtifactMissing, message)
                .function(definition.name.as_str())
                .hint("send what Artifacts.Missing names, then register again"));
        }
    }
    Ok(())
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
fn too_slow(context: &FleetContext, function: &Function, timeout: Duration) -> Error {
    let which = FunctionRef { name: function.definition.name.clone(), version: Some(function.definition.version) };
    let entry = context.fleet.snapshot().find(&which);
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
    use super::*;

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
