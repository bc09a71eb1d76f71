//! Shards and the workers that share them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_ledger::WorkerId;

use crate::error::ApiError;
use crate::server::Answers;

/// Answer of `GET /v1/shards`: shards that are not recorded to their end, and those that ended within a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shards {
    /// By stream and name.
    pub shards: Vec<ShardState>,
}

/// How a shard stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardState {
    /// Name of its source.
    pub source: String,
    /// ARN of its stream.
    pub stream: String,
    /// The shard.
    pub shard: String,
    /// The shard it came from.
    pub parent: Option<String>,
    /// `read`, `free` (nobody reads it now), `waits` (for its parent), or `finished`.
    pub state: String,
    /// Worker that reads it.
    pub worker: Option<i64>,
    /// Its name: host and process.
    pub worker_name: Option<String>,
    /// Worker that asks for it.
    pub wanted_by: Option<i64>,
    /// Sequence number of the last record in the ledger.
    pub position: Option<String>,
    /// Time of the last record that came, as the source says it: whole seconds.
    pub record_at: Option<Timestamp>,
    /// When the source last answered; told every ten seconds.
    pub read_at: Option<Timestamp>,
    /// How old the last record of the last page was, in seconds: the service trims it at 86,400. 0 when a page brought nothing.
    pub behind_s: f32,
    /// Gaps that were recorded: records that were lost, or may have been.
    pub gaps: u64,
    /// Records a second, lately.
    pub records_per_s: f32,
    /// `GetRecords` calls an hour, lately.
    pub reads_per_h: f32,
}

/// Answer of `GET /v1/workers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workers {
    /// Those whose heart beats, oldest first.
    pub workers: Vec<WorkerState>,
}

/// A worker whose heart beats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerState {
    /// Its number.
    pub worker: i64,
    /// Host and process.
    pub name: String,
    /// It hands all that it has over and takes nothing else.
    pub draining: bool,
    /// Shards that it reads.
    pub shards: usize,
    /// Partitions of routes that it has.
    #[serde(default)]
    pub partitions: usize,
    /// Number of the newest configuration that it does (`weir apply`), also of one that gave each process its own file back; absent
    /// before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<u32>,
    /// The newest configuration that it cannot do, in whose place it goes on with what it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedConfiguration>,
}

/// A configuration that a process cannot do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedConfiguration {
    /// Its number.
    pub number: u32,
    /// Why.
    pub reason: String,
}

/// `GET /v1/shards`
pub(crate) async fn shards(State(answers): State<Answers>) -> Result<Json<Shards>, ApiError> {
    let states = answers.ledger.shard_states().await?;
    let shards = states.into_iter().map(|state| {
        let name = match () {
            () if state.finished_at.is_some() => "finished",
            () if state.worker.is_some() => "read",
            () if state.waits_for_parent => "waits",
            () => "free",
        };
        let (worker, worker_name) = state.worker.map(|(worker, name)| (worker.0, name)).unzip();
        ShardState {
            source: state.source,
            stream: state.stream,
            shard: state.shard,
            parent: state.parent,
            state: name.to_owned(),
            worker,
            worker_name,
            wanted_by: state.wanted_by.map(|worker| worker.0),
            position: state.position,
            record_at: state.record_at,
            read_at: state.read_at,
            behind_s: state.behind_s,
            gaps: state.gaps,
            records_per_s: state.records_per_s,
            reads_per_h: state.reads_per_h,
        }
    });
    Ok(Json(Shards {
        shards: shards.collect(),
    }))
}

/// `GET /v1/workers`
pub(crate) async fn workers(State(answers): State<Answers>) -> Result<Json<Workers>, ApiError> {
    let open = answers.ledger.open_shards().await?;
    let partitions = answers.ledger.partitions().await?;
    let workers = answers.ledger.live_workers().await?;
    let workers = workers.into_iter().map(|worker| WorkerState {
        worker: worker.id.0,
        shards: open.iter().filter(|shard| shard.worker == Some(worker.id)).count(),
        partitions: partitions
            .iter()
            .filter(|state| state.worker == Some(worker.id))
            .count(),
        name: worker.name,
        draining: worker.is_draining,
        configuration: worker.configuration,
        refused: worker
            .refused
            .map(|(number, reason)| RefusedConfiguration { number, reason }),
    });
    Ok(Json(Workers {
        workers: workers.collect(),
    }))
}

/// `POST /v1/workers/{worker}/drain`
pub(crate) async fn drain(State(answers): State<Answers>, Path(worker): Path<i64>) -> Result<Json<Workers>, ApiError> {
    set_draining(answers, worker, true).await
}

/// `POST /v1/workers/{worker}/resume`
pub(crate) async fn resume(State(answers): State<Answers>, Path(worker): Path<i64>) -> Result<Json<Workers>, ApiError> {
    set_draining(answers, worker, false).await
}

async fn set_draining(answers: Answers, worker: i64, is_draining: bool) -> Result<Json<Workers>, ApiError> {
    if !answers.ledger.drain_worker(WorkerId(worker), is_draining).await? {
        let message = format!("there is no worker {worker}; `weir leases ls` lists those that live");
        return Err(ApiError::new(StatusCode::NOT_FOUND, "unknown-worker", message));
    }
    workers(State(answers)).await
}
