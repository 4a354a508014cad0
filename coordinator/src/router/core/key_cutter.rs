//! Cuts batches by the hash of their key columns: rows of one key get into one piece.

use arrow_flight::FlightData;
use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_schema::{DataType, SchemaRef};
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::key;
use udfleet_proto::limits::MAX_BATCH_ROWS;

use crate::cut;

/// See the module.
pub(super) struct KeyCutter {
    schema: SchemaRef,
    columns: Vec<usize>,
    partitions: u32,
}

/// What a batch has for one partition.
#[derive(Debug)]
pub(super) struct Piece {
    pub partition: usize,
    /// Which rows of the batch it holds; `None`: all.
    pub rows: Option<Vec<u32>>,
    pub message: FlightData,
}

impl KeyCutter {
    /// For a stream of this schema. `None` where its batches can't be cut: they have no such columns, which is for an
    /// executor to refuse, or layouts whose pieces would share all of their values.
    pub fn new(schema: &FlightData, columns: &[u32], partitions: u32) -> Option<Self> {
        let schema = try_schema_from_flatbuffer_bytes(&bare_header(&schema.data_header)).ok()?;
        let columns: Vec<usize> = columns.iter().map(|column| *column as usize).collect();
        let is_key =
            |column: &usize| schema.fields().get(*column).is_some_and(|field| key::is_supported(field.data_type()));
        let cut = columns.iter().all(is_key) && schema.fields().iter().all(|field| can_be_cut(field.data_type()));
        cut.then(|| Self { schema: schema.into(), columns, partitions })
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> usize {
        self.partitions as usize
    }

    /// The pieces of a batch, without empty ones; at least one.
    ///
    /// # Errors
    /// [`udfleet_proto::v1::ErrorCode::InvalidInput`] for a batch that is none of the stream's schema.
    pub fn cut(&self, message: FlightData) -> Result<Vec<Piece>, Error> {
        let batch = cut::decode(&self.schema, &message.data_header, &message.data_body, MAX_BATCH_ROWS)?;
        let mut rows = cut::rows(&batch, &self.columns, self.partitions)?;
        let held = rows.iter().filter(|rows| !rows.is_empty()).count();
        if held <= 1 {
            let partition = rows.iter().position(|rows| !rows.is_empty()).unwrap_or_default();
            return Ok(vec![Piece { partition, rows: None, message }]);
        }
        let held = rows.iter_mut().enumerate().filter(|(_, rows)| !rows.is_empty());
        held.map(|(partition, rows)| {
            let message = cut::piece(&batch, rows)?;
            Ok(Piece { partition, rows: Some(std::mem::take(rows)), message })
        })
        .collect()
    }
}

/// Pieces of views refer to all values of their batch, and dictionaries lie outside of it.
fn can_be_cut(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8View
        | DataType::BinaryView
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::Dictionary(..)
        | DataType::RunEndEncoded(..)
        | DataType::Union(..) => false,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => can_be_cut(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| can_be_cut(field.data_type())),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array};
    use arrow_schema::{Field, Schema};
    use arrow_select::take::take_record_batch;
    use proptest::prelude::*;
    use udfleet_proto::ipc;
    use udfleet_proto::v1::ErrorCode;

    use super::*;

    fn batch(keys: &[Option<i64>]) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(0..keys.len() as i64);
        let words: StringArray = keys.iter().map(|key| key.map(|key| format!("of {key}"))).collect();
        let columns = [
            ("row", Arc::new(numbers) as ArrayRef),
            ("k", Arc::new(keys.iter().copied().collect::<Int64Array>())),
            ("w", Arc::new(words)),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    fn cutter(batch: &RecordBatch, columns: &[u32], partitions: u32) -> Option<KeyCutter> {
        KeyCutter::new(&ipc::schema_message(&batch.schema()), columns, partitions)
    }

    proptest! {
        #[test]
        fn each_row_is_in_one_piece_in_order_and_keys_stay_together(
            keys in prop::collection::vec(prop::option::of(0i64..6), 0..40),
            partitions in 1u32..6,
        ) {
            let batch = batch(&keys);
            let cutter = cutter(&batch, &[1], partitions).unwrap();
            let pieces = cutter.cut(ipc::encode(&batch).unwrap()).unwrap();
            prop_assert!(!pieces.is_empty());
            let (mut seen, mut homes) = (Vec::new(), BTreeMap::new());
            for piece in pieces {
                let rows = piece.rows.unwrap_or_else(|| (0..keys.len() as u32).collect());
                prop_assert!(rows.is_sorted() && piece.partition < partitions as usize);
                let held = ipc::decode(&batch.schema(), &piece.message.data_header, piece.message.data_body).unwrap();
                let expected = take_record_batch(&batch, &UInt32Array::from(rows.clone())).unwrap();
                prop_assert_eq!(&held, &expected);
                for key in held.column(1).as_primitive::<Int64Type>() {
                    prop_assert_eq!(*homes.entry(key).or_insert(piece.partition), piece.partition);
                }
                seen.extend(rows);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..keys.len() as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_can_not_be_cut_is_left_to_one_executor() {
        let plain = batch(&[Some(1)]);
        assert!(cutter(&plain, &[3], 2).is_none(), "there is no such column");
        let words = Field::new("w", DataType::Utf8View, true);
        let views = ipc::schema_message(&Schema::new(vec![Field::new("k", DataType::Int64, true), words]));
        assert!(KeyCutter::new(&views, &[0], 2).is_none());
    }

    #[test]
    fn a_malformed_batch_is_refused() {
        let plain = batch(&[Some(1), Some(2)]);
        let message = ipc::encode(&plain).unwrap();
        let cut_off = FlightData { data_body: message.data_body.slice(..8), ..message };
        let error = cutter(&plain, &[1], 2).unwrap().cut(cut_off).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidInput);
    }
}
