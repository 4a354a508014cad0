//! A registration, from request to its last event. It continues when the client disconnects.

use std::sync::Arc;
use std::time::Duration;

use udfleet_proto::error::Error;
use udfleet_proto::v1::registration_event::Kind;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition, FunctionInfo};

use super::registrar::{Events, event};
use super::service::FleetContext;
use crate::audit::AuditEvent;
use crate::config;
use crate::registry::{self, Function};

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
    context.registrar.register(definition, timeout, events).await
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
