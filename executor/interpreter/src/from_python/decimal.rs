//! DECIMAL(p, s): exact, or an error.

use std::sync::Arc;

use arrow_array::types::Decimal128Type;
use arrow_array::{ArrayRef, PrimitiveArray};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyInt;
use udfleet_kernels::parse_decimal;
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

/// The value times 10^scale. Takes `Decimal` and `int`; neither rounds nor pads away digits. What a subclass says of
/// itself does not count.
fn unscaled(item: &Bound<'_, PyAny>, precision: u32, scale: u32) -> Result<i128, String> {
    if item.is_instance_of::<PyInt>() {
        return integer(item, precision, scale);
    }
    if let Some(text) = decimal_text(item)? {
        return parse_decimal(&text, precision, scale);
    }
    // numpy's integers.
    let index = item.call_method0("__index__").map_err(|_| format!("a {} is no Decimal", class_name(item)))?;
    integer(&index, precision, scale)
}

fn integer(item: &Bound<'_, PyAny>, precision: u32, scale: u32) -> Result<i128, String> {
    let value: i128 = item.extract().map_err(|_| format!("it has more than {precision} digits"))?;
    parse_decimal(&value.to_string(), precision, scale)
}

/// A `Decimal` in scientific notation: plain notation of a large exponent would take gigabytes.
fn decimal_text(item: &Bound<'_, PyAny>) -> Result<Option<String>, String> {
    static DECIMAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static TEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let shown = || -> PyResult<Option<String>> {
        let class = DECIMAL.import(item.py(), "decimal", "Decimal")?;
        if !item.is_instance(class)? {
            return Ok(None);
        }
        let text = TEXT.get_or_try_init(item.py(), || class.getattr("__str__").map(Bound::unbind))?;
        text.bind(item.py()).call1((item,))?.extract().map(Some)
    };
    shown().map_err(|e| e.to_string())
}
