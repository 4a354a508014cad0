//! Checks of columns that pandas and arrow functions made: the same policy as for Python values.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType as Arrow;
use udfleet_proto::error::Error;
use udfleet_proto::types::{MAX_LENGTH, sql};
use udfleet_proto::v1::{DataType, ErrorCode, TypeRoot};

use super::scalar::check_length;

/// Nulls and lengths; the Arrow type has been made sure of before.
pub fn check_array(array: &ArrayRef, data_type: &DataType) -> Result<(), Error> {
    find_misfit(array, data_type).map_or(Ok(()), |(row, why)| Err(misfit(array, row, data_type, &why)))
}

/// The first row whose value has a null or a length that the type does not take, and why.
pub fn find_misfit(array: &ArrayRef, data_type: &DataType) -> Option<(usize, String)> {
    if data_type.not_null
        && let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0)
    {
        let row = (0..array.len()).find(|row| nulls.is_null(*row)).unwrap_or(0);
        return Some((row, "null is not allowed".to_owned()));
    }
    match data_type.root() {
        TypeRoot::Char | TypeRoot::Varchar if array.data_type() == &Arrow::Utf8 => texts(array, data_type),
        TypeRoot::Varbinary if data_type.length != MAX_LENGTH && array.data_type() == &Arrow::Binary => {
            let values = array.as_binary::<i32>();
            let long = |row: &usize| values.is_valid(*row) && values.value(*row).len() > data_type.length as usize;
            (0..array.len()).find(long).map(|row| (row, "it has too many bytes".to_owned()))
        }
        _ => None,
    }
}

fn texts(array: &ArrayRef, data_type: &DataType) -> Option<(usize, String)> {
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

fn misfit(array: &ArrayRef, row: usize, data_type: &DataType, why: &str) -> Error {
    let shown =
        if array.is_null(row) { "None".to_owned() } else { array_value_to_string(array, row).unwrap_or_default() };
    let message = format!("the function returned {shown}, which does not fit {}: {why}", sql(data_type));
    Error::new(ErrorCode::ResultType, message).with(|info| {
        info.row = Some(row as u64);
        info.value = shown;
    })
}
