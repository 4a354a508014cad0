//! What the failure of one upstream exchange means for the client's stream.

use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_FRAME_BYTES;
use udfleet_proto::v1::{ErrorCode, StreamProgress};

use super::retry::REFUSAL_DEADLINE;

/// Where an error leads.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::router) enum Failure {
    /// The executor is gone or refuses: others may answer.
    Elsewhere(Error),
    /// The answer is this error, wherever it is asked.
    Final(Error),
}

/// A typed error of an executor. Whether a function exists is for the routes to say: an executor that does not know it
/// has it no more, or not yet, which is a refusal as others.
pub(in crate::router) fn of_error(error: Error) -> Failure {
    match error.code() {
        ErrorCode::ExecutorLost | ErrorCode::NoCapacity => Failure::Elsewhere(error),
        ErrorCode::FunctionNotFound => Failure::Elsewhere(error.with(|info| info.code = ErrorCode::NoCapacity as i32)),
        _ => Failure::Final(error),
    }
}

/// Beyond what one message may hold.
pub(in crate::router) fn too_large() -> Error {
    let message = format!("a Flight message is larger than the limit of {MAX_FRAME_BYTES} bytes");
    Error::new(ErrorCode::LimitExceeded, message).hint("send smaller record batches")
}

/// What the client is told once a batch has been tried often, or refused for long enough.
pub(super) fn exhausted(cause: &Error, function: &str, attempts: u32) -> Error {
    let last = &cause.info().message;
    let again = "send it again; `udfleet status` shows executors";
    let (message, hint) = if cause.has_no_side_effects() {
        let seconds = REFUSAL_DEADLINE.as_secs();
        (format!("no executor took the batch within {seconds} s, the last refusal: {last}"), again)
    } else if attempts == 1 {
        let once =
            "it may have run; what is not deterministic runs again only where udfleet.retry.max-attempts says so";
        (format!("the batch was tried once: {last}"), once)
    } else {
        (format!("the batch was tried {attempts} times, the last time: {last}"), again)
    };
    Error::new(cause.code(), message).function(function).hint(hint).with(|info| {
        info.executor.clone_from(&cause.info().executor);
        info.attempt = attempts;
        info.has_no_side_effects = attempts == 0;
    })
}

/// An executor has said nothing for long.
pub(super) fn silent(executor: &str, in_flight: usize, progress: StreamProgress) -> Error {
    let last = match progress {
        StreamProgress { running: 0, .. } => "none of which it said to run".to_owned(),
        StreamProgress { running, running_ms, .. } => {
            format!("of which {running} ran when it was last heard of, the oldest for {running_ms} ms")
        }
    };
    let message = format!("executor {executor} says nothing of a stream; it has {in_flight} batches of it, {last}");
    Error::new(ErrorCode::ExecutorLost, message)
        .hint("its process may hang although it reports; exchange_timeout of the coordinators is how long it may say nothing")
        .with(|info| executor.clone_into(&mut info.executor))
}

fn lost(cause: &Error, message: &str) -> Error {
    let executor = &cause.info().executor;
    Error::new(ErrorCode::ExecutorLost, format!("{message}: {}", cause.info().message))
        .hint("run it again from the start")
        .with(|info| info.executor.clone_from(executor))
}

/// An executor that held groups is lost.
pub(super) fn groups_lost(cause: &Error) -> Error {
    lost(cause, "the executor that aggregated the stream's rows is lost, and the groups with it")
}

/// An executor is gone in the middle of an answer, and another try would give other rows.
pub(super) fn half_answered(cause: &Error) -> Error {
    lost(cause, "the executor is lost in the middle of an answer, and a function of it is not deterministic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cause_stands() {
        let full = Error::new(ErrorCode::NoCapacity, "draining");
        let error = exhausted(&full, "f@1", 3);
        assert_eq!(
            (error.code(), error.info().attempt, error.info().function.as_str()),
            (ErrorCode::NoCapacity, 3, "f@1")
        );
        assert_eq!(error.info().message, "no executor took the batch within 10 s, the last refusal: draining");
        let lost = exhausted(&Error::new(ErrorCode::ExecutorLost, "gone"), "f@1", 3);
        assert_eq!(lost.info().message, "the batch was tried 3 times, the last time: gone");
    }
}
