//! CAST: conversions between kinds as in SQL, except that a value that would change is refused: 1.9 AS BIGINT, 300 AS
//! TINYINT.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};
use arrow_schema::{DataType as Arrow, TimeUnit};
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::{DataType, ErrorCode};

use crate::Value;
use crate::locate::{failed, first_failing, show};
use crate::misfit::find_misfit;

/// The value in another type.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] with row and value of the first that does not fit, [`ErrorCode::InvalidPlan`] where no
/// cast between the types exists.
pub fn cast(value: &Value, to: &DataType) -> Result<Value, Error> {
    let wanted = arrow_type(to);
    if value.data_type() != &wanted && !can_cast_types(value.data_type(), &wanted) {
        let message = format!("no cast from {} to {}", value.data_type(), sql(to));
        return Err(Error::new(ErrorCode::InvalidPlan, message));
    }
    let array = value.array();
    let converted = strictly(array, &wanted).map_err(|_| {
        let row = first_failing(array.len(), |start, length| strictly(&array.slice(start, length), &wanted).is_err());
        let why = strictly(&array.slice(row, 1), &wanted).err().unwrap_or_default();
        refuse(value, row, to, &why)
    })?;
    match find_misfit(&converted, to) {
        Some((row, why)) => Err(refuse(value, row, to, &why)),
        None => Ok(value.with(converted)),
    }
}

fn refuse(value: &Value, row: usize, to: &DataType, why: &str) -> Error {
    let shown = show(value, row);
    failed(format!("{shown} can't be cast to {}: {why}", sql(to)), shown, row)
}

/// The array in another Arrow type, unless any value would change.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] naming the types.
pub fn cast_array(array: &ArrayRef, to: &Arrow) -> Result<ArrayRef, Error> {
    strictly(array, to)
        .map_err(|why| Error::new(ErrorCode::InvalidInput, format!("{} as {to}: {why}", array.data_type())))
}

/// Casts there and, where rounding is possible, back.
pub(crate) fn strictly(array: &ArrayRef, to: &Arrow) -> Result<ArrayRef, String> {
    let from = array.data_type();
    if from == to {
        return Ok(array.clone());
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let given = &readable(array, to);
    let converted = cast_with_options(given, to, &strict).map_err(|e| e.to_string())?;
    match check_of(from, to) {
        Check::None => Ok(converted),
        Check::Overflow => finite(array, &converted).map(|()| converted),
        Check::Back => {
            let back = cast_with_options(&converted, from, &strict).map_err(|e| e.to_string())?;
            if same(&back, array) { Ok(converted) } else { Err("it would change".to_owned()) }
        }
        Check::Digits => {
            let exact = cast_with_options(array, &Arrow::Decimal256(76, 38), &strict).map_err(|e| e.to_string())?;
            let again =
                cast_with_options(&converted, &Arrow::Decimal256(76, 38), &strict).map_err(|e| e.to_string())?;
            if same(&exact, &again) { Ok(converted) } else { Err("it has too many decimal places".to_owned()) }
        }
    }
}

/// Texts of times and timestamps as Arrow reads them: SQL allows fields of one digit, `1999-9-10 5:20:10`.
fn readable(array: &ArrayRef, to: &Arrow) -> ArrayRef {
    let timed = matches!(to, Arrow::Timestamp(_, _) | Arrow::Time32(_) | Arrow::Time64(_));
    match array.as_string_opt::<i32>() {
        Some(texts) if timed => Arc::new(texts.iter().map(|text| text.map(padded)).collect::<StringArray>()),
        _ => array.clone(),
    }
}

/// With a zero before fields of one digit, behind the year.
fn padded(text: &str) -> String {
    let mut padded = String::with_capacity(text.len() + 4);
    let mut fraction = false;
    for field in text.trim().split_inclusive(['-', ':', ' ', 'T', '.', '+', 'Z']) {
        let digits = field.trim_end_matches(|c: char| !c.is_ascii_digit());
        if !fraction && digits.len() == 1 && digits.as_bytes()[0].is_ascii_digit() {
            padded.push('0');
        }
        padded.push_str(field);
        fraction = field.ends_with('.');
    }
    padded
}

/// Equal where neither is NaN.
fn same(a: &ArrayRef, b: &ArrayRef) -> bool {
    if a.data_type() == &Arrow::Float64 || a.data_type() == &Arrow::Float32 {
        return arrow_ord::cmp::not_distinct(a, b).is_ok_and(|equal| equal.true_count() == equal.len());
    }
    a == b
}

enum Check {
    /// Exact, or meant to lose something: digits of a number's text form, the time of day of a date.
    None,
    /// Rounds to the nearest, which may be infinite.
    Overflow,
    /// There and back must give the same.
    Back,
    /// Text to decimals.
    Digits,
}

fn check_of(from: &Arrow, to: &Arrow) -> Check {
    let text = |t: &Arrow| matches!(t, Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View);
    match (from, to) {
        (from, to) if text(from) && to.is_decimal() => Check::Digits,
        (from, to) if text(from) || text(to) || *from == Arrow::Null => Check::None,
        // The nearest is what casting to floating point asks for.
        (Arrow::Float64, Arrow::Float32) => Check::Overflow,
        (from, Arrow::Float64 | Arrow::Float32) if from.is_decimal() => Check::None,
        // Taking a timestamp apart is the purpose.
        (Arrow::Timestamp(_, _), Arrow::Date32 | Arrow::Time32(_) | Arrow::Time64(_)) => Check::None,
        (Arrow::Timestamp(a, _), Arrow::Timestamp(b, _)) if rank(*a) <= rank(*b) => Check::None,
        (Arrow::Dictionary(_, _), _) | (Arrow::Binary, Arrow::LargeBinary) => Check::None,
        (from, to) if widens(from, to) => Check::None,
        _ => Check::Back,
    }
}

fn widens(from: &Arrow, to: &Arrow) -> bool {
    from.is_signed_integer()
        && to.is_signed_integer()
        && from.primitive_width().zip(to.primitive_width()).is_some_and(|(a, b)| a <= b)
        || matches!((from, to), (Arrow::Float32, Arrow::Float64))
}

fn rank(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}

fn finite(from: &ArrayRef, to: &ArrayRef) -> Result<(), String> {
    let (Some(wide), Some(narrow)) = (from.as_primitive_opt::<Float64Type>(), to.as_primitive_opt::<Float32Type>())
    else {
        return Ok(());
    };
    let lost = |row: usize| narrow.is_valid(row) && narrow.value(row).is_infinite() && !wide.value(row).is_infinite();
    if (0..wide.len()).any(lost) { Err("out of range".to_owned()) } else { Ok(()) }
}
