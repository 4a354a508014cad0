//! From the Arrow array that a pandas or arrow function gave to the declared type: cast within its kind where nothing is
//! lost, then held to the same policy as Python values.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_cast::display::array_value_to_string;
use arrow_cast::{can_cast_types, cast};
use arrow_schema::{ArrowError, DataType as Arrow, Field, FieldRef};
use arrow_select::take::take;
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::{DataType, ErrorCode};

use crate::misfit::find_misfit;

/// Where an array comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The function made it.
    Arrow,
    /// A Series: pandas has no dates of its own, so that midnights stand for them.
    Pandas,
}

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
    let nullable = arrow_type(&without_not_null(declared));
    let converted = convert(array, &nullable, declared, source)?;
    check_result(&converted, declared)?;
    cast(&converted, &wanted).map_err(|e| refuse(array, declared, &format!(": {e}")))
}

/// Refuses the first value of a result that its type does not take; the Arrow type has been made sure of before.
///
/// # Errors
/// [`ErrorCode::ResultType`] with row and value.
pub fn check_result(array: &ArrayRef, declared: &DataType) -> Result<(), Error> {
    find_misfit(array, declared).map_or(Ok(()), |(row, why)| Err(misfit(array, row, declared, &why)))
}

fn misfit(array: &ArrayRef, row: usize, declared: &DataType, why: &str) -> Error {
    let shown =
        if array.is_null(row) { "None".to_owned() } else { array_value_to_string(array, row).unwrap_or_default() };
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

fn without_not_null(data_type: &DataType) -> DataType {
    let part = |part: &Option<Box<DataType>>| part.as_deref().map(|inner| Box::new(without_not_null(inner)));
    let mut fields = data_type.fields.clone();
    for field in &mut fields {
        field.r#type = field.r#type.as_ref().map(without_not_null);
    }
    DataType {
        not_null: false,
        element: part(&data_type.element),
        key: part(&data_type.key),
        fields,
        ..data_type.clone()
    }
}

fn convert(array: &ArrayRef, wanted: &Arrow, declared: &DataType, source: Source) -> Result<ArrayRef, Error> {
    let array = &prepared(array, wanted).map_err(|e| refuse(array, declared, &format!(": {e}")))?;
    let given = array.data_type();
    if given == wanted {
        return Ok(Arc::clone(array));
    }
    if !can_cast_types(given, wanted) || !same_kind(given, wanted, source) {
        let shown = (0..array.len()).find(|row| array.is_valid(*row)).map(|row| array_value_to_string(array, row));
        let shown = shown.and_then(Result::ok).unwrap_or_default();
        let such_as = if shown.is_empty() { String::new() } else { format!(" (such as {shown})") };
        return Err(refuse(array, declared, &such_as).with(|info| info.value = shown));
    }
    // Single precision takes the nearest value: everything else is compared in double precision.
    let wide = widened(given, wanted);
    let exact = cast(array, &wide).map_err(|e| refuse(array, declared, &format!(": {e}")))?;
    // What does not fit becomes null, and does not come back.
    let back = cast(&exact, given).map_err(|e| refuse(array, declared, &format!(": {e}")))?;
    if back.to_data() != array.to_data() {
        let changed = |row: &usize| array.slice(*row, 1).to_data() != back.slice(*row, 1).to_data();
        let Some(row) = (0..array.len()).find(changed) else {
            return Err(refuse(array, declared, ": values would change"));
        };
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

/// What no cast brings back: columns without a type, and the sign of a zero that becomes an integer.
fn prepared(array: &ArrayRef, wanted: &Arrow) -> Result<ArrayRef, ArrowError> {
    let typed = typed(array.data_type(), wanted);
    let array = if &typed == array.data_type() { Arc::clone(array) } else { cast(array, &typed)? };
    match array.as_primitive_opt::<Float64Type>() {
        Some(values) if wanted.is_integer() => Ok(Arc::new(values.unary::<_, Float64Type>(|value| value + 0.0))),
        _ => Ok(array),
    }
}

/// `given`, with the type that is wanted wherever it has none.
fn typed(given: &Arrow, wanted: &Arrow) -> Arrow {
    let child = |given: &FieldRef, wanted: &FieldRef| -> FieldRef {
        Arc::new(given.as_ref().clone().with_data_type(typed(given.data_type(), wanted.data_type())))
    };
    match (given, wanted) {
        (Arrow::Null, wanted) => wanted.clone(),
        (Arrow::List(a), Arrow::List(b)) => Arrow::List(child(a, b)),
        (Arrow::LargeList(a), Arrow::List(b)) => Arrow::LargeList(child(a, b)),
        (Arrow::FixedSizeList(a, size), Arrow::List(b)) => Arrow::FixedSizeList(child(a, b), *size),
        (Arrow::Map(a, sorted), Arrow::Map(b, _)) => Arrow::Map(child(a, b), *sorted),
        (Arrow::Struct(a), Arrow::Struct(b)) if a.len() == b.len() => {
            Arrow::Struct(a.iter().zip(b).map(|(a, b)| child(a, b)).collect::<Vec<_>>().into())
        }
        (given, _) => given.clone(),
    }
}

/// `wanted`, in double precision wherever that is what is given.
fn widened(given: &Arrow, wanted: &Arrow) -> Arrow {
    let child = |given: &FieldRef, wanted: &FieldRef| -> FieldRef {
        let inner = widened(given.data_type(), wanted.data_type());
        Arc::new(Field::new(wanted.name(), inner, wanted.is_nullable()))
    };
    match (given, wanted) {
        (Arrow::Float64, Arrow::Float32) => Arrow::Float64,
        (Arrow::Dictionary(_, values), wanted) => widened(values, wanted),
        (Arrow::List(a) | Arrow::LargeList(a) | Arrow::FixedSizeList(a, _), Arrow::List(b)) => Arrow::List(child(a, b)),
        (Arrow::Map(a, _), Arrow::Map(b, sorted)) => Arrow::Map(child(a, b), *sorted),
        (Arrow::Struct(a), Arrow::Struct(b)) => {
            Arrow::Struct(a.iter().zip(b).map(|(a, b)| child(a, b)).collect::<Vec<_>>().into())
        }
        (_, wanted) => wanted.clone(),
    }
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

/// Casts between kinds of values (text to number, number to truth) are conversions that nobody asked for.
fn same_kind(from: &Arrow, to: &Arrow, source: Source) -> bool {
    let parts = |a: &FieldRef, b: &FieldRef| same_kind(a.data_type(), b.data_type(), source);
    let text = |t: &Arrow| matches!(t, Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View);
    let binary =
        |t: &Arrow| matches!(t, Arrow::Binary | Arrow::LargeBinary | Arrow::BinaryView | Arrow::FixedSizeBinary(_));
    match (from, to) {
        (Arrow::Null, _) => true,
        (Arrow::Dictionary(_, values), to) => same_kind(values, to, source),
        // As in Python, a truth value is an integer.
        (Arrow::Boolean, to) => *to == Arrow::Boolean || to.is_integer() || to.is_floating(),
        (from, to) if from.is_decimal() => to.is_decimal(),
        (from, to) if to.is_decimal() => from.is_integer(),
        (from, to) if from.is_numeric() => to.is_numeric(),
        (from, to) if text(from) => text(to),
        (from, to) if binary(from) => binary(to),
        (Arrow::Date32 | Arrow::Date64, to) => *to == Arrow::Date32,
        (Arrow::Time32(_) | Arrow::Time64(_), to) => matches!(to, Arrow::Time32(_) | Arrow::Time64(_)),
        (Arrow::Timestamp(_, None), Arrow::Date32) => source == Source::Pandas,
        (Arrow::Timestamp(_, a), Arrow::Timestamp(_, b)) => a.is_some() == b.is_some(),
        (Arrow::Duration(_), to) => matches!(to, Arrow::Duration(_)),
        (Arrow::List(a) | Arrow::LargeList(a) | Arrow::FixedSizeList(a, _), Arrow::List(b)) => parts(a, b),
        (Arrow::Map(a, _), Arrow::Map(b, _)) => parts(a, b),
        (Arrow::Struct(a), Arrow::Struct(b)) => {
            let named = |(a, b): (&FieldRef, &FieldRef)| (a.name() == b.name()) && parts(a, b);
            let entries = |(a, b): (&FieldRef, &FieldRef)| parts(a, b);
            a.len() == b.len() && (a.iter().zip(b).all(named) || (is_entries(b) && a.iter().zip(b).all(entries)))
        }
        _ => false,
    }
}

/// The entries of a map: their names mean nothing.
fn is_entries(fields: &arrow_schema::Fields) -> bool {
    matches!(fields.as_ref(), [key, value] if key.name() == "key" && value.name() == "value" && !key.is_nullable())
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{Int64Builder, ListBuilder, MapBuilder, StringBuilder};
    use arrow_array::types::{Decimal128Type, TimestampMicrosecondType};
    use arrow_array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int64Array,
        StringArray, StructArray, TimestampMillisecondArray,
    };
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
