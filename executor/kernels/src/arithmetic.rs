//! Arithmetic on numbers, checked: overflow and division of integers by zero are errors that name their row.

use arrow_arith::numeric;
use arrow_array::{Array, ArrayRef, Datum};
use arrow_schema::ArrowError;
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, ErrorCode, TypeRoot};

use crate::locate::{failed, first_failing, show};
use crate::value::{Value, like};
use crate::{cast, decimal, temporal};

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

/// `left operator right` in the result's type.
pub fn arithmetic(operator: Operator, left: &Value, right: &Value, result: &DataType) -> Result<Value, Error> {
    if left.data_type().is_temporal() || right.data_type().is_temporal() {
        return temporal::arithmetic(operator, left, right, result);
    }
    if result.root() == TypeRoot::Decimal {
        return decimal::arithmetic(operator, left, right, result);
    }
    let (left, right) = (cast(left, &nullable(result))?, cast(right, &nullable(result))?);
    binary(kernel(operator), operator, &left, &right, &sql(result))
}

fn nullable(data_type: &DataType) -> DataType {
    DataType { not_null: false, ..data_type.clone() }
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

/// `-operand`.
pub fn negate(operand: &Value, result: &DataType) -> Result<Value, Error> {
    let operand =
        if operand.data_type() == &arrow_type(result) { operand.clone() } else { cast(operand, &nullable(result))? };
    let run = |array: &ArrayRef| numeric::neg(array);
    match run(operand.array()) {
        Ok(array) => Ok(operand.with(array)),
        Err(ArrowError::ArithmeticOverflow(_) | ArrowError::ComputeError(_)) => {
            let array = operand.array();
            let row = first_failing(array.len(), |start, length| run(&array.slice(start, length)).is_err());
            let shown = format!("-({})", show(&operand, row));
            Err(failed(format!("{shown} is out of range of {}", sql(result)), shown, row))
        }
        Err(other) => Err(Error::new(ErrorCode::InvalidPlan, format!("-{}: {other}", operand.data_type()))),
    }
}
