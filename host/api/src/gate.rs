//! What a plugin has to pass before it is stored, and before it runs: the signature, then all that `weir plugin check` says.
//!
//! # Invariants
//!
//! - Where keys are trusted, nothing that was uploaded is loaded or promoted without a signature of one of them, also if it was
//!   uploaded before there were keys, or under a key that is trusted no more.
//! - At most two plugins are looked at at a time; others wait before a byte of them is read.

use std::sync::Arc;

use axum::extract::Multipart;
use axum::http::StatusCode;
use minisign_verify::{PublicKey, Signature};
use tokio::sync::{Semaphore, SemaphorePermit};
use weir_ledger::Upload;
use weir_pipeline::error_chain;
use weir_runtime::{DescribeError, LoadError, Manifest, Plugin, Runtime};

use crate::error::ApiError;

/// Plugins that are looked at at a time: each is held in memory.
const PLACES: usize = 2;

/// What is loaded and compiled for requests.
#[derive(Clone)]
pub struct PluginGate {
    runtime: Runtime,
    trusted: Arc<[TrustedKey]>,
    places: Arc<Semaphore>,
}

/// A key whose signature is taken.
pub struct TrustedKey {
    /// As it is configured: the second line of a `minisign.pub`.
    text: String,
    key: PublicKey,
}

/// Why a configured key cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no minisign public key: give the second line of the .pub file, it begins with RW")]
pub struct TrustedKeyError(String);

/// What came in an upload.
pub(crate) struct Uploaded {
    pub(crate) component: Vec<u8>,
    pub(crate) config: String,
    signature: Option<String>,
}

impl TrustedKey {
    /// Reads a key of `minisign -G`, in base64.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, TrustedKeyError> {
        let text = text.trim().to_owned();
        match PublicKey::from_base64(&text) {
            Ok(key) => Ok(Self { text, key }),
            Err(_) => Err(TrustedKeyError(text)),
        }
    }
}

impl PluginGate {
    /// Loads plugins with `runtime`; where keys are trusted, only what one of them signed is taken.
    #[must_use]
    pub fn new(runtime: Runtime, trusted: Vec<TrustedKey>) -> Self {
        Self {
            runtime,
            trusted: trusted.into(),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }

    /// Waits for a place.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) async fn enter(&self) -> SemaphorePermit<'_> {
        self.places.acquire().await.expect("it is never closed")
    }

    /// Which trusted key signed the component; nothing if none has to.
    pub(crate) fn signer(&self, uploaded: &Uploaded) -> Result<Option<String>, ApiError> {
        if self.trusted.is_empty() {
            return Ok(None);
        }
        let refuse = |code, message: &str| Err(ApiError::new(StatusCode::FORBIDDEN, code, message));
        let Some(signature) = &uploaded.signature else {
            return refuse(
                "not-signed-by-anyone",
                "only signed plugins are taken here: sign the component with `minisign -S -m FILE`, and send FILE.minisig \
                 too (`weir plugin push` finds it beside FILE)",
            );
        };
        let Ok(signature) = Signature::decode(signature) else {
            return refuse(
                "bad-signature",
                "the signature cannot be read: send the .minisig file that minisign wrote",
            );
        };
        // Prehashed signatures only, which minisign makes since 0.10.
        let signed = |trusted: &&TrustedKey| trusted.key.verify(&uploaded.component, &signature, false).is_ok();
        match self.trusted.iter().find(signed) {
            Some(trusted) => Ok(Some(trusted.text.clone())),
            None => refuse(
                "bad-signature",
                "no trusted key made this signature of this component: the keys are under [plugins] `trusted_keys`",
            ),
        }
    }

    /// Whether one of the trusted keys signed one of these uploads of a plugin; or none has to. What was never uploaded came with
    /// the configuration, whose owner says which keys are trusted.
    pub(crate) fn check_trust(&self, uploads: &[Upload]) -> Result<(), ApiError> {
        let is_trusted = |upload: &Upload| {
            let signer = upload.about.signer.as_deref();
            self.trusted.iter().any(|trusted| signer == Some(&trusted.text))
        };
        if self.trusted.is_empty() || uploads.is_empty() || uploads.iter().any(is_trusted) {
            return Ok(());
        }
        let message = "no trusted key signed this plugin: the keys are under [plugins] `trusted_keys`. Push it again with a \
                       signature of one of them";
        Err(ApiError::new(StatusCode::FORBIDDEN, "not-trusted", message))
    }

    pub(crate) async fn load(&self, component: Vec<u8>) -> Result<Plugin, ApiError> {
        self.runtime.load(component).await.map_err(|error| match error {
            LoadError::Ended | LoadError::Child(_) | LoadError::OtherEngine => ApiError::unavailable(&error),
            refused => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-plugin", error_chain(&refused)),
        })
    }

    pub(crate) async fn describe(plugin: &Plugin, config: &str) -> Result<Manifest, ApiError> {
        plugin.describe(config).await.map_err(|error| match error {
            DescribeError::Host(error) => ApiError::unavailable(&error),
            DescribeError::Config(_) => {
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-config", error_chain(&error))
            }
            refused => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-plugin", error_chain(&refused)),
        })
    }
}

impl Uploaded {
    /// Reads the parts of a form: `component`, and perhaps `signature` and `config`.
    pub(crate) async fn read(mut form: Multipart) -> Result<Self, ApiError> {
        let bad = |message: String| ApiError::new(StatusCode::BAD_REQUEST, "bad-upload", message);
        let (mut component, mut signature, mut config) = (None, None, None);
        while let Some(part) = form.next_field().await.map_err(|error| bad(error.body_text()))? {
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await.map_err(|error| bad(error.body_text()))?;
            let text = || {
                String::from_utf8(bytes.to_vec())
                    .map_err(|_| bad(format!("the part `{name}` of the upload is no text")))
            };
            match name.as_str() {
                "component" => component = Some(bytes.to_vec()),
                "signature" => signature = Some(text()?),
                "config" => config = Some(text()?),
                _ => {
                    return Err(bad(format!(
                        "the upload has a part {name:?}; it takes `component`, `signature` and `config`"
                    )));
                }
            }
        }
        Ok(Self {
            component: component.ok_or_else(|| bad("the upload has no part `component`, the Wasm file".to_owned()))?,
            config: config.unwrap_or_else(|| "{}".to_owned()),
            signature,
        })
    }
}
