//! Resolves the names of a plan.

use std::sync::Arc;

use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;

use crate::registry::Function;

/// Registered functions, as of one moment.
pub trait Library {
    /// The version that a name means.
    ///
    /// # Errors
    /// `FUNCTION_NOT_FOUND` with the nearest name.
    fn function(&self, name: &FunctionRef) -> Result<Arc<Function>, Error>;

    /// An environment whose interpreters are running, for stages that call no function.
    fn environment(&self) -> Option<String>;

    /// How many interpreters serve all of these functions (`add@3`); without any, how many that environment has.
    fn interpreters(&self, functions: &[&str], environment: &str) -> u32;
}
