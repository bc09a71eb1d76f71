//! Amazon EventBridge, by `PutEvents`.
//!
//! The service answers per entry. Only entries that failed are tried again, and only if their error may pass
//! (streams.md 35): throttling and internal failures do, everything else is refused for good.

use std::sync::Arc;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use futures_util::future::BoxFuture;
use weir_model::Event;

use crate::aws::{self, Answer, Failure};
use crate::{AwsAccess, Limits, Message, Outcome, Sink};

/// Bytes of one request: 256 KB (EventBridge User Guide, "Calculating `PutEvents` event entry size"). Some accounts have more.
const BYTES_MAX: usize = 256 << 10;

/// Bytes that an entry's time counts (same page).
const TIME_BYTES: usize = 14;

/// Characters of a detail type. A longer one is accepted by the service and thrown away (streams.md 35).
const DETAIL_TYPE_CHARS_MAX: usize = 128;

/// An event bus.
pub struct EventBridge {
    client: Client,
    bus: String,
    bytes_max: usize,
}

impl EventBridge {
    /// Makes a client. Nothing is sent yet. `bus` is the name or ARN of an event bus, `default` for the account's own. A
    /// request has at most `bytes_max` bytes, 256 KB unless told otherwise.
    pub async fn new(access: &AwsAccess, bus: &str, bytes_max: Option<usize>) -> Self {
        Self {
            client: Client::new(&access.load().await),
            bus: bus.to_owned(),
            bytes_max: bytes_max.unwrap_or(BYTES_MAX),
        }
    }

    async fn put(&self, messages: &[Arc<Message>]) -> Answer {
        let entries = messages.iter().map(|message| self.entry(message)).collect();
        let call = self.client.put_events().set_entries(Some(entries));
        let output = call.send().await;
        let output = output.map_err(|error| Failure::of_call(&error, |code| code == "ValidationException"))?;
        Ok(output.entries().iter().map(read_entry).collect())
    }

    fn entry(&self, message: &Message) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(&message.source)
            .detail_type(&message.detail_type)
            .time(DateTime::from_secs(message.time.as_second()))
            .detail(&message.body)
            .build()
    }
}

impl Sink for EventBridge {
    fn limits(&self) -> Limits {
        aws::limits(self.bytes_max)
    }

    fn body(&self, event: &Event) -> String {
        serde_json::to_string(&event.detail).expect("a detail is JSON")
    }

    fn size(&self, message: &Message) -> usize {
        TIME_BYTES + message.source.len() + message.detail_type.len() + message.body.len()
    }

    fn send<'a>(&'a self, messages: &'a [Arc<Message>]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let refusals: Vec<Option<Outcome>> = messages.iter().map(|message| refusal(message)).collect();
            let fine = messages.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
            let sendable: Vec<Arc<Message>> = fine.map(|(message, _)| Arc::clone(message)).collect();
            let sent = aws::send_apart(&sendable, |part| Box::pin(self.put(part))).await;
            let mut sent = sent.into_iter();
            let next = |refusal: Option<Outcome>| {
                refusal
                    .or_else(|| sent.next())
                    .expect("there is an outcome for every message that was sent")
            };
            refusals.into_iter().map(next).collect()
        })
    }
}

/// What the service would lose in silence is refused here.
fn refusal(message: &Message) -> Option<Outcome> {
    let characters = message.detail_type.chars().count();
    (characters > DETAIL_TYPE_CHARS_MAX).then(|| {
        Outcome::refused(format!(
            "the detail type has {characters} characters, EventBridge drops events over {DETAIL_TYPE_CHARS_MAX}"
        ))
    })
}

fn read_entry(entry: &PutEventsResultEntry) -> Outcome {
    let Some(code) = entry.error_code() else {
        return match entry.event_id() {
            Some(_) => Outcome::Accepted,
            None => Outcome::unavailable("EventBridge gave neither an event id nor an error"),
        };
    };
    let reason = format!(
        "{code}: {}",
        entry.error_message().unwrap_or("EventBridge gave no message")
    );
    match code {
        "ThrottlingException" | "InternalFailure" | "InternalException" | "ServiceUnavailable" => {
            Outcome::retry(reason)
        }
        _ => Outcome::refused(reason),
    }
}
