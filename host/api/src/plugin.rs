//! Uploads: what is in the registry, and who may be put there.

use std::time::Duration;

use axum::Json;
use axum::extract::{Multipart, Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_ledger::{NewUpload, StoredPlugin, Upload};

use crate::error::ApiError;
use crate::gate::{PluginGate, Uploaded};
use crate::server::Answers;

/// Longest upload, its compilation included.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(180);

/// Digits of a digest that are enough to name it.
const DIGITS_MIN: usize = 6;

/// Answer of `GET /v1/plugins`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugins {
    /// The newest first.
    pub plugins: Vec<PluginState>,
}

/// A plugin that was uploaded. Answer of `POST /v1/plugins` and `GET /v1/plugins/{plugin}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginState {
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
    /// The name that it gives itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it said of itself: `summary`, `reads`, `reads_actor`, `sinks`, `lookups`.
    pub manifest: Value,
    /// The trusted key that signed it, as it is configured.
    pub signer: Option<String>,
    /// Bytes of the component.
    pub bytes: u64,
    /// When it was uploaded.
    pub uploaded_at: Timestamp,
    /// Position of the entry that tells of it.
    pub position: u64,
    /// Routes that it runs on.
    pub runs_on: Vec<String>,
}

/// `POST /v1/plugins`
pub(crate) async fn upload(State(answers): State<Answers>, form: Multipart) -> Result<Json<PluginState>, ApiError> {
    let took_too_long = || {
        let message = "the upload took too long; try again when less is going on";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    };
    tokio::time::timeout(UPLOAD_TIMEOUT, take(&answers, form))
        .await
        .unwrap_or_else(|_| Err(took_too_long()))
}

async fn take(answers: &Answers, form: Multipart) -> Result<Json<PluginState>, ApiError> {
    let _place = answers.gate.enter().await;
    let uploaded = Uploaded::read(form).await?;
    let signer = answers.gate.signer(&uploaded)?;
    let plugin = answers.gate.load(uploaded.component.clone()).await?;
    let manifest = PluginGate::describe(&plugin, &uploaded.config).await?;
    let stored = StoredPlugin {
        digest: *plugin.digest(),
        component: uploaded.component,
    };
    let about = NewUpload {
        manifest: manifest.to_json().to_string(),
        name: manifest.name,
        version: manifest.version,
        signer,
    };
    let upload = answers.ledger.upload(&stored, &about, Timestamp::now()).await?;
    tracing::info!(
        plugin = upload.about.name,
        digest = hex::encode(upload.digest),
        "plugin uploaded"
    );
    Ok(Json(state(answers, upload).await?))
}

/// `GET /v1/plugins`
pub(crate) async fn list(State(answers): State<Answers>) -> Result<Json<Plugins>, ApiError> {
    let mut plugins = Vec::new();
    for upload in answers.ledger.uploads().await? {
        plugins.push(state(&answers, upload).await?);
    }
    Ok(Json(Plugins { plugins }))
}

/// `GET /v1/plugins/{plugin}`
pub(crate) async fn show(
    State(answers): State<Answers>,
    Path(plugin): Path<String>,
) -> Result<Json<PluginState>, ApiError> {
    let upload = find(&answers, &plugin).await?;
    Ok(Json(state(&answers, upload).await?))
}

/// The plugin that is called so: by name (the newest upload of it), by `name@version`, or by the first digits of its digest.
pub(crate) async fn find(answers: &Answers, plugin: &str) -> Result<Upload, ApiError> {
    let uploads = answers.ledger.uploads().await?;
    let digits = plugin.strip_prefix("sha256:").unwrap_or(plugin);
    let is_digest = digits.len() >= DIGITS_MIN && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let (name, version) = plugin
        .split_once('@')
        .map_or((plugin, None), |(name, version)| (name, Some(version)));
    let is_named =
        |upload: &&Upload| upload.about.name == name && version.is_none_or(|version| upload.about.version == version);
    if let Some(upload) = uploads.iter().find(is_named) {
        return Ok(upload.clone());
    }
    let has_digits =
        |upload: &&Upload| is_digest && hex::encode(upload.digest).starts_with(&digits.to_ascii_lowercase());
    let mut found = uploads.iter().filter(has_digits);
    match (found.next(), found.next()) {
        (Some(upload), None) => Ok(upload.clone()),
        (Some(_), Some(_)) => {
            let message = format!("several plugins have digests that begin with {digits:?}; give more digits");
            Err(ApiError::new(StatusCode::CONFLICT, "ambiguous-plugin", message))
        }
        (None, _) => {
            let message = format!(
                "no plugin is called {plugin:?}: give its name, `name@version`, or {DIGITS_MIN} digits of its digest; \
                 `weir plugin list` has them"
            );
            Err(ApiError::new(StatusCode::NOT_FOUND, "unknown-plugin", message))
        }
    }
}

async fn state(answers: &Answers, upload: Upload) -> Result<PluginState, ApiError> {
    let mut runs_on = Vec::new();
    for route in answers.ledger.routes().await? {
        let newest = answers.ledger.route_versions(&route).await?.pop();
        if newest.is_some_and(|newest| newest.plugin == Some(upload.digest)) {
            runs_on.push(route);
        }
    }
    Ok(PluginState {
        digest: hex::encode(upload.digest),
        name: upload.about.name,
        version: upload.about.version,
        manifest: serde_json::from_str(&upload.about.manifest).unwrap_or_default(),
        signer: upload.about.signer,
        bytes: upload.bytes,
        uploaded_at: upload.uploaded_at,
        position: upload.position.0,
        runs_on,
    })
}
