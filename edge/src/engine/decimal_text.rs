//! Columns in the types of arrow-udf, whose decimals are text: the number without zeros at its end, for RisingWave's have
//! no scale of their own.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StringArray, StructArray};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};

/// The column in that type, at any depth.
///
/// # Errors
/// It can't be cast.
pub(super) fn in_type(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    Ok(match (column.data_type(), wanted) {
        (given, wanted) if given == wanted => Arc::clone(column),
        (DataType::Decimal128(_, scale), DataType::Utf8) if *scale > 0 => {
            let texts = cast(column, wanted)?;
            let plain = texts.as_string::<i32>().iter().map(|text| text.map(without_zeros));
            Arc::new(plain.collect::<StringArray>())
        }
        (DataType::List(_), DataType::List(item)) => {
            let list = column.as_list::<i32>();
            let values = in_type(list.values(), item.data_type())?;
            Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            let map = column.as_map();
            let inner: ArrayRef = Arc::new(map.entries().clone());
            let inner = in_type(&inner, entries.data_type())?.as_struct().clone();
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(Arc::clone(entries), offsets, inner, nulls, *sorted)?)
        }
        (DataType::Struct(_), DataType::Struct(fields)) if !fields.is_empty() => {
            let rows = column.as_struct();
            let inner = rows.columns().iter().zip(fields).map(|(inner, field)| in_type(inner, field.data_type()));
            Arc::new(StructArray::try_new(fields.clone(), inner.collect::<Result<_, _>>()?, rows.nulls().cloned())?)
        }
        _ => cast(column, wanted)?,
    })
}

/// Of a number with digits behind its point.
fn without_zeros(text: &str) -> &str {
    text.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use arrow_array::Decimal128Array;
    use arrow_array::types::Int8Type;
    use arrow_schema::Field;

    use super::*;

    fn decimals(scale: i8) -> ArrayRef {
        let values = vec![Some(150), None, Some(-2000), Some(0), Some(5)];
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(10, scale).unwrap())
    }

    fn texts(column: &ArrayRef) -> Vec<Option<&str>> {
        column.as_string::<i32>().iter().collect()
    }

    #[test]
    fn zeros_behind_the_point_are_left_out_and_no_others() {
        let made = in_type(&decimals(2), &DataType::Utf8).unwrap();
        assert_eq!(texts(&made), [Some("1.5"), None, Some("-20"), Some("0"), Some("0.05")]);
        let whole = in_type(&decimals(0), &DataType::Utf8).unwrap();
        assert_eq!(texts(&whole), [Some("150"), None, Some("-2000"), Some("0"), Some("5")]);
    }

    #[test]
    fn decimals_within_arrays_and_rows_too() {
        let field = |data_type: &DataType| Arc::new(Field::new("d", data_type.clone(), true));
        let rows = StructArray::from(vec![(field(&DataType::Decimal128(10, 2)), decimals(2))]);
        let one_of_five = ListArray::from_iter_primitive::<Int8Type, _, _>([Some([Some(0); 5])]);
        let list = ListArray::new(field(rows.data_type()), one_of_five.offsets().clone(), Arc::new(rows), None);
        let wanted = DataType::List(field(&DataType::Struct(vec![field(&DataType::Utf8)].into())));
        let made = in_type(&(Arc::new(list) as ArrayRef), &wanted).unwrap();
        assert_eq!(made.data_type(), &wanted);
        let inner = made.as_list::<i32>().values().as_struct().column(0).clone();
        assert_eq!(texts(&inner), [Some("1.5"), None, Some("-20"), Some("0"), Some("0.05")]);
    }
}
