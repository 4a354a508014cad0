//! Dates, times, timestamps, intervals and decimals.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, IntervalMonthDayNanoType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::{build, cast, unsupported};

/// `date.toordinal()` of 1970-01-01.
const EPOCH_ORDINAL: i64 = 719_163;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// DATE → date, TIME → time, TIMESTAMP → naive datetime, TIMESTAMP_LTZ → datetime in UTC, DECIMAL → Decimal,
/// INTERVAL DAY TO SECOND → timedelta, INTERVAL YEAR TO MONTH → number of months.
pub fn to_list<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyList>> {
    match array.data_type() {
        DataType::Date32 => dates(py, array),
        DataType::Date64 => dates(py, &cast(array, &DataType::Date32)?),
        DataType::Time32(unit) => times(py, array, *unit, cast(array, &DataType::Int32)?),
        DataType::Time64(unit) => times(py, array, *unit, cast(array, &DataType::Int64)?),
        DataType::Timestamp(unit, zone) => timestamps(py, array, *unit, zone.is_some()),
        DataType::Duration(unit) => durations(py, array, *unit),
        DataType::Interval(_) => months(py, array),
        DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => decimals(py, array),
        other => Err(unsupported(other)),
    }
}

fn dates<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyList>> {
    let from_ordinal = py.import("datetime")?.getattr("date")?.getattr("fromordinal")?;
    let days = array.as_primitive::<Date32Type>();
    build(py, array, |row| from_ordinal.call1((i64::from(days.value(row)) + EPOCH_ORDINAL,)))
}

/// Microseconds and the nanoseconds that Python's types can't hold.
fn to_micros(value: i64, unit: TimeUnit) -> (i64, i64) {
    match unit {
        TimeUnit::Second => (value.saturating_mul(MICROS_PER_SECOND), 0),
        TimeUnit::Millisecond => (value.saturating_mul(1000), 0),
        TimeUnit::Microsecond => (value, 0),
        TimeUnit::Nanosecond => (value.div_euclid(1000), value.rem_euclid(1000)),
    }
}

fn whole_micros(value: i64, unit: TimeUnit) -> PyResult<i64> {
    match to_micros(value, unit) {
        (micros, 0) => Ok(micros),
        _ => Err(pyo3::exceptions::PyValueError::new_err(format!(
            "{value} ns is no whole number of microseconds, which is the finest that Python's datetime holds"
        ))),
    }
}

fn times<'py>(py: Python<'py>, array: &ArrayRef, unit: TimeUnit, numbers: ArrayRef) -> PyResult<Bound<'py, PyList>> {
    let class = py.import("datetime")?.getattr("time")?;
    let numbers = cast(&numbers, &DataType::Int64)?;
    let values = numbers.as_primitive::<Int64Type>();
    build(py, array, |row| {
        let micros = whole_micros(values.value(row), unit)?;
        let seconds = micros / MICROS_PER_SECOND;
        class.call1((seconds / 3600, seconds / 60 % 60, seconds % 60, micros % MICROS_PER_SECOND))
    })
}

fn timestamps<'py>(py: Python<'py>, array: &ArrayRef, unit: TimeUnit, zoned: bool) -> PyResult<Bound<'py, PyList>> {
    let datetime = py.import("datetime")?;
    let arguments = PyDict::new(py);
    if zoned {
        arguments.set_item("tzinfo", datetime.getattr("timezone")?.getattr("utc")?)?;
    }
    let epoch = datetime.getattr("datetime")?.call((1970, 1, 1), Some(&arguments))?;
    let delta = datetime.getattr("timedelta")?;
    let numbers = cast(array, &DataType::Int64)?;
    let values = numbers.as_primitive::<Int64Type>();
    build(py, array, |row| {
        let micros = whole_micros(values.value(row), unit)?;
        let (seconds, micros) = (micros.div_euclid(MICROS_PER_SECOND), micros.rem_euclid(MICROS_PER_SECOND));
        epoch.add(delta.call1((0, seconds, micros))?)
    })
}

fn durations<'py>(py: Python<'py>, array: &ArrayRef, unit: TimeUnit) -> PyResult<Bound<'py, PyList>> {
    let delta = py.import("datetime")?.getattr("timedelta")?;
    let numbers = cast(array, &DataType::Int64)?;
    let values = numbers.as_primitive::<Int64Type>();
    build(py, array, |row| delta.call1((0, 0, whole_micros(values.value(row), unit)?)))
}

fn months<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyList>> {
    let Some(values) = array.as_primitive_opt::<IntervalMonthDayNanoType>() else {
        return Err(unsupported(array.data_type()));
    };
    build(py, array, |row| {
        let interval = values.value(row);
        if interval.days != 0 || interval.nanoseconds != 0 {
            return Err(pyo3::exceptions::PyValueError::new_err(format!(
                "{} months, {} days and {} ns are no number of months, which is what Python functions get for intervals",
                interval.months, interval.days, interval.nanoseconds
            )));
        }
        Ok(interval.months.into_pyobject(py)?.into_any())
    })
}

fn decimals<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyList>> {
    let class = py.import("decimal")?.getattr("Decimal")?;
    // Arrow's own text form is exact and keeps the scale.
    let texts = cast(array, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    build(py, array, |row| class.call1((texts.value(row),)))
}
