//! Errors as HTTP responses.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorInfo;

/// Why something is not as it should be, as JSON.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Failure {
    /// As the documentation lists them.
    pub code: &'static str,
    /// What went wrong.
    pub message: String,
    hint: String,
    function: String,
    row: Option<u64>,
    executor: String,
}

impl Failure {
    /// The parts of an error that are short.
    #[must_use]
    pub fn of(info: &ErrorInfo) -> Self {
        Self {
            code: info.code().as_str_name(),
            message: info.message.clone(),
            hint: info.hint.clone(),
            function: info.function.clone(),
            row: info.row,
            executor: info.executor.clone(),
        }
    }
}

/// The body of an answer that tells an error.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FailureBody {
    error: Failure,
}

/// An error as an HTTP response: the status of its code, and a body that says why.
#[derive(Debug)]
pub struct HttpError(Error);

impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code().http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(FailureBody { error: Failure::of(self.0.info()) })).into_response()
    }
}
