//! `on_error`: what happens to rows for which a scalar function fails, in calls and in stages.

use arrow_array::{ArrayRef, UInt32Array};
use pyo3::prelude::*;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, OnError};

use super::lenient::{self, is_by_row};
use super::{Call, evaluate};
use crate::function::Function;

/// The policy for a function: given with the call, or else when it was registered.
pub fn effective(function: &Function, given: OnError) -> OnError {
    match given {
        OnError::Unspecified => function.on_error,
        // Nulls that were asked for at registration need no messages. Others have them only where single rows can
        // fail, and only beside the results of a scalar function by itself.
        OnError::Column if function.on_error == OnError::Null => OnError::Null,
        OnError::Column => OnError::Fail,
        given => given,
    }
}

/// The same, where it can be had.
///
/// # Errors
/// Null for a function whose result is never null.
pub fn policy(function: &Function, given: OnError) -> Result<OnError, Error> {
    let policy = effective(function, given);
    if policy == OnError::Null && function.result.not_null {
        let message = "on_error \"null\" needs a function whose result may be null";
        return Err(Error::new(ErrorCode::InvalidInput, message)
            .hint("use on_error \"skip\", or declare a nullable result type")
            .function(&function.name));
    }
    Ok(policy)
}

/// Whether the caller has a column for the reasons of rows that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    /// Where they are asked for (ON_ERROR_COLUMN).
    IfWanted,
    Never,
}

/// The results of a scalar function, and what became of rows that failed.
pub struct Evaluated {
    pub column: ArrayRef,
    /// The rows that the results are for; `None`: all.
    pub kept: Option<UInt32Array>,
    /// For each row why it has failed, where that is wanted and any has.
    pub messages: Option<ArrayRef>,
    /// Errors that did not fail the call.
    pub failures: Vec<Error>,
}

/// Calls for all rows and does with those that fail what the policy says.
pub fn evaluate_rows(
    py: Python<'_>,
    function: &Function,
    call: &Call<'_>,
    on_error: OnError,
    messages: Messages,
    run_ns: &mut u64,
) -> Result<Evaluated, Error> {
    let policy = policy(function, on_error)?;
    let spares = matches!(policy, OnError::Null | OnError::Skip);
    let wants_messages =
        !spares && on_error == OnError::Column && messages == Messages::IfWanted && is_by_row(function);
    if !spares && !wants_messages {
        let column = evaluate(py, function, call, run_ns)?;
        return Ok(Evaluated { column, kept: None, messages: None, failures: Vec::new() });
    }
    let mut outcome = lenient::evaluate(py, function, call, run_ns)?;
    let messages = if wants_messages { outcome.messages(call.rows) } else { None };
    let failures = std::mem::take(&mut outcome.failures);
    let (column, kept) = if failures.is_empty() {
        (outcome.results, None)
    } else if policy == OnError::Skip {
        (outcome.results, Some(UInt32Array::from(outcome.good)))
    } else {
        (outcome.with_nulls(call.rows)?, None)
    };
    Ok(Evaluated { column, kept, messages, failures })
}
