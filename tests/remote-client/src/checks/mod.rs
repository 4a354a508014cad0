//! The checks, by name.

mod calls;
mod errors;
mod signatures;
mod tables;

use arrow_udf_runtime::remote::Client;

use crate::Failure;

/// In the order of [`run`].
pub const NAMES: &[&str] = &[
    "version",
    "signatures",
    "list",
    "unknown",
    "scalar",
    "nulls",
    "decimal",
    "json",
    "no-arguments",
    "empty",
    "large",
    "concurrent",
    "table",
    "table-of-columns",
    "empty-table",
    "error-column",
    "whole-batch",
    "wrong-type",
    "refused",
];

/// Runs one check.
pub async fn run(client: &Client, check: &str) -> Result<(), Failure> {
    match check {
        "version" => signatures::version(client),
        "signatures" => signatures::signatures(client).await,
        "list" => signatures::list(client).await,
        "unknown" => signatures::unknown(client).await,
        "scalar" => calls::scalar(client).await,
        "nulls" => calls::nulls(client).await,
        "decimal" => calls::decimal(client).await,
        "json" => calls::json(client).await,
        "no-arguments" => calls::no_arguments(client).await,
        "empty" => calls::empty(client).await,
        "large" => calls::large(client).await,
        "concurrent" => calls::concurrent(client).await,
        "table" => tables::table(client).await,
        "table-of-columns" => tables::of_columns(client).await,
        "empty-table" => tables::empty(client).await,
        "error-column" => errors::error_column(client).await,
        "whole-batch" => errors::whole_batch(client).await,
        "wrong-type" => errors::wrong_type(client).await,
        "refused" => errors::refused(client).await,
        other => Err(format!("no check {other}").into()),
    }
}
