//! A receiver of webhooks that remembers what it was sent, and has another language's library look at it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::aws::cache_folder;
use crate::serve;

/// Reads a secret and a request a line, and says of each what the library makes of it.
const VERIFY: &str = r#"
import json, sys
from standardwebhooks import Webhook, WebhookVerificationError
for line in sys.stdin:
    case = json.loads(line)
    try:
        Webhook(case["secret"]).verify(case["body"], case["headers"])
        print("fine")
    except WebhookVerificationError as error:
        print(error)
"#;

/// How long it asks to be left alone where it answers 429.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A running receiver. It ends with the test.
#[derive(Clone)]
pub struct Receiver {
    endpoint: String,
    state: Arc<Mutex<Inbox>>,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Its headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
    /// When it came.
    pub at: Instant,
    /// What it was answered with; 0 where it was not answered.
    pub status: u16,
}

#[derive(Default)]
struct Inbox {
    hooks: Vec<Hook>,
    /// Statuses of the next answers; 204 afterwards.
    statuses: Vec<u16>,
    /// What is answered to whatever speaks of an item.
    of_items: BTreeMap<String, u16>,
    /// Items of which nothing is answered.
    silent: BTreeSet<String>,
    /// Changes when some are answered again.
    spoken: tokio::sync::watch::Sender<()>,
}

impl Receiver {
    /// Starts it on the loopback.
    ///
    /// # Panics
    ///
    /// No port is free.
    pub async fn start() -> Self {
        let state: Arc<Mutex<Inbox>> = Arc::default();
        let app = Router::new().fallback(take).with_state(Arc::clone(&state));
        Self {
            endpoint: serve(app).await,
            state,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Answers the next requests with these statuses, and remembers them all the same.
    pub fn answers(&self, statuses: &[u16]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.statuses = statuses.iter().rev().copied().collect();
    }

    /// Answers every request about an item with this status.
    pub fn answers_about(&self, item: &str, status: u16) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.of_items.insert(item.to_owned(), status);
    }

    /// Answers nothing to requests about an item.
    pub fn keeps_silent_about(&self, item: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.silent.insert(item.to_owned());
    }

    /// Answers again, also those that came meanwhile and whose sender waits still.
    pub fn speaks_about(&self, item: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.silent.remove(item);
        state.spoken.send_replace(());
    }

    /// Events that were answered with success, about an item, in order.
    #[must_use]
    pub fn taken_about(&self, item: &str) -> Vec<Value> {
        let taken = self.hooks().into_iter().filter(|hook| hook.status == 204);
        let events = taken.map(|hook| hook.event());
        events.filter(|event| event["data"]["keys"]["id"] == item).collect()
    }

    /// Every request that came, in order.
    #[must_use]
    pub fn hooks(&self) -> Vec<Hook> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.hooks.clone()
    }
}

impl Hook {
    /// The delivery that it is.
    #[must_use]
    pub fn delivery(&self) -> &str {
        self.headers.get("webhook-id").map_or("", String::as_str)
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What the Python library of Standard Webhooks says of requests, with this secret: `fine`, or what is wrong.
///
/// # Panics
///
/// It is not installed.
pub async fn verified(secret: &str, hooks: &[Hook]) -> Vec<String> {
    let python = cache_folder().join("webhooks/bin/python");
    assert!(
        python.exists(),
        "{} is not there: run `tests/setup tests`",
        python.display()
    );
    let mut child = Command::new(python)
        .args(["-c", VERIFY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut lines = String::new();
    for hook in hooks {
        let case = json!({ "secret": secret, "headers": hook.headers, "body": hook.body });
        lines.push_str(&format!("{case}\n"));
    }
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(lines.as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

async fn take(State(inbox): State<Arc<Mutex<Inbox>>>, headers: HeaderMap, body: String) -> Response {
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        let value = value.to_str().unwrap_or_default();
        (name.as_str().to_owned(), value.to_owned())
    };
    let event: Value = serde_json::from_str(&body).unwrap_or_default();
    let item = event["data"]["keys"]["id"].as_str().unwrap_or_default();
    let (place, mut spoken) = {
        let mut state = inbox.lock().unwrap_or_else(PoisonError::into_inner);
        state.hooks.push(Hook {
            headers: headers.iter().map(header).collect(),
            body,
            at: Instant::now(),
            status: 0,
        });
        (state.hooks.len() - 1, state.spoken.subscribe())
    };
    let status = loop {
        {
            let mut state = inbox.lock().unwrap_or_else(PoisonError::into_inner);
            if !state.silent.contains(item) {
                let of_item = state.of_items.get(item).copied();
                let status = of_item.or_else(|| state.statuses.pop()).unwrap_or(204);
                state.hooks[place].status = status;
                break status;
            }
        }
        let _ = spoken.changed().await;
    };
    let mut answer = StatusCode::from_u16(status)
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        .into_response();
    if status == 429 {
        let headers = answer.headers_mut();
        headers.insert("retry-after", RETRY_AFTER.as_secs().into());
    }
    answer
}
