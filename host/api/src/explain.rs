//! What a route makes of a recorded change, and what became of it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use weir_model::Position;
use weir_pipeline::{ExplainError, Explained};

use crate::error::ApiError;
use crate::server::Answers;

/// `GET /v1/routes/{route}/explain/{position}`
///
/// Quotes values of the change where the pattern misses them: for operators, not for auditors.
pub(crate) async fn explain(
    State(answers): State<Answers>,
    Path((route, position)): Path<(String, u64)>,
) -> Result<Json<Explained>, ApiError> {
    if route.contains('\0') || i64::try_from(position).is_err() {
        let message = "name a route, and a position as `weir history` shows it";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-name", message));
    }
    let _place = answers.gate.enter().await;
    let explained = Explained::new(&answers.ledger, answers.gate.runtime(), &route, Position(position)).await;
    explained.map(Json).map_err(failed)
}

pub(crate) fn failed(error: ExplainError) -> ApiError {
    let message = error.to_string();
    match error {
        ExplainError::NoRoute(_) => ApiError::new(StatusCode::NOT_FOUND, "unknown-route", message),
        ExplainError::NoEntry { .. } => ApiError::new(StatusCode::NOT_FOUND, "unknown-position", message),
        ExplainError::BeforeRoute { .. } => ApiError::new(StatusCode::NOT_FOUND, "before-route", message),
        ExplainError::Version(_) => ApiError::new(StatusCode::CONFLICT, "cannot-load", message),
        ExplainError::Read(error) => error.into(),
        ExplainError::Plugin(error) => ApiError::unavailable(&error),
    }
}
