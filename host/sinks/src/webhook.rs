//! An HTTP endpoint of somebody's, as Standard Webhooks has it: one message a request, signed, under an id that stays the same
//! at every attempt.
//!
//! ```text
//! POST /hooks/orders
//! content-type: application/cloudevents+json
//! webhook-id: 7b0d...             the delivery: drop what you have seen
//! webhook-timestamp: 1772366400   when this attempt was made
//! webhook-signature: v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo= v1,...
//! ```
//!
//! | answer | what becomes of the message |
//! | --- | --- |
//! | 2xx | accepted |
//! | 413, 414, 415, 431 | refused: this message is not taken, now or ever |
//! | 410 | the endpoint is gone: it is not asked again before Weir is started anew |
//! | 429, 502, 503, 504, none | the endpoint is not there now: it is asked again later, nothing counts against the message |
//! | everything else, redirects too | tried again, as the route's retries have it |
//!
//! # Invariants
//!
//! - No connection is made to an address that is neither public nor allowed, however the URL or the name service says it.
//! - Redirects are not followed, and proxies of the environment are not used: where a message goes, the configuration says.
//! - `Retry-After` is heard.

mod address;
mod answer;
mod signature;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use weir_model::Event;
use zeroize::Zeroizing;

use self::address::{AddressGuard, Resolver};
use self::signature::{SecretError, Signer};
use crate::message::cloud_event;
use crate::{Limits, Message, Outcome, Sink};

/// Media type of a message (`CloudEvents` 1.0, "HTTP Protocol Binding", 3.2, structured mode).
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/cloudevents+json; charset=utf-8");

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest request with its answer. Standard Webhooks advises 15 to 30 seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Requests of one route at a time: each carries one message.
const REQUESTS_MAX: usize = 32;

/// An endpoint.
pub struct Webhook {
    client: reqwest::Client,
    url: Url,
    signer: Signer,
    /// Since it answered that it is gone.
    gone: OnceLock<String>,
}

/// How an endpoint is reached.
#[derive(Clone)]
pub struct WebhookSettings {
    /// `https://hooks.example.com/orders`. `http://` only goes to addresses in `allow_networks`.
    pub url: String,
    /// Secrets that every message is signed with, `whsec_` and 24 to 64 bytes in base64. Two while receivers change over.
    pub secrets: Vec<Zeroizing<String>>,
    /// Networks that are not public and may be sent to all the same.
    pub allow_networks: Vec<IpNet>,
}

/// Why an endpoint cannot be used. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The URL cannot be used. It is not told: it may hold a secret.
    #[error("its `url` cannot be used: {0}")]
    Url(String),
    /// It goes where nothing may go.
    #[error("{0}")]
    Address(#[from] address::Forbidden),
    /// A secret is missing, or is none.
    #[error("{0}")]
    Secret(#[from] SecretError),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

impl Webhook {
    /// Makes a client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// The URL or a secret cannot be used.
    pub fn new(settings: WebhookSettings) -> Result<Self, WebhookError> {
        Self::resolving(settings, Resolver::of_system())
    }

    fn resolving(settings: WebhookSettings, resolver: Resolver) -> Result<Self, WebhookError> {
        let refuse = |reason: &str| WebhookError::Url(reason.to_owned());
        let not_https = "it has to begin with https://; http:// only goes to networks that `allow_networks` names";
        if !settings.url.contains("://") {
            return Err(refuse(not_https));
        }
        let url = Url::parse(&settings.url).map_err(|error| refuse(&error.to_string()))?;
        let is_secure = match url.scheme() {
            "https" => true,
            "http" if !settings.allow_networks.is_empty() => false,
            _ => return Err(refuse(not_https)),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                "it must not carry a user or a password: receivers know us by our signature",
            ));
        }
        let guard = AddressGuard::new(&settings.allow_networks, is_secure);
        // An address in the URL never comes to the resolver (streams.md 37).
        guard.check_host(&url)?;
        let signer = Signer::new(&settings.secrets)?;
        let client = reqwest::Client::builder()
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(resolver.guarded_by(guard))
            .build()
            .map_err(WebhookError::Client)?;
        Ok(Self {
            client,
            url,
            signer,
            gone: OnceLock::new(),
        })
    }

    async fn post(&self, message: &Message) -> Outcome {
        if let Some(reason) = self.gone.get() {
            return Outcome::unavailable(reason);
        }
        let timestamp = Timestamp::now().as_second();
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .header("webhook-id", message.delivery.as_str())
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", self.signer.sign(message, timestamp))
            .body(message.body.clone());
        match request.send().await {
            Err(error) => Outcome::unavailable(answer::explain(&error)),
            Ok(response) if response.status() == reqwest::StatusCode::GONE => {
                let reason = format!(
                    "the endpoint answered 410 Gone at {}, and is not asked again before Weir is started anew",
                    Timestamp::now().round(jiff::Unit::Second).unwrap_or_default()
                );
                Outcome::unavailable(self.gone.get_or_init(|| reason))
            }
            Ok(response) => answer::read(response).await,
        }
    }
}

impl Sink for Webhook {
    fn limits(&self) -> Limits {
        Limits {
            messages_max: 1,
            bytes_max: usize::MAX,
            requests_max: REQUESTS_MAX,
        }
    }

    fn body(&self, event: &Event) -> String {
        cloud_event(event)
    }

    fn size(&self, message: &Message) -> usize {
        message.body.len()
    }

    fn send<'a>(&'a self, messages: &'a [Arc<Message>]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(messages.len());
            for message in messages {
                outcomes.push(self.post(message).await);
            }
            outcomes
        })
    }
}
