//! SQS: `SendMessageBatch`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use crate::service::ApiError;
use crate::sinks::{ENTRIES_MAX, Entry, Sinks, text};

const OPERATION: &str = "SendMessageBatch";

impl Sinks {
    /// Takes messages. Some may fail while others are taken: the call is then still a success.
    pub(crate) fn send_message_batch(&mut self, body: &Value, now: Timestamp) -> Result<Value, ApiError> {
        let queue = text(body, "QueueUrl").unwrap_or_default();
        let entries = body["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
        check_batch(entries, "")?;
        let size_bytes: usize = entries.iter().map(|entry| size(entry, "MessageBody")).sum();
        if size_bytes > self.settings.sqs_bytes_max {
            return Err(self.too_large("BatchRequestTooLong"));
        }
        let failures = self.failures_of(OPERATION, entries.len());
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            let id = text(entry, "Id").unwrap_or_default();
            if let Some(failure) = failures.get(&index) {
                failed.push(json!({
                    "Id": id, "Code": failure.code, "SenderFault": failure.sender_fault, "Message": "the entry failed",
                }));
                continue;
            }
            let message = Entry {
                target: queue,
                deduplication: text(entry, "MessageDeduplicationId"),
                is_discarded: false,
                entry,
            };
            let mut result = json!({
                "Id": id,
                "MessageId": self.accept(OPERATION, &message, now),
                // Several SDKs refuse an answer that does not carry the digest of what they sent.
                "MD5OfMessageBody": hex::encode(Md5::digest(text(entry, "MessageBody").unwrap_or_default())),
            });
            if queue.ends_with(".fifo") {
                result["SequenceNumber"] = self.sequence_number().into();
            }
            successful.push(result);
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }
}

/// Bytes that a message counts: its body, and name, type and value of each attribute (SQS Developer Guide, "Amazon SQS message
/// metadata").
pub(super) fn size(entry: &Value, body: &str) -> usize {
    let attributes = entry["MessageAttributes"].as_object().into_iter().flatten();
    let of_attribute = |(name, attribute): (&String, &Value)| {
        let length = |field| text(attribute, field).map_or(0, str::len);
        name.len() + length("DataType") + length("StringValue") + length("BinaryValue")
    };
    text(entry, body).map_or(0, str::len) + attributes.map(of_attribute).sum::<usize>()
}

/// Refuses a batch that is empty, too long, or has an id twice. SNS ends the codes otherwise than SQS.
pub(super) fn check_batch(entries: &[Value], suffix: &str) -> Result<(), ApiError> {
    let refuse = |code: &str, message: &str| Err(ApiError::new(&format!("{code}{suffix}"), message));
    if entries.is_empty() {
        return refuse(
            "EmptyBatchRequest",
            "There should be at least one entry in the request.",
        );
    }
    if entries.len() > ENTRIES_MAX {
        return refuse(
            "TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10.",
        );
    }
    let ids: BTreeSet<Option<&str>> = entries.iter().map(|entry| text(entry, "Id")).collect();
    if ids.len() < entries.len() || ids.contains(&None) {
        return refuse(
            "BatchEntryIdsNotDistinct",
            "Two or more batch entries in the request have the same Id.",
        );
    }
    Ok(())
}
