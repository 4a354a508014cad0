//! Errors as gRPC statuses and back: typed in the details, within the bounds of trailers.

use prost::Message;
use tonic::{Code, Status};

use super::{Error, truncate};
use crate::limits::MAX_TRAILER_BYTES;
use crate::v1::{ErrorCode, ErrorInfo};

/// Frames that are left of a long traceback: the innermost ones, where it was raised.
const KEPT_FRAMES: usize = 4;

/// The info cut down until it fits in `limit` bytes: long texts first, then frames, then the cause chain.
#[must_use]
pub fn shrink(info: &ErrorInfo, limit: usize) -> ErrorInfo {
    let mut small = info.clone();
    if small.encoded_len() <= limit {
        return small;
    }
    truncate(&mut small.message, 512);
    truncate(&mut small.value, 128);
    truncate(&mut small.hint, 256);
    truncate(&mut small.expression, 256);
    for name in [&mut small.function, &mut small.executor, &mut small.producer] {
        truncate(name, 160);
    }
    if let Some(exit) = &mut small.exit {
        truncate(&mut exit.last_stderr, 512);
    }
    if let Some(exception) = &mut small.exception {
        truncate(&mut exception.r#type, 128);
        truncate(&mut exception.text, 1024);
        truncate(&mut exception.message, 512);
        exception.frames.drain(..exception.frames.len().saturating_sub(KEPT_FRAMES));
        exception.group.clear();
        exception.notes.clear();
        exception.cause = None;
    }
    if small.encoded_len() > limit {
        small.exception = None;
    }
    small
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let mut message = error.to_string();
        truncate(&mut message, 1024);
        let details = shrink(error.info(), MAX_TRAILER_BYTES).encode_to_vec();
        Self::with_details(Code::from(error.code().grpc()), message, details.into())
    }
}

impl From<&Status> for Error {
    /// The typed error in the details, or the nearest code where a peer sent none.
    fn from(status: &Status) -> Self {
        if let Ok(info) = ErrorInfo::decode(status.details())
            && info.code != 0
        {
            return info.into();
        }
        let code = match status.code() {
            Code::NotFound => ErrorCode::FunctionNotFound,
            Code::InvalidArgument => ErrorCode::InvalidInput,
            Code::ResourceExhausted | Code::OutOfRange => ErrorCode::LimitExceeded,
            Code::Unauthenticated => ErrorCode::Unauthenticated,
            Code::PermissionDenied => ErrorCode::PermissionDenied,
            Code::Unavailable => ErrorCode::ExecutorLost,
            _ => ErrorCode::Internal,
        };
        Self::new(code, status.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_carry_the_typed_error_within_the_trailer_limit() {
        let error = Error::new(ErrorCode::UserCode, "é".repeat(5000)).function("f@1").with(|info| {
            info.row = Some(7);
            info.exception = Some(crate::v1::PythonException { text: "x".repeat(100_000), ..Default::default() });
        });
        let status = tonic::Status::from(error);
        assert!(status.details().len() <= crate::limits::MAX_TRAILER_BYTES);
        let back = Error::from(&status);
        assert_eq!((back.code(), back.info().row), (ErrorCode::UserCode, Some(7)));
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
    }

    #[test]
    fn what_is_left_of_a_traceback_is_where_it_was_raised() {
        let frame = |line| crate::v1::Frame { line, ..Default::default() };
        let frames = (1..=30).map(frame).collect();
        let info = ErrorInfo {
            message: "x".repeat(10_000),
            exception: Some(crate::v1::PythonException { frames, ..Default::default() }),
            ..ErrorInfo::default()
        };
        let left = shrink(&info, 8 << 10).exception.unwrap().frames;
        assert_eq!(left.iter().map(|frame| frame.line).collect::<Vec<_>>(), [27, 28, 29, 30]);
    }

    #[test]
    fn whichever_text_is_long_the_error_fits() {
        let long = || "y".repeat(8 << 20);
        let all = Error::new(ErrorCode::InvalidPlan, long()).hint(long()).function(long()).with(|info| {
            (info.value, info.executor, info.expression, info.producer) = (long(), long(), long(), long());
            info.exit = Some(crate::v1::ProcessExit { last_stderr: long(), ..Default::default() });
            let frame = crate::v1::Frame { source: long(), ..Default::default() };
            let exception = crate::v1::PythonException { r#type: long(), message: long(), ..Default::default() };
            info.exception = Some(crate::v1::PythonException { frames: vec![frame], text: long(), ..exception });
        });
        let status = tonic::Status::from(all);
        assert!(status.details().len() <= crate::limits::MAX_TRAILER_BYTES && status.message().len() <= 1100);
        assert_eq!(Error::from(&status).code(), ErrorCode::InvalidPlan);
    }
}
