//! EventBridge: `PutEvents`.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::service::ApiError;
use crate::sinks::{ENTRIES_MAX, Entry, Sinks, text};

/// Longest detail type that a rule ever sees.
const DETAIL_TYPE_CHARACTERS_MAX: usize = 128;

/// Bytes that a time counts for (EventBridge User Guide, "Calculating `PutEvents` event entry size").
const TIME_BYTES: usize = 14;

const OPERATION: &str = "PutEvents";

impl Sinks {
    /// Takes events. Some may fail while others are taken: the call is then still a success.
    pub(crate) fn put_events(&mut self, body: &Value, now: Timestamp) -> Result<Value, ApiError> {
        let entries = body["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
        if entries.is_empty() || entries.len() > ENTRIES_MAX {
            let message = format!("{} entries, and 1 to {ENTRIES_MAX} are allowed", entries.len());
            return Err(ApiError::new("ValidationException", message));
        }
        let size_bytes: usize = entries.iter().map(size_bytes).sum();
        if size_bytes > self.settings.eventbridge_bytes_max {
            return Err(self.too_large("ValidationException"));
        }
        let failures = self.failures_of(OPERATION, entries.len());
        let mut failed = 0;
        let mut results = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let code = match failures.get(&index) {
                Some(failure) => Some(failure.code.as_str()),
                None => fault_of(entry),
            };
            if let Some(code) = code {
                failed += 1;
                results.push(json!({ "ErrorCode": code, "ErrorMessage": "the entry failed" }));
                continue;
            }
            let entry = Entry {
                target: text(entry, "EventBusName").unwrap_or("default"),
                deduplication: None,
                // Accepted, and thrown away in silence.
                is_discarded: text(entry, "DetailType")
                    .is_some_and(|name| name.chars().count() > DETAIL_TYPE_CHARACTERS_MAX),
                entry,
            };
            results.push(json!({ "EventId": self.accept(OPERATION, &entry, now) }));
        }
        Ok(json!({ "FailedEntryCount": failed, "Entries": results }))
    }

    /// What a batch that is too large is answered with.
    pub(super) fn too_large(&self, code: &str) -> ApiError {
        let error = ApiError::new(code, "Total size of the entries in the request is over the limit.");
        if self.settings.bare_413 {
            return ApiError {
                status: 413,
                code: String::new(),
                ..error
            };
        }
        error
    }
}

/// What is wrong with an entry for good.
fn fault_of(entry: &Value) -> Option<&'static str> {
    let filled = |name| text(entry, name).is_some_and(|value| !value.is_empty());
    if !filled("Source") || !filled("DetailType") || !filled("Detail") {
        return Some("InvalidArgument");
    }
    let detail: Option<Value> = text(entry, "Detail").and_then(|detail| serde_json::from_str(detail).ok());
    let is_object = detail.is_some_and(|detail| detail.is_object());
    (!is_object).then_some("MalformedDetail")
}

fn size_bytes(entry: &Value) -> usize {
    let time = entry.get("Time").map_or(0, |_| TIME_BYTES);
    let texts = ["Source", "DetailType", "Detail"].map(|name| text(entry, name).map_or(0, str::len));
    let resources = entry["Resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let resources: usize = resources.iter().filter_map(Value::as_str).map(str::len).sum();
    time + texts.iter().sum::<usize>() + resources
}
