//! Dispatches operators to kernels.

use std::sync::Arc;

use arrow_arith::boolean;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, make_array};
use arrow_buffer::NullBuffer;
use arrow_select::filter::prep_null_mask_filter;
use arrow_select::zip::zip;
use udfleet_proto::error::Error;
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, ErrorCode, TypeRoot};

use crate::arithmetic::{arithmetic, negate};
use crate::compare::compare;
use crate::value::{Value, like};
use crate::{builtin, cast, try_cast, unexpected};

/// Applies an operator to `rows` rows; the coordinator has determined the type of its result.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] with the row and value for which it fails, [`ErrorCode::InvalidPlan`] for operands of the
/// wrong number or type.
pub fn compute(
    operator: Operator,
    operands: &[&Value],
    result: &DataType,
    field: u32,
    rows: usize,
) -> Result<Value, Error> {
    match (operator, operands) {
        (Operator::Plus | Operator::Minus | Operator::Times | Operator::Divide | Operator::Modulo, [left, right]) => {
            arithmetic(operator, left, right, result)
        }
        (Operator::Negate, [operand]) => negate(operand, result),
        (
            Operator::Equal
            | Operator::NotEqual
            | Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual,
            [left, right],
        ) => compare(operator, left, right, rows),
        (Operator::And | Operator::Or, [left, right]) => both(operator, left, right, rows),
        (Operator::Not, [operand]) => {
            let negated = boolean::not(truth(operand)?.as_boolean()).map_err(unexpected)?;
            Ok(operand.with(Arc::new(negated)))
        }
        (Operator::IsNull, [operand]) => {
            Ok(operand.with(Arc::new(boolean::is_null(operand.array()).map_err(unexpected)?)))
        }
        (Operator::IsNotNull, [operand]) => {
            Ok(operand.with(Arc::new(boolean::is_not_null(operand.array()).map_err(unexpected)?)))
        }
        (Operator::Cast, [operand]) => cast(operand, result),
        (Operator::TryCast, [operand]) => try_cast(operand, result),
        (Operator::Get, [operand]) => get(operand, field),
        (Operator::If, [condition, then, otherwise]) => choose(condition, then, otherwise, result, rows),
        (operator, operands) if operator.is_builtin_function() => {
            builtin::call(operator, operands, result, field, rows)
        }
        _ => {
            let message = format!("{} takes no {} operands", operator.as_str_name(), operands.len());
            Err(Error::new(ErrorCode::InvalidPlan, message))
        }
    }
}

/// The rows for which a register is true, neither false nor null.
///
/// # Errors
/// [`ErrorCode::InvalidPlan`] where it holds no truth values.
pub fn is_true(value: &Value, rows: usize) -> Result<BooleanArray, Error> {
    let column = value.with(truth(value)?).column(rows)?;
    let column = column.as_boolean();
    Ok(if column.null_count() > 0 { prep_null_mask_filter(column) } else { column.clone() })
}

fn truth(value: &Value) -> Result<ArrayRef, Error> {
    let boolean = DataType { root: TypeRoot::Boolean as i32, ..DataType::default() };
    match value.data_type() {
        arrow_schema::DataType::Boolean => Ok(Arc::clone(value.array())),
        arrow_schema::DataType::Null => Ok(Arc::clone(cast(value, &boolean)?.array())),
        other => Err(Error::new(ErrorCode::InvalidPlan, format!("{other} is no truth value"))),
    }
}

fn both(operator: Operator, left: &Value, right: &Value, rows: usize) -> Result<Value, Error> {
    let operands = [left, right];
    let rows = if operands.iter().all(|value| value.is_constant()) { 1 } else { rows };
    let (a, b) = (left.with(truth(left)?).column(rows)?, right.with(truth(right)?).column(rows)?);
    let kernel = if operator == Operator::And { boolean::and_kleene } else { boolean::or_kleene };
    Ok(like(&operands, Arc::new(kernel(a.as_boolean(), b.as_boolean()).map_err(unexpected)?)))
}

/// A field of a ROW; the fields of a null row are null.
fn get(operand: &Value, field: u32) -> Result<Value, Error> {
    let missing = || Error::new(ErrorCode::InvalidPlan, format!("{} has no field {field}", operand.data_type()));
    let rows = operand.array().as_struct_opt().ok_or_else(missing)?;
    let column = rows.columns().get(field as usize).ok_or_else(missing)?;
    Ok(operand.with(under(rows.nulls(), column)))
}

/// A child with the nulls of its parent.
pub(crate) fn under(parent: Option<&NullBuffer>, column: &ArrayRef) -> ArrayRef {
    if parent.is_none_or(|nulls| nulls.null_count() == 0) || column.data_type().is_null() {
        return Arc::clone(column);
    }
    let nulls = NullBuffer::union(parent, column.nulls());
    let data = column.to_data().into_builder().nulls(nulls);
    // SAFETY: the same data with a validity mask of the same length.
    make_array(unsafe { data.build_unchecked() })
}

fn choose(condition: &Value, then: &Value, otherwise: &Value, result: &DataType, rows: usize) -> Result<Value, Error> {
    let nullable = DataType { not_null: false, ..result.clone() };
    let (then, otherwise) = (cast(then, &nullable)?, cast(otherwise, &nullable)?);
    let operands = [condition, &then, &otherwise];
    let rows = if operands.iter().all(|value| value.is_constant()) { 1 } else { rows };
    let mask = is_true(condition, rows)?;
    let chosen = zip(&mask, then.datum().as_ref(), otherwise.datum().as_ref()).map_err(unexpected)?;
    Ok(like(&operands, chosen))
}

/// All fields of a ROW.
///
/// # Errors
/// [`ErrorCode::InvalidPlan`] where the register holds no rows.
pub fn fields(operand: &Value) -> Result<Vec<Value>, Error> {
    let no_row = || Error::new(ErrorCode::InvalidPlan, format!("{} is no ROW", operand.data_type()));
    let rows = operand.array().as_struct_opt().ok_or_else(no_row)?;
    Ok(rows.columns().iter().map(|column| operand.with(under(rows.nulls(), column))).collect())
}
