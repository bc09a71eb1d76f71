//! Looking on while changes are recorded.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use weir_pipeline::{Tap, TapError, TapRequest, Tapped};

use crate::error::ApiError;
use crate::explain;
use crate::server::Answers;

/// How long an answer waits for something to be recorded.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How often it looks for what other processes recorded.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// `POST /v1/tap`
///
/// Answers as soon as something was recorded, or after 2 s with nothing. Shows values where that is asked for: for operators, not
/// for auditors.
pub(crate) async fn tap(
    State(answers): State<Answers>,
    Json(request): Json<TapRequest>,
) -> Result<Json<Tapped>, ApiError> {
    if request.route.as_ref().is_some_and(|route| route.contains('\0')) {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "bad-name",
            "no route has such a name",
        ));
    }
    if request.from.is_some_and(|from| i64::try_from(from).is_err()) {
        let message = "begin at a position as `weir history` shows it";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-position", message));
    }
    let runs_plugins = request.route.is_some();
    let from_now_on = request.from.is_none();
    let mut size = answers.ledger.watch_size();
    let opened = {
        let _place = place(&answers, runs_plugins).await;
        Tap::open(&answers.ledger, answers.gate.runtime(), request).await
    };
    let mut tap = opened.map_err(failed)?;
    let until = Instant::now() + WAIT_MAX;
    // Whoever asks for what comes is told at once where that begins, and misses nothing of it.
    if from_now_on {
        return Ok(Json(Tapped {
            next: tap.next().0,
            changes: Vec::new(),
        }));
    }
    loop {
        let before = tap.next();
        size.mark_unchanged();
        let looked = {
            let _place = place(&answers, runs_plugins).await;
            tap.look().await
        };
        let tapped = looked.map_err(failed)?;
        if !tapped.changes.is_empty() || Instant::now() >= until {
            return Ok(Json(tapped));
        }
        if tap.next() == before {
            let _ = tokio::time::timeout(LOOK_INTERVAL, size.changed()).await;
        }
    }
}

/// A place among those that run plugins, where that is to be.
async fn place(answers: &Answers, runs_plugins: bool) -> Option<SemaphorePermit<'_>> {
    if runs_plugins {
        Some(answers.gate.enter().await)
    } else {
        None
    }
}

fn failed(error: TapError) -> ApiError {
    let refused = |code, error: &TapError| ApiError::new(StatusCode::BAD_REQUEST, code, error.to_string());
    match error {
        TapError::Pattern(_) => refused("bad-pattern", &error),
        TapError::Path(_) => refused("bad-path", &error),
        TapError::CaseOfNoRoute => refused("no-route", &error),
        TapError::Route(error) => explain::failed(error),
    }
}
