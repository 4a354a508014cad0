//! Checks of columns that pandas and arrow functions made: the same policy as for Python values.

use arrow_array::{Array, ArrayRef};
use arrow_cast::display::array_value_to_string;
use udfleet_kernels::find_misfit;
use udfleet_proto::error::Error;
use udfleet_proto::types::sql;
use udfleet_proto::v1::{DataType, ErrorCode};

/// Nulls and lengths; the Arrow type has been made sure of before.
pub fn check_array(array: &ArrayRef, data_type: &DataType) -> Result<(), Error> {
    find_misfit(array, data_type).map_or(Ok(()), |(row, why)| Err(misfit(array, row, data_type, &why)))
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
