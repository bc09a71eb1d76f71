//! How routes and sinks stand, and what an operator stops for a while.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_ledger::{LiveWorker, Parked, ParkedPlace, Partition, PartitionState, Pausable, Pause};
use weir_model::Position;

use crate::error::ApiError;
use crate::replay::ReplayState;
use crate::route::{RouteHaltState, check_reason};
use crate::server::Answers;

/// Parked deliveries of one answer.
const PARKED_MAX: u16 = 1000;

/// Answer of `GET /v1/routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// By name.
    pub routes: Vec<RouteState>,
}

/// How a route stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteState {
    /// Its name.
    pub route: String,
    /// Its newest version.
    pub version: u32,
    /// The source whose changes it takes.
    pub source: String,
    /// Where its events go.
    pub sinks: Vec<String>,
    /// Its cursor, of several partitions the lowest: everything below is dealt with.
    pub position: u64,
    /// Entries from there to the end of the ledger.
    pub behind: u64,
    /// When a cursor of it was moved last.
    pub moved_at: Option<Timestamp>,
    /// Its partitions, by lanes.
    pub partitions: Vec<RoutePartition>,
    /// Deliveries that wait behind their item.
    pub parked: u64,
    /// Items that have any.
    pub parked_items: u64,
    /// Deliveries that were given up.
    pub dead_letters: u64,
    /// Where it stands still, if it does: its plugin failed there, and it is configured to halt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<RouteHaltState>,
    /// An operator paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseState>,
    /// A range that it sends once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayState>,
}

/// A part of a route: the changes of the items in a range of lanes. A lane is a class of items, one of 256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutePartition {
    /// The lowest of its lanes.
    pub first_lane: u8,
    /// The highest.
    pub last_lane: u8,
    /// Its cursor: everything below is dealt with.
    pub position: u64,
    /// The process that routes it, as `host/process id`; absent if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// It stands where the route gets another number of partitions, and sends only what is parked until all of them are so far.
    #[serde(default)]
    pub over: bool,
}

/// Answer of `GET /v1/sinks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sinks {
    /// By name.
    pub sinks: Vec<SinkState>,
}

/// How a sink stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkState {
    /// Its name.
    pub sink: String,
    /// Of its circuit breaker: `closed` (everything is sent), `open` (it takes nothing and is left alone for a while) or
    /// `half-open` (one request is under way to see whether it is back).
    pub state: String,
    /// Why it opened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Since when everything is sent to it, or not.
    pub since: Timestamp,
    /// Routes that lead to it.
    pub routes: Vec<String>,
    /// Deliveries that wait behind their item.
    pub parked: u64,
    /// An operator paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseState>,
}

/// Since when and why something is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseState {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

/// Body of `POST /v1/routes/{route}/pause`, `.../resume`, `POST /v1/sinks/{sink}/pause` and `.../resume`, and
/// `POST /v1/routes/{route}/replay/cancel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonRequest {
    /// Why. Recorded.
    #[serde(default)]
    pub reason: String,
}

/// Answer to a [`ReasonRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Whether it is paused now.
    pub paused: bool,
}

/// Question of `GET /v1/parked`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParkedQuery {
    route: Option<String>,
    after: Option<String>,
    limit: Option<u16>,
}

/// Answer of `GET /v1/parked`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedDeliveries {
    /// In order of position.
    pub parked: Vec<ParkedDelivery>,
    /// Ask again with `after` set to this for more; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A delivery that waits behind its item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedDelivery {
    /// Its id.
    pub delivery: String,
    /// Its route.
    pub route: String,
    /// The version of that.
    pub version: u32,
    /// Its sink.
    pub sink: String,
    /// The change.
    pub position: u64,
    /// How often it was sent.
    pub attempts: u32,
    /// When it failed first; absent for what only stands behind another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Timestamp>,
    /// When it is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Name of the replay that sends it as new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_as: Option<String>,
}

/// `GET /v1/routes`
pub(crate) async fn routes(State(answers): State<Answers>) -> Result<Json<Routes>, ApiError> {
    let ledger = &answers.ledger;
    let end = ledger.head().await?.size;
    let (states, workers) = (ledger.partitions().await?, ledger.live_workers().await?);
    let dead = ledger.dead_letter_counts().await?;
    let (parked, pauses) = (ledger.parked_at_sinks().await?, ledger.pauses().await?);
    let mut routes = Vec::new();
    for (name, version) in ledger.routes().await? {
        let of_route = || states.iter().filter(|state| state.partition.route == name);
        let position = of_route().map(|state| state.next.0).min();
        let position = position.unwrap_or(version.from_position.0);
        let here = || parked.iter().filter(|parked| parked.route == name);
        routes.push(RouteState {
            version: version.version,
            source: version.definition.source,
            sinks: version.definition.sinks,
            position,
            behind: end.saturating_sub(position),
            moved_at: of_route().map(|state| state.moved_at).max(),
            partitions: of_route().map(|state| partition(state, &workers)).collect(),
            parked: here().map(|parked| parked.deliveries).sum(),
            parked_items: here().map(|parked| parked.items).sum(),
            dead_letters: dead.get(&name).copied().unwrap_or_default(),
            halted: ledger.route_halt(&name).await?.map(Into::into),
            paused: paused(&pauses, Pausable::Route, &name),
            replay: ledger
                .replay(&Partition::whole(&name))
                .await?
                .as_ref()
                .map(ReplayState::from),
            route: name,
        });
    }
    Ok(Json(Routes { routes }))
}

fn partition(state: &PartitionState, workers: &[LiveWorker]) -> RoutePartition {
    let worker = workers.iter().find(|worker| state.worker == Some(worker.id));
    RoutePartition {
        first_lane: state.partition.first_lane,
        last_lane: state.partition.last_lane,
        position: state.next.0,
        worker: worker.map(|worker| worker.name.clone()),
        over: state.is_over,
    }
}

/// `GET /v1/sinks`
pub(crate) async fn sinks(State(answers): State<Answers>) -> Result<Json<Sinks>, ApiError> {
    let ledger = &answers.ledger;
    let (routes, parked, pauses) = (
        ledger.routes().await?,
        ledger.parked_at_sinks().await?,
        ledger.pauses().await?,
    );
    let states = ledger.sink_states().await?.into_iter().map(|state| {
        let leads_here = |version: &weir_ledger::RouteVersion| version.definition.sinks.contains(&state.sink);
        let leading = routes.iter().filter(|(_, version)| leads_here(version));
        let here = parked.iter().filter(|parked| parked.sink == state.sink);
        SinkState {
            routes: leading.map(|(name, _)| name.clone()).collect(),
            parked: here.map(|parked| parked.deliveries).sum(),
            paused: paused(&pauses, Pausable::Sink, &state.sink),
            sink: state.sink,
            state: state.state,
            reason: state.reason,
            since: state.since,
        }
    });
    Ok(Json(Sinks {
        sinks: states.collect(),
    }))
}

/// `GET /v1/parked`
pub(crate) async fn parked(
    State(answers): State<Answers>,
    Query(query): Query<ParkedQuery>,
) -> Result<Json<ParkedDeliveries>, ApiError> {
    let route = query.route.as_deref();
    if let Some(route) = route {
        known(&answers, Pausable::Route, route).await?;
    }
    let limit = query.limit.unwrap_or(PARKED_MAX).clamp(1, PARKED_MAX);
    let after = query.after.as_deref().map(read_place).transpose()?;
    let parked = answers.ledger.parked(route, after.as_ref(), limit).await?;
    let is_full = parked.len() == usize::from(limit);
    let after = parked.last().filter(|_| is_full).map(write_place);
    let parked = parked.into_iter().map(|parked| ParkedDelivery {
        delivery: parked.delivery,
        route: parked.route,
        version: parked.version,
        sink: parked.sink,
        position: parked.position.0,
        attempts: parked.tried.map_or(0, |tried| tried.attempts),
        failed_at: parked.tried.map(|tried| tried.failed_at),
        due_at: parked.tried.map(|tried| tried.due_at),
        replayed_as: parked.as_new,
    });
    Ok(Json(ParkedDeliveries {
        parked: parked.collect(),
        after,
    }))
}

/// A place, as `after` has it. Names have no `/`.
fn write_place(parked: &Parked) -> String {
    let Parked {
        position,
        output,
        route,
        sink,
        delivery,
        ..
    } = parked;
    format!("{position}/{output}/{route}/{sink}/{delivery}")
}

fn read_place(text: &str) -> Result<ParkedPlace, ApiError> {
    let mut parts = text.splitn(5, '/');
    let mut next = || parts.next().filter(|part| !part.contains('\0'));
    let place = (|| {
        Some(ParkedPlace {
            position: Position(next()?.parse().ok().filter(|position| *position < 1 << 63)?),
            output: next()?.parse().ok().filter(|output| *output < 1 << 31)?,
            route: next()?.to_owned(),
            sink: next()?.to_owned(),
            delivery: next()?.to_owned(),
        })
    })();
    place.ok_or_else(ApiError::bad_place)
}

/// `POST /v1/routes/{route}/pause` and `.../resume`, or those of sinks: below `path`.
pub(crate) fn pausing(kind: Pausable, path: &str) -> Router<Answers> {
    let set = |is_paused: bool| {
        post(
            move |State(answers): State<Answers>, Path(name): Path<String>, Json(request): Json<ReasonRequest>| async move {
                set(&answers, kind, &name, is_paused, &request).await
            },
        )
    };
    Router::new()
        .route(&format!("{path}/pause"), set(true))
        .route(&format!("{path}/resume"), set(false))
}

async fn set(
    answers: &Answers,
    kind: Pausable,
    name: &str,
    is_paused: bool,
    request: &ReasonRequest,
) -> Result<Json<Paused>, ApiError> {
    check_reason(&request.reason)?;
    known(answers, kind, name).await?;
    let (ledger, now) = (&answers.ledger, Timestamp::now());
    if is_paused {
        ledger.pause(kind, name, &request.reason, now).await?;
    } else {
        ledger.resume(kind, name, &request.reason, now).await?;
    }
    Ok(Json(Paused { paused: is_paused }))
}

fn paused(pauses: &[Pause], kind: Pausable, name: &str) -> Option<PauseState> {
    let pause = pauses.iter().find(|pause| pause.kind == kind && pause.name == name)?;
    Some(PauseState {
        since: pause.since,
        reason: pause.reason.clone(),
    })
}

/// Nothing is paused that is not there: a mistyped name would only look paused.
pub(crate) async fn known(answers: &Answers, kind: Pausable, name: &str) -> Result<(), ApiError> {
    let names: Vec<String> = match kind {
        Pausable::Route => answers
            .ledger
            .routes()
            .await?
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
        Pausable::Sink => answers
            .ledger
            .sink_states()
            .await?
            .into_iter()
            .map(|state| state.sink)
            .collect(),
    };
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    let message = format!(
        "there is no {} {name:?}; there are: {}",
        kind.as_str(),
        names.join(", ")
    );
    let code = match kind {
        Pausable::Route => "unknown-route",
        Pausable::Sink => "unknown-sink",
    };
    Err(ApiError::new(StatusCode::NOT_FOUND, code, message))
}
