//! Checks a stream's columns against a function. Columns match by position, since engines choose their own names.

use arrow_schema::{DataType, Field, Schema};
use udfleet_edge::engine::{DECIMAL_TEXT, EXTENSION};
use udfleet_proto::error::Error;
use udfleet_proto::types::sql;
use udfleet_proto::v1::ErrorCode;

use super::target::Target;

/// Checks number and types of the columns.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] naming the function, what it expects and what was given.
pub fn check(target: &Target, schema: &Schema) -> Result<(), Error> {
    let Some(declared) = &target.inputs else { return Ok(()) };
    let given = || schema.fields().iter().map(|f| f.data_type().to_string()).collect::<Vec<_>>().join(", ");
    let expected = || declared.iter().map(|(input, _)| sql(input)).collect::<Vec<_>>().join(", ");
    let refuse = |what: String| {
        let message = format!("{what}: {} takes ({}), given ({})", target.name, expected(), given());
        Error::new(ErrorCode::InvalidInput, message).function(&target.name)
    };
    if schema.fields().len() != declared.len() {
        let (wanted, got) = (declared.len(), schema.fields().len());
        return Err(refuse(format!("wrong number of columns, {got} in place of {wanted}")));
    }
    for (index, (field, (_, wanted))) in schema.fields().iter().zip(declared).enumerate() {
        if !fits(field, wanted) {
            return Err(refuse(format!("column {index} has the wrong type")));
        }
    }
    Ok(())
}

/// Kinds of values whose layouts convert into each other without changing what they mean.
#[derive(PartialEq, Eq)]
enum Family {
    Text,
    Bytes,
    Signed(u8),
    Unsigned(u8),
    Float(u8),
    Decimal,
    Time,
    Timestamp,
    Duration,
    Other,
}

fn family(data_type: &DataType) -> Family {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Family::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Family::Bytes,
        DataType::Int8 => Family::Signed(8),
        DataType::Int16 => Family::Signed(16),
        DataType::Int32 => Family::Signed(32),
        DataType::Int64 => Family::Signed(64),
        DataType::UInt8 => Family::Unsigned(8),
        DataType::UInt16 => Family::Unsigned(16),
        DataType::UInt32 => Family::Unsigned(32),
        DataType::UInt64 => Family::Unsigned(64),
        DataType::Float16 => Family::Float(16),
        DataType::Float32 => Family::Float(32),
        DataType::Float64 => Family::Float(64),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            Family::Decimal
        }
        DataType::Time32(_) | DataType::Time64(_) => Family::Time,
        DataType::Timestamp(..) => Family::Timestamp,
        DataType::Duration(_) => Family::Duration,
        _ => Family::Other,
    }
}

/// True where the field's metadata says that its values mean what is wanted: decimals that RisingWave sends as text, and
/// Databend's VARIANT, which is JSON text in binary.
fn says_so(field: &Field, given: &DataType, wanted: &DataType) -> bool {
    let metadata = |key: &str| field.metadata().get(key).map(String::as_str);
    match (family(given), family(wanted)) {
        (Family::Text, Family::Decimal) => metadata(EXTENSION) == Some(DECIMAL_TEXT),
        (Family::Bytes, Family::Text) => metadata("Extension") == Some("Variant"),
        _ => false,
    }
}

/// True where a column of type `given` can be taken for `wanted`: the same physical family, numbers only into wider
/// ones. Values that do not fit (a decimal with more digits) are refused when they come.
fn fits(field: &Field, wanted: &DataType) -> bool {
    let fits_field = |a: &Field, b: &Field| fits(a, b.data_type());
    match (field.data_type(), wanted) {
        (given, wanted) if given == wanted => true,
        (DataType::Null, _) => true,
        (given, wanted) if says_so(field, given, wanted) => true,
        (DataType::Dictionary(_, values), wanted) => {
            fits(&field.clone().with_data_type(values.as_ref().clone()), wanted)
        }
        (DataType::Timestamp(_, from), DataType::Timestamp(_, to)) => from.is_some() == to.is_some(),
        (
            DataType::List(a)
            | DataType::LargeList(a)
            | DataType::FixedSizeList(a, _)
            | DataType::ListView(a)
            | DataType::LargeListView(a),
            DataType::List(b) | DataType::LargeList(b),
        ) => fits_field(a, b),
        (DataType::Map(a, _), DataType::Map(b, _)) => fits_field(a, b),
        (DataType::Struct(a), DataType::Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| fits_field(a, b))
        }
        (given, wanted) => match (family(given), family(wanted)) {
            (Family::Other, _) | (_, Family::Other) => false,
            (Family::Signed(a), Family::Signed(b))
            | (Family::Unsigned(a), Family::Unsigned(b))
            | (Family::Float(a), Family::Float(b)) => a <= b,
            (Family::Unsigned(a), Family::Signed(b)) => a < b,
            (a, b) => a == b,
        },
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;

    use super::*;

    #[test]
    fn layouts_convert_meanings_do_not() {
        let fits = |given: &DataType, wanted: &DataType| fits(&Field::new("a", given.clone(), true), wanted);
        assert!(fits(&DataType::Utf8View, &DataType::Utf8));
        assert!(fits(&DataType::Int32, &DataType::Int64));
        assert!(!fits(&DataType::Int64, &DataType::Int32));
        assert!(fits(&DataType::UInt32, &DataType::Int64) && !fits(&DataType::UInt64, &DataType::Int64));
        assert!(!fits(&DataType::Int64, &DataType::Float64) && !fits(&DataType::Utf8, &DataType::Int64));
        assert!(fits(&DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::LargeUtf8)), &DataType::Utf8));
        let (naive, zoned) =
            (DataType::Timestamp(TimeUnit::Second, None), DataType::Timestamp(TimeUnit::Second, Some("UTC".into())));
        assert!(!fits(&naive, &zoned) && fits(&naive, &DataType::Timestamp(TimeUnit::Microsecond, None)));
        let list = |inner| DataType::new_list(inner, true);
        assert!(
            fits(&list(DataType::LargeUtf8), &list(DataType::Utf8))
                && !fits(&list(DataType::Utf8), &list(DataType::Int8))
        );
    }

    #[test]
    fn metadata_says_what_text_and_bytes_mean() {
        let field = |data_type: DataType, key: &str, value: &str| {
            Field::new("a", data_type, true).with_metadata([(key.to_owned(), value.to_owned())])
        };
        let decimal = DataType::Decimal128(10, 2);
        let extension = "ARROW:extension:name";
        assert!(fits(&field(DataType::Utf8, extension, "arrowudf.decimal"), &decimal));
        assert!(!fits(&field(DataType::Utf8, extension, "arrowudf.json"), &decimal));
        assert!(fits(&field(DataType::Utf8, extension, "arrowudf.json"), &DataType::Utf8));
        assert!(fits(&field(DataType::LargeBinary, "Extension", "Variant"), &DataType::Utf8));
        assert!(!fits(&Field::new("a", DataType::LargeBinary, true), &DataType::Utf8));
        let item = field(DataType::Utf8, extension, "arrowudf.decimal").with_name("item");
        let list = Field::new("a", DataType::LargeListView(item.into()), true);
        assert!(fits(&list, &DataType::new_list(decimal, true)));
    }
}
