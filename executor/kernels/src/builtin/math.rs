//! Numbers.

use std::sync::Arc;

use arrow_arith::arity::{binary, try_unary, unary};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, Float64Array, PrimitiveArray};
use arrow_schema::{ArrowError, DataType as Arrow};
use udfleet_proto::error::Error;
use udfleet_proto::types::sql;
use udfleet_proto::v1::DataType;
use udfleet_proto::v1::operation::Operator;

use super::{columns, unknown};
use crate::locate::{failed, show};
use crate::value::Value;
use crate::{cast_array, unexpected};

/// Decimal places beyond which a double has no digits to round.
const MAX_PLACES: i64 = 308;

/// ABS, CEIL, FLOOR, ROUND and SIGN: of the type of their argument.
pub fn rounded(operator: Operator, operands: &[&Value], result: &DataType, rows: usize) -> Result<ArrayRef, Error> {
    let arguments = columns(operands, rows)?;
    let (value, places) = match &arguments[..] {
        [value] => (value, None),
        [value, places] if operator == Operator::Round => (value, Some(cast_array(places, &Arrow::Int64)?)),
        _ => return Err(unknown(operator, operands)),
    };
    match value.data_type() {
        Arrow::Float64 => Ok(floats(operator, value.as_primitive::<Float64Type>(), places.as_ref())),
        Arrow::Float32 => {
            let wide = cast_array(value, &Arrow::Float64)?;
            let done = floats(operator, wide.as_primitive::<Float64Type>(), places.as_ref());
            let narrow = unary::<_, _, Float32Type>(done.as_primitive::<Float64Type>(), |x| x as f32);
            Ok(Arc::new(narrow))
        }
        Arrow::Int8 => integers::<Int8Type>(operator, operands, value, result),
        Arrow::Int16 => integers::<Int16Type>(operator, operands, value, result),
        Arrow::Int32 => integers::<Int32Type>(operator, operands, value, result),
        Arrow::Int64 => integers::<Int64Type>(operator, operands, value, result),
        _ => Err(unknown(operator, operands)),
    }
}

fn floats(operator: Operator, values: &Float64Array, places: Option<&ArrayRef>) -> ArrayRef {
    let Some(places) = places else {
        return Arc::new(unary::<_, _, Float64Type>(values, |x| match operator {
            Operator::Abs => x.abs(),
            Operator::Ceil => x.ceil(),
            Operator::Floor => x.floor(),
            Operator::Round => x.round(),
            // 0.0, -0.0 and NaN are their own signs.
            _ if x == 0.0 || x.is_nan() => x,
            _ => x.signum(),
        }));
    };
    let places = places.as_primitive::<Int64Type>();
    let rounded = values.iter().zip(places).map(|pair| match pair {
        (Some(x), Some(places)) => Some(round_to(x, places)),
        _ => None,
    });
    Arc::new(rounded.collect::<Float64Array>())
}

/// Half away from zero, as SQL rounds; what is no longer exact by then stays as it is.
fn round_to(value: f64, places: i64) -> f64 {
    let places = places.clamp(-MAX_PLACES - 1, MAX_PLACES + 1);
    let factor = 10f64.powi(places.unsigned_abs() as i32);
    let scaled = if places < 0 { value / factor } else { value * factor };
    if !scaled.is_finite() {
        return value;
    }
    let rounded = scaled.round();
    match places < 0 {
        true if rounded == 0.0 => rounded,
        true => rounded * factor,
        false => rounded / factor,
    }
}

fn integers<T>(operator: Operator, operands: &[&Value], value: &ArrayRef, result: &DataType) -> Result<ArrayRef, Error>
where
    T: ArrowPrimitiveType,
    T::Native: num_like::Integer,
{
    use num_like::Integer as _;
    let values: &PrimitiveArray<T> = value.as_primitive::<T>();
    let done = match operator {
        Operator::Abs => {
            try_unary::<_, _, T>(values, |x| x.absolute().ok_or_else(|| ArrowError::ArithmeticOverflow(String::new())))
        }
        Operator::Sign => Ok(unary::<_, _, T>(values, num_like::Integer::sign)),
        Operator::Round if operands.len() == 2 => return Err(unknown(operator, operands)),
        // Integers are round already.
        _ => return Ok(Arc::clone(value)),
    };
    done.map(|array| Arc::new(array) as ArrayRef).map_err(|_| {
        let row = values.iter().position(|x| x.is_some_and(|x| x.absolute().is_none())).unwrap_or(0);
        let shown = format!("ABS({})", show(&Value::Column(Arc::clone(value)), row));
        failed(format!("{shown} is out of range of {}", sql(result)), shown, row)
    })
}

/// What ABS and SIGN need of an integer type.
mod num_like {
    pub trait Integer: Copy {
        /// `None` for the least value, which has no positive counterpart.
        fn absolute(self) -> Option<Self>;
        fn sign(self) -> Self;
    }

    macro_rules! integer {
        ($($native:ty),*) => {$(
            impl Integer for $native {
                fn absolute(self) -> Option<Self> {
                    self.checked_abs()
                }
                fn sign(self) -> Self {
                    self.signum()
                }
            }
        )*};
    }

    integer!(i8, i16, i32, i64);
}

/// Functions of real numbers, as IEEE 754 and C have them: outside of their domain they give NaN.
pub fn real(operator: Operator, operands: &[&Value], rows: usize) -> Result<ArrayRef, Error> {
    let arguments = columns(operands, rows)?;
    let arguments = arguments.iter().map(|array| cast_array(array, &Arrow::Float64)).collect::<Result<Vec<_>, _>>()?;
    let function: fn(f64) -> f64 = match (operator, &arguments[..]) {
        (Operator::Power, [base, exponent]) => return of_two(base, exponent, f64::powf),
        (Operator::Atan2, [y, x]) => return of_two(y, x, f64::atan2),
        (Operator::Sqrt, [_]) => f64::sqrt,
        (Operator::Exp, [_]) => f64::exp,
        (Operator::Ln, [_]) => f64::ln,
        (Operator::Log10, [_]) => f64::log10,
        (Operator::Sin, [_]) => f64::sin,
        (Operator::Cos, [_]) => f64::cos,
        (Operator::Tan, [_]) => f64::tan,
        (Operator::Asin, [_]) => f64::asin,
        (Operator::Acos, [_]) => f64::acos,
        (Operator::Atan, [_]) => f64::atan,
        (Operator::Sinh, [_]) => f64::sinh,
        (Operator::Cosh, [_]) => f64::cosh,
        (Operator::Tanh, [_]) => f64::tanh,
        _ => return Err(unknown(operator, operands)),
    };
    Ok(Arc::new(unary::<_, _, Float64Type>(arguments[0].as_primitive::<Float64Type>(), function)))
}

fn of_two(first: &ArrayRef, second: &ArrayRef, function: fn(f64, f64) -> f64) -> Result<ArrayRef, Error> {
    let (first, second) = (first.as_primitive::<Float64Type>(), second.as_primitive::<Float64Type>());
    let made: Float64Array = binary(first, second, function).map_err(unexpected)?;
    Ok(Arc::new(made))
}

#[cfg(test)]
mod tests {
    use super::round_to;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        assert_eq!((round_to(2.5, 0), round_to(-2.5, 0)), (3.0, -3.0));
        assert_eq!((round_to(1.25, 1), round_to(1250.0, -2)), (1.3, 1300.0));
        assert_eq!((round_to(1e300, 300), round_to(5.0, -400)), (1e300, 0.0));
        assert!(round_to(f64::NAN, 2).is_nan() && round_to(f64::INFINITY, -2).is_infinite());
    }
}
