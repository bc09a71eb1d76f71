//! Amazon SNS, by `PublishBatch`: a message is a `CloudEvents` event.
//!
//! `source` and `type` are attributes, so that a subscription's filter policy needs no look into the message. A topic whose
//! name ends in `.fifo` gets the messages of an item as one message group, as a queue does.

use std::sync::Arc;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use futures_util::future::BoxFuture;
use weir_model::Event;

use crate::aws::{self, Answer, Failed, Failure};
use crate::message::cloud_event;
use crate::{AwsAccess, Limits, Message, Outcome, Sink};

/// Bytes of one request: 256 KB (SNS API reference, `PublishBatch`).
const BYTES_MAX: usize = 256 << 10;

/// A topic.
pub struct Sns {
    client: Client,
    topic: String,
    bytes_max: usize,
}

impl Sns {
    /// Makes a client for the topic with this ARN. Nothing is sent yet. A request has at most `bytes_max` bytes, 256 KB unless
    /// told otherwise.
    pub async fn new(access: &AwsAccess, topic: &str, bytes_max: Option<usize>) -> Self {
        Self {
            client: Client::new(&access.load().await),
            topic: topic.to_owned(),
            bytes_max: bytes_max.unwrap_or(BYTES_MAX),
        }
    }

    fn is_fifo(&self) -> bool {
        self.topic.ends_with(".fifo")
    }

    async fn publish_batch(&self, messages: &[Arc<Message>]) -> Answer {
        let entries = messages
            .iter()
            .enumerate()
            .map(|(index, message)| self.entry(index, message));
        let entries: Vec<PublishBatchRequestEntry> = entries.collect();
        let call = self.client.publish_batch().topic_arn(&self.topic);
        let output = call
            .set_publish_batch_request_entries(Some(entries))
            .send()
            .await
            .map_err(|error| {
                Failure::of_call(&error, |code| {
                    ["BatchRequestTooLong", "InvalidMessageContents"].contains(&code)
                })
            })?;
        let failed = output.failed().iter().map(|failed| Failed {
            id: failed.id(),
            code: failed.code(),
            message: failed.message(),
            is_our_fault: failed.sender_fault(),
        });
        let successful = output.successful().iter().filter_map(|taken| taken.id());
        Ok(aws::outcomes(messages.len(), successful, failed))
    }

    fn entry(&self, index: usize, message: &Message) -> PublishBatchRequestEntry {
        let mut entry = PublishBatchRequestEntry::builder()
            .id(index.to_string())
            .message(&message.body);
        for (name, value) in aws::attributes(message) {
            let attribute = MessageAttributeValue::builder().data_type("String").string_value(value);
            entry = entry.message_attributes(name, attribute.build().expect("it has a type"));
        }
        if self.is_fifo() {
            entry = entry
                .message_group_id(&message.group)
                .message_deduplication_id(message.delivery.as_str());
        }
        entry.build().expect("it has an id and a message")
    }
}

impl Sink for Sns {
    fn limits(&self) -> Limits {
        aws::limits(self.bytes_max)
    }

    fn body(&self, event: &Event) -> String {
        aws::sendable(cloud_event(event))
    }

    fn size(&self, message: &Message) -> usize {
        message.body.len() + aws::attributes_size(message)
    }

    fn send<'a>(&'a self, messages: &'a [Arc<Message>]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(aws::send_apart(messages, |part| Box::pin(self.publish_batch(part))))
    }
}
