//! Finds the row at which an operator failed.

use arrow_array::Array;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use crate::value::Value;

/// The first row at which `fails`, asked for ranges of rows, by halving. Called only where the whole has failed.
pub fn first_failing(rows: usize, fails: impl Fn(usize, usize) -> bool) -> usize {
    let (mut start, mut length) = (0, rows);
    while length > 1 {
        let half = length / 2;
        if fails(start, half) {
            length = half;
        } else {
            (start, length) = (start + half, length - half);
        }
    }
    start
}

/// A value as text.
pub fn show(value: &Value, row: usize) -> String {
    let array = value.array();
    let row = if value.is_constant() { 0 } else { row };
    if row >= array.len() {
        return String::new();
    }
    let options = FormatOptions::default().with_null("NULL");
    ArrayFormatter::try_new(array, &options).map_or_else(|_| String::new(), |shown| shown.value(row).to_string())
}

/// The error of an operator at a row.
pub fn failed(message: String, value: String, row: usize) -> Error {
    Error::new(ErrorCode::InvalidInput, message).with(|info| {
        info.row = Some(row as u64);
        info.value = value;
    })
}
