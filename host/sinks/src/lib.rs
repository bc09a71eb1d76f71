//! Where events go: one file per sink.
//!
//! ```text
//! event ──▶ message: what is sent, the same at every attempt ──▶ request ──▶ an outcome for each message
//! ```
//!
//! # Invariants
//!
//! - A sink says of every message what became of it. It decides nothing about retries, order or giving up.
//! - A message that was not taken says why, and whether that is about it or about the sink.
//! - Every request ends, whatever the other side does.

mod aws;
mod email;
mod eventbridge;
mod log;
mod message;
mod outcome;
mod sns;
mod sqs;
mod webhook;

pub use email::{Email, EmailContent, EmailError, EmailSettings};
pub use eventbridge::EventBridge;
pub use ipnet::IpNet;
pub use log::Log;
pub use message::Message;
pub use outcome::Outcome;
pub use sns::Sns;
pub use sqs::Sqs;
pub use webhook::{Webhook, WebhookError, WebhookSettings};
/// How a sink in AWS is reached; the same settings as a source's.
pub use weir_streams::AwsAccess;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use weir_model::Event;

/// A place that takes events.
///
/// `send` may be called concurrently, and again with the same messages after any failure. A message that is answered with
/// [`Outcome::Accepted`] is durable at the other side, as far as that side promises it. Who calls retries.
pub trait Sink: Send + Sync {
    /// What a request may hold, and how many there may be at a time.
    fn limits(&self) -> Limits;

    /// An event in the words of this sink: what a message's body says.
    fn body(&self, event: &Event) -> String;

    /// Bytes of a message in a request.
    fn size(&self, message: &Message) -> usize;

    /// Sends messages in one request, within the limits, and answers for each in order.
    fn send<'a>(&'a self, messages: &'a [Arc<Message>]) -> BoxFuture<'a, Vec<Outcome>>;
}

/// What a sink takes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most messages of one request.
    pub messages_max: usize,
    /// Most bytes of one request, as [`Sink::size`] counts them. A larger message travels alone, and the sink says what it
    /// thinks of it.
    pub bytes_max: usize,
    /// Most requests of one route of a process at a time. A route of more partitions than that has one for each.
    pub requests_max: usize,
}
