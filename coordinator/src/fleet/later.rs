//! What the store could not be told or asked while a registration ran: it is told and asked once it answers again.

use std::sync::Arc;
use std::time::Duration;

use udfleet_proto::error::Error;

use super::register::go_on;
use super::service::FleetContext;
use crate::registry::{Function, RegistrationEnd, UnresolvedRegistration};

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// How a registration has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct RegistrationOutcome {
    /// It can be called.
    pub ready: bool,
    /// It could be called for a while.
    pub served: bool,
}

/// Records how a registration has ended.
pub(super) async fn record(
    context: &FleetContext,
    function: &Function,
    outcome: RegistrationOutcome,
) -> Result<RegistrationEnd, Error> {
    if outcome.ready {
        return context.registry.settle(function).await;
    }
    let end = context.registry.abandon(function, outcome.served).await?;
    context.fleet.show_catalog().await;
    Ok(end)
}

/// The same, until the store has taken it.
pub(super) async fn record_later(context: Arc<FleetContext>, function: Function, outcome: RegistrationOutcome) {
    loop {
        tokio::time::sleep(PAUSE).await;
        match record(&context, &function, outcome).await {
            Ok(end) => return tracing::info!(function = function.name, ?end, "the end of a registration"),
            Err(error) => {
                tracing::warn!(function = function.name, %error, "the end of a registration is not stored yet")
            }
        }
    }
}

/// The client was told to try again, and the store may hold the definition. If it does, its registration goes on; else
/// it never will.
pub(super) async fn resolve(context: Arc<FleetContext>, registration: Box<UnresolvedRegistration>) {
    loop {
        match context.registry.resolve(&registration).await {
            Ok(Some(function)) => return go_on(context, function),
            Ok(None) => return tracing::info!(function = registration.function(), "it was not registered"),
            Err(error) => {
                tracing::warn!(function = registration.function(), %error, "whether it is registered is not known yet")
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
