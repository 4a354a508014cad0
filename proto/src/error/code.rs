//! Properties of each error code: gRPC and HTTP status, retryability, fault domain.

use crate::v1::ErrorCode;

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
    pub const ALL: [Self; 22] = [
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
        Self::PermissionDenied,
        Self::ArtifactMissing,
        Self::InvalidPlan,
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
        const PERMISSION_DENIED: i32 = 7;
        const RESOURCE_EXHAUSTED: i32 = 8;
        const FAILED_PRECONDITION: i32 = 9;
        const ABORTED: i32 = 10;
        const INTERNAL: i32 = 13;
        const UNAVAILABLE: i32 = 14;
        const UNAUTHENTICATED: i32 = 16;
        match self {
            Self::UserCode
            | Self::ResultType
            | Self::InvalidInput
            | Self::InvalidDefinition
            | Self::InvalidConfig
            | Self::InvalidPlan => INVALID_ARGUMENT,
            Self::CallTimeout => DEADLINE_EXCEEDED,
            Self::FunctionNotFound | Self::ArtifactMissing => NOT_FOUND,
            Self::LimitExceeded | Self::MemoryExceeded => RESOURCE_EXHAUSTED,
            Self::LoadFailed | Self::Infeasible | Self::EnvironmentFailed | Self::VersionMismatch => {
                FAILED_PRECONDITION
            }
            Self::InterpreterCrashed => ABORTED,
            Self::Unauthenticated => UNAUTHENTICATED,
            Self::PermissionDenied => PERMISSION_DENIED,
            Self::NoCapacity | Self::ExecutorLost => UNAVAILABLE,
            Self::Internal | Self::Unspecified => INTERNAL,
        }
    }

    /// The HTTP status that it travels as.
    #[must_use]
    pub fn http(self) -> u16 {
        const BAD_REQUEST: u16 = 400;
        const UNAUTHORIZED: u16 = 401;
        const FORBIDDEN: u16 = 403;
        const NOT_FOUND: u16 = 404;
        const CONFLICT: u16 = 409;
        const CONTENT_TOO_LARGE: u16 = 413;
        const INTERNAL_SERVER_ERROR: u16 = 500;
        const BAD_GATEWAY: u16 = 502;
        const SERVICE_UNAVAILABLE: u16 = 503;
        const GATEWAY_TIMEOUT: u16 = 504;
        match self {
            Self::UserCode
            | Self::ResultType
            | Self::InvalidInput
            | Self::InvalidDefinition
            | Self::InvalidConfig
            | Self::InvalidPlan => BAD_REQUEST,
            Self::Unauthenticated => UNAUTHORIZED,
            Self::PermissionDenied => FORBIDDEN,
            Self::FunctionNotFound | Self::ArtifactMissing => NOT_FOUND,
            Self::LoadFailed | Self::Infeasible | Self::EnvironmentFailed | Self::VersionMismatch => CONFLICT,
            Self::LimitExceeded => CONTENT_TOO_LARGE,
            Self::Internal | Self::Unspecified => INTERNAL_SERVER_ERROR,
            // What ran the call, behind the process that answers, has ended.
            Self::InterpreterCrashed | Self::MemoryExceeded => BAD_GATEWAY,
            Self::NoCapacity | Self::ExecutorLost => SERVICE_UNAVAILABLE,
            Self::CallTimeout => GATEWAY_TIMEOUT,
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
            | Self::PermissionDenied
            | Self::ArtifactMissing
            | Self::InvalidPlan
            | Self::Infeasible
            | Self::EnvironmentFailed
            | Self::MemoryExceeded
            | Self::VersionMismatch
            | Self::Internal
            | Self::Unspecified => false,
        }
    }

    /// True where errors of this code are raised before anything has run: [`crate::error::Error::new`] then says that
    /// there were no side effects.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        match self {
            Self::FunctionNotFound
            | Self::InvalidDefinition
            | Self::InvalidConfig
            | Self::Unauthenticated
            | Self::PermissionDenied
            | Self::ArtifactMissing
            | Self::InvalidPlan
            | Self::Infeasible
            | Self::EnvironmentFailed
            | Self::NoCapacity
            | Self::VersionMismatch => true,
            Self::UserCode
            | Self::ResultType
            | Self::LoadFailed
            | Self::CallTimeout
            | Self::InvalidInput
            | Self::LimitExceeded
            | Self::InterpreterCrashed
            | Self::ExecutorLost
            | Self::MemoryExceeded
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
            | Self::PermissionDenied
            | Self::ArtifactMissing
            | Self::InvalidPlan
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_says_whose_doing_it_is_as_grpc_does() {
        for code in ErrorCode::ALL {
            let (http, grpc) = (code.http(), code.grpc());
            assert!((400..600).contains(&http), "{code:?}");
            assert_eq!(http == 401, grpc == 16, "{code:?}");
            assert_eq!(http == 403, grpc == 7, "{code:?}");
            assert_eq!(http == 404, grpc == 5, "{code:?}");
            assert_eq!(http == 503, grpc == 14, "{code:?}");
            assert_eq!(http == 504, grpc == 4, "{code:?}");
            assert_eq!(http == 500, code.fault() == Fault::System && !code.retryable(), "{code:?}");
        }
    }

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
}
