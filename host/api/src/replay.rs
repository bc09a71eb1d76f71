//! Replays: a route runs through a range of the ledger once more.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_ledger::{Pausable, Replay, ReplayError, RouteVersion, TokenBytes};
use weir_model::Position;
use weir_pipeline::Preview;
use weir_runtime::is_name;

use crate::delivery::{ReasonRequest, known};
use crate::error::ApiError;
use crate::explain;
use crate::history::item_tokens;
use crate::route::check_reason;
use crate::server::Answers;

/// Body of `POST /v1/routes/{route}/replay` and `.../replay/preview`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// The first position. Without it the first that the route ever had.
    #[serde(default)]
    pub from: Option<u64>,
    /// The last position. Without it the last that the route has passed.
    #[serde(default)]
    pub to: Option<u64>,
    /// The version that decides. Without it the one that routed each position: then everything has the id that it had.
    #[serde(default)]
    pub version: Option<u32>,
    /// Sends all of it as new, under this name: each event has an id that receivers did not have, the same whenever it is replayed
    /// under the same name, and says the name as `replayed_as`. At most 64 letters, digits and `-_.+/`. Without it, ids are those
    /// that the version's events have.
    #[serde(default)]
    pub as_new: Option<String>,
    /// Only changes of an item: its table,
    #[serde(default)]
    pub table: Option<String>,
    /// and its key, as `GET /v1/tables/{table}/history` takes it.
    #[serde(default)]
    pub key: Option<String>,
    /// Why. Recorded.
    #[serde(default)]
    pub reason: String,
}

/// A replay that is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayState {
    /// Everything of it below this was dealt with.
    pub next: u64,
    /// The first position that is not replayed any more.
    pub until: u64,
    /// The version that decides; absent where it is the one that routed each position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The name under which it is sent as new; absent where ids are those that the version's events have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_new: Option<String>,
    /// When it was ordered.
    pub ordered_at: Timestamp,
}

/// Answer of `POST /v1/routes/{route}/replay/cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayCancelled {
    /// Whether there was one.
    pub cancelled: bool,
}

impl From<&Replay> for ReplayState {
    fn from(replay: &Replay) -> Self {
        Self {
            next: replay.next.0,
            until: replay.until.0,
            version: replay.version,
            as_new: replay.as_new.clone(),
            ordered_at: replay.ordered_at,
        }
    }
}

/// `POST /v1/routes/{route}/replay`
pub(crate) async fn order(
    State(answers): State<Answers>,
    Path(route): Path<String>,
    Json(request): Json<ReplayRequest>,
) -> Result<Json<ReplayState>, ApiError> {
    let replay = asked(&answers, route, &request).await?;
    match answers.ledger.order_replay(&replay, &request.reason).await {
        Ok(()) => Ok(Json(ReplayState::from(&replay))),
        Err(error @ ReplayError::Busy(_)) => Err(ApiError::new(StatusCode::CONFLICT, "replaying", error.to_string())),
        Err(ReplayError::Database(error)) => Err(error.into()),
    }
}

/// `POST /v1/routes/{route}/replay/preview`
///
/// Quotes values of changes where events differ: for operators, not for auditors.
pub(crate) async fn preview(
    State(answers): State<Answers>,
    Path(route): Path<String>,
    Json(request): Json<ReplayRequest>,
) -> Result<Json<Preview>, ApiError> {
    let replay = asked(&answers, route, &request).await?;
    let _place = answers.gate.enter().await;
    let preview = Preview::of(&answers.ledger, answers.gate.runtime(), &replay).await;
    preview.map(Json).map_err(explain::failed)
}

/// The replay that is meant.
async fn asked(answers: &Answers, route: String, request: &ReplayRequest) -> Result<Replay, ApiError> {
    check_reason(&request.reason)?;
    if request.as_new.as_deref().is_some_and(|name| !is_name(name)) {
        let message = "the name of a replay is 1 to 64 letters, digits and `-_.+/`";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-name", message));
    }
    known(answers, Pausable::Route, &route).await?;
    let tokens: Vec<TokenBytes> = match (&request.table, &request.key) {
        (None, None) => Vec::new(),
        (Some(table), Some(key)) => {
            let tokens = item_tokens(answers, table, key).await?;
            tokens.into_iter().map(|token| token.token).collect()
        }
        _ => {
            let message = "an item is a `table` and a `key`: give both, or neither";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-key", message));
        }
    };
    let (next, until) = range(answers, &route, request).await?;
    Ok(Replay {
        route,
        next,
        until,
        version: request.version,
        tokens,
        as_new: request.as_new.clone(),
        ordered_at: Timestamp::now(),
    })
}

/// `POST /v1/routes/{route}/replay/cancel`
pub(crate) async fn cancel(
    State(answers): State<Answers>,
    Path(route): Path<String>,
    Json(request): Json<ReasonRequest>,
) -> Result<Json<ReplayCancelled>, ApiError> {
    check_reason(&request.reason)?;
    known(&answers, Pausable::Route, &route).await?;
    let cancelled = answers
        .ledger
        .cancel_replay(&route, &request.reason, Timestamp::now())
        .await?;
    Ok(Json(ReplayCancelled { cancelled }))
}

/// The positions that are meant: those that the route had and has passed.
async fn range(answers: &Answers, route: &str, request: &ReplayRequest) -> Result<(Position, Position), ApiError> {
    let refused = |message: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "nothing-to-replay", message);
    let versions = answers.ledger.route_versions(route).await?;
    if let Some(version) = request.version
        && !versions.iter().any(|known| known.version == version)
    {
        let message = format!("the route has no version {version}; `weir plugin versions {route}` lists those it has");
        return Err(ApiError::new(StatusCode::NOT_FOUND, "unknown-version", message));
    }
    let begins = beginning(&versions);
    let passed = passed(answers, route, begins).await?;
    // A version of one's choice may decide about what was there before the route.
    let first = if request.version.is_some() { Position(0) } else { begins };
    let from = request.from.map_or(begins, Position).max(first);
    let until = end(request.to, passed);
    if from >= until {
        return Err(refused(format!(
            "the route has nothing to replay there: it begins at position {begins} and has passed everything below {passed}"
        )));
    }
    Ok((from, until))
}

/// The first position that a route with these versions ever had.
pub(crate) fn beginning(versions: &[RouteVersion]) -> Position {
    let positions = versions.iter().map(|version| version.from_position);
    positions.min().unwrap_or_default()
}

/// The first position that a route which begins there has not passed.
pub(crate) async fn passed(answers: &Answers, route: &str, begins: Position) -> Result<Position, ApiError> {
    let partitions = answers.ledger.partitions().await?;
    let of_route = partitions.iter().filter(|state| state.partition.route == route);
    Ok(of_route.map(|state| state.next).min().unwrap_or(begins))
}

/// The first position behind the last one that is asked for, or behind all that was passed.
pub(crate) fn end(last: Option<u64>, passed: Position) -> Position {
    last.map_or(passed, |last| Position(last.saturating_add(1)).min(passed))
}
