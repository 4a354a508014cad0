//! Where ClickHouse and the fleet name the same bytes differently, and what ClickHouse can't hold.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::root_as_message;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use udfleet_proto::error::Error;
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
    pub fn check(&self, header: &[u8], body: &[u8]) -> Result<(), Error> {
        let Some(schema) = &self.checked else { return Ok(()) };
        let batch = decode(schema, header, body).map_err(|e| Error::internal(format!("reading results: {e}")))?;
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

fn decode(schema: &SchemaRef, header: &[u8], body: &[u8]) -> Result<RecordBatch, String> {
    let message = root_as_message(header).map_err(|e| e.to_string())?;
    let batch = message.header_as_record_batch().ok_or("no batch")?;
    read_record_batch(&Buffer::from(body), batch, schema.clone(), &HashMap::new(), None, &message.version())
        .map_err(|e| e.to_string())
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
