//! The closed set of error codes and the error that carries them between processes.

use std::fmt;

use prost::Message;

use crate::v1::{ErrorCode, ErrorInfo};

/// Whose doing an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller or the caller's function.
    User,
    /// The fleet.
    System,
    /// Nobody: there is no room now.
    Capacity,
}

impl ErrorCode {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::UserCode,
        Self::ResultType,
        Self::LoadFailed,
        Self::CallTimeout,
        Self::FunctionNotFound,
        Self::InvalidInput,
        Self::InvalidDefinition,
        Self::InvalidConfig,
        Self::LimitExceeded,
        Self::Unauthenticated,
        Self::ArtifactMissing,
        Self::Infeasible,
        Self::EnvironmentFailed,
        Self::NoCapacity,
        Self::InterpreterCrashed,
        Self::ExecutorLost,
        Self::MemoryExceeded,
        Self::VersionMismatch,
        Self::Internal,
        Self::Unspecified,
    ];

    /// The number of the gRPC status (`tonic::Code as i32`) that it travels as.
    #[must_use]
    pub fn grpc(self) -> i32 {
        const INVALID_ARGUMENT: i32 = 3;
        const DEADLINE_EXCEEDED: i32 = 4;
        const NOT_FOUND: i32 = 5;
        const RESOURCE_EXHAUSTED: i32 = 8;
        const FAILED_PRECONDITION: i32 = 9;
        const ABORTED: i32 = 10;
        const INTERNAL: i32 = 13;
        const UNAVAILABLE: i32 = 14;
        const UNAUTHENTICATED: i32 = 16;
        match self {
            Self::UserCode | Self::ResultType | Self::InvalidInput | Self::InvalidDefinition | Self::InvalidConfig => {
                INVALID_ARGUMENT
            }
            Self::CallTimeout => DEADLINE_EXCEEDED,
            Self::FunctionNotFound | Self::ArtifactMissing => NOT_FOUND,
            Self::LimitExceeded | Self::MemoryExceeded => RESOURCE_EXHAUSTED,
            Self::LoadFailed | Self::Infeasible | Self::EnvironmentFailed | Self::VersionMismatch => {
                FAILED_PRECONDITION
            }
            Self::InterpreterCrashed => ABORTED,
            Self::Unauthenticated => UNAUTHENTICATED,
            Self::NoCapacity | Self::ExecutorLost => UNAVAILABLE,
            Self::Internal | Self::Unspecified => INTERNAL,
        }
    }

    /// True where the same call may succeed when sent again unchanged.
    #[must_use]
    pub fn retryable(self) -> bool {
        match self {
            Self::NoCapacity | Self::ExecutorLost | Self::InterpreterCrashed => true,
            Self::UserCode
            | Self::ResultType
            | Self::LoadFailed
            | Self::CallTimeout
            | Self::FunctionNotFound
            | Self::InvalidInput
            | Self::InvalidDefinition
            | Self::InvalidConfig
            | Self::LimitExceeded
            | Self::Unauthenticated
            | Self::ArtifactMissing
            | Self::Infeasible
            | Self::EnvironmentFailed
            | Self::MemoryExceeded
            | Self::VersionMismatch
            | Self::Internal
            | Self::Unspecified => false,
        }
    }

    /// Whose doing it is.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::UserCode
            | Self::ResultType
            | Self::LoadFailed
            | Self::CallTimeout
            | Self::FunctionNotFound
            | Self::InvalidInput
            | Self::InvalidDefinition
            | Self::InvalidConfig
            | Self::LimitExceeded
            | Self::Unauthenticated
            | Self::ArtifactMissing
            | Self::Infeasible
            | Self::EnvironmentFailed
            | Self::MemoryExceeded
            | Self::VersionMismatch
            | Self::InterpreterCrashed => Fault::User,
            Self::NoCapacity => Fault::Capacity,
            Self::ExecutorLost | Self::Internal | Self::Unspecified => Fault::System,
        }
    }
}

/// An [`ErrorInfo`] as a Rust error. Boxed: it is large and rare.
#[derive(Debug, Clone, PartialEq)]
pub struct Error(Box<ErrorInfo>);

impl Error {
    /// An error with its message: what happened, where.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorInfo { code: code as i32, message: message.into(), ..ErrorInfo::default() }))
    }

    /// A fault of udfleet itself.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = hint.into();
        self
    }

    /// Adds the function (`name@version`), unless one is there.
    #[must_use]
    pub fn function(mut self, function: impl Into<String>) -> Self {
        if self.0.function.is_empty() {
            self.0.function = function.into();
        }
        self
    }

    /// Changes any field.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut ErrorInfo)) -> Self {
        change(&mut self.0);
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.0.code()
    }

    /// All fields.
    #[must_use]
    pub fn info(&self) -> &ErrorInfo {
        &self.0
    }

    /// All fields, owned.
    #[must_use]
    pub fn into_info(self) -> ErrorInfo {
        *self.0
    }
}

impl From<ErrorInfo> for Error {
    fn from(info: ErrorInfo) -> Self {
        Self(Box::new(info))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = &self.0;
        write!(f, "{}: ", info.code().as_str_name())?;
        if !info.function.is_empty() {
            write!(f, "{}: ", info.function)?;
        }
        if let Some(row) = info.row {
            write!(f, "row {row}: ")?;
        }
        f.write_str(&info.message)?;
        if !info.hint.is_empty() {
            write!(f, " (hint: {})", info.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Cuts text at a character boundary at or below `limit` bytes.
pub fn truncate(text: &mut String, limit: usize) {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

/// The info cut down until it fits in `limit` bytes: long texts first, then frames, then the cause chain.
fn shrink(info: &ErrorInfo, limit: usize) -> ErrorInfo {
    let mut small = info.clone();
    if small.encoded_len() <= limit {
        return small;
    }
    truncate(&mut small.message, 512);
    truncate(&mut small.value, 128);
    truncate(&mut small.hint, 256);
    if let Some(exit) = &mut small.exit {
        truncate(&mut exit.last_stderr, 512);
    }
    if let Some(exception) = &mut small.exception {
        truncate(&mut exception.text, 1024);
        truncate(&mut exception.message, 512);
        exception.frames.truncate(4);
        exception.group.clear();
        exception.notes.clear();
        exception.cause = None;
    }
    if small.encoded_len() > limit {
        small.exception = None;
    }
    small
}

mod status {
    use tonic::{Code, Status};

    use super::{Error, ErrorCode, ErrorInfo, Message, shrink, truncate};
    use crate::limits::MAX_TRAILER_BYTES;

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
                Code::Unauthenticated | Code::PermissionDenied => ErrorCode::Unauthenticated,
                Code::Unavailable => ErrorCode::ExecutorLost,
                _ => ErrorCode::Internal,
            };
            Self::new(code, status.message())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_codes_are_listed_once() {
        let mut numbers: Vec<i32> = ErrorCode::ALL.iter().map(|code| *code as i32).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ErrorCode::ALL.len());
        for number in 0..64 {
            assert_eq!(ErrorCode::try_from(number).is_ok(), numbers.contains(&number), "{number}");
        }
    }

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
}
