//! Converts the Arrow array that a pandas or arrow function returned to the declared type: a lossless cast within its
//! kind, then the same checks as for Python values.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_cast::{can_cast_types, cast};
use arrow_schema::{ArrowError, DataType as Arrow};
use arrow_select::take::take;
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::{DataType, ErrorCode};

use crate::kind::{Source, nullable, same_kind, typed, widened};
use crate::misfit::find_misfit;
use crate::shown::shown;
use crate::unchanged::first_changed;

/// The array in exactly the declared type.
///
/// # Errors
/// [`ErrorCode::ResultType`] naming the types, and row and value of the first that does not fit.
pub fn fit(array: &ArrayRef, declared: &DataType, source: Source) -> Result<ArrayRef, Error> {
    let wanted = arrow_type(declared);
    if array.data_type() == &wanted {
        check_result(array, declared)?;
        return Ok(Arc::clone(array));
    }
    // Nulls where none may be are found below with their row; Arrow's own casts would name none.
    let converted = convert(array, &nullable(&wanted), declared, source)?;
    check_result(&converted, declared)?;
    let fitted = without_hidden(&converted).and_then(|converted| cast(&converted, &wanted));
    fitted.map_err(|e| refuse(array, declared, &format!(": {e}")))
}

/// Nothing under null lists, which would be held against elements that are NOT NULL.
fn without_hidden(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !matches!(array.data_type(), Arrow::List(_)) || array.null_count() == 0 {
        return Ok(Arc::clone(array));
    }
    let rows = (0..array.len()).map(|row| array.is_valid(row).then_some(row as u32));
    take(array, &PrimitiveArray::<UInt32Type>::from_iter(rows), None)
}

/// Refuses the first value of a result that its type does not take; the Arrow type has been made sure of before.
///
/// # Errors
/// [`ErrorCode::ResultType`] with row and value.
pub fn check_result(array: &ArrayRef, declared: &DataType) -> Result<(), Error> {
    find_misfit(array, declared).map_or(Ok(()), |(row, why)| Err(misfit(array, row, declared, &why)))
}

fn misfit(array: &ArrayRef, row: usize, declared: &DataType, why: &str) -> Error {
    let shown = shown(array, row);
    let message = format!("the function returned {shown}, which does not fit {}: {why}", sql(declared));
    Error::new(ErrorCode::ResultType, message).with(|info| {
        info.row = Some(row as u64);
        info.value = shown;
    })
}

fn refuse(array: &ArrayRef, declared: &DataType, why: &str) -> Error {
    let message = format!("the function returned {} for {}{why}", array.data_type(), sql(declared));
    Error::new(ErrorCode::ResultType, message)
}

fn convert(array: &ArrayRef, wanted: &Arrow, declared: &DataType, source: Source) -> Result<ArrayRef, Error> {
    let array = &prepared(array, wanted).map_err(|e| refuse(array, declared, &format!(": {e}")))?;
    let given = array.data_type();
    if given == wanted {
        return Ok(Arc::clone(array));
    }
    if !can_cast_types(given, wanted) || !same_kind(given, wanted, source) {
        let shown = (0..array.len()).find(|row| array.is_valid(*row)).map(|row| shown(array, row)).unwrap_or_default();
        let such_as = if shown.is_empty() { String::new() } else { format!(" (such as {shown})") };
        return Err(refuse(array, declared, &such_as).with(|info| info.value = shown));
    }
    // Single precision takes the nearest value: everything else is compared in double precision.
    let wide = widened(given, wanted);
    let exact = cast(array, &wide).map_err(|e| refuse(array, declared, &format!(": {e}")))?;
    // What does not fit becomes null, and does not come back.
    let back = cast(&exact, given).map_err(|e| refuse(array, declared, &format!(": {e}")))?;
    if let Some(row) = first_changed(array, &back) {
        return Err(misfit(array, row, declared, &format!("it came as {given} and would change")));
    }
    if &wide == wanted {
        return Ok(exact);
    }
    let narrow = cast(&exact, wanted).map_err(|e| refuse(array, declared, &format!(": {e}")))?;
    match overflow(&exact, &narrow) {
        Some(row) => Err(misfit(array, row, declared, "out of range")),
        None => Ok(narrow),
    }
}

/// What no cast brings back, or makes: columns without a type, dictionaries, views of bytes.
fn prepared(array: &ArrayRef, wanted: &Arrow) -> Result<ArrayRef, ArrowError> {
    let plain = typed(array.data_type(), wanted);
    if &plain == array.data_type() { Ok(Arc::clone(array)) } else { cast(array, &plain) }
}

/// The first row that has become infinite.
fn overflow(wide: &ArrayRef, narrow: &ArrayRef) -> Option<usize> {
    if infinities(wide) == infinities(narrow) {
        return None;
    }
    let one = |array: &ArrayRef, row: usize| take(array, &PrimitiveArray::<UInt32Type>::from(vec![row as u32]), None);
    let more = |row: &usize| match (one(wide, *row), one(narrow, *row)) {
        (Ok(wide), Ok(narrow)) => infinities(&wide) != infinities(&narrow),
        _ => true,
    };
    (0..wide.len()).find(more)
}

fn infinities(array: &ArrayRef) -> usize {
    if let Some(values) = array.as_primitive_opt::<Float32Type>() {
        return values.iter().flatten().filter(|value| value.is_infinite()).count();
    }
    if let Some(values) = array.as_primitive_opt::<Float64Type>() {
        return values.iter().flatten().filter(|value| value.is_infinite()).count();
    }
    array.to_data().child_data().iter().map(|child| infinities(&arrow_array::make_array(child.clone()))).sum()
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{Int64Builder, ListBuilder, MapBuilder, StringBuilder};
    use arrow_array::types::{
        Decimal128Type, DurationMicrosecondType, Int64Type, IntervalMonthDayNano, TimestampMicrosecondType,
    };
    use arrow_array::{
        BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, DurationSecondArray,
        FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int64Array, IntervalMonthDayNanoArray, StringArray,
        StructArray, TimestampMillisecondArray,
    };
    use arrow_schema::Field;
    use udfleet_proto::types::simple;
    use udfleet_proto::v1::{Field as Part, TypeRoot};

    use super::*;

    fn list_of(element: DataType) -> DataType {
        DataType { element: Some(Box::new(element)), ..simple(TypeRoot::Array) }
    }

    fn not_null(data_type: DataType) -> DataType {
        DataType { not_null: true, ..data_type }
    }

    fn decimal(precision: u32, scale: u32) -> DataType {
        DataType { precision, scale, ..simple(TypeRoot::Decimal) }
    }

    fn digits(root: TypeRoot, precision: u32) -> DataType {
        DataType { precision, ..simple(root) }
    }

    fn fits(array: impl Array + 'static, declared: &DataType) -> ArrayRef {
        let fitted = fit(&(Arc::new(array) as ArrayRef), declared, Source::Arrow).unwrap();
        assert_eq!(fitted.data_type(), &arrow_type(declared));
        fitted
    }

    /// The row of the error.
    fn misfits(array: impl Array + 'static, declared: &DataType) -> Option<u64> {
        let error = fit(&(Arc::new(array) as ArrayRef), declared, Source::Arrow).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ResultType, "{error}");
        error.info().row
    }

    #[test]
    fn numbers_convert_where_the_value_stays() {
        let bigint = simple(TypeRoot::Bigint);
        assert_eq!(fits(Float64Array::from(vec![Some(2.0), None]), &bigint).null_count(), 1);
        assert_eq!(misfits(Float64Array::from(vec![2.0, 1.9]), &bigint), Some(1));
        assert_eq!(misfits(Float64Array::from(vec![f64::NAN]), &bigint), Some(0));
        assert_eq!(misfits(Int64Array::from(vec![1, 300]), &simple(TypeRoot::Tinyint)), Some(1));
        assert_eq!(misfits(Int64Array::from(vec![(1 << 53) + 1]), &simple(TypeRoot::Double)), Some(0));
        assert_eq!(misfits(Decimal128Array::from(vec![1]), &bigint), None, "another kind");
        assert_eq!(misfits(Int64Array::from(vec![1]), &simple(TypeRoot::Boolean)), None);
        assert_eq!(
            fits(BooleanArray::from(vec![true]), &bigint).as_primitive::<arrow_array::types::Int64Type>().value(0),
            1
        );
    }

    #[test]
    fn single_precision_takes_the_nearest_but_no_infinity() {
        let float = simple(TypeRoot::Float);
        let fitted = fits(Float64Array::from(vec![Some(0.1), None, Some(f64::INFINITY), Some(f64::NAN)]), &float);
        assert_eq!(fitted.as_primitive::<Float32Type>().value(0), 0.1_f32);
        assert_eq!(misfits(Float64Array::from(vec![1.0, 1e39]), &float), Some(1));
        assert_eq!(misfits(Int64Array::from(vec![(1 << 24) + 1]), &float), Some(0), "an integer is not rounded");
        let mut lists = ListBuilder::new(arrow_array::builder::Float64Builder::new());
        for value in [0.1, 1e39] {
            lists.values().append_value(value);
            lists.append(true);
        }
        assert_eq!(misfits(lists.finish(), &list_of(float)), Some(1));
    }

    #[test]
    fn signs_of_zeros_and_bits_of_nans_do_not_matter() {
        let odd = || Float32Array::from(vec![-0.0]);
        assert_eq!(fits(odd(), &simple(TypeRoot::Bigint)).as_primitive::<Int64Type>().value(0), 0);
        assert!(fits(odd(), &simple(TypeRoot::Double)).as_primitive::<Float64Type>().value(0).is_sign_negative());
        let signalling = Float32Array::from(vec![f32::from_bits(0x7f80_0001)]);
        assert!(fits(signalling, &simple(TypeRoot::Double)).as_primitive::<Float64Type>().value(0).is_nan());
        let mut lists = ListBuilder::new(arrow_array::builder::Float64Builder::new());
        lists.append_value([Some(-0.0)]);
        assert_eq!(fits(lists.finish(), &list_of(simple(TypeRoot::Bigint))).len(), 1);
    }

    #[test]
    fn views_and_lists_of_fixed_size_are_taken_with_their_nulls() {
        let binary = DataType { length: 2, ..simple(TypeRoot::Binary) };
        let views = BinaryViewArray::from_iter([Some(b"ab".as_slice()), None]);
        assert_eq!(fits(views.clone(), &binary).null_count(), 1);
        assert_eq!(misfits(views, &DataType { length: 3, ..binary }), Some(0));
        let pairs = [Some(vec![Some(1), Some(2)]), None];
        let pairs = FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(pairs, 2);
        assert_eq!(fits(pairs, &list_of(not_null(simple(TypeRoot::Double)))).null_count(), 1);
    }

    #[test]
    fn dictionaries_of_any_values_are_taken() {
        let keys = || Int8Array::from(vec![Some(1), None, Some(0)]);
        let truths = Arc::new(BooleanArray::from(vec![false, true])) as ArrayRef;
        let truths = DictionaryArray::new(keys(), truths);
        assert!(fits(truths, &simple(TypeRoot::Boolean)).as_boolean().value(0));
        let durations = Arc::new(DurationSecondArray::from(vec![1, 2])) as ArrayRef;
        let durations = DictionaryArray::new(keys(), durations);
        let fitted = fits(durations, &simple(TypeRoot::IntervalDayTime));
        assert_eq!(fitted.as_primitive::<DurationMicrosecondType>().value(0), 2_000_000);
        let numbers = Arc::new(Int64Array::from(vec![1, 300])) as ArrayRef;
        assert_eq!(misfits(DictionaryArray::new(keys(), numbers), &simple(TypeRoot::Tinyint)), Some(0));
    }

    #[test]
    fn counts_are_there_and_months_have_no_days() {
        let month = simple(TypeRoot::IntervalYearMonth);
        let values = |days| IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, days, 0)]);
        assert_eq!(fits(values(0), &month).len(), 1);
        assert_eq!(misfits(values(1), &month), Some(0));
        let mut counts = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        counts.keys().append_value("a");
        counts.values().append_null();
        counts.append(true).unwrap();
        let text = DataType { length: 9, ..simple(TypeRoot::Varchar) };
        let multiset = DataType { element: Some(Box::new(text)), ..simple(TypeRoot::Multiset) };
        assert_eq!(misfits(counts.finish(), &multiset), Some(0));
    }

    #[test]
    fn decimals_are_exact() {
        let wide = || Decimal128Array::from(vec![125, 1250]).with_precision_and_scale(10, 3).unwrap();
        assert_eq!(misfits(wide(), &decimal(10, 2)), Some(0));
        assert_eq!(fits(wide().slice(1, 1), &decimal(10, 2)).as_primitive::<Decimal128Type>().value(0), 125);
        let lying = Decimal128Array::from(vec![10_000]).with_precision_and_scale(4, 2).unwrap();
        assert_eq!(misfits(lying, &decimal(4, 2)), Some(0), "more digits than its type says");
        assert_eq!(fits(Int64Array::from(vec![7]), &decimal(4, 2)).as_primitive::<Decimal128Type>().value(0), 700);
        assert_eq!(misfits(Float64Array::from(vec![0.5]), &decimal(4, 2)), None);
    }

    #[test]
    fn time_has_no_more_digits_and_no_other_years() {
        let millis = |values: Vec<i64>| TimestampMillisecondArray::from(values);
        let timestamp = |digits_| digits(TypeRoot::Timestamp, digits_);
        assert_eq!(misfits(millis(vec![100, 123]), &timestamp(1)), Some(1));
        assert_eq!(fits(millis(vec![100]), &timestamp(6)).as_primitive::<TimestampMicrosecondType>().value(0), 100_000);
        assert_eq!(misfits(millis(vec![0, 253_402_300_800_000]), &timestamp(3)), Some(1), "the year 10000");
        assert_eq!(misfits(Date32Array::from(vec![0, 2_932_897]), &simple(TypeRoot::Date)), Some(1));
        let zoned = millis(vec![0]).with_timezone("UTC");
        assert_eq!(misfits(zoned, &timestamp(3)), None, "a time zone is not dropped");
        let midnight: ArrayRef = Arc::new(millis(vec![86_400_000, 1]));
        let date = simple(TypeRoot::Date);
        assert!(fit(&midnight, &date, Source::Arrow).is_err());
        assert_eq!(
            fit(&midnight.slice(0, 1), &date, Source::Pandas)
                .unwrap()
                .as_primitive::<arrow_array::types::Date32Type>()
                .value(0),
            1
        );
        assert_eq!(fit(&midnight, &date, Source::Pandas).unwrap_err().info().row, Some(1));
    }

    #[test]
    fn nested_values_are_held_to_the_same_rule_and_what_is_under_null_is_not() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.values().append_value("too long");
        lists.append(false);
        lists.values().append_value("ok");
        lists.append(true);
        let element = DataType { length: 3, ..simple(TypeRoot::Varchar) };
        let fine = fits(lists.finish_cloned(), &list_of(element.clone()));
        assert_eq!(fine.len(), 2);
        lists.values().append_value("long");
        lists.append(true);
        assert_eq!(misfits(lists.finish(), &list_of(element)), Some(2));

        let mut nulls = ListBuilder::new(Int64Builder::new());
        nulls.append_value([Some(1)]);
        nulls.append_value([None]);
        let strict = list_of(not_null(simple(TypeRoot::Bigint)));
        assert_eq!(misfits(nulls.finish(), &strict), Some(1));

        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        maps.keys().append_value("a");
        maps.values().append_value(300);
        maps.append(true).unwrap();
        let map = |value| DataType {
            key: Some(Box::new(DataType { length: u32::try_from(i32::MAX).unwrap(), ..simple(TypeRoot::Varchar) })),
            element: Some(Box::new(value)),
            ..simple(TypeRoot::Map)
        };
        let built = maps.finish();
        assert_eq!(fits(built.clone(), &map(simple(TypeRoot::Int))).len(), 1, "its entries are named otherwise");
        assert_eq!(misfits(built, &map(simple(TypeRoot::Tinyint))), Some(0));
    }

    #[test]
    fn rows_match_by_the_names_of_their_fields() {
        let part = |name: &str, data_type| Part { name: name.to_owned(), r#type: Some(data_type) };
        let row = DataType {
            fields: vec![part("a", not_null(simple(TypeRoot::Bigint))), part("b", simple(TypeRoot::Float))],
            ..simple(TypeRoot::Row)
        };
        let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
        let structs = |first: &str, values: Vec<Option<i64>>| {
            let rows = values.len();
            StructArray::from(vec![
                (field(first, Arrow::Int64), Arc::new(Int64Array::from(values)) as ArrayRef),
                (field("b", Arrow::Float32), Arc::new(Float32Array::from(vec![1.0; rows])) as ArrayRef),
            ])
        };
        assert_eq!(fits(structs("a", vec![Some(1)]), &row).len(), 1);
        assert_eq!(misfits(structs("a", vec![Some(1), None]), &row), Some(1));
        assert_eq!(misfits(structs("x", vec![Some(1)]), &row), None);
        let swapped = |last: &str| {
            StructArray::from(vec![
                (field("b", Arrow::Float32), Arc::new(Float32Array::from(vec![1.5])) as ArrayRef),
                (field(last, Arrow::Int32), Arc::new(arrow_array::Int32Array::from(vec![7])) as ArrayRef),
            ])
        };
        let fitted = fits(swapped("a"), &row);
        assert_eq!(fitted.as_struct().column(0).as_primitive::<Int64Type>().value(0), 7);
        assert_eq!(fitted.as_struct().column(1).as_primitive::<Float32Type>().value(0), 1.5);
        assert_eq!(misfits(swapped("b"), &row), None);
        let nested = DataType { element: Some(Box::new(row.clone())), ..simple(TypeRoot::Array) };
        let rows = swapped("a");
        let item = Arc::new(Field::new("item", rows.data_type().clone(), true));
        let offsets = arrow_buffer::OffsetBuffer::from_lengths([1]);
        let lists = arrow_array::ListArray::new(item, offsets, Arc::new(rows), None);
        let fitted = fits(lists, &nested);
        let inner = fitted.as_list::<i32>().values().clone();
        assert_eq!(inner.as_struct().column(0).as_primitive::<Int64Type>().value(0), 7, "at any depth");
    }

    #[test]
    fn texts_and_bytes_stay_what_they_are() {
        let text = DataType { length: 2, ..simple(TypeRoot::Char) };
        assert_eq!(misfits(StringArray::from(vec!["ab", "ä"]), &text), Some(1));
        assert_eq!(misfits(BinaryArray::from_vec(vec![b"ab"]), &text), None);
        let binary = DataType { length: 2, ..simple(TypeRoot::Binary) };
        assert_eq!(misfits(BinaryArray::from_vec(vec![b"ab", b"abc"]), &binary), Some(1));
        assert_eq!(misfits(Int8Array::from(vec![1]), &text), None);
        assert_eq!(misfits(StringArray::from(vec!["1"]), &simple(TypeRoot::Int)), None);
    }
}
