//! What the failure of one upstream exchange means for the client's stream.

use tonic::{Code, Status};
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_FRAME_BYTES;
use udfleet_proto::v1::ErrorCode;

use super::retry::{PATIENCE, is_refusal};

/// Where an error leads.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Failure {
    /// The executor is gone or refuses: others may answer.
    Elsewhere(Error),
    /// The answer is this error, wherever it is asked.
    Final(Error),
}

/// A typed error of an executor. Whether a function exists is for the routes to say: an executor that does not know it
/// has it no more, or not yet, which is a refusal as others.
pub(super) fn of_error(error: Error) -> Failure {
    match error.code() {
        ErrorCode::ExecutorLost | ErrorCode::NoCapacity => Failure::Elsewhere(error),
        ErrorCode::FunctionNotFound => Failure::Elsewhere(error.with(|info| info.code = ErrorCode::NoCapacity as i32)),
        _ => Failure::Final(error),
    }
}

/// How an upstream exchange ended.
pub(super) fn of_status(status: &Status, executor: &str) -> Failure {
    let named = |error: Error| {
        error.with(|info| {
            if info.executor.is_empty() {
                executor.clone_into(&mut info.executor);
            }
        })
    };
    if !status.details().is_empty() {
        return of_error(named(Error::from(status)));
    }
    // No details: the transport speaks, not an executor.
    match status.code() {
        Code::OutOfRange => Failure::Final(named(too_large())),
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented | Code::InvalidArgument => {
            Failure::Final(named(Error::from(status)))
        }
        _ => Failure::Elsewhere(named(Error::new(
            ErrorCode::ExecutorLost,
            format!("the connection to executor {executor} failed: {}", status.message()),
        ))),
    }
}

fn too_large() -> Error {
    let message = format!("a Flight message is larger than the limit of {MAX_FRAME_BYTES} bytes");
    Error::new(ErrorCode::LimitExceeded, message).hint("send smaller record batches")
}

/// What the client is told once a batch has been tried often, or refused for long enough.
pub(super) fn exhausted(cause: &Error, function: &str, attempts: u32) -> Error {
    let last = &cause.info().message;
    let message = if is_refusal(cause.code()) {
        format!("no executor took the batch within {} s, the last refusal: {last}", PATIENCE.as_secs())
    } else {
        format!("the batch was tried {attempts} times, the last time: {last}")
    };
    Error::new(cause.code(), message).function(function).hint("send it again; `udfleet status` shows executors").with(
        |info| {
            info.executor.clone_from(&cause.info().executor);
            info.attempt = attempts;
        },
    )
}

fn lost(cause: &Error, message: &str) -> Error {
    let executor = &cause.info().executor;
    Error::new(ErrorCode::ExecutorLost, format!("{message}: {}", cause.info().message))
        .hint("run it again from the start")
        .with(|info| info.executor.clone_from(executor))
}

/// An executor is gone that held what had been gathered so far.
pub(super) fn groups_lost(cause: &Error) -> Error {
    lost(cause, "the executor that gathered the stream's rows is lost, and the groups with it")
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

    #[test]
    fn broken_transport_leads_elsewhere_and_typed_errors_stand() {
        // The last is how h2 ends a connection with too many resets.
        for code in [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled, Code::ResourceExhausted] {
            let failure = of_status(&Status::new(code, "h2 protocol error"), "e1");
            let Failure::Elsewhere(error) = failure else { panic!("{code:?}: {failure:?}") };
            assert_eq!((error.code(), error.info().executor.as_str()), (ErrorCode::ExecutorLost, "e1"));
        }
        for code in [ErrorCode::NoCapacity, ErrorCode::FunctionNotFound] {
            let refused: Status = Error::new(code, "draining").into();
            let failure = of_status(&refused, "e1");
            assert!(matches!(failure, Failure::Elsewhere(e) if e.code() == ErrorCode::NoCapacity), "{code:?}");
        }
        for code in [ErrorCode::UserCode, ErrorCode::InvalidInput, ErrorCode::InterpreterCrashed, ErrorCode::Internal] {
            let status: Status = Error::new(code, "x").into();
            assert!(matches!(of_status(&status, "e1"), Failure::Final(e) if e.code() == code), "{code:?}");
        }
        assert!(
            matches!(of_status(&Status::out_of_range("length"), "e1"), Failure::Final(e) if e.code() == ErrorCode::LimitExceeded)
        );
    }
}
