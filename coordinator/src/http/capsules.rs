//! Batches that failed: which are kept, and one of them as a file.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Serialize;
use udfleet_edge::auth::Principal;
use udfleet_edge::http::HttpError;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{CapsuleSummary, ErrorCode};

use super::Http;

/// A batch that failed and is kept. What it holds is read with the role inspect only.
#[derive(Serialize, JsonSchema)]
pub struct CapsuleRow {
    id: String,
    executor: String,
    /// `add@3`; of a query's stage, the function that failed, or all of them.
    function: String,
    unix_ms: i64,
    code: &'static str,
    /// Of the exception; empty: there was none.
    exception: String,
    message: String,
    /// Of the batch that failed.
    rows: u64,
    /// How many of them are kept.
    kept_rows: u64,
    /// The first of these.
    first_row: u64,
    /// Columns whose values are left out.
    redacted: Vec<String>,
    /// Of the rows that are kept.
    bytes: u64,
}

impl CapsuleRow {
    fn of(summary: CapsuleSummary) -> Self {
        Self {
            code: summary.code().as_str_name(),
            id: summary.id,
            executor: summary.executor,
            function: summary.function,
            unix_ms: summary.unix_ms,
            exception: summary.exception,
            message: summary.message,
            rows: summary.rows,
            kept_rows: summary.kept_rows,
            first_row: summary.first_row,
            redacted: summary.redacted,
            bytes: summary.input_bytes,
        }
    }
}

/// Those of `add`, or of `add@3`, the newest first.
pub async fn capsules(State(http): State<Http>, Path(name): Path<String>) -> Result<Json<Vec<CapsuleRow>>, HttpError> {
    FunctionRef::parse(&name).map_err(|error| Error::new(ErrorCode::InvalidInput, error.to_string()))?;
    Ok(Json(http.capsules.of(&name).await?.into_iter().map(CapsuleRow::of).collect()))
}

/// What `udfleet replay` reads. It is noted who has got it.
pub async fn file(
    State(http): State<Http>,
    caller: Option<Extension<Arc<Principal>>>,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, HttpError> {
    let Extension(caller) = caller.ok_or_else(|| Error::internal("a request has passed no gate"))?;
    let from = from.map(|Extension(ConnectInfo(address))| address);
    let download = http.capsules.fetch(&caller, from, &id).await?;
    let name = format!("attachment; filename=\"{}\"", file_name(&download.summary));
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, name),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(download.pieces)))
}

/// `add@3-0123456789abcdef.capsule`: names of functions are letters, digits, `_` and `.`; a stage has several.
fn file_name(summary: &CapsuleSummary) -> String {
    let tidy = |c: char| if c.is_ascii_alphanumeric() || "_.@".contains(c) { c } else { '_' };
    let function: String = summary.function.chars().take(100).map(tidy).collect();
    format!("{function}-{}.capsule", summary.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_name_that_every_system_takes() {
        let named = |function: &str| {
            file_name(&CapsuleSummary {
                id: "ab".to_owned(),
                function: function.to_owned(),
                ..CapsuleSummary::default()
            })
        };
        assert_eq!(named("add@3"), "add@3-ab.capsule");
        assert_eq!(named("f@1, g@2"), "f@1__g@2-ab.capsule");
        assert_eq!(named("\"\r\n/ü"), "_____-ab.capsule");
    }
}
