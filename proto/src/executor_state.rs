//! Names of executor states: the same in JSON, metrics and on the command line.

use crate::v1::ExecutorState;

impl ExecutorState {
    /// Every state that an executor can be in.
    pub const ALL: [Self; 6] =
        [Self::Ready, Self::Draining, Self::Drained, Self::Lost, Self::Stopped, Self::Unreachable];

    /// One lower-case word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Lost => "lost",
            Self::Stopped => "stopped",
            Self::Unreachable => "unreachable",
        }
    }

    /// True while the executor is attached to the coordinator that says so.
    #[must_use]
    pub fn attached(self) -> bool {
        matches!(self, Self::Ready | Self::Draining | Self::Drained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SDK makes the same words of the names in the .proto.
    #[test]
    fn words_are_the_names_in_lower_case() {
        for state in ExecutorState::ALL {
            let name = state.as_str_name().strip_prefix("EXECUTOR_STATE_").unwrap();
            assert_eq!(state.word(), name.to_lowercase());
        }
    }
}
