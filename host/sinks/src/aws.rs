//! What the batches of AWS have in common: a request fails as a whole or message by message, and is too large for what one
//! of them carries.

use std::collections::HashMap;
use std::sync::Arc;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::future::BoxFuture;

use crate::{Limits, Message, Outcome};

/// Messages of one request, in all of them (`PutEvents`, `PublishBatch`, `SendMessageBatch`).
const MESSAGES_MAX: usize = 10;

/// Requests of one route at a time. Hides the round trip.
const REQUESTS_MAX: usize = 8;

/// What each of them takes, but for the bytes.
pub(crate) fn limits(bytes_max: usize) -> Limits {
    Limits {
        messages_max: MESSAGES_MAX,
        bytes_max,
        requests_max: REQUESTS_MAX,
    }
}

/// Why a request failed as a whole.
pub(crate) enum Failure {
    /// Something is wrong with what is in it.
    Content(String),
    /// The service was not there, or takes nothing from us now.
    Service(String),
}

/// What a request was answered with: an outcome for each message, in order.
pub(crate) type Answer = Result<Vec<Outcome>, Failure>;

impl Failure {
    /// What a call failed with. `is_content` says which codes are about what was sent.
    pub(crate) fn of_call<E: std::error::Error + ProvideErrorMetadata>(
        error: &SdkError<E, HttpResponse>,
        is_content: impl FnOnce(&str) -> bool,
    ) -> Self
    where
        SdkError<E, HttpResponse>: std::error::Error + ProvideErrorMetadata,
    {
        let reason = weir_streams::explain(error);
        let status = error.raw_response().map(|response| response.status().as_u16());
        // Something before the service may say it without a code (streams.md 35).
        if status == Some(413) || error.code().is_some_and(is_content) {
            Self::Content(reason)
        } else {
            Self::Service(reason)
        }
    }
}

/// Sends messages in one request. One that is refused for its content is sent in halves, down to the message that it was
/// refused for.
pub(crate) async fn send_apart<'a>(
    messages: &'a [Arc<Message>],
    request: impl Fn(&'a [Arc<Message>]) -> BoxFuture<'a, Answer>,
) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(messages.len());
    // What is left to send, the next at the end.
    let mut left = if messages.is_empty() {
        Vec::new()
    } else {
        vec![messages]
    };
    while let Some(part) = left.pop() {
        match request(part).await {
            Ok(answers) if answers.len() == part.len() => outcomes.extend(answers),
            Ok(_) => {
                let unavailable = Outcome::unavailable("the service did not answer for every message");
                outcomes.extend(vec![unavailable; part.len()]);
            }
            Err(Failure::Content(_)) if part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                left.extend([second, first]);
            }
            Err(Failure::Content(reason)) => outcomes.push(Outcome::refused(reason)),
            // It does not take the rest either, and what became of the parts before must not wait for that.
            Err(Failure::Service(reason)) => {
                outcomes.resize(messages.len(), Outcome::unavailable(reason));
                break;
            }
        }
    }
    outcomes
}

/// One failed message of a batch, as SNS and SQS tell it.
pub(crate) struct Failed<'a> {
    pub(crate) id: &'a str,
    pub(crate) code: &'a str,
    pub(crate) message: Option<&'a str>,
    pub(crate) is_our_fault: bool,
}

impl Failed<'_> {
    fn outcome(&self) -> Outcome {
        let reason = format!(
            "{}: {}",
            self.code,
            self.message.unwrap_or("the service gave no message")
        );
        if is_about_access(self.code) {
            Outcome::unavailable(reason)
        } else if self.is_our_fault && !is_throttled(self.code) {
            Outcome::refused(reason)
        } else {
            Outcome::retry(reason)
        }
    }
}

/// Whether a code says that it was too much at a time, which counts as the sender's fault, too (`RequestThrottled` in SQS).
fn is_throttled(code: &str) -> bool {
    code.to_ascii_lowercase().contains("throttl")
}

/// Whether a code is about what we may do, or about a key that the service encrypts with: an operator has to mend it, and it
/// counts as the sender's fault all the same (`KMS.DisabledException` in SQS, `KMSThrottling` in SNS).
fn is_about_access(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    ["kms", "accessdenied", "authoriz", "security"]
        .into_iter()
        .any(|part| code.contains(part))
}

/// The outcomes of a batch whose entries were numbered from 0, from those that were taken and those that failed.
pub(crate) fn outcomes<'a>(
    count: usize,
    successful: impl Iterator<Item = &'a str>,
    failed: impl Iterator<Item = Failed<'a>>,
) -> Vec<Outcome> {
    let taken = successful.map(|id| (id.to_owned(), Outcome::Accepted));
    let failed = failed.map(|failed| (failed.id.to_owned(), failed.outcome()));
    let mut by_id: HashMap<String, Outcome> = taken.chain(failed).collect();
    let outcome = |index: usize| by_id.remove(&index.to_string());
    (0..count)
        .map(outcome)
        .map(|outcome| outcome.unwrap_or_else(|| Outcome::unavailable("the service did not answer for this message")))
        .collect()
}

/// Text that SQS takes: it refuses two characters that JSON leaves as they are (API reference, `SendMessage`: what XML 1.0
/// allows). Inside of JSON they may be written otherwise.
pub(crate) fn sendable(json: String) -> String {
    // Both begin with this byte in UTF-8, and little else does: it is found many bytes at a time.
    let may_have_them = json.as_bytes().contains(&0xef);
    if may_have_them && json.contains(['\u{fffe}', '\u{ffff}']) {
        json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
    } else {
        json
    }
}

/// `source` and `type` of a message: attributes by which receivers tell messages apart without reading them, as far as they may
/// stand there.
pub(crate) fn attributes(message: &Message) -> impl Iterator<Item = (&'static str, &str)> {
    let attributes = [
        ("source", message.source.as_str()),
        ("type", message.detail_type.as_str()),
    ];
    attributes.into_iter().filter(|(_, value)| is_attribute(value))
}

/// Bytes that attributes count: name, type and value (SQS Developer Guide, "Amazon SQS message metadata").
pub(crate) fn attributes_size(message: &Message) -> usize {
    attributes(message)
        .map(|(name, value)| name.len() + "String".len() + value.len())
        .sum()
}

fn is_attribute(text: &str) -> bool {
    let is_taken = |character: char| !(character < ' ' || character == '\u{fffe}' || character == '\u{ffff}');
    !text.is_empty() && text.chars().all(is_taken)
}
