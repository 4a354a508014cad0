//! What the store could not be told or asked while a registration ran: it is told and asked once it answers again.

use std::sync::Arc;
use std::time::Duration;

use udfleet_edge::clock;
use udfleet_proto::error::Error;

use super::registrar::{Registrar, go_on};
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
    registrar: &Registrar,
    function: &Function,
    outcome: RegistrationOutcome,
) -> Result<RegistrationEnd, Error> {
    if outcome.ready {
        return registrar.registry.settle(function).await;
    }
    let end = registrar.registry.abandon(function, outcome.served).await?;
    registrar.fleet.show_catalog().await;
    Ok(end)
}

/// The same, until the store has taken it.
pub(super) async fn record_later(registrar: Arc<Registrar>, function: Function, outcome: RegistrationOutcome) {
    loop {
        clock::sleep(PAUSE).await;
        match record(&registrar, &function, outcome).await {
            Ok(end) => return tracing::info!(function = function.name, ?end, "the end of a registration"),
            Err(error) => {
                tracing::warn!(function = function.name, %error, "the end of a registration is not stored yet")
            }
        }
    }
}

/// The client was told to try again, and the store may hold the definition. If it does, its registration goes on; else
/// it never will.
pub(super) async fn resolve(registrar: Arc<Registrar>, registration: Box<UnresolvedRegistration>) {
    loop {
        match registrar.registry.resolve(&registration).await {
            Ok(Some(function)) => return go_on(registrar, function),
            Ok(None) => return tracing::info!(function = registration.function(), "it was not registered"),
            Err(error) => {
                tracing::warn!(function = registration.function(), %error, "whether it is registered is not known yet")
            }
        }
        clock::sleep(PAUSE).await;
    }
}
