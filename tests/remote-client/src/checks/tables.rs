//! Table functions: two columns, the row of the input and the value.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_udf_runtime::remote::Client;
use futures::TryStreamExt as _;

use crate::columns::{batch, int_values, ints, texts};
use crate::{Failure, expect};

async fn call(client: &Client, name: &str, input: &RecordBatch) -> Result<Vec<RecordBatch>, Failure> {
    let batches: Vec<_> = client.call_table_function(name, input).await?.try_collect().await?;
    for batch in &batches {
        expect!(batch.num_columns() == 2, "{batch:?}");
    }
    Ok(batches)
}

pub async fn table(client: &Client) -> Result<(), Failure> {
    let batches = call(client, "series", &batch(vec![ints([Some(2), Some(0), None, Some(3000)])])?).await?;
    let column = |index| batches.iter().flat_map(move |batch| int_values(batch, index)).collect::<Vec<_>>();
    let rows = [0, 0].into_iter().chain(std::iter::repeat_n(3, 3000)).map(Some);
    expect!(column(0).into_iter().eq(rows), "{} rows", column(0).len());
    expect!(column(1).into_iter().eq((0..2).chain(0..3000).map(Some)), "{} values", column(1).len());
    Ok(())
}

pub async fn of_columns(client: &Client) -> Result<(), Failure> {
    let batches = call(client, "words", &batch(vec![texts([Some("one three"), None, Some("five")])])?).await?;
    let mut found = Vec::new();
    for batch in &batches {
        let Some(values) = batch.column(1).as_struct_opt() else {
            return Err(format!("expected a struct, found {batch:?}").into());
        };
        let texts = values.column(0).as_string_opt::<i32>().ok_or("the first field holds no texts")?;
        let lengths = values.column(1).as_primitive_opt::<Int64Type>().ok_or("the second field holds no BIGINT")?;
        let rows = int_values(batch, 0);
        found.extend(
            rows.into_iter()
                .zip(texts.iter().flatten().zip(lengths.iter().flatten()))
                .map(|(row, (text, length))| (row, text.to_owned(), length)),
        );
    }
    let expected = [(0, "one", 3), (0, "three", 5), (2, "five", 4)];
    expect!(found == expected.map(|(row, text, length)| (Some(row), text.to_owned(), length)), "{found:?}");
    Ok(())
}

pub async fn empty(client: &Client) -> Result<(), Failure> {
    let result = client.call("series", &batch(vec![ints([Some(0), None])])?).await?;
    expect!(result.num_rows() == 0 && result.num_columns() == 2, "{result:?}");
    Ok(())
}
