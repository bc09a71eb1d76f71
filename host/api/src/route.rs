//! What runs on a route, and what ran before.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_evidence::Hash;
use weir_ledger::{PromoteError, RouteHalt, RouteVersion, Upload};

use crate::error::ApiError;
use crate::server::Answers;

/// Versions of one answer.
const VERSIONS_MAX: usize = 1000;

/// Longest reason, in bytes. It stands in an entry of the ledger.
const REASON_BYTES_MAX: usize = 1000;

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

/// Every version of a route, oldest first; at least one.
pub(crate) async fn known(answers: &Answers, route: &str) -> Result<Vec<RouteVersion>, ApiError> {
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

pub(crate) fn check_reason(reason: &str) -> Result<(), ApiError> {
    if reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) {
        let message = format!("`reason` is one line of at most {REASON_BYTES_MAX} bytes");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-reason", message));
    }
    Ok(())
}

pub(crate) fn refused(code: &'static str, message: String) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
}

pub(crate) fn state(version: RouteVersion, uploads: &[Upload]) -> RouteVersionState {
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
