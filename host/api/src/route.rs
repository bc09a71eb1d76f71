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
use weir_ledger::{PromoteError, Promotion, RouteHalt, RouteVersion, Upload};
use weir_pipeline::{TableError, Trial, TrialError, error_chain, give_tables, newest_tables};
use weir_runtime::{Hook, HostError, Manifest, Plugin};

use crate::error::ApiError;
use crate::gate::PluginGate;
use crate::plugin::find;
use crate::server::Answers;

/// Versions of one answer.
const VERSIONS_MAX: usize = 1000;

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
    /// The newest first, at most 1,000.
    pub versions: Vec<RouteVersionState>,
    /// Where it stands still, if it does: its plugin failed there, and it is configured to halt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<RouteHaltState>,
}

/// A route that stands still. Its next version goes on there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteHaltState {
    /// Position of the change that its plugin failed on.
    pub position: u64,
    /// The version that failed.
    pub version: u32,
    /// What happened: `plugin-trap`, ...
    pub code: String,
    /// Since when.
    pub since: Timestamp,
}

impl From<RouteHalt> for RouteHaltState {
    fn from(halt: RouteHalt) -> Self {
        Self {
            position: halt.position.0,
            version: halt.version,
            code: halt.code,
            since: halt.since,
        }
    }
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
    /// What its plugin made of changes that are recorded, where it was tried: nothing of that was sent.
    pub tried: Option<Trial>,
}

/// `GET /v1/routes/{route}/versions`
pub(crate) async fn versions(
    State(answers): State<Answers>,
    Path(route): Path<String>,
) -> Result<Json<RouteVersions>, ApiError> {
    let known = known(&answers, &route).await?;
    let digests: Vec<Hash> = known.iter().filter_map(|version| version.plugin).collect();
    let uploads = answers.ledger.uploads_of(&digests).await?;
    let newest = known.into_iter().rev().take(VERSIONS_MAX);
    let versions = newest.map(|version| state(version, &uploads)).collect();
    let halted = answers.ledger.route_halt(&route).await?.map(Into::into);
    Ok(Json(RouteVersions { versions, halted }))
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
    let _place = answers.gate.enter().await;
    let (plugin, manifest) = loaded(&answers, &digest, &config).await?;
    let lookups = newest_tables(&answers.ledger, &manifest).await.map_err(no_tables)?;
    let definition = &running.definition;
    if running.plugin == Some(digest) && definition.plugin_config == config && definition.lookups == lookups {
        let version = state(running, &uploads);
        return Ok(Json(Promoted { version, tried: None }));
    }
    let manifest = give_tables(&answers.ledger, manifest, &lookups)
        .await
        .map_err(no_tables)?;
    let manifest = Arc::new(manifest);
    check_sinks(&manifest, &running)?;
    if !request.grant {
        check_grants(&answers, &manifest, &running).await?;
    }
    let tried = try_it(&answers, &running, &plugin, &config, &manifest).await?;
    let promotion = Promotion {
        plugin: Some(digest),
        plugin_config: config,
        lookups,
        granted: manifest.to_json(),
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

pub(crate) fn check_reason(reason: &str) -> Result<(), ApiError> {
    if reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) {
        let message = format!("`reason` is one line of at most {REASON_BYTES_MAX} bytes");
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
async fn try_it(
    answers: &Answers,
    running: &RouteVersion,
    plugin: &Plugin,
    config: &str,
    manifest: &Arc<Manifest>,
) -> Result<Trial, ApiError> {
    let trial = Trial::run(&answers.ledger, &running.definition, plugin, config, manifest).await;
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

fn refused(code: &'static str, message: String) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
}

fn state(version: RouteVersion, uploads: &[Upload]) -> RouteVersionState {
    let upload = uploads.iter().find(|upload| Some(upload.digest) == version.plugin);
    RouteVersionState {
        version: version.version,
        from_position: version.from_position.0,
        plugin: version.plugin.map(hex::encode),
        plugin_name: upload.map(|upload| format!("{}@{}", upload.about.name, upload.about.version)),
        plugin_config: serde_json::from_str(&version.definition.plugin_config).unwrap_or_default(),
        lookups: version.definition.lookups,
        sinks: version.definition.sinks,
    }
}
