//! Which plugin runs on a route: promote, roll back, and what ran before.
//!
//! ```text
//! promote ──▶ the plugin accepts the configuration ──▶ what it asks for is granted ──▶ it does not fail on what is recorded
//!         ──▶ the next version of the route, from the ledger's end on, and an entry that says so
//! ```
//!
//! # Invariants
//!
//! - A plugin gets nothing that the route's plugin did not have before, unless whoever promotes it grants it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_evidence::Hash;
use weir_ledger::{PromoteError, Promotion, RouteVersion};
use weir_pipeline::{TableError, Trial, TrialError, give_tables, newest_tables};
use weir_runtime::{Manifest, Plugin};

use crate::error::ApiError;
use crate::gate::PluginGate;
use crate::plugin::find;
use crate::server::Answers;

/// Longest reason, in bytes. It stands in an entry of the ledger.
const REASON_BYTES_MAX: usize = 1000;

/// Longest configuration of a plugin, in bytes.
const CONFIG_BYTES_MAX: usize = 64 << 10;

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

/// Answer of `GET /v1/routes/{route}/versions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteVersions {
    /// The newest first.
    pub versions: Vec<RouteVersionState>,
}

/// One version of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteVersionState {
    /// Counts from 1.
    pub version: u32,
    /// The first position that it routes.
    pub from_position: u64,
    /// SHA-256 of its plugin, hexadecimal; absent where changes are sent as they are.
    pub plugin: Option<String>,
    /// Name and version of the plugin, if it was uploaded.
    pub plugin_name: Option<String>,
    /// The plugin's configuration.
    pub plugin_config: Value,
    /// SHA-256 of the tables that it looks things up in, hexadecimal, by name.
    pub lookups: BTreeMap<String, String>,
    /// Where its events go.
    pub sinks: Vec<String>,
}

/// Answer of `POST /v1/routes/{route}/promote` and `.../rollback`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// The version that begins now.
    pub version: RouteVersionState,
    /// What its plugin made of changes that are recorded: nothing of that was sent.
    pub tried: Option<Tried>,
}

/// What a plugin made of the newest recorded changes of its route, at most 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// How many there were.
    pub changes: usize,
    /// Sent as they are.
    pub kept: usize,
    /// Events made of them.
    pub outputs: usize,
    /// Nothing is sent of them.
    pub dropped: usize,
    /// Rejected by the plugin.
    pub rejected: usize,
    /// The plugin failed on them.
    pub failed: usize,
    /// Why, for the first.
    pub failure: Option<String>,
}

/// `GET /v1/routes/{route}/versions`
pub(crate) async fn versions(
    State(answers): State<Answers>,
    Path(route): Path<String>,
) -> Result<Json<RouteVersions>, ApiError> {
    let mut versions = Vec::new();
    for version in known(&answers, &route).await?.into_iter().rev() {
        versions.push(state(&answers, version).await?);
    }
    Ok(Json(RouteVersions { versions }))
}

/// `POST /v1/routes/{route}/promote`
pub(crate) async fn promote(
    State(answers): State<Answers>,
    Path(route): Path<String>,
    Json(request): Json<PromoteRequest>,
) -> Result<Json<Promoted>, ApiError> {
    check_reason(&request.reason)?;
    let running = newest(&answers, &route).await?;
    let digest = find(&answers, &request.plugin).await?.digest;
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
    let _place = answers.gate.enter().await;
    let (plugin, manifest) = loaded(&answers, &digest, &config).await?;
    let lookups = newest_tables(&answers.ledger, &manifest).await.map_err(no_tables)?;
    let definition = &running.definition;
    if running.plugin == Some(digest) && definition.plugin_config == config && definition.lookups == lookups {
        let version = state(&answers, running).await?;
        return Ok(Json(Promoted { version, tried: None }));
    }
    let manifest = give_tables(&answers.ledger, manifest, &lookups)
        .await
        .map_err(no_tables)?;
    let manifest = Arc::new(manifest);
    check_sinks(&manifest, &running)?;
    check_grants(&answers, &manifest, &running, request.grant).await?;
    let tried = try_it(&answers, &running, &plugin, &config, &manifest).await?;
    let promotion = Promotion {
        plugin: Some(digest),
        plugin_config: config,
        lookups,
        granted: Some(manifest.to_json().to_string()),
        rolls_back_to: None,
        reason: request.reason,
    };
    enter(&answers, &route, &promotion, Some(tried)).await
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
            let _place = answers.gate.enter().await;
            let (_, manifest) = loaded(&answers, digest, &wanted.definition.plugin_config).await?;
            check_sinks(&manifest, &running)?;
            Some(manifest.to_json().to_string())
        }
        None => None,
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
    tried: Option<Tried>,
) -> Result<Json<Promoted>, ApiError> {
    let entered = answers.ledger.promote(route, promotion, Timestamp::now()).await;
    let entered = entered.map_err(|error| match error {
        PromoteError::NoRoute(_) => ApiError::new(StatusCode::NOT_FOUND, "unknown-route", error.to_string()),
        PromoteError::Database(error) => error.into(),
    })?;
    tracing::info!(route, version = entered.version, position = %entered.from_position, "route version");
    let version = state(answers, entered).await?;
    Ok(Json(Promoted { version, tried }))
}

/// Every version of a route, oldest first; at least one.
async fn known(answers: &Answers, route: &str) -> Result<Vec<RouteVersion>, ApiError> {
    let versions = if route.contains('\0') {
        Vec::new()
    } else {
        answers.ledger.route_versions(route).await?
    };
    if versions.is_empty() {
        let error = PromoteError::NoRoute(route.to_owned()).to_string();
        return Err(ApiError::new(StatusCode::NOT_FOUND, "unknown-route", error));
    }
    Ok(versions)
}

async fn newest(answers: &Answers, route: &str) -> Result<RouteVersion, ApiError> {
    let mut versions = known(answers, route).await?;
    Ok(versions.pop().expect("a route that is known has a version"))
}

async fn loaded(answers: &Answers, digest: &Hash, config: &str) -> Result<(Plugin, Manifest), ApiError> {
    let component = answers.ledger.plugin(digest).await?.component;
    let plugin = answers.gate.load(component).await?;
    let manifest = PluginGate::describe(&plugin, config).await?;
    Ok((plugin, manifest))
}

fn no_tables(error: TableError) -> ApiError {
    match error {
        TableError::Missing(missing) => refused("no-lookup", missing.to_string()),
        error => ApiError::unavailable(&error),
    }
}

fn check_reason(reason: &str) -> Result<(), ApiError> {
    if reason.len() > REASON_BYTES_MAX {
        let message = format!(
            "`reason` has {} bytes, at most {REASON_BYTES_MAX} are recorded",
            reason.len()
        );
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-reason", message));
    }
    Ok(())
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

async fn check_grants(
    answers: &Answers,
    manifest: &Manifest,
    running: &RouteVersion,
    grant: bool,
) -> Result<(), ApiError> {
    if grant {
        return Ok(());
    }
    let granted = match &running.plugin {
        Some(digest) => Some(loaded(answers, digest, &running.definition.plugin_config).await?.1),
        None => None,
    };
    let asks = manifest.asks_beyond(granted.as_ref());
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
async fn try_it(
    answers: &Answers,
    running: &RouteVersion,
    plugin: &Plugin,
    config: &str,
    manifest: &Arc<Manifest>,
) -> Result<Tried, ApiError> {
    let trial = Trial::run(&answers.ledger, &running.definition, plugin, config, manifest).await;
    let trial = trial.map_err(|error| match error {
        TrialError::Read(error) => error.into(),
        error => ApiError::unavailable(&error),
    })?;
    if let Some(position) = trial.unsteady_at {
        let message = format!(
            "the plugin's answer about the change at position {position} depends on the batch that it comes in; a plugin may \
             look at one change at a time only"
        );
        return Err(refused("no-function", message));
    }
    if trial.failed * 2 > trial.changes {
        let message = format!(
            "the plugin fails on {} of the last {} recorded changes of this route: {}",
            trial.failed,
            trial.changes,
            trial.failure.unwrap_or_default()
        );
        return Err(refused("fails-on-recorded-changes", message));
    }
    Ok(Tried {
        changes: trial.changes,
        kept: trial.kept,
        outputs: trial.outputs,
        dropped: trial.dropped,
        rejected: trial.rejected,
        failed: trial.failed,
        failure: trial.failure,
    })
}

fn refused(code: &'static str, message: String) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
}

async fn state(answers: &Answers, version: RouteVersion) -> Result<RouteVersionState, ApiError> {
    let uploads = answers.ledger.uploads().await?;
    let upload = uploads.iter().find(|upload| Some(upload.digest) == version.plugin);
    Ok(RouteVersionState {
        version: version.version,
        from_position: version.from_position.0,
        plugin: version.plugin.map(hex::encode),
        plugin_name: upload.map(|upload| format!("{}@{}", upload.about.name, upload.about.version)),
        plugin_config: serde_json::from_str(&version.definition.plugin_config).unwrap_or_default(),
        lookups: version.definition.lookups,
        sinks: version.definition.sinks,
    })
}
