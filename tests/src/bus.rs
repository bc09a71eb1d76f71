//! An event bus that remembers: speaks `PutEvents` on the wire, so the real client talks to it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router, routing};
use serde_json::{Value, json};

use crate::serve;

/// A running bus. It ends with the test.
#[derive(Clone)]
pub struct Bus {
    endpoint: String,
    state: Arc<Mutex<BusState>>,
}

/// One event as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// `DetailType`.
    pub detail_type: String,
    /// `Detail`, parsed.
    pub detail: Value,
}

#[derive(Default)]
struct BusState {
    received: Vec<Received>,
    /// Requests answered with a plain failure, before anything is taken.
    failures: u32,
    /// Per-entry error codes of the next requests.
    partial_failures: VecDeque<HashMap<usize, String>>,
}

impl Bus {
    /// Starts it on the loopback.
    ///
    /// # Panics
    ///
    /// No port is free.
    pub async fn start() -> Self {
        let state: Arc<Mutex<BusState>> = Arc::default();
        let app = Router::new()
            .route("/", routing::post(put_events))
            .with_state(Arc::clone(&state));
        Self {
            endpoint: serve(app).await,
            state,
        }
    }

    /// A `[sink.bus]` for this bus.
    #[must_use]
    pub fn sink(&self) -> String {
        format!(
            "[sink.bus]\ntype = \"eventbridge\"\nendpoint = \"{}\"\ntest_credentials = true\n",
            self.endpoint
        )
    }

    /// Answers the next `count` requests with an error, and takes nothing of them.
    pub fn fail(&self, count: u32) {
        self.lock().failures = count;
    }

    /// Fails these entries of the next request, by index, with these error codes.
    pub fn fail_entries(&self, entries: &[(usize, &str)]) {
        let entries = entries
            .iter()
            .map(|(index, code)| (*index, (*code).to_owned()))
            .collect();
        self.lock().partial_failures.push_back(entries);
    }

    /// Everything that arrived, in order, repeats too.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    /// Number of different deliveries that arrived.
    #[must_use]
    pub fn deliveries(&self) -> usize {
        self.lock()
            .received
            .iter()
            .map(Received::delivery)
            .collect::<HashSet<_>>()
            .len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BusState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Received {
    /// The delivery's id.
    #[must_use]
    pub fn delivery(&self) -> &str {
        self.detail["delivery"].as_str().unwrap_or_default()
    }

    /// Position of the change.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.detail["position"].as_u64().unwrap_or(u64::MAX)
    }
}

async fn put_events(State(state): State<Arc<Mutex<BusState>>>, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).expect("the client sends JSON");
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if state.failures > 0 {
        state.failures -= 1;
        let error = json!({ "__type": "InternalException", "message": "asked to fail" });
        return (StatusCode::INTERNAL_SERVER_ERROR, Json(error)).into_response();
    }
    let failing = state.partial_failures.pop_front().unwrap_or_default();
    let mut answers = Vec::new();
    for (index, entry) in request["Entries"]
        .as_array()
        .expect("PutEvents has entries")
        .iter()
        .enumerate()
    {
        if let Some(code) = failing.get(&index) {
            answers.push(json!({ "ErrorCode": code, "ErrorMessage": "asked to fail" }));
            continue;
        }
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let detail = serde_json::from_str(&text("Detail")).expect("a detail is JSON");
        state.received.push(Received {
            detail_type: text("DetailType"),
            detail,
        });
        answers.push(json!({ "EventId": format!("event-{}", state.received.len()) }));
    }
    Json(json!({ "FailedEntryCount": failing.len(), "Entries": answers })).into_response()
}
