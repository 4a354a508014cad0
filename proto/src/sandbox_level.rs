//! What is said of how far an executor contains user code.

use crate::v1::SandboxLevel;

impl SandboxLevel {
    /// All but the unspecified one.
    pub const KNOWN: [Self; 3] = [Self::Off, Self::Partial, Self::Full];

    /// In JSON, labels of metrics and texts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Partial => "partial",
            Self::Full => "full",
            Self::Unspecified => "unknown",
        }
    }
}
