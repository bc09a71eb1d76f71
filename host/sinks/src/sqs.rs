//! Amazon SQS, by `SendMessageBatch`: a message is a `CloudEvents` event.
//!
//! A queue whose name ends in `.fifo` gets the messages of an item as one message group, in order, and the delivery's id as
//! the id by which it drops what it took before (within five minutes).

use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use futures_util::future::BoxFuture;
use weir_model::Event;

use crate::aws::{self, Answer, Failed, Failure};
use crate::message::cloud_event;
use crate::{AwsAccess, Limits, Message, Outcome, Sink};

/// Bytes of one request: 1 MiB (SQS Developer Guide, "Amazon SQS message quotas", August 2025).
const BYTES_MAX: usize = 1 << 20;

/// A queue.
pub struct Sqs {
    client: Client,
    queue: String,
    bytes_max: usize,
}

impl Sqs {
    /// Makes a client for the queue with this URL. Nothing is sent yet. A request has at most `bytes_max` bytes, 1 MiB unless
    /// told otherwise.
    pub async fn new(access: &AwsAccess, queue: &str, bytes_max: Option<usize>) -> Self {
        Self {
            client: Client::new(&access.load().await),
            queue: queue.to_owned(),
            bytes_max: bytes_max.unwrap_or(BYTES_MAX),
        }
    }

    fn is_fifo(&self) -> bool {
        self.queue.ends_with(".fifo")
    }

    async fn send_batch(&self, messages: &[Arc<Message>]) -> Answer {
        let entries = messages
            .iter()
            .enumerate()
            .map(|(index, message)| self.entry(index, message));
        let entries: Vec<SendMessageBatchRequestEntry> = entries.collect();
        let call = self.client.send_message_batch().queue_url(&self.queue);
        let output = call.set_entries(Some(entries)).send().await.map_err(|error| {
            Failure::of_call(&error, |code| {
                let code = code.rsplit('.').next().unwrap_or(code);
                ["BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterValue"].contains(&code)
            })
        })?;
        let failed = output.failed().iter().map(|failed| Failed {
            id: failed.id(),
            code: failed.code(),
            message: failed.message(),
            is_our_fault: failed.sender_fault(),
        });
        let successful = output.successful().iter().map(|taken| taken.id());
        Ok(aws::outcomes(messages.len(), successful, failed))
    }

    fn entry(&self, index: usize, message: &Message) -> SendMessageBatchRequestEntry {
        let mut entry = SendMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .message_body(&message.body);
        for (name, value) in aws::attributes(message) {
            let attribute = MessageAttributeValue::builder().data_type("String").string_value(value);
            let attribute = attribute.build().expect("it has a type");
            entry = entry.message_attributes(name, attribute);
        }
        if self.is_fifo() {
            entry = entry
                .message_group_id(&message.group)
                .message_deduplication_id(message.delivery.as_str());
        }
        entry.build().expect("it has an id and a body")
    }
}

impl Sink for Sqs {
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
        Box::pin(aws::send_apart(messages, |part| Box::pin(self.send_batch(part))))
    }
}
