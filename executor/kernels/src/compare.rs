//! Comparisons. The two zeros are equal; NaN equals NaN and is greater than all other numbers, as in groups and
//! DISTINCT (docs/types.md).

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_ord::{cmp, ord};
use arrow_schema::{DataType as Arrow, SortOptions, TimeUnit};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;
use udfleet_proto::v1::operation::Operator;

use crate::value::{Value, like};
use crate::{canonical, cast_array, unexpected};

/// `left operator right`, null where either is.
pub fn compare(operator: Operator, left: &Value, right: &Value, rows: usize) -> Result<Value, Error> {
    let both = [left, right];
    let common = common_type(left.data_type(), right.data_type()).ok_or_else(|| {
        let message = format!("{} and {} can't be compared", left.data_type(), right.data_type());
        Error::new(ErrorCode::InvalidPlan, message)
    })?;
    let left = left.with(canonical(&cast_array(left.array(), &common)?));
    let right = right.with(canonical(&cast_array(right.array(), &common)?));
    let rows = if both.iter().all(|value| value.is_constant()) { 1 } else { rows };
    let result = match &common {
        common if common.is_nested() => nested(operator, &left.column(rows)?, &right.column(rows)?)?,
        _ => flat(operator, &left, &right)?,
    };
    Ok(like(&both, Arc::new(result)))
}

fn flat(operator: Operator, left: &Value, right: &Value) -> Result<BooleanArray, Error> {
    let (left, right) = (left.datum(), right.datum());
    let kernel = match operator {
        Operator::NotEqual => cmp::neq,
        Operator::Less => cmp::lt,
        Operator::LessOrEqual => cmp::lt_eq,
        Operator::Greater => cmp::gt,
        Operator::GreaterOrEqual => cmp::gt_eq,
        _ => cmp::eq,
    };
    kernel(left.as_ref(), right.as_ref()).map_err(unexpected)
}

fn holds(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
        _ => order.is_eq(),
    }
}

/// Arrays, maps and rows: element by element.
fn nested(operator: Operator, left: &ArrayRef, right: &ArrayRef) -> Result<BooleanArray, Error> {
    let order = ord::make_comparator(left, right, SortOptions::default()).map_err(unexpected)?;
    let values = BooleanBuffer::collect_bool(left.len(), |row| holds(operator, order(row, row)));
    Ok(BooleanArray::new(values, NullBuffer::union(left.logical_nulls().as_ref(), right.logical_nulls().as_ref())))
}

/// The type that both sides are compared in.
fn common_type(a: &Arrow, b: &Arrow) -> Option<Arrow> {
    let float = |t: &Arrow| t.is_floating();
    let exact = |t: &Arrow| t.is_integer() || t.is_decimal();
    Some(match (a, b) {
        (a, b) if a.is_floating() && b.is_floating() => Arrow::Float64,
        (a, b) if a == b => a.clone(),
        (Arrow::Null, other) | (other, Arrow::Null) => other.clone(),
        (a, b) if float(a) && exact(b) || exact(a) && float(b) => Arrow::Float64,
        (a, b) if a.is_integer() && b.is_integer() => Arrow::Int64,
        (a, b) if exact(a) && exact(b) => Arrow::Decimal256(76, scale(a).max(scale(b))),
        (Arrow::Date32, Arrow::Timestamp(unit, zone)) | (Arrow::Timestamp(unit, zone), Arrow::Date32) => {
            Arrow::Timestamp(*unit, zone.clone())
        }
        (Arrow::Timestamp(a, zone), Arrow::Timestamp(b, other)) if zone.is_some() == other.is_some() => {
            Arrow::Timestamp(finer(*a, *b), zone.clone())
        }
        (Arrow::Time32(_) | Arrow::Time64(_), Arrow::Time32(_) | Arrow::Time64(_)) => {
            Arrow::Time64(TimeUnit::Nanosecond)
        }
        (Arrow::Binary, Arrow::FixedSizeBinary(_)) | (Arrow::FixedSizeBinary(_), _) => Arrow::Binary,
        (a, b) if a.is_nested() && b.is_nested() => a.clone(),
        _ => return None,
    })
}

fn scale(data_type: &Arrow) -> i8 {
    match data_type {
        Arrow::Decimal128(_, scale) | Arrow::Decimal256(_, scale) => *scale,
        _ => 0,
    }
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    let units = [TimeUnit::Nanosecond, TimeUnit::Microsecond, TimeUnit::Millisecond];
    units.into_iter().find(|unit| a == *unit || b == *unit).unwrap_or(TimeUnit::Second)
}
