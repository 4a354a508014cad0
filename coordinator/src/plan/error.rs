//! Errors in plans: all name the expression as the user wrote it.

use udfleet_proto::error::Error;
use udfleet_proto::name::nearest;
use udfleet_proto::types::sql;
use udfleet_proto::v1::{DataType, ErrorCode};

/// An error about this part of a plan.
pub(super) fn invalid(expression: &str, message: impl std::fmt::Display) -> Error {
    let message = if expression.is_empty() { message.to_string() } else { format!("{expression}: {message}") };
    located(Error::new(ErrorCode::InvalidPlan, message), expression)
}

/// Says which part of the plan an error is about, unless it says so itself.
pub(super) fn located(error: Error, expression: &str) -> Error {
    error.with(|info| {
        if info.expression.is_empty() {
            expression.clone_into(&mut info.expression);
        }
    })
}

/// Adds the name that was probably meant, or what there is.
pub(super) fn suggest<'a>(error: Error, name: &str, names: impl Iterator<Item = &'a str> + Clone) -> Error {
    const SHOWN: usize = 12;
    match nearest(name, names.clone()) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => {
            let more = if names.clone().count() > SHOWN { ", ..." } else { "" };
            let shown: Vec<&str> = names.take(SHOWN).collect();
            error.hint(format!("there is {}{more}", shown.join(", ")))
        }
    }
}

/// `BIGINT and STRING`.
pub(super) fn type_list<'a>(types: impl IntoIterator<Item = &'a DataType>) -> String {
    let shown: Vec<String> = types.into_iter().map(|t| sql(&super::types::with_nulls(t, true))).collect();
    match shown.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => shown.concat(),
    }
}
