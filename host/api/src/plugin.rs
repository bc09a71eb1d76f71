//! Uploads: what is in the registry, and what may be put there.

use axum::Json;
use axum::extract::{Multipart, Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_ledger::{NewUpload, RouteVersion, StoredPlugin, Upload, UploadQuery};

use crate::error::ApiError;
use crate::gate::{PluginGate, Uploaded};
use crate::server::Answers;

/// Digits of a digest that are enough to name it.
const DIGITS_MIN: usize = 6;

/// Answer of `GET /v1/plugins`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugins {
    /// The newest first, at most 1,000.
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
    let running = answers.ledger.routes().await?;
    Ok(Json(state(upload, &running)))
}

/// `GET /v1/plugins`
pub(crate) async fn list(State(answers): State<Answers>) -> Result<Json<Plugins>, ApiError> {
    let running = answers.ledger.routes().await?;
    let uploads = answers.ledger.uploads(UploadQuery::default()).await?.into_iter();
    let plugins = uploads.map(|upload| state(upload, &running)).collect();
    Ok(Json(Plugins { plugins }))
}

/// `GET /v1/plugins/{plugin}`
pub(crate) async fn show(
    State(answers): State<Answers>,
    Path(plugin): Path<String>,
) -> Result<Json<PluginState>, ApiError> {
    let upload = find(&answers, &plugin).await?;
    let running = answers.ledger.routes().await?;
    Ok(Json(state(upload, &running)))
}

/// The plugin that is called so: by name (the newest upload of it), by `name@version`, or by the first digits of its digest.
pub(crate) async fn find(answers: &Answers, plugin: &str) -> Result<Upload, ApiError> {
    let uploads = async |query| answers.ledger.uploads(query).await;
    let (name, version) = plugin
        .split_once('@')
        .map_or((plugin, None), |(name, version)| (name, Some(version)));
    let named = UploadQuery {
        name: Some(name),
        version,
        digits: None,
    };
    // Postgres takes no NUL in a text, and no name has one.
    if !plugin.contains('\0')
        && let Some(upload) = uploads(named).await?.into_iter().next()
    {
        return Ok(upload);
    }
    let digits = plugin.strip_prefix("sha256:").unwrap_or(plugin).to_ascii_lowercase();
    let is_digest = digits.len() >= DIGITS_MIN && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let mut found = Vec::new();
    if is_digest {
        found = uploads(UploadQuery {
            digits: Some(&digits),
            ..UploadQuery::default()
        })
        .await?;
        // One plugin may have been uploaded under several signatures.
        found.dedup_by_key(|upload| upload.digest);
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(upload), None) => Ok(upload),
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

fn state(upload: Upload, running: &[(String, RouteVersion)]) -> PluginState {
    let runs_on = running
        .iter()
        .filter(|(_, version)| version.plugin == Some(upload.digest));
    PluginState {
        runs_on: runs_on.map(|(route, _)| route.clone()).collect(),
        digest: hex::encode(upload.digest),
        name: upload.about.name,
        version: upload.about.version,
        manifest: serde_json::from_str(&upload.about.manifest).unwrap_or_default(),
        signer: upload.about.signer,
        bytes: upload.bytes,
        uploaded_at: upload.uploaded_at,
        position: upload.position.0,
    }
}
