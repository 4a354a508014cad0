//! Long calls hold all interpreters that could take a batch: where other executors may be free, it need not wait here.

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::client_stream::GiveBack;
use super::target::Target;
use crate::link::PoolLoad;

/// For a stream that is about to begin.
///
/// # Errors
/// [`ErrorCode::NoCapacity`] where long calls hold all interpreters.
pub(super) fn check(target: &Target) -> Result<(), Error> {
    let load = target.pool.load();
    if load.is_blocked() { Err(refusal(target, &load)) } else { Ok(()) }
}

/// Why a batch that has waited for its time may go back, if it may.
pub(super) fn in_the_way(target: &Target, rule: GiveBack) -> Option<Error> {
    let load = target.pool.load();
    let others = || load.held.iter().any(|call| call.name != target.demand.name);
    (load.is_blocked() && (!rule.behind_others_only || others())).then(|| refusal(target, &load))
}

fn refusal(target: &Target, load: &PoolLoad) -> Error {
    let held = load.held.first().map_or_else(String::new, |longest| format!(", the longest by {}", longest.name));
    let message = format!("long calls hold all {} interpreters here{held}", load.interpreters);
    Error::new(ErrorCode::NoCapacity, message)
        .function(&target.name)
        .hint("use another executor")
        .with(|info| info.busy = true)
}
