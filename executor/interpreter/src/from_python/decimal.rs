//! DECIMAL(p, s): exact or refused.

use std::sync::Arc;

use arrow_array::types::Decimal128Type;
use arrow_array::{ArrayRef, PrimitiveArray};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyInt;
use udfleet_proto::error::Error;
use udfleet_proto::v1::DataType;

use super::Column;
use crate::failure::class_name;

pub fn to_array(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error> {
    let (precision, scale) = (data_type.precision, data_type.scale);
    let values = column.convert(data_type, |item| unscaled(item, precision, scale))?;
    let array = PrimitiveArray::<Decimal128Type>::from_iter(values);
    let array = array.with_precision_and_scale(precision as u8, scale as i8);
    Ok(Arc::new(array.map_err(|e| Error::internal(e.to_string()))?))
}

/// The value times 10^scale. Takes `Decimal` and `int`; neither rounds nor pads away digits.
fn unscaled(item: &Bound<'_, PyAny>, precision: u32, scale: u32) -> Result<i128, String> {
    let text = match item {
        item if item.is_instance_of::<PyInt>() => item.str().map_err(|e| e.to_string())?.to_string(),
        item if is_decimal(item)? => {
            let finite = item.call_method0("is_finite").and_then(|finite| finite.is_truthy());
            if !finite.map_err(|e| e.to_string())? {
                return Err("it is not finite".to_owned());
            }
            // "f": plain notation, whatever the exponent.
            item.call_method1("__format__", ("f",))
                .and_then(|text| text.extract::<String>())
                .map_err(|e| e.to_string())?
        }
        // numpy's integers.
        _ => {
            let index = item.call_method0("__index__").and_then(|index| index.str().map(|text| text.to_string()));
            index.map_err(|_| format!("a {} is no Decimal", class_name(item)))?
        }
    };
    match text.as_str() {
        "True" => parse("1", precision, scale),
        "False" => parse("0", precision, scale),
        text => parse(text, precision, scale),
    }
}

fn is_decimal(item: &Bound<'_, PyAny>) -> Result<bool, String> {
    static DECIMAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = DECIMAL.import(item.py(), "decimal", "Decimal");
    class.and_then(|class| item.is_instance(class)).map_err(|e| e.to_string())
}

fn parse(text: &str, precision: u32, scale: u32) -> Result<i128, String> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale as usize {
        return Err(format!("it has {} decimal places", fraction.len()));
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > (precision - scale) as usize {
        return Err(format!("it has {} digits before the point", whole.len()));
    }
    let padded = format!("{whole}{fraction:0<width$}", width = scale as usize);
    let magnitude: i128 =
        if padded.is_empty() { 0 } else { padded.parse().map_err(|_| "it is no plain number".to_owned())? };
    Ok(if negative { -magnitude } else { magnitude })
}
