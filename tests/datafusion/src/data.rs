//! Tables in memory: flights with nulls, in several partitions, and numbers.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::error::Result;

const PARTITIONS: i64 = 4;
const BATCHES: i64 = 3;
const BATCH_ROWS: i64 = 5_000;

/// Rows of [`flights`].
pub const FLIGHTS: i64 = PARTITIONS * BATCHES * BATCH_ROWS;

const AIRPORTS: [&str; 5] = ["JFK", "LGA", "EWR", "LAX", "Zürich"];

fn airport(number: i64) -> &'static str {
    AIRPORTS[number.unsigned_abs() as usize % AIRPORTS.len()]
}

fn batch(numbers: std::ops::Range<i64>) -> Result<RecordBatch> {
    let numbers = || numbers.clone();
    let delay = |n: i64| (n % 7 != 3).then_some(((n * 37) % 120 - 20) as f64);
    let air_time = |n: i64| (n % 5 != 1).then_some((n % 600 + 30) as f64);
    let columns: [(&str, ArrayRef); 5] = [
        ("delay", Arc::new(numbers().map(delay).collect::<Float64Array>())),
        ("distance", Arc::new(Int64Array::from_iter_values(numbers().map(|n| (n * 13) % 2_500 + 80)))),
        ("air_time", Arc::new(numbers().map(air_time).collect::<Float64Array>())),
        ("origin", Arc::new(numbers().map(|n| (n % 11 != 0).then(|| airport(n))).collect::<StringArray>())),
        ("dest", Arc::new(StringArray::from_iter_values(numbers().map(|n| airport(n / 3))))),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))?)
}

/// delay, distance, air_time, origin, dest.
pub fn flights() -> Result<MemTable> {
    let rows = |number: i64| batch(number * BATCH_ROWS..(number + 1) * BATCH_ROWS);
    let partition = |of: i64| (of * BATCHES..(of + 1) * BATCHES).map(rows).collect::<Result<Vec<_>>>();
    let partitions = (0..PARTITIONS).map(partition).collect::<Result<Vec<_>>>()?;
    MemTable::try_new(partitions[0][0].schema(), partitions)
}

/// `n` from 0 to 9,999, in one batch.
pub fn numbers() -> Result<MemTable> {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10_000));
    let batch = RecordBatch::try_from_iter([("n", column)])?;
    MemTable::try_new(batch.schema(), vec![vec![batch]])
}
