//! Exact arithmetic on DECIMAL. The coordinator determines precision and scale of the result; if its scale is smaller
//! than the exact one, the result is rounded half up, as SQL engines do.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_buffer::{NullBuffer, i256};
use arrow_schema::DataType as Arrow;
use udfleet_proto::error::Error;
use udfleet_proto::types::sql;
use udfleet_proto::v1::DataType;
use udfleet_proto::v1::operation::Operator;

use crate::cast_array;
use crate::checked::sign;
use crate::locate::{failed, show};
use crate::value::{Value, like};

/// Digits of a BIGINT.
const INTEGER: Arrow = Arrow::Decimal128(19, 0);

/// `left operator right` as DECIMAL(precision, scale) of the result.
pub fn arithmetic(operator: Operator, left: &Value, right: &Value, result: &DataType) -> Result<Value, Error> {
    let both = [left, right];
    let rows = both.iter().filter(|value| !value.is_constant()).map(|value| value.array().len()).max().unwrap_or(1);
    let ((a, a_scale), (b, b_scale)) = (decimals(left, rows)?, decimals(right, rows)?);
    let (a, b) = (a.as_primitive::<Decimal128Type>(), b.as_primitive::<Decimal128Type>());
    let nulls = NullBuffer::union(a.nulls(), b.nulls());
    let scales = (a_scale, b_scale, result.scale as i32);
    let mut values = vec![0_i128; rows];
    for (row, value) in values.iter_mut().enumerate() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            continue;
        }
        *value = one(operator, a.value(row), b.value(row), scales)
            .and_then(|exact| within(exact, result.precision).ok_or("is out of range of"))
            .map_err(|why| {
                let shown = format!("{} {} {}", show(left, row), sign(operator), show(right, row));
                let message = if why.starts_with("is") {
                    format!("{shown} {why} {}", sql(result))
                } else {
                    format!("{shown}: {why}")
                };
                failed(message, shown, row)
            })?;
    }
    let array = PrimitiveArray::<Decimal128Type>::new(values.into(), nulls);
    let array = array.with_precision_and_scale(result.precision as u8, result.scale as i8);
    Ok(like(&both, Arc::new(array.map_err(crate::unexpected)?)))
}

fn decimals(value: &Value, rows: usize) -> Result<(ArrayRef, i32), Error> {
    let array = match value.data_type() {
        Arrow::Decimal128(_, _) => value.array().clone(),
        _ => cast_array(value.array(), &INTEGER)?,
    };
    let scale = if let Arrow::Decimal128(_, scale) = array.data_type() { i32::from(*scale) } else { 0 };
    Ok((value.with(array).column(rows)?, scale))
}

fn within(value: i256, precision: u32) -> Option<i128> {
    let bound = i256::from_i128(10_i128.checked_pow(precision)?);
    if value > -bound && value < bound { value.to_i128() } else { None }
}

const TOO_LARGE: &str = "is out of range of";

/// Unscaled operands to the unscaled result.
fn one(operator: Operator, a: i128, b: i128, scales: (i32, i32, i32)) -> Result<i256, &'static str> {
    let (a, b) = (i256::from_i128(a), i256::from_i128(b));
    let (a_scale, b_scale, scale) = scales;
    let common = a_scale.max(b_scale);
    let aligned = || -> Option<(i256, i256)> {
        Some((a.checked_mul(power(common - a_scale)?)?, b.checked_mul(power(common - b_scale)?)?))
    };
    match operator {
        Operator::Plus => aligned().and_then(|(a, b)| rescale(a.checked_add(b)?, common, scale)).ok_or(TOO_LARGE),
        Operator::Minus => aligned().and_then(|(a, b)| rescale(a.checked_sub(b)?, common, scale)).ok_or(TOO_LARGE),
        Operator::Times => a.checked_mul(b).and_then(|exact| rescale(exact, a_scale + b_scale, scale)).ok_or(TOO_LARGE),
        _ if b == i256::ZERO => Err("division by zero"),
        Operator::Divide => divide(a, b, scale + b_scale - a_scale).ok_or(TOO_LARGE),
        _ => aligned().and_then(|(a, b)| rescale(a.checked_rem(b)?, common, scale)).ok_or(TOO_LARGE),
    }
}

/// `a * 10^shift / b`, rounded half up.
fn divide(a: i256, b: i256, shift: i32) -> Option<i256> {
    if shift >= 0 {
        round_division(a.checked_mul(power(shift)?)?, b)
    } else {
        round_division(a, b.checked_mul(power(-shift)?)?)
    }
}

fn rescale(value: i256, from: i32, to: i32) -> Option<i256> {
    if to >= from { value.checked_mul(power(to - from)?) } else { round_division(value, power(from - to)?) }
}

fn power(exponent: i32) -> Option<i256> {
    i256::from_i128(10).checked_pow(u32::try_from(exponent).ok()?)
}

fn round_division(a: i256, b: i256) -> Option<i256> {
    let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
    let twice = rest.wrapping_abs().checked_mul(i256::from_i128(2))?;
    if twice < b.wrapping_abs() {
        return Some(quotient);
    }
    let away = if a.is_negative() == b.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    quotient.checked_add(away)
}

/// The text of a number, plain or with an exponent, times 10^scale; neither rounds nor pads away digits.
///
/// # Errors
/// Why it does not fit DECIMAL(precision, scale).
pub fn parse_decimal(text: &str, precision: u32, scale: u32) -> Result<i128, String> {
    let (negative, number) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = number.split_once(['E', 'e']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let exponent = exponent.parse::<i64>().ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let exponent = exponent.ok_or_else(|| "it is no finite number".to_owned())?;
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    // The value is `significant` times 10^exponent.
    let exponent = exponent - fraction.len() as i64 + (digits.len() - significant.len()) as i64;
    if -exponent > i64::from(scale) {
        return Err(format!("it has {} decimal places", -exponent));
    }
    let before = significant.len() as i64 + exponent;
    if before > i64::from(precision - scale) {
        return Err(format!("it has {before} digits before the point"));
    }
    let padding = u32::try_from(exponent + i64::from(scale)).ok().and_then(|zeros| 10_i128.checked_pow(zeros));
    let magnitude = significant.parse::<i128>().ok().zip(padding).and_then(|(value, zeros)| value.checked_mul(zeros));
    let magnitude = magnitude.ok_or_else(|| "out of range".to_owned())?;
    Ok(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::parse_decimal;

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, expected) in [
            ("1.20", 120),
            ("-999.9900", -99_999),
            ("1E+2", 10_000),
            ("12e-1", 120),
            ("1.5E+1", 1500),
            ("0.00100E+1", 1),
            ("-0", 0),
            ("0E+999999999999999999", 0),
            ("0E-999999999999999999", 0),
        ] {
            assert_eq!(parse_decimal(text, 5, 2), Ok(expected), "{text}");
        }
        for text in ["1.234", "1000", "1E+3", "1E-3", "NaN", "sNaN12", "-Infinity", "1E+999999999999999999"] {
            assert!(parse_decimal(text, 5, 2).is_err(), "{text}");
        }
        assert_eq!(
            parse_decimal("1E-999999999999999999", 5, 2),
            Err("it has 999999999999999999 decimal places".to_owned())
        );
        let most = "9".repeat(38);
        assert_eq!(parse_decimal(&most, 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(parse_decimal(&format!("0.{most}"), 38, 38), Ok(10_i128.pow(38) - 1));
    }
}
