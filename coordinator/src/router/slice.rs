//! Cuts off rows that a client already has. The only place where the coordinator decodes a batch: after the loss of an
//! executor in the middle of an answer.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_flight::utils::flight_data_to_arrow_batch;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{ArrowError, Schema};
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::v1::BatchResult;

/// The part without its first rows.
///
/// # Errors
/// When the part is no batch of this schema.
pub(super) fn without_first(
    schema: &Schema,
    data: FlightData,
    result: &BatchResult,
    rows: u64,
) -> Result<FlightData, Error> {
    let broken = |e: ArrowError| Error::internal(format!("an executor's answer can't be read: {e}"));
    let bare = FlightData { data_header: bare_header(&data.data_header), ..data };
    let batch = flight_data_to_arrow_batch(&bare, Arc::new(schema.clone()), &HashMap::new()).map_err(broken)?;
    let skipped = usize::try_from(rows).unwrap_or(usize::MAX).min(batch.num_rows());
    let rest = batch.slice(skipped, batch.num_rows() - skipped);
    let mut dictionaries = DictionaryTracker::new(false);
    let (_, encoded) = IpcDataGenerator::default()
        .encode(&rest, &mut dictionaries, &IpcWriteOptions::default(), &mut Default::default())
        .map_err(broken)?;
    let result = BatchResult { rows: rest.num_rows() as u64, ..result.clone() };
    Ok(FlightData::from(encoded).with_app_metadata(result.encode_to_vec()))
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, RecordBatch};
    use arrow_schema::{DataType, Field};

    use super::*;

    #[test]
    fn the_first_rows_are_gone_and_the_rest_is_the_same() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        let column = Int64Array::from(vec![Some(1), None, Some(3), Some(4)]);
        let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![Arc::new(column)]).unwrap();
        let mut tracker = DictionaryTracker::new(false);
        let (_, encoded) = IpcDataGenerator::default()
            .encode(&batch, &mut tracker, &IpcWriteOptions::default(), &mut Default::default())
            .unwrap();
        let result = BatchResult { sequence: 5, rows: 4, last: true, ..Default::default() };
        let cut = without_first(&schema, FlightData::from(encoded), &result, 1).unwrap();
        let told = BatchResult::decode(cut.app_metadata.clone()).unwrap();
        assert_eq!((told.sequence, told.rows, told.last), (5, 3, true));
        let rest = flight_data_to_arrow_batch(&cut, Arc::new(schema), &HashMap::new()).unwrap();
        let values: Vec<_> = rest.column(0).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(values, [None, Some(3), Some(4)]);
    }
}
