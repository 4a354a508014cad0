//! Whether the values of a column fit a declared type whose Arrow type it has: nulls and lengths.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType as Arrow;
use udfleet_proto::types::MAX_LENGTH;
use udfleet_proto::v1::{DataType, TypeRoot};

/// The first row whose value has a null or a length that the type does not take, and why.
#[must_use]
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
