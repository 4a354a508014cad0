//! What each error code means: its gRPC status, whether trying again helps, whose doing it is.

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
    pub const ALL: [Self; 21] = [
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
