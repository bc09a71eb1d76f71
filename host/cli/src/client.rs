//! The client of Weir's own HTTP API.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_api::ErrorBody;

use crate::config::Loaded;

/// Longest answer that is waited for; above the server's own limit.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

/// Longest answer that is waited for where the whole ledger is searched, or a plugin compiled.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// What is said of an answer that is not one.
const UNREADABLE: &str = "the answer cannot be read: is this another version of weir?";

/// Weir answered that it does not do it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refused {
    /// Whether asking again may help.
    pub(crate) is_for_now: bool,
    message: String,
}

/// Asks the Weir that a configuration describes.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    pub(crate) fn new(loaded: &Loaded) -> Result<Self> {
        let token = loaded
            .token()
            .context("the API's token is not there; the first `weir run` writes it")?;
        let mut address = loaded.config.api.listen;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let http = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).no_proxy().build()?;
        Ok(Self {
            http,
            base: format!("http://{address}"),
            token: token.as_str().to_owned(),
        })
    }

    /// Asks, and reads the answer.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<T> {
        let answer = self.send(self.http.get(self.url(path)?).query(query)).await?;
        answer.json().await.context(UNREADABLE)
    }

    /// Asks, and waits for the answer as long as it takes.
    pub(crate) async fn get_patiently<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T> {
        let request = self.http.get(self.url(path)?).timeout(PATIENCE);
        self.send(request).await?.json().await.context(UNREADABLE)
    }

    /// Asks, and reads an answer that is text.
    pub(crate) async fn get_text(&self, path: &[&str]) -> Result<String> {
        let answer = self.send(self.http.get(self.url(path)?)).await?;
        answer.text().await.context(UNREADABLE)
    }

    /// Tells, and reads the answer.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T> {
        let answer = self.send(self.http.post(self.url(path)?).json(body)).await?;
        answer.json().await.context(UNREADABLE)
    }

    /// Tells, and waits for the answer as long as it takes.
    pub(crate) async fn post_patiently<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T> {
        let request = self.http.post(self.url(path)?).json(body).timeout(PATIENCE);
        self.send(request).await?.json().await.context(UNREADABLE)
    }

    /// Uploads a text, and reads the answer.
    pub(crate) async fn post_text<T: DeserializeOwned>(&self, path: &[&str], text: String) -> Result<T> {
        let answer = self.send(self.http.post(self.url(path)?).body(text)).await?;
        answer.json().await.context(UNREADABLE)
    }

    /// Uploads a form, and waits for the answer as long as it takes.
    pub(crate) async fn upload<T: DeserializeOwned>(&self, path: &[&str], form: reqwest::multipart::Form) -> Result<T> {
        let request = self.http.post(self.url(path)?).multipart(form).timeout(PATIENCE);
        self.send(request).await?.json().await.context(UNREADABLE)
    }

    fn url(&self, path: &[&str]) -> Result<reqwest::Url> {
        let mut url = reqwest::Url::parse(&self.base)?;
        url.path_segments_mut().expect("an http URL has a path").extend(path);
        Ok(url)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response> {
        let answer = request.bearer_auth(&self.token).send().await.with_context(|| {
            format!(
                "no Weir answers at {}. Start it with `weir run` (or `weir dev`), or correct `listen` under [api]",
                self.base
            )
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let message = match answer.json::<ErrorBody>().await {
            Ok(body) => body.error.message,
            Err(_) => format!("{} answered {status}", self.base),
        };
        bail!(Refused {
            is_for_now: status.is_server_error(),
            message
        })
    }
}
