//! Checks the values of a column against a declared type whose Arrow type it has: what the Arrow type does not enforce
//! is checked as for Python values.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Int64Type, IntervalMonthDayNanoType, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_schema::{DataType as Arrow, TimeUnit};
use udfleet_proto::types::{MAX_LENGTH, simple};
use udfleet_proto::v1::{DataType, TypeRoot};

/// 0001-01-01 and 9999-12-31 in days since 1970: what Python's `date` and SQL's DATE hold.
const FIRST_DAY: i64 = -719_162;
const LAST_DAY: i64 = 2_932_896;
const DAY_SECONDS: i64 = 86_400;

type Misfit = Option<(usize, String)>;

/// The first row whose value the type does not take, and why: nulls, lengths, digits, ranges, at any depth.
#[must_use]
pub fn find_misfit(array: &dyn Array, data_type: &DataType) -> Option<(usize, String)> {
    if data_type.not_null
        && let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0)
    {
        let row = (0..array.len()).find(|row| nulls.is_null(*row)).unwrap_or(0);
        return Some((row, "null is not allowed".to_owned()));
    }
    match data_type.root() {
        TypeRoot::Char | TypeRoot::Varchar if array.data_type() == &Arrow::Utf8 => texts(array, data_type),
        TypeRoot::Varbinary if array.data_type() == &Arrow::Binary => binaries(array, data_type),
        TypeRoot::Decimal => decimals(array, data_type),
        TypeRoot::Date => first(array.as_primitive_opt::<Date32Type>()?, |day| {
            (FIRST_DAY..=LAST_DAY).contains(&i64::from(day)).then_some(()).ok_or_else(out_of_years)
        }),
        TypeRoot::Time => times(array, data_type.precision),
        TypeRoot::Timestamp | TypeRoot::TimestampLtz => timestamps(array, data_type.precision),
        TypeRoot::Array => lists(array, &part(&data_type.element)),
        TypeRoot::Map => maps(array, &part(&data_type.key), &part(&data_type.element)),
        TypeRoot::Multiset => {
            maps(array, &part(&data_type.element), &DataType { not_null: true, ..simple(TypeRoot::Int) })
        }
        TypeRoot::IntervalYearMonth => months(array),
        TypeRoot::Row => rows(array, data_type),
        _ => None,
    }
}

fn part(part: &Option<Box<DataType>>) -> DataType {
    part.as_deref().cloned().unwrap_or_default()
}

fn out_of_years() -> String {
    "its year is not within 1 to 9999".to_owned()
}

/// The first valid value that does not pass.
fn first<T: ArrowPrimitiveType>(
    array: &arrow_array::PrimitiveArray<T>,
    check: impl Fn(T::Native) -> Result<(), String>,
) -> Misfit {
    let valid = (0..array.len()).filter(|row| array.is_valid(*row));
    valid.map(|row| (row, check(array.value(row)))).find_map(|(row, fits)| fits.err().map(|why| (row, why)))
}

fn texts(array: &dyn Array, data_type: &DataType) -> Misfit {
    let exact = data_type.root() == TypeRoot::Char;
    if !exact && data_type.length == MAX_LENGTH {
        return None;
    }
    let values = array.as_string::<i32>();
    let valid = (0..array.len()).filter(|row| values.is_valid(*row));
    valid
        .map(|row| (row, check_length(values.value(row), data_type.length as usize, exact)))
        .find_map(|(row, fits)| fits.err().map(|why| (row, why)))
}

fn binaries(array: &dyn Array, data_type: &DataType) -> Misfit {
    if data_type.length == MAX_LENGTH {
        return None;
    }
    let values = array.as_binary::<i32>();
    let long = |row: &usize| values.is_valid(*row) && values.value(*row).len() > data_type.length as usize;
    (0..array.len()).find(long).map(|row| (row, "it has too many bytes".to_owned()))
}

/// Arrow's decimals may hold more digits than their type says.
fn decimals(array: &dyn Array, data_type: &DataType) -> Misfit {
    let limit = 10_i128.checked_pow(data_type.precision)?;
    first(array.as_primitive_opt::<Decimal128Type>()?, |value| {
        let fits = value > -limit && value < limit;
        fits.then_some(()).ok_or_else(|| format!("it has more than {} digits", data_type.precision))
    })
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// The unit may be finer than the declared number of digits.
fn check_digits(value: i64, unit: TimeUnit, digits: u32) -> Result<(), String> {
    let step = per_second(unit) / 10_i64.pow(digits.min(9)).min(per_second(unit));
    if value % step == 0 { Ok(()) } else { Err(format!("it is finer than {digits} digits of a second")) }
}

fn times(array: &dyn Array, digits: u32) -> Misfit {
    let check = |value: i64, unit: TimeUnit| {
        let within = (0..DAY_SECONDS * per_second(unit)).contains(&value);
        within.then_some(()).ok_or_else(|| "it is no time of day".to_owned())?;
        check_digits(value, unit, digits)
    };
    match array.data_type() {
        Arrow::Time32(unit @ TimeUnit::Second) => {
            first(array.as_primitive::<Time32SecondType>(), |value| check(value.into(), *unit))
        }
        Arrow::Time32(unit) => first(array.as_primitive::<Time32MillisecondType>(), |value| check(value.into(), *unit)),
        Arrow::Time64(unit @ TimeUnit::Microsecond) => {
            first(array.as_primitive::<Time64MicrosecondType>(), |value| check(value, *unit))
        }
        Arrow::Time64(unit) => first(array.as_primitive::<Time64NanosecondType>(), |value| check(value, *unit)),
        _ => None,
    }
}

fn timestamps(array: &dyn Array, digits: u32) -> Misfit {
    let Arrow::Timestamp(unit, _) = array.data_type() else { return None };
    let numbers = arrow_cast::cast(array, &Arrow::Int64).ok()?;
    let second = per_second(*unit);
    first(numbers.as_primitive::<Int64Type>(), |value| {
        let day = value.div_euclid(second).div_euclid(DAY_SECONDS);
        (FIRST_DAY..=LAST_DAY).contains(&day).then_some(()).ok_or_else(out_of_years)?;
        check_digits(value, *unit, digits)
    })
}

/// The type that carries months has days and nanoseconds too.
fn months(array: &dyn Array) -> Misfit {
    first(array.as_primitive_opt::<IntervalMonthDayNanoType>()?, |value| {
        let whole = value.days == 0 && value.nanoseconds == 0;
        whole.then_some(()).ok_or_else(|| "it has days or less".to_owned())
    })
}

fn lists(array: &dyn Array, element: &DataType) -> Misfit {
    let list = array.as_list_opt::<i32>()?;
    children(list, list.value_offsets(), |start, length| {
        find_misfit(list.values().slice(start, length).as_ref(), element)
    })
}

fn maps(array: &dyn Array, key: &DataType, value: &DataType) -> Misfit {
    let map = array.as_map_opt()?;
    children(map, map.value_offsets(), |start, length| {
        let keys = find_misfit(map.keys().slice(start, length).as_ref(), key);
        keys.or_else(|| find_misfit(map.values().slice(start, length).as_ref(), value))
    })
}

/// Looks at the children of all rows at once, and one row after another only where one of them does not fit: what lies
/// under a null row does not count.
fn children(array: &dyn Array, offsets: &[i32], find: impl Fn(usize, usize) -> Misfit) -> Misfit {
    let (from, to) = (*offsets.first()? as usize, *offsets.last()? as usize);
    find(from, to - from)?;
    let of_row = |row: usize| {
        let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
        find(start, end - start).map(|(_, why)| (row, why))
    };
    (0..array.len()).filter(|row| array.is_valid(*row)).find_map(of_row)
}

fn rows(array: &dyn Array, data_type: &DataType) -> Misfit {
    let structs = array.as_struct_opt()?;
    let field = |(column, field): (&ArrayRef, &udfleet_proto::v1::Field)| {
        let inner = field.r#type.clone().unwrap_or_default();
        let (row, why) = find_misfit(column.as_ref(), &inner)?;
        if structs.is_valid(row) {
            return Some((row, why));
        }
        let one = |row: usize| find_misfit(column.slice(row, 1).as_ref(), &inner).map(|(_, why)| (row, why));
        (0..array.len()).filter(|row| structs.is_valid(*row)).find_map(one)
    };
    structs.columns().iter().zip(&data_type.fields).filter_map(field).min_by_key(|(row, _)| *row)
}

/// CHAR(n) holds exactly n characters, VARCHAR(n) at most n.
///
/// # Errors
/// How many the text has.
pub fn check_length(text: &str, limit: usize, exact: bool) -> Result<(), String> {
    // Characters never outnumber bytes: most texts need no counting.
    if !exact && (limit == MAX_LENGTH as usize || text.len() <= limit) {
        return Ok(());
    }
    let length = text.chars().count();
    if length > limit || (exact && length != limit) { Err(format!("it has {length} characters")) } else { Ok(()) }
}
