//! SQL's built-in scalar functions. A null argument gives null.

mod case;
mod math;
mod part;
mod text;

use arrow_array::{ArrayRef, new_null_array};
use udfleet_proto::error::Error;
use udfleet_proto::types::arrow_type;
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, ErrorCode};

use crate::value::{Value, like};

/// The function over `rows` rows, in the type that the coordinator has found for it; `part` is EXTRACT's.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] with the row and value that it can't be computed for,
/// [`ErrorCode::LimitExceeded`] where texts would take more than 2 GiB, [`ErrorCode::InvalidPlan`] where there is no
/// such function of these operands.
pub fn call(
    operator: Operator,
    operands: &[&Value],
    result: &DataType,
    part: u32,
    rows: usize,
) -> Result<Value, Error> {
    let rows = if operands.iter().all(|value| value.is_constant()) { 1 } else { rows };
    if operands.iter().any(|value| value.data_type().is_null()) {
        return Ok(like(operands, new_null_array(&arrow_type(result), rows)));
    }
    let computed = match operator {
        Operator::Abs | Operator::Ceil | Operator::Floor | Operator::Round | Operator::Sign => {
            math::rounded(operator, operands, result, rows)
        }
        Operator::Sqrt
        | Operator::Power
        | Operator::Exp
        | Operator::Ln
        | Operator::Log10
        | Operator::Sin
        | Operator::Cos
        | Operator::Tan
        | Operator::Asin
        | Operator::Acos
        | Operator::Atan
        | Operator::Atan2
        | Operator::Sinh
        | Operator::Cosh
        | Operator::Tanh => math::real(operator, operands, rows),
        Operator::Extract => part::extract(operands, part, rows),
        _ => text::call(operator, operands, rows),
    };
    computed.map(|array| like(operands, array))
}

/// No such function of these operands: only a stage that no coordinator has compiled calls one.
fn unknown(operator: Operator, operands: &[&Value]) -> Error {
    let types: Vec<String> = operands.iter().map(|value| value.data_type().to_string()).collect();
    Error::new(ErrorCode::InvalidPlan, format!("there is no {} of ({})", operator.as_str_name(), types.join(", ")))
}

/// Each operand as a column.
fn columns(operands: &[&Value], rows: usize) -> Result<Vec<ArrayRef>, Error> {
    operands.iter().map(|value| value.column(rows)).collect()
}
