//! The compiler of plans to stages: it resolves names, checks types, and cuts the plan where another environment is
//! needed.
//!
//! Plain and synchronous. `bind` makes typed graphs of a plan (`graph`), one for each pipeline between groupings
//! (`pipeline`); `order` decides when each value is computed, `environments` in which order environments run, `stage`
//! writes the stages, `explain` shows them as text.

mod aggregate;
mod bind;
mod builtin;
mod call;
mod environments;
mod error;
mod explain;
mod graph;
mod library;
mod limits;
mod names;
mod operation;
mod operators;
mod order;
mod pipeline;
mod scope;
mod stage;
mod types;
mod write;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, Field, OnError, Plan, Stage};

pub use library::Library;
pub use names::functions_called;

use crate::registry::{Function, null_result_refused};

/// A plan that can run.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// At least one; the output of each is the input of the next.
    pub stages: Vec<Stage>,
    /// Every function that any stage calls.
    pub functions: Vec<Arc<Function>>,
    /// What each stage does, line by line.
    notes: Vec<Vec<String>>,
}

impl Compiled {
    /// The columns of the result.
    #[must_use]
    pub fn outputs(&self) -> &[Field] {
        self.stages.last().map_or(&[], |stage| &stage.outputs)
    }

    /// The stages as text for people.
    #[must_use]
    pub fn explain(&self) -> String {
        explain::explain(self)
    }
}

/// Checks a plan and makes stages of it.
///
/// # Errors
/// [`ErrorCode::InvalidPlan`] naming the expression at fault, [`ErrorCode::FunctionNotFound`],
/// [`ErrorCode::LimitExceeded`], or [`ErrorCode::NoCapacity`] where a plan without functions finds no environment.
pub fn compile(plan: &Plan, on_error: OnError, library: &dyn Library) -> Result<Compiled, Error> {
    limits::check(plan)?;
    let logical = operators::bind(plan, library)?;
    if on_error == OnError::Null {
        for function in &logical.functions {
            null_result_refused(&function.definition).map_err(|e| {
                e.function(function.name.as_str()).with(|info| info.code = ErrorCode::InvalidPlan as i32)
            })?;
        }
    }
    let (stages, notes) = stage::stages(&logical, library)?;
    Ok(Compiled { stages, functions: logical.functions, notes })
}
