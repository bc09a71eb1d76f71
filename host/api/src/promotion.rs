//! Which plugin runs on a route from now on: promote, roll back, and what would come of it.
//!
//! ```text
//! promote ──▶ the plugin accepts the configuration ──▶ what it asks for is granted ──▶ it does not fail on what is recorded
//!         ──▶ the next version of the route, from the ledger's end on, and an entry that says so
//! preview ──▶ the same checks ──▶ what it makes of changes that the route has passed, and how that differs
//! ```
//!
//! # Invariants
//!
//! - A plugin gets nothing that the route's plugin did not have before, unless whoever promotes it grants it.
//! - What a preview takes is what a promotion takes, on the same changes: both are checked in one place.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::SemaphorePermit;
use weir_evidence::Hash;
use weir_ledger::{PromoteError, Promotion, RouteVersion, Upload};
use weir_model::Position;
use weir_pipeline::{Candidate, Preview, TableError, Trial, TrialError, error_chain, give_tables, newest_tables};
use weir_runtime::{Hook, HostError, Manifest, Plugin};

use crate::error::ApiError;
use crate::explain;
use crate::gate::PluginGate;
use crate::plugin::find;
use crate::replay::{beginning, end, passed};
use crate::route::{RouteVersionState, check_reason, known, refused, state};
use crate::server::Answers;

/// Longest configuration of a plugin, in bytes.
const CONFIG_BYTES_MAX: usize = 64 << 10;

/// Positions that a preview looks at where nobody says which: the newest that the route has passed.
const PREVIEWED: u64 = 10_000;

/// Body of `POST /v1/routes/{route}/promote`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// The plugin: its name, `name@version`, or the first digits of its digest.
    pub plugin: String,
    /// Its configuration. Without it that of the version before.
    #[serde(default)]
    pub config: Option<Value>,
    /// Grants what it asks for beyond what the route's plugin may already.
    #[serde(default)]
    pub grant: bool,
    /// Why. Recorded.
    #[serde(default)]
    pub reason: String,
}

/// Body of `POST /v1/routes/{route}/rollback`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The version whose plugin, configuration and tables are to run again. Without it the last one that had others.
    #[serde(default)]
    pub version: Option<u32>,
    /// Why. Recorded.
    #[serde(default)]
    pub reason: String,
}

/// Answer of `POST /v1/routes/{route}/promote` and `.../rollback`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// The version that begins now.
    pub version: RouteVersionState,
    /// What its plugin made of changes that are recorded, where it was tried: nothing of that was sent.
    pub tried: Option<Trial>,
}

/// Body of `POST /v1/routes/{route}/promote/preview`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromotePreviewRequest {
    /// What would be promoted.
    pub promote: PromoteRequest,
    /// The first position that is looked at. Without it the newest 10,000 that the route has passed are.
    #[serde(default)]
    pub from: Option<u64>,
    /// The last position. Without it the last that the route has passed.
    #[serde(default)]
    pub to: Option<u64>,
}

/// Answer of `POST /v1/routes/{route}/promote/preview`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotePreview {
    /// What its plugin made of the newest changes, as a promotion would try it.
    pub tried: Trial,
    /// The first page of what it would send, and how that differs from what was made of the same changes.
    pub preview: Preview,
}

/// What would run on a route, checked.
struct Checked<'a> {
    /// It is held in memory as long.
    _place: SemaphorePermit<'a>,
    /// What runs now.
    running: RouteVersion,
    /// The first position that the route ever had.
    begins: Position,
    uploads: Vec<Upload>,
    plugin: Plugin,
    manifest: Arc<Manifest>,
    promotion: Promotion,
}

/// `POST /v1/routes/{route}/promote`
pub(crate) async fn promote(
    State(answers): State<Answers>,
    Path(route): Path<String>,
    Json(request): Json<PromoteRequest>,
) -> Result<Json<Promoted>, ApiError> {
    let checked = check(&answers, &route, request).await?;
    let is_running = checked.promotion.applied_to(&checked.running.definition) == checked.running.definition;
    if is_running {
        let version = state(checked.running, &checked.uploads);
        return Ok(Json(Promoted { version, tried: None }));
    }
    let tried = try_it(&answers, &checked).await?;
    enter(&answers, &route, &checked.promotion, Some(tried)).await
}

/// `POST /v1/routes/{route}/promote/preview`
///
/// Quotes values of changes where events differ: for operators, not for auditors.
pub(crate) async fn preview(
    State(answers): State<Answers>,
    Path(route): Path<String>,
    Json(request): Json<PromotePreviewRequest>,
) -> Result<Json<PromotePreview>, ApiError> {
    let checked = check(&answers, &route, request.promote).await?;
    let tried = try_it(&answers, &checked).await?;
    let passed = passed(&answers, &route, checked.begins).await?;
    let newest = || passed.0.saturating_sub(PREVIEWED).max(checked.begins.0);
    let range = Position(request.from.unwrap_or_else(newest))..end(request.to, passed);
    let candidate = Candidate {
        definition: checked.promotion.applied_to(&checked.running.definition),
        plugin: checked.plugin,
        manifest: checked.manifest,
    };
    let preview = Preview::of_candidate(&answers.ledger, answers.gate.runtime(), &route, range, candidate).await;
    let preview = preview.map_err(explain::failed)?;
    Ok(Json(PromotePreview { tried, preview }))
}

/// `POST /v1/routes/{route}/rollback`
pub(crate) async fn roll_back(
    State(answers): State<Answers>,
    Path(route): Path<String>,
    Json(request): Json<RollbackRequest>,
) -> Result<Json<Promoted>, ApiError> {
    check_reason(&request.reason)?;
    let mut versions = known(&answers, &route).await?;
    let running = versions.pop().expect("a route that is known has a version");
    let runs = |version: &RouteVersion| {
        let definition = &version.definition;
        (
            version.plugin,
            definition.plugin_config.clone(),
            definition.lookups.clone(),
        )
    };
    let wanted = match request.version {
        Some(wanted) => versions.into_iter().find(|version| version.version == wanted),
        None => versions
            .into_iter()
            .rev()
            .find(|version| runs(version) != runs(&running)),
    };
    let Some(wanted) = wanted else {
        let message = match request.version {
            Some(wanted) => format!(
                "route {route} has no version {wanted} before {}; `weir plugin versions {route}` lists them",
                running.version
            ),
            None => format!("no earlier version of route {route} had another plugin, configuration or table"),
        };
        return Err(ApiError::new(StatusCode::CONFLICT, "nothing-to-roll-back-to", message));
    };
    let granted = match &wanted.plugin {
        Some(digest) => {
            answers
                .gate
                .check_trust(&answers.ledger.uploads_of(&[*digest]).await?)?;
            let _place = answers.gate.enter().await;
            let (_, manifest) = loaded(&answers, digest, &wanted.definition.plugin_config).await?;
            check_sinks(&manifest, &running)?;
            manifest.to_json()
        }
        None => Value::Null,
    };
    let promotion = Promotion {
        plugin: wanted.plugin,
        plugin_config: wanted.definition.plugin_config,
        lookups: wanted.definition.lookups,
        granted,
        rolls_back_to: Some(wanted.version),
        reason: request.reason,
    };
    enter(&answers, &route, &promotion, None).await
}

async fn enter(
    answers: &Answers,
    route: &str,
    promotion: &Promotion,
    tried: Option<Trial>,
) -> Result<Json<Promoted>, ApiError> {
    let entered = answers.ledger.promote(route, promotion, Timestamp::now()).await;
    let entered = entered.map_err(|error| match error {
        PromoteError::NoRoute(_) => ApiError::new(StatusCode::NOT_FOUND, "unknown-route", error.to_string()),
        PromoteError::Database(error) => error.into(),
    })?;
    tracing::info!(route, version = entered.version, position = %entered.from_position, "route version");
    let digests: Vec<Hash> = entered.plugin.into_iter().collect();
    let version = state(entered, &answers.ledger.uploads_of(&digests).await?);
    Ok(Json(Promoted { version, tried }))
}

/// All that can be said of a plugin for a route before it is tried.
async fn check<'a>(answers: &'a Answers, route: &str, request: PromoteRequest) -> Result<Checked<'a>, ApiError> {
    check_reason(&request.reason)?;
    let mut versions = known(answers, route).await?;
    let begins = beginning(&versions);
    let running = versions.pop().expect("a route that is known has a version");
    let digest = find(answers, &request.plugin).await?.digest;
    let uploads = answers.ledger.uploads_of(&[digest]).await?;
    answers.gate.check_trust(&uploads)?;
    let config = match &request.config {
        Some(config) => config.to_string(),
        None => running.definition.plugin_config.clone(),
    };
    if config.len() > CONFIG_BYTES_MAX {
        let message = format!(
            "the configuration has {} bytes, at most {CONFIG_BYTES_MAX} are taken",
            config.len()
        );
        return Err(refused("bad-config", message));
    }
    let place = answers.gate.enter().await;
    let (plugin, manifest) = loaded(answers, &digest, &config).await?;
    let lookups = newest_tables(&answers.ledger, &manifest).await.map_err(no_tables)?;
    let manifest = give_tables(&answers.ledger, manifest, &lookups)
        .await
        .map_err(no_tables)?;
    let manifest = Arc::new(manifest);
    check_sinks(&manifest, &running)?;
    if !request.grant {
        check_grants(answers, &manifest, &running).await?;
    }
    let promotion = Promotion {
        plugin: Some(digest),
        plugin_config: config,
        lookups,
        granted: manifest.to_json(),
        rolls_back_to: None,
        reason: request.reason,
    };
    Ok(Checked {
        _place: place,
        running,
        begins,
        uploads,
        plugin,
        manifest,
        promotion,
    })
}

async fn loaded(answers: &Answers, digest: &Hash, config: &str) -> Result<(Plugin, Manifest), ApiError> {
    let component = answers.ledger.plugin(digest).await?.component;
    let plugin = answers.gate.load(component).await?;
    if plugin.hook() != Hook::Route {
        return Err(refused("wrong-hook", Hook::Intake.instead().to_owned()));
    }
    let manifest = PluginGate::describe(&plugin, config).await?;
    Ok((plugin, manifest))
}

fn no_tables(error: TableError) -> ApiError {
    match error {
        TableError::Missing(missing) => refused("no-lookup", missing.to_string()),
        error => ApiError::unavailable(&error),
    }
}

fn check_sinks(manifest: &Manifest, route: &RouteVersion) -> Result<(), ApiError> {
    let sinks = &route.definition.sinks;
    match manifest.sinks.iter().find(|sink| !sinks.contains(sink)) {
        None => Ok(()),
        Some(sink) => {
            let message = format!(
                "the plugin sends to the sink {sink:?}, the route has {}",
                sinks.join(", ")
            );
            Err(refused("unknown-sink", message))
        }
    }
}

/// What a plugin asks for beyond what the route's plugin may has to be granted. One that cannot be loaded any more may nothing.
async fn check_grants(answers: &Answers, manifest: &Manifest, running: &RouteVersion) -> Result<(), ApiError> {
    let granted = match &running.plugin {
        Some(digest) => loaded(answers, digest, &running.definition.plugin_config).await.ok(),
        None => None,
    };
    let asks = manifest.asks_beyond(granted.as_ref().map(|(_, granted)| granted));
    if asks.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the plugin asks for more than the route's plugin may: {}. Promote it with `--grant` (`\"grant\": true`) to allow that",
        asks.join(", ")
    );
    Err(ApiError::new(StatusCode::CONFLICT, "not-granted", message))
}

/// Tries the plugin on what is recorded. One that fails on most of it, or whose answers are no function, is not promoted.
async fn try_it(answers: &Answers, checked: &Checked<'_>) -> Result<Trial, ApiError> {
    let trial = Trial::run(
        &answers.ledger,
        &checked.running.definition,
        &checked.plugin,
        &checked.promotion.plugin_config,
        &checked.manifest,
    )
    .await;
    let trial = trial.map_err(|error| match error {
        TrialError::Read(error) => error.into(),
        TrialError::Unsteady(_) => refused("no-function", error.to_string()),
        TrialError::Plugin(HostError::TooMuchPoison) => refused("fails-on-recorded-changes", error_chain(&error)),
        error => ApiError::unavailable(&error),
    })?;
    if trial.failed * 2 > trial.changes {
        let message = format!(
            "the plugin fails on {} of the last {} recorded changes of this route: {}",
            trial.failed,
            trial.changes,
            trial.failure.unwrap_or_default()
        );
        return Err(refused("fails-on-recorded-changes", message));
    }
    Ok(trial)
}
