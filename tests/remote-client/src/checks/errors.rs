//! Failures as RisingWave takes them. The servers of arrow-udf send a status in place of the error column.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::DataType;
use arrow_udf_runtime::remote::{Client, Error};

use crate::columns::{batch, text_values, texts};
use crate::{Failure, expect};

/// RisingWave's code for "not now": only this, and only before response headers, is tried again.
const UNAVAILABLE: &str = "The service is currently unavailable";

fn numbers(values: &[Option<i64>]) -> Result<RecordBatch, Failure> {
    Ok(batch(vec![Arc::new(Int64Array::from(values.to_vec()))])?)
}

fn values(result: &RecordBatch) -> Vec<Option<i64>> {
    result.column(0).as_primitive_opt::<Int64Type>().map(|values| values.iter().collect()).unwrap_or_default()
}

/// Rows that fail are null and have a message; without such rows there is no second column.
pub async fn error_column(client: &Client) -> Result<(), Failure> {
    let result = client.call("picky", &numbers(&[Some(1), Some(-7), None, Some(-8), Some(5)])?).await?;
    expect!(values(&result) == [Some(1), None, None, None, Some(5)], "{result:?}");
    expect!(result.num_columns() == 2 && *result.column(1).data_type() == DataType::Utf8, "{result:?}");
    let errors = text_values(&result, 1);
    expect!(errors.iter().map(Option::is_some).eq([false, true, false, true, false]), "{errors:?}");
    expect!(errors[1].is_some_and(|text| text.contains("-7 is negative")), "{errors:?}");
    let result = client.call("picky", &numbers(&[Some(1), None])?).await?;
    expect!(result.num_columns() == 1 && values(&result) == [Some(1), None], "{result:?}");
    Ok(())
}

/// A vectorised function that raises fails all rows of its batch.
pub async fn whole_batch(client: &Client) -> Result<(), Failure> {
    let result = client.call("picky_arrow", &numbers(&[Some(1), Some(-7)])?).await?;
    expect!(result.num_columns() == 2 && values(&result) == [None, None], "{result:?}");
    let errors = text_values(&result, 1);
    expect!(errors.iter().flatten().filter(|text| text.contains("negative")).count() == 2, "{errors:?}");
    Ok(())
}

/// Refused before the function runs, and not with what RisingWave tries again.
pub async fn wrong_type(client: &Client) -> Result<(), Failure> {
    match client.call("picky", &batch(vec![texts([Some("a")])])?).await {
        Err(error @ (Error::Tonic(_) | Error::Flight(_))) => {
            expect!(error.to_string().contains("wrong type"), "{error}");
            expect!(!error.to_string().contains(UNAVAILABLE), "{error}");
            Ok(())
        }
        other => Err(format!("expected a refusal, found {other:?}").into()),
    }
}

/// Nobody serves the function: refused before response headers, as UNAVAILABLE.
pub async fn refused(client: &Client) -> Result<(), Failure> {
    match client.call("picky", &numbers(&[Some(1)])?).await {
        // Once headers have come, a status arrives as `Error::Flight`.
        Err(Error::Tonic(status)) => {
            expect!(status.to_string().contains(UNAVAILABLE), "{status}");
            Ok(())
        }
        other => Err(format!("expected a status before headers, found {other:?}").into()),
    }
}
