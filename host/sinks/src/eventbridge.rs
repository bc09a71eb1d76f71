//! Amazon EventBridge, by `PutEvents`.
//!
//! The service answers per entry. Only entries that failed are tried again, and only if their error may pass
//! (streams.md 35): throttling and internal failures do, everything else is refused for good.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::http::HttpResponse;
use aws_sdk_eventbridge::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use futures_util::future::BoxFuture;
use weir_model::Event;
use weir_streams::explain;

use crate::{AwsAccess, Outcome, Sink};

/// Entries of one request (EventBridge API, `PutEvents`).
const ENTRIES_MAX: usize = 10;

/// Bytes of one request: 256 KB (EventBridge User Guide, "Calculating `PutEvents` event entry size").
const BYTES_MAX: usize = 256 << 10;

/// Bytes that an entry's time counts (same page).
const TIME_BYTES: usize = 14;

/// Characters of a detail type. A longer one is accepted by the service and thrown away (streams.md 35).
const DETAIL_TYPE_CHARS_MAX: usize = 128;

/// An event bus.
pub struct EventBridge {
    client: Client,
    bus: String,
}

impl EventBridge {
    /// Makes a client. Nothing is sent yet. `bus` is the name or ARN of an event bus, `default` for the account's own.
    pub async fn new(access: &AwsAccess, bus: &str) -> Self {
        Self {
            client: Client::new(&access.load().await),
            bus: bus.to_owned(),
        }
    }

    async fn put(&self, events: &[Event]) -> Vec<Outcome> {
        let entries = events.iter().map(|event| self.entry(event)).collect();
        match self.client.put_events().set_entries(Some(entries)).send().await {
            Ok(output) if output.entries().len() == events.len() => output.entries().iter().map(read_entry).collect(),
            Ok(_) => unavailable(events, "EventBridge did not answer for every entry"),
            Err(error) if is_about_events(&error) && events.len() > 1 => {
                let (first, second) = events.split_at(events.len() / 2);
                let mut outcomes = Box::pin(self.put(first)).await;
                outcomes.extend(Box::pin(self.put(second)).await);
                outcomes
            }
            Err(error) if is_about_events(&error) => {
                vec![Outcome::Refused {
                    reason: explain(&error),
                }]
            }
            Err(error) => unavailable(events, &explain(&error)),
        }
    }

    fn entry(&self, event: &Event) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(&event.source)
            .detail_type(&event.detail_type)
            .time(DateTime::from_secs(event.time.as_second()))
            .detail(detail(event))
            .build()
    }
}

impl Sink for EventBridge {
    fn events_max(&self) -> usize {
        ENTRIES_MAX
    }

    fn bytes_max(&self) -> usize {
        BYTES_MAX
    }

    fn size(&self, event: &Event) -> usize {
        TIME_BYTES + event.source.len() + event.detail_type.len() + detail(event).len()
    }

    fn send<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let refusals: Vec<Option<Outcome>> = events.iter().map(refusal).collect();
            let sendable: Vec<Event> = events
                .iter()
                .zip(&refusals)
                .filter(|(_, refusal)| refusal.is_none())
                .map(|(event, _)| event.clone())
                .collect();
            let mut sent = if sendable.is_empty() {
                Vec::new()
            } else {
                self.put(&sendable).await
            }
            .into_iter();
            let next = |refusal: Option<Outcome>| {
                refusal
                    .or_else(|| sent.next())
                    .expect("there is an outcome for every event that was sent")
            };
            refusals.into_iter().map(next).collect()
        })
    }
}

fn detail(event: &Event) -> String {
    serde_json::to_string(&event.detail).expect("a detail is JSON")
}

/// What the service would lose in silence is refused here.
fn refusal(event: &Event) -> Option<Outcome> {
    let characters = event.detail_type.chars().count();
    (characters > DETAIL_TYPE_CHARS_MAX).then(|| Outcome::Refused {
        reason: format!(
            "the detail type has {characters} characters, EventBridge drops events over {DETAIL_TYPE_CHARS_MAX}"
        ),
    })
}

fn read_entry(entry: &PutEventsResultEntry) -> Outcome {
    let Some(code) = entry.error_code() else {
        return match entry.event_id() {
            Some(_) => Outcome::Accepted,
            None => Outcome::Unavailable {
                reason: "EventBridge gave neither an event id nor an error".to_owned(),
            },
        };
    };
    let reason = format!(
        "{code}: {}",
        entry.error_message().unwrap_or("EventBridge gave no message")
    );
    match code {
        "ThrottlingException" | "InternalFailure" | "InternalException" | "ServiceUnavailable" => {
            Outcome::Retry { reason }
        }
        _ => Outcome::Refused { reason },
    }
}

/// Whether a refused request was refused for what is in it: then its events are tried one by one.
fn is_about_events<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let status = error.raw_response().map(|response| response.status().as_u16());
    status == Some(413) || error.code() == Some("ValidationException")
}

fn unavailable(events: &[Event], reason: &str) -> Vec<Outcome> {
    vec![
        Outcome::Unavailable {
            reason: reason.to_owned()
        };
        events.len()
    ]
}
