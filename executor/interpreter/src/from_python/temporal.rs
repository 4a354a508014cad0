//! Dates, times, timestamps and intervals.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, DurationMicrosecondType, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
};
use arrow_array::{ArrayRef, PrimitiveArray};
use pyo3::prelude::*;
use udfleet_proto::error::Error;
use udfleet_proto::types::arrow_type;
use udfleet_proto::v1::{DataType, TypeRoot};

use super::Column;
use crate::failure::class_name;

/// `date.toordinal()` of 1970-01-01.
const EPOCH_ORDINAL: i64 = 719_163;
const DAY: i64 = 86_400;

/// The classes of `datetime`, looked up once per column.
struct Classes<'py> {
    date: Bound<'py, PyAny>,
    time: Bound<'py, PyAny>,
    datetime: Bound<'py, PyAny>,
    timedelta: Bound<'py, PyAny>,
    utc: Bound<'py, PyAny>,
}

impl<'py> Classes<'py> {
    fn new(py: Python<'py>) -> PyResult<Self> {
        let module = py.import("datetime")?;
        Ok(Self {
            date: module.getattr("date")?,
            time: module.getattr("time")?,
            datetime: module.getattr("datetime")?,
            timedelta: module.getattr("timedelta")?,
            utc: module.getattr("timezone")?.getattr("utc")?,
        })
    }
}

pub fn to_array(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error> {
    let Some(first) = column.items.first() else {
        return Ok(arrow_array::new_empty_array(&arrow_type(data_type)));
    };
    let classes = Classes::new(first.py()).map_err(|e| Error::internal(format!("datetime: {e}")))?;
    let digits = data_type.precision;
    match data_type.root() {
        TypeRoot::Date => {
            let values = column.convert(data_type, |item| date(&classes, item))?;
            Ok(Arc::new(PrimitiveArray::<Date32Type>::from_iter(values)))
        }
        TypeRoot::Time => scaled(column.convert(data_type, |item| scale(time(&classes, item)?, digits))?, data_type),
        TypeRoot::Timestamp => {
            scaled(column.convert(data_type, |item| scale(timestamp(&classes, item, false)?, digits))?, data_type)
        }
        TypeRoot::TimestampLtz => {
            scaled(column.convert(data_type, |item| scale(timestamp(&classes, item, true)?, digits))?, data_type)
        }
        TypeRoot::IntervalDayTime => {
            let values = column.convert(data_type, |item| duration(&classes, item))?;
            Ok(Arc::new(PrimitiveArray::<DurationMicrosecondType>::from_iter(values)))
        }
        _ => {
            let values = column.convert(data_type, |item| {
                let months = i32::try_from(super::scalar::integer(item)?).map_err(|_| "out of range".to_owned())?;
                Ok(IntervalMonthDayNano::new(months, 0, 0))
            })?;
            Ok(Arc::new(PrimitiveArray::<IntervalMonthDayNanoType>::from_iter(values)))
        }
    }
}

fn text(error: PyErr) -> String {
    error.to_string()
}

fn is(item: &Bound<'_, PyAny>, class: &Bound<'_, PyAny>) -> Result<bool, String> {
    item.is_instance(class).map_err(text)
}

fn field(item: &Bound<'_, PyAny>, name: &str) -> Result<i64, String> {
    item.getattr(name).and_then(|value| value.extract()).map_err(text)
}

/// A `date` that is no `datetime`: a time of day would be lost.
fn date(classes: &Classes<'_>, item: &Bound<'_, PyAny>) -> Result<i32, String> {
    if is(item, &classes.datetime)? || !is(item, &classes.date)? {
        return Err(format!("a {} is no date", class_name(item)));
    }
    let ordinal: i64 = item.call_method0("toordinal").and_then(|o| o.extract()).map_err(text)?;
    i32::try_from(ordinal - EPOCH_ORDINAL).map_err(|_| "out of range".to_owned())
}

/// Microseconds since midnight.
fn time(classes: &Classes<'_>, item: &Bound<'_, PyAny>) -> Result<i64, String> {
    if !is(item, &classes.time)? {
        return Err(format!("a {} is no time", class_name(item)));
    }
    if !item.getattr("tzinfo").map_err(text)?.is_none() {
        return Err("it has a time zone".to_owned());
    }
    let seconds = field(item, "hour")? * 3600 + field(item, "minute")? * 60 + field(item, "second")?;
    Ok(seconds * 1_000_000 + field(item, "microsecond")?)
}

/// Microseconds since 1970. TIMESTAMP takes naive datetimes, TIMESTAMP_LTZ those with a zone: neither guesses.
fn timestamp(classes: &Classes<'_>, item: &Bound<'_, PyAny>, zoned: bool) -> Result<i64, String> {
    if class_name(item) == "datetime64" && !zoned {
        return timestamp(classes, &from_numpy(item, "datetime64[us]")?, zoned);
    }
    if !is(item, &classes.datetime)? {
        return Err(format!("a {} is no datetime", class_name(item)));
    }
    let naive = item.call_method0("utcoffset").map_err(text)?.is_none();
    let utc = match (zoned, naive) {
        (false, false) => return Err("it has a time zone".to_owned()),
        (true, true) => return Err("it has no time zone".to_owned()),
        (true, false) => item.call_method1("astimezone", (&classes.utc,)).map_err(text)?,
        (false, true) => item.clone(),
    };
    if class_name(item) == "Timestamp" && field(item, "nanosecond")? != 0 {
        return Err("it has nanoseconds".to_owned());
    }
    let ordinal: i64 = utc.call_method0("toordinal").and_then(|o| o.extract()).map_err(text)?;
    let seconds = field(&utc, "hour")? * 3600 + field(&utc, "minute")? * 60 + field(&utc, "second")?;
    Ok(((ordinal - EPOCH_ORDINAL) * DAY + seconds) * 1_000_000 + field(&utc, "microsecond")?)
}

/// numpy's datetimes and durations come out of arrays: as Python's, in microseconds. There and back again tells what is
/// finer and what is too far away, where numpy itself goes round.
fn from_numpy<'py>(item: &Bound<'py, PyAny>, unit: &str) -> Result<Bound<'py, PyAny>, String> {
    let own = item.getattr("dtype").map_err(text)?;
    let name: String = own.getattr("name").and_then(|name| name.extract()).map_err(text)?;
    let is_certain = ["s]", "m]", "h]", "D]", "W]"].iter().any(|end| name.ends_with(end));
    if name.starts_with("timedelta64") && !is_certain {
        return Err(format!("a {name} is no certain time"));
    }
    let micros = item.call_method1("astype", (unit,)).map_err(text)?;
    let back = micros.call_method1("astype", (own,)).map_err(text)?;
    if !back.eq(item).map_err(text)? {
        return Err("it is finer than microseconds, or out of range".to_owned());
    }
    micros.call_method0("item").map_err(text)
}

fn duration(classes: &Classes<'_>, item: &Bound<'_, PyAny>) -> Result<i64, String> {
    if class_name(item) == "timedelta64" {
        return duration(classes, &from_numpy(item, "timedelta64[us]")?);
    }
    if class_name(item) == "Timedelta" && field(item, "nanoseconds")? != 0 {
        return Err("it has nanoseconds".to_owned());
    }
    if !is(item, &classes.timedelta)? {
        return Err(format!("a {} is no timedelta", class_name(item)));
    }
    let seconds = field(item, "days")?.checked_mul(DAY).and_then(|s| s.checked_add(field(item, "seconds").ok()?));
    let micros =
        seconds.and_then(|s| s.checked_mul(1_000_000)).and_then(|m| m.checked_add(field(item, "microseconds").ok()?));
    micros.ok_or_else(|| "out of range".to_owned())
}

/// From microseconds to the unit of the Arrow type; digits beyond the declared precision are refused.
fn scale(micros: i64, digits: u32) -> Result<i64, String> {
    let step = 10_i64.pow(6_u32.saturating_sub(digits));
    if micros % step != 0 {
        return Err(format!("it is finer than {digits} digits of a second"));
    }
    match digits {
        0 => Ok(micros / 1_000_000),
        1..=3 => Ok(micros / 1000),
        4..=6 => Ok(micros),
        _ => micros.checked_mul(1000).ok_or_else(|| "out of range".to_owned()),
    }
}

fn scaled(values: Vec<Option<i64>>, data_type: &DataType) -> Result<ArrayRef, Error> {
    let wanted = arrow_type(data_type);
    let numbers: ArrayRef = if wanted.primitive_width() == Some(4) {
        // Seconds and milliseconds of a day fit in 32 bits.
        Arc::new(PrimitiveArray::<Int32Type>::from_iter(values.into_iter().map(|value| value.map(|v| v as i32))))
    } else {
        Arc::new(PrimitiveArray::<Int64Type>::from_iter(values))
    };
    arrow_cast::cast(&numbers, &wanted).map_err(|e| Error::internal(e.to_string()))
}
