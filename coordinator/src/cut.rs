//! Cuts batches by the keys of their rows: what streams through functions with keyed state and grouped tables share.

use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_cast::cast;
use arrow_data::ArrayData;
use arrow_flight::FlightData;
use arrow_ipc::root_as_message;
use arrow_schema::{ArrowError, DataType, FieldRef, SchemaRef};
use arrow_select::take::take_record_batch;
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::frame::{bounded_rows, check, guarded, malformed, read_bounded};
use udfleet_proto::v1::ErrorCode;
use udfleet_proto::{ipc, key};

/// The most values in the key columns of a batch, with those inside of lists.
const MAX_KEY_VALUES: usize = 16 << 20;

/// A batch as it was sent, of at most so many rows.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] for one that is malformed, or none of the schema; [`ErrorCode::LimitExceeded`] for one that is
/// too large once its values are written out.
pub fn decode(schema: &SchemaRef, header: &Bytes, body: &Bytes, max_rows: usize) -> Result<RecordBatch, Error> {
    let bare = bare_header(header);
    let message = root_as_message(&bare).ok().and_then(|message| message.header_as_record_batch());
    let message = message.ok_or_else(|| malformed("its header is empty"))?;
    check(&message, body)?;
    bounded_rows(usize::try_from(message.length()).unwrap_or(usize::MAX), max_rows)?;
    read_bounded(schema, |schema| ipc::decode(schema, header, body.clone()))
}

/// The rows of each partition, by their key columns.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] where a key can't be encoded; [`ErrorCode::LimitExceeded`] where there are too many values.
pub fn rows(batch: &RecordBatch, columns: &[usize], partitions: u32) -> Result<Vec<Vec<u32>>, Error> {
    let columns: Vec<ArrayRef> = columns.iter().map(|column| batch.column(*column).clone()).collect();
    bounded_values(&columns)?;
    let keys = guarded(|| key::encode(&columns, batch.num_rows()))?;
    let mut rows = vec![Vec::new(); partitions as usize];
    for (row, key) in keys.iter().enumerate() {
        rows[key::partition(key, partitions) as usize].push(row as u32);
    }
    Ok(rows)
}

/// Refuses key columns of which a small message has more values than can be written out as keys: a bit each, or none at all.
fn bounded_values(columns: &[ArrayRef]) -> Result<(), Error> {
    fn values(data: &ArrayData) -> usize {
        data.child_data().iter().map(values).fold(data.len(), usize::saturating_add)
    }
    let found = columns.iter().map(|column| values(&column.to_data())).fold(0, usize::saturating_add);
    if found <= MAX_KEY_VALUES {
        return Ok(());
    }
    let message = format!("the key columns of a batch have {found} values, more than the limit of {MAX_KEY_VALUES}");
    Err(Error::new(ErrorCode::LimitExceeded, message).hint("send smaller batches, or make bundles smaller"))
}

/// Some rows of a batch, as they are sent.
///
/// # Errors
/// Where Arrow can't take them.
pub fn piece(batch: &RecordBatch, rows: &[u32]) -> Result<FlightData, Error> {
    guarded(|| {
        if rows.len() == batch.num_rows() {
            return ipc::encode(batch);
        }
        ipc::encode(&compact(take_record_batch(batch, &UInt32Array::from(rows.to_vec()))?)?)
    })
}

/// Of views and list views a few rows still refer to all bytes of the batch that they were taken from: sent to each of 256
/// partitions, these would be 256 times as many.
fn compact(taken: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let compacted = |column: &ArrayRef| {
        let plain = plain_type(column.data_type());
        if plain == *column.data_type() {
            return Ok(Arc::clone(column));
        }
        cast(&cast(column, &plain)?, column.data_type())
    };
    let columns: Vec<ArrayRef> = taken.columns().iter().map(compacted).collect::<Result<_, ArrowError>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(taken.num_rows()));
    RecordBatch::try_new_with_options(taken.schema(), columns, &options)
}

/// The layout of the same values in which each has bytes of its own.
fn plain_type(data_type: &DataType) -> DataType {
    let plain_field = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(plain_type(field.data_type())));
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) | DataType::ListView(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(plain_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain_field(item), *size),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::StringViewBuilder;
    use arrow_array::{BooleanArray, NullArray};
    use arrow_schema::Schema;

    use super::*;

    fn batch_of(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("key", column)]).unwrap()
    }

    #[test]
    fn no_piece_has_the_bytes_of_other_rows() {
        let mut texts = StringViewBuilder::new();
        (0..2000).for_each(|row| texts.append_value(format!("{row:01000}")));
        let batch = batch_of(Arc::new(texts.finish()));
        let message = ipc::encode(&batch).unwrap();
        let decoded = decode(&batch.schema(), &message.data_header, &message.data_body, 2000).unwrap();
        let by_partition = rows(&decoded, &[0], 256).unwrap();
        let pieces: Vec<FlightData> = by_partition.iter().map(|rows| piece(&decoded, rows).unwrap()).collect();
        assert!(pieces.iter().map(|piece| piece.data_body.len()).sum::<usize>() < message.data_body.len() * 2);
        for (rows, piece) in by_partition.iter().zip(pieces) {
            let read = ipc::decode(&batch.schema(), &piece.data_header, piece.data_body).unwrap();
            let expected = take_record_batch(&batch, &UInt32Array::from(rows.clone())).unwrap();
            assert_eq!(read, expected);
        }
        let refused = decode(&batch.schema(), &message.data_header, &message.data_body, 1999);
        assert_eq!(refused.unwrap_err().code(), ErrorCode::LimitExceeded);
    }

    #[test]
    fn small_messages_that_stand_for_large_batches_are_refused() {
        let mut texts = StringViewBuilder::new().with_deduplicate_strings();
        let large = "x".repeat(4 << 20);
        (0..100).for_each(|_| texts.append_value(&large));
        let batch = batch_of(Arc::new(texts.finish()));
        let message = ipc::encode(&batch).unwrap();
        assert!(message.data_body.len() < 8 << 20);
        let refused = decode(&batch.schema(), &message.data_header, &message.data_body, 1000);
        assert_eq!(refused.unwrap_err().code(), ErrorCode::LimitExceeded);
    }

    #[test]
    fn keys_without_bytes_are_counted() {
        let columns = |count: usize| -> [ArrayRef; 2] {
            [Arc::new(NullArray::new(count)), Arc::new(BooleanArray::from(vec![true; 10]))]
        };
        bounded_values(&columns(MAX_KEY_VALUES - 10)).unwrap();
        assert_eq!(bounded_values(&columns(MAX_KEY_VALUES)).unwrap_err().code(), ErrorCode::LimitExceeded);
    }

    #[test]
    fn views_inside_of_other_columns_are_compacted_too() {
        let item = Arc::new(arrow_schema::Field::new("item", DataType::Utf8View, true));
        let nested =
            DataType::Struct(vec![Arc::new(arrow_schema::Field::new("list", DataType::ListView(item), true))].into());
        let schema = Schema::new(vec![arrow_schema::Field::new("key", nested.clone(), true)]);
        let batch = RecordBatch::new_empty(Arc::new(schema));
        assert_eq!(compact(batch.clone()).unwrap(), batch);
        assert_ne!(plain_type(&nested), nested);
    }
}
