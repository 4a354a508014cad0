//! Puts the results of a bundle's partitions into the order of the rows that gave them.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{Array as _, RecordBatch, UInt32Array};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::frame::guarded;
use udfleet_proto::ipc;

/// The most bytes of a message to a client, but for one of a single row.
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
    let mut parts = Vec::new();
    let mut left = vec![results.clone()];
    while let Some(rows) = left.pop() {
        let half = rows.num_rows() / 2;
        if half > 0 && bytes(&rows)? > PART_BYTES {
            left.push(rows.slice(half, rows.num_rows() - half));
            left.push(rows.slice(0, half));
            continue;
        }
        let message = guarded(|| ipc::encode(&rows))?;
        parts.push((message.data_header, message.data_body));
    }
    Ok(parts)
}

/// What these rows take, and not what they are a part of.
fn bytes(rows: &RecordBatch) -> Result<usize, Error> {
    let sizes = || rows.columns().iter().map(|column| column.to_data().get_slice_memory_size()).sum();
    guarded(sizes)
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
    fn messages_are_bounded_also_where_one_row_is_much_larger_than_others() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]));
        let mut texts = vec!["small".to_owned(); 10_000];
        (0..12).for_each(|row| texts[row * 700] = "x".repeat(3 << 20));
        texts[9_999] = "y".repeat(5 << 20);
        let column: arrow_array::ArrayRef = Arc::new(arrow_array::StringArray::from(texts.clone()));
        let parts = parts(&RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap()).unwrap();
        let mut found = Vec::new();
        for (header, body) in parts {
            let batch = ipc::decode(&schema, &header, body.clone()).unwrap();
            assert!(body.len() <= PART_BYTES + 4096 || batch.num_rows() == 1);
            found.extend(batch.column(0).as_string::<i32>().iter().map(|text| text.unwrap().to_owned()));
        }
        assert_eq!(found, texts);
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
