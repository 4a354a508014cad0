//! Arrow's checked kernels, with errors that name their row.

use arrow_arith::numeric;
use arrow_array::{Array as _, ArrayRef, Datum};
use arrow_schema::ArrowError;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;
use udfleet_proto::v1::operation::Operator;

use crate::locate::{failed, first_failing, show};
use crate::value::{Value, like};

/// The operator's sign.
pub fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Plus => "+",
        Operator::Minus | Operator::Negate => "-",
        Operator::Times => "*",
        Operator::Divide => "/",
        _ => "%",
    }
}

type Kernel = fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>;

/// Arrow's checked kernel.
pub fn kernel(operator: Operator) -> Kernel {
    match operator {
        Operator::Plus => numeric::add,
        Operator::Minus => numeric::sub,
        Operator::Times => numeric::mul,
        Operator::Divide => numeric::div,
        _ => numeric::rem,
    }
}

/// Runs a kernel and finds the row that it failed at.
pub fn binary(kernel: Kernel, operator: Operator, left: &Value, right: &Value, of: &str) -> Result<Value, Error> {
    let both = [left, right];
    let run = |left: &Value, right: &Value| kernel(left.datum().as_ref(), right.datum().as_ref());
    let error = match run(left, right) {
        Ok(array) => return Ok(like(&both, array)),
        Err(error) => error,
    };
    let what = match error {
        ArrowError::DivideByZero => "division by zero".to_owned(),
        ArrowError::ArithmeticOverflow(_) | ArrowError::ComputeError(_) => format!("is out of range of {of}"),
        other => {
            let message = format!("{} {} {}: {other}", left.data_type(), sign(operator), right.data_type());
            return Err(Error::new(ErrorCode::InvalidPlan, message));
        }
    };
    let rows = both.iter().map(|value| value.array().len()).max().unwrap_or(1);
    let row =
        first_failing(rows, |start, length| run(&left.slice(start, length), &right.slice(start, length)).is_err());
    let shown = format!("{} {} {}", show(left, row), sign(operator), show(right, row));
    let message = if what.starts_with("is") { format!("{shown} {what}") } else { format!("{shown}: {what}") };
    Err(failed(message, shown, row))
}
