//! Scalar calls, one chunk each.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{BooleanArray, Int64Array};
use arrow_udf_runtime::remote::Client;
use futures::future::try_join_all;

use crate::columns::{DECIMAL, JSON, batch, extended, extension, int_values, ints, no_columns, text_values, texts};
use crate::{Failure, expect};

pub async fn scalar(client: &Client) -> Result<(), Failure> {
    let input = batch(vec![ints([Some(25), Some(7), Some(0)]), ints([Some(15), Some(21), Some(4)])])?;
    let result = client.call("gcd", &input).await?;
    expect!(result.num_columns() == 1, "{result:?}");
    expect!(int_values(&result, 0) == [Some(5), Some(7), Some(4)], "{result:?}");
    Ok(())
}

pub async fn nulls(client: &Client) -> Result<(), Failure> {
    let numbers = Int64Array::from(vec![Some(1), None, Some(i64::MAX)]);
    let truths = BooleanArray::from(vec![None, Some(true), Some(false)]);
    let columns = vec![texts([Some("a"), Some(""), None]), Arc::new(numbers) as _, Arc::new(truths) as _];
    let result = client.call("joined", &batch(columns)?).await?;
    expect!(text_values(&result, 0) == [Some("a/1/None"), Some("/None/True"), None], "{result:?}");
    Ok(())
}

pub async fn decimal(client: &Client) -> Result<(), Failure> {
    let input = extended(&[Some("1.10"), None, Some("-0.05"), Some("12345678.90")], DECIMAL)?;
    let result = client.call("cents", &input).await?;
    expect!(extension(result.schema().field(0)) == Some(DECIMAL), "{:?}", result.schema());
    expect!(text_values(&result, 0) == [Some("3.30"), None, Some("-0.15"), Some("37037036.70")], "{result:?}");
    Ok(())
}

/// JSONB goes into functions that take texts.
pub async fn json(client: &Client) -> Result<(), Failure> {
    let values = [Some(r#"{"a": [1, null]}"#), None];
    let result = client.call("same_varchar", &extended(&values, JSON)?).await?;
    expect!(text_values(&result, 0) == values, "{result:?}");
    Ok(())
}

pub async fn no_arguments(client: &Client) -> Result<(), Failure> {
    let result = client.call("fortytwo", &no_columns(3)?).await?;
    let values = result.column(0).as_primitive_opt::<Int64Type>().map(|values| values.values().to_vec());
    expect!(values == Some(vec![42; 3]), "{result:?}");
    Ok(())
}

/// arrow-rs leaves out batches without rows: the schema comes all the same.
pub async fn empty(client: &Client) -> Result<(), Failure> {
    let result = client.call("gcd", &batch(vec![ints([]), ints([])])?).await?;
    expect!(result.num_rows() == 0 && result.num_columns() == 1, "{result:?}");
    Ok(())
}

/// The encoder of arrow-rs makes several messages of one chunk.
pub async fn large(client: &Client) -> Result<(), Failure> {
    let long: Vec<_> = (0..50_000).map(|row| format!("{row}{}", "x".repeat(200))).collect();
    let result = client.call("same_varchar", &batch(vec![texts(long.iter().map(|text| Some(text.as_str())))])?).await?;
    expect!(text_values(&result, 0).into_iter().eq(long.iter().map(|text| Some(text.as_str()))), "other texts");
    Ok(())
}

/// One connection for all that a process calls.
pub async fn concurrent(client: &Client) -> Result<(), Failure> {
    let call = async |number: i32| {
        let input = batch(vec![ints((0..256).map(|row| Some(row * number))), ints((0..256).map(|_| Some(0)))])?;
        let result = client.call("gcd", &input).await?;
        expect!(int_values(&result, 0) == int_values(&input, 0), "{number}: {result:?}");
        Ok::<_, Failure>(())
    };
    try_join_all((0..64).map(call)).await?;
    Ok(())
}
