//! The closed set of error codes and the error that carries them between processes.

mod code;
mod status;

use std::fmt;

use crate::v1::{ErrorCode, ErrorInfo};

pub use code::Fault;
pub use status::shrink;

/// An [`ErrorInfo`] as a Rust error. Boxed: it is large and rare.
#[derive(Debug, Clone, PartialEq)]
pub struct Error(Box<ErrorInfo>);

impl Error {
    /// An error with its message: what happened, where.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorInfo {
            code: code as i32,
            message: message.into(),
            has_no_side_effects: code.is_refusal(),
            ..ErrorInfo::default()
        }))
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

    /// True where nothing of what failed has run, so that it may be tried again blindly.
    #[must_use]
    pub fn has_no_side_effects(&self) -> bool {
        self.0.has_no_side_effects
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
