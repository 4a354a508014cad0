//! Cuts off rows that a client already has, after the loss of an executor in the middle of an answer. Here, and where
//! batches are cut by keys ([`super::key_cutter`]), the coordinator decodes batches; else it only passes them on.

use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_schema::{ArrowError, Schema};
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::ipc;
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
    let schema = Arc::new(schema.clone());
    let batch = ipc::decode(&schema, &data.data_header, data.data_body).map_err(broken)?;
    let skipped = usize::try_from(rows).unwrap_or(usize::MAX).min(batch.num_rows());
    let rest = batch.slice(skipped, batch.num_rows() - skipped);
    let result = BatchResult { rows: rest.num_rows() as u64, ..result.clone() };
    Ok(ipc::encode(&rest).map_err(broken)?.with_app_metadata(result.encode_to_vec()))
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
        let result = BatchResult { sequence: 5, rows: 4, last: true, ..Default::default() };
        let cut = without_first(&schema, ipc::encode(&batch).unwrap(), &result, 1).unwrap();
        let told = BatchResult::decode(cut.app_metadata.clone()).unwrap();
        assert_eq!((told.sequence, told.rows, told.last), (5, 3, true));
        let rest = ipc::decode(&Arc::new(schema), &cut.data_header, cut.data_body).unwrap();
        let values: Vec<_> = rest.column(0).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(values, [None, Some(3), Some(4)]);
    }
}
