//! Values of columns as text, for errors: also values that their type can't represent.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, make_array};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType as Arrow};

/// The value; of a point in time that no calendar has, the number that it is held as.
#[must_use]
pub fn shown(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "None".to_owned();
    }
    let one = in_utc(array.slice(row, 1));
    formatted(&one).or_else(|_| number(&one)).unwrap_or_default()
}

/// What has a zone as the same moment in UTC: names of other zones are not known here.
fn in_utc(array: ArrayRef) -> ArrayRef {
    let Arrow::Timestamp(unit, Some(_)) = array.data_type() else { return array };
    let utc = Arrow::Timestamp(*unit, Some("+00:00".into()));
    array.to_data().into_builder().data_type(utc).build().map_or(array, make_array)
}

fn formatted(one: &ArrayRef) -> Result<String, ArrowError> {
    let options = FormatOptions::default().with_display_error(false);
    ArrayFormatter::try_new(one, &options)?.value(0).try_to_string()
}

fn number(one: &ArrayRef) -> Result<String, ArrowError> {
    let held = cast(one, &if one.data_type().primitive_width() == Some(4) { Arrow::Int32 } else { Arrow::Int64 })?;
    Ok(cast(&held, &Arrow::Int64)?.as_primitive::<Int64Type>().value(0).to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Date32Array, Int32Array, Time32SecondArray, TimestampMicrosecondArray, TimestampSecondArray};

    use super::*;

    fn first(array: impl Array + 'static) -> String {
        shown(&(Arc::new(array) as ArrayRef), 0)
    }

    #[test]
    fn values_are_shown_even_where_no_calendar_has_them() {
        assert_eq!(first(Int32Array::from(vec![None])), "None");
        assert_eq!(first(Date32Array::from(vec![0])), "1970-01-01");
        assert_eq!(first(Date32Array::from(vec![i32::MAX])), "2147483647");
        assert_eq!(first(Time32SecondArray::from(vec![86_400])), "86400");
        assert_eq!(first(TimestampSecondArray::from(vec![1 << 62])), "4611686018427387904");
        let zoned = TimestampMicrosecondArray::from(vec![1]).with_timezone("Asia/Tokyo");
        assert_eq!(first(zoned), "1970-01-01T00:00:00.000001Z");
    }
}
