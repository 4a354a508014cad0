//! Puts the results of a bundle's partitions into the order of the rows that gave them.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::frame::guarded;
use udfleet_proto::ipc;

/// About the most bytes of a message to a client, whose bound is some times this.
const PART_BYTES: usize = 4 << 20;

/// Results of one partition.
pub struct PartitionResults<'a> {
    /// The row of the bundle that each row of the partition is; none: its results are left out.
    pub rows: &'a [Option<u32>],
    /// Batches, whose first column is the row of the partition that a result is for.
    pub batches: &'a [(Bytes, Bytes)],
}

/// The columns of results without the row that each is for.
#[must_use]
pub fn result_schema(with_row: &Schema) -> Schema {
    Schema::new(with_row.fields().iter().skip(1).cloned().collect::<Vec<_>>())
}

/// All results, as messages of a bounded size; at least one.
///
/// # Errors
/// Where results are not of `schema`, or belong to no row.
pub fn merged(schema: &SchemaRef, partitions: &[PartitionResults<'_>]) -> Result<Vec<(Bytes, Bytes)>, Error> {
    let mut batches = Vec::new();
    let mut order = Vec::new();
    for partition in partitions {
        for (header, body) in partition.batches {
            let batch = guarded(|| ipc::decode(schema, header, body.clone()))?;
            let origins = batch.columns().first().and_then(|column| column.as_primitive_opt::<Int32Type>());
            let origins = origins.ok_or_else(|| Error::internal("results without the rows that they are for"))?;
            for origin in origins.values() {
                let row = usize::try_from(*origin).ok().and_then(|row| partition.rows.get(row));
                order.push(*row.ok_or_else(|| Error::internal("a result for a row that there is not"))?);
            }
            batches.push(batch);
        }
    }
    let mut positions: Vec<u32> = (0..order.len() as u32).filter(|at| order[*at as usize].is_some()).collect();
    positions.sort_by_key(|position| order[*position as usize]);
    let sorted = guarded(|| {
        let all = concat_batches(schema, &batches)?;
        take_record_batch(&all, &UInt32Array::from(positions))
    })?;
    let columns = sorted.columns().iter().skip(1).cloned().collect();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(sorted.num_rows()));
    let results = guarded(|| RecordBatch::try_new_with_options(Arc::new(result_schema(schema)), columns, &options))?;
    parts(&results)
}

fn parts(results: &RecordBatch) -> Result<Vec<(Bytes, Bytes)>, Error> {
    let (rows, bytes) = (results.num_rows(), results.get_array_memory_size());
    let step = (rows * PART_BYTES / bytes.max(1)).clamp(1, rows.max(1));
    let starts = (0..rows.max(1)).step_by(step);
    starts
        .map(|start| {
            let message = guarded(|| ipc::encode(&results.slice(start, step.min(rows - start))))?;
            Ok((message.data_header, message.data_body))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int32Array, Int64Array};
    use arrow_schema::{DataType, Field};

    use super::*;

    fn batch(schema: &SchemaRef, rows: &[i32], values: &[i64]) -> (Bytes, Bytes) {
        let columns: Vec<arrow_array::ArrayRef> =
            vec![Arc::new(Int32Array::from(rows.to_vec())), Arc::new(Int64Array::from(values.to_vec()))];
        let message = ipc::encode(&RecordBatch::try_new(Arc::clone(schema), columns).unwrap()).unwrap();
        (message.data_header, message.data_body)
    }

    fn schema() -> SchemaRef {
        let fields = vec![Field::new("row", DataType::Int32, false), Field::new("n", DataType::Int64, true)];
        Arc::new(Schema::new(fields))
    }

    fn values(schema: &SchemaRef, parts: Vec<(Bytes, Bytes)>) -> Vec<i64> {
        let schema = Arc::new(result_schema(schema));
        let read = |(header, body): (Bytes, Bytes)| ipc::decode(&schema, &header, body).unwrap();
        let batches: Vec<RecordBatch> = parts.into_iter().map(read).collect();
        batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<arrow_array::types::Int64Type>().values().to_vec())
            .collect()
    }

    #[test]
    fn results_come_in_the_order_of_their_rows() {
        let schema = schema();
        let first = [batch(&schema, &[0, 0, 2], &[10, 11, 30]), batch(&schema, &[3], &[50])];
        let second = [batch(&schema, &[0], &[20])];
        let partitions = [
            PartitionResults { rows: &[0, 2, 3, 5].map(Some), batches: &first },
            PartitionResults { rows: &[1, 4].map(Some), batches: &second },
        ];
        assert_eq!(values(&schema, merged(&schema, &partitions).unwrap()), [10, 11, 20, 30, 50]);
    }

    #[test]
    fn a_bundle_without_results_is_one_empty_part() {
        let schema = schema();
        let parts = merged(&schema, &[PartitionResults { rows: &[Some(0)], batches: &[] }]).unwrap();
        assert_eq!(parts.len(), 1);
        assert!(values(&schema, parts).is_empty());
    }

    #[test]
    fn a_result_for_no_row_is_refused() {
        let schema = schema();
        let batches = [batch(&schema, &[1], &[10])];
        assert!(merged(&schema, &[PartitionResults { rows: &[Some(0)], batches: &batches }]).is_err());
    }
}
