//! Conversions between Arrow types of ClickHouse and of the fleet with the same bytes, and types that ClickHouse lacks.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::ipc;
use udfleet_proto::v1::ErrorCode;

/// The columns as the function declares them, over the same bytes: ClickHouse's String is Arrow text whatever it holds,
/// and its DateTime64 always has a time zone. `None` where nothing differs. What does not fit is left as it is: the
/// fleet says what is wrong with it.
pub fn relabelled(given: &Schema, declared: &[FieldRef]) -> Option<Schema> {
    if given.fields().len() != declared.len() {
        return None;
    }
    let columns = given.fields().iter().zip(declared).map(|(given, declared)| field(given, declared));
    let columns: Vec<_> = columns.collect();
    (columns[..] != given.fields()[..]).then(|| Schema::new(columns))
}

fn field(given: &FieldRef, declared: &FieldRef) -> FieldRef {
    let data_type = data_type(given.data_type(), declared.data_type());
    if data_type == *given.data_type() {
        given.clone()
    } else {
        Arc::new(given.as_ref().clone().with_data_type(data_type))
    }
}

fn data_type(given: &DataType, declared: &DataType) -> DataType {
    match (given, declared) {
        (DataType::Utf8, DataType::Binary) => DataType::Binary,
        (DataType::Timestamp(unit, Some(_)), DataType::Timestamp(_, None)) => DataType::Timestamp(*unit, None),
        (DataType::List(given), DataType::List(declared)) => DataType::List(field(given, declared)),
        (DataType::Map(given, sorted), DataType::Map(declared, _)) => DataType::Map(field(given, declared), *sorted),
        (DataType::Struct(given), DataType::Struct(declared)) if given.len() == declared.len() => {
            DataType::Struct(given.iter().zip(declared).map(|(given, declared)| field(given, declared)).collect())
        }
        (given, _) => given.clone(),
    }
}

/// Looks for nulls in results that ClickHouse would read as something else: its arrays, maps and tuples have none.
#[derive(Debug)]
pub struct Results {
    /// Absent where the type has no such parts.
    checked: Option<SchemaRef>,
}

impl Results {
    /// For results of this schema.
    pub fn new(schema: &Schema) -> Self {
        let nested = schema.fields().iter().any(|field| is_never_null(field.data_type()));
        Self { checked: nested.then(|| Arc::new(schema.clone())) }
    }

    /// Checks a batch.
    ///
    /// # Errors
    /// `RESULT_TYPE` naming the first row at fault.
    pub fn check(&self, header: &Bytes, body: &Bytes) -> Result<(), Error> {
        let Some(schema) = &self.checked else { return Ok(()) };
        let batch =
            ipc::decode(schema, header, body.clone()).map_err(|e| Error::internal(format!("reading results: {e}")))?;
        match batch.columns().iter().find_map(first_row) {
            None => Ok(()),
            Some(row) => Err(Error::new(
                ErrorCode::ResultType,
                format!(
                    "the result {} holds a null that ClickHouse can't: its arrays, maps and tuples are never null",
                    schema.field(0).data_type()
                ),
            )
            .hint("return an empty list or map instead of None, or a row with null fields")
            .with(|info| info.row = Some(row))),
        }
    }
}

fn is_never_null(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::Map(..) | DataType::Struct(_))
}

fn first_row(column: &ArrayRef) -> Option<u64> {
    if !has_misplaced_null(column) {
        return None;
    }
    (0..column.len()).find(|row| has_misplaced_null(&column.slice(*row, 1))).map(|row| row as u64)
}

/// Whether an array, a map or a tuple in it is null.
fn has_misplaced_null(array: &ArrayRef) -> bool {
    let own = is_never_null(array.data_type()) && array.null_count() > 0;
    own || match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            has_misplaced_null(&within(list.values(), list.offsets()))
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let entry = |column| has_misplaced_null(&within(column, map.offsets()));
            entry(map.keys()) || entry(map.values())
        }
        DataType::Struct(_) => array.as_struct().columns().iter().any(has_misplaced_null),
        _ => false,
    }
}

/// The part of the values that offsets lead to: of a slice not all.
fn within(values: &ArrayRef, offsets: &[i32]) -> ArrayRef {
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    values.slice(first as usize, (last - first) as usize)
}

/// The result under the name that ClickHouse expects; `None` where it has it.
pub fn renamed(schema: &Schema, name: &str) -> Option<Schema> {
    let [result] = &schema.fields()[..] else { return None };
    (result.name() != name).then(|| Schema::new(vec![Field::clone(result).with_name(name)]))
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{Int64Builder, ListBuilder, MapBuilder, StringBuilder};
    use arrow_array::{Int64Array, RecordBatch, StructArray};
    use arrow_schema::TimeUnit;

    use super::*;

    fn schema(types: impl IntoIterator<Item = DataType>) -> Schema {
        Schema::new(types.into_iter().map(|each| Field::new("x", each, false)).collect::<Vec<_>>())
    }

    fn list(item: DataType) -> DataType {
        DataType::new_list(item, true)
    }

    fn row(parts: [DataType; 2]) -> DataType {
        DataType::Struct(
            parts.into_iter().enumerate().map(|(i, part)| Field::new(format!("f{i}"), part, true)).collect(),
        )
    }

    #[test]
    fn texts_are_bytes_and_times_have_no_zone_where_so_declared() {
        let zoned = || DataType::Timestamp(TimeUnit::Microsecond, Some("Etc/UTC".into()));
        let naive = || DataType::Timestamp(TimeUnit::Microsecond, None);
        let given = [DataType::Utf8, zoned(), zoned(), list(DataType::Utf8), row([zoned(), DataType::Utf8])];
        let declared = [DataType::Binary, naive(), zoned(), list(DataType::Binary), row([naive(), DataType::Utf8])];
        let expected = declared.clone();
        let (given, declared) = (schema(given), schema(declared));
        let relabelled = relabelled(&given, declared.fields()).unwrap();
        let types: Vec<_> = relabelled.fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, expected);
    }

    #[test]
    fn nothing_else_is_changed() {
        let same = |given: &[DataType], declared: &[DataType]| {
            let (given, declared) = (schema(given.to_vec()), schema(declared.to_vec()));
            assert!(relabelled(&given, declared.fields()).is_none(), "{given}");
        };
        same(&[DataType::Utf8], &[DataType::Utf8]);
        // The fleet converts these, or says what is wrong with them.
        same(&[DataType::Int32], &[DataType::Int64]);
        same(&[DataType::UInt32], &[DataType::Timestamp(TimeUnit::Second, None)]);
        same(&[DataType::Utf8, DataType::Utf8], &[DataType::Binary]);
    }

    fn check(column: ArrayRef) -> Result<(), Error> {
        let batch = RecordBatch::try_from_iter_with_nullable([("result", column, true)]).unwrap();
        let message = ipc::encode(&batch).unwrap();
        Results::new(&batch.schema()).check(&message.data_header, &message.data_body)
    }

    #[test]
    fn a_null_list_is_found_at_any_depth_and_a_null_in_it_is_none() {
        let mut lists = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
        lists.append_value([Some(vec![Some(1), None]), Some(vec![])]);
        lists.append(true);
        assert!(check(Arc::new(lists.finish_cloned())).is_ok());
        lists.append_value([Some(vec![Some(1)]), None]);
        let error = check(Arc::new(lists.finish_cloned())).unwrap_err();
        assert_eq!((error.code(), error.info().row), (ErrorCode::ResultType, Some(2)));
        lists.append(false);
        let outer = lists.finish();
        assert_eq!(check(Arc::new(outer.slice(3, 1))).unwrap_err().info().row, Some(0));
        assert!(check(Arc::new(outer.slice(0, 2))).is_ok());
    }

    #[test]
    fn null_maps_and_rows_are_found_and_null_values_of_them_are_none() {
        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        maps.keys().append_value("a");
        maps.values().append_null();
        maps.append(true).unwrap();
        assert!(check(Arc::new(maps.finish_cloned())).is_ok());
        maps.append(false).unwrap();
        assert_eq!(check(Arc::new(maps.finish())).unwrap_err().info().row, Some(1));

        let values = || Arc::new(Int64Array::from(vec![None, Some(1), Some(2)])) as ArrayRef;
        let fields: arrow_schema::Fields = vec![Field::new("a", DataType::Int64, true)].into();
        let rows = |nulls: Vec<bool>| StructArray::new(fields.clone(), vec![values()], Some(nulls.into()));
        assert!(check(Arc::new(rows(vec![true, true, true]))).is_ok());
        assert_eq!(check(Arc::new(rows(vec![true, true, false]))).unwrap_err().info().row, Some(2));
        // Values that may be null in ClickHouse too.
        assert!(check(values()).is_ok());
    }

    #[test]
    fn the_result_gets_the_name_that_is_asked_for() {
        let given = Schema::new(vec![Field::new("result", DataType::Int64, true)]);
        assert!(renamed(&given, "result").is_none());
        let other = renamed(&given, "y").unwrap();
        assert_eq!((other.field(0).name().as_str(), other.field(0).data_type()), ("y", &DataType::Int64));
    }
}
