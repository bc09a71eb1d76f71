//! Errors as clients see them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use weir_ledger::{DatabaseError, ReadError};

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorAnswer,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// For machines: `unauthorized`, `unknown-table`, `bad-key`, `held`, `not-signed`, `tampered`, `unavailable`, ...
    pub code: String,
    /// For people, and what to do.
    pub message: String,
}

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }
}

impl ApiError {
    /// A list is asked for from a place on that no answer gave.
    pub(crate) fn bad_place() -> Self {
        let message = "`after` is what the answer before said";
        Self::new(StatusCode::BAD_REQUEST, "bad-place", message)
    }

    /// What failed is told in the log, not to whoever asked.
    pub(crate) fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error, "a request failed at the ledger");
        let message = "the ledger cannot be read or written now; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Tampered { .. } => Self::new(StatusCode::CONFLICT, "tampered", error.to_string()),
            ReadError::BodyKey(_) | ReadError::Database(_) => Self::unavailable(&error),
        }
    }
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        ReadError::Database(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: ErrorAnswer {
                code: self.code.to_owned(),
                message: self.message,
            },
        };
        (self.status, Json(body)).into_response()
    }
}
