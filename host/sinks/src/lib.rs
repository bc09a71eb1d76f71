//! Where events go: one file per sink.
//!
//! # Invariants
//!
//! - A sink says of every event what became of it. It decides nothing about retries, order or giving up.
//! - A sink keeps nothing between calls that a restart would lose.

mod eventbridge;
mod log;

pub use eventbridge::EventBridge;
pub use log::Log;
/// How a sink in AWS is reached; the same settings as a source's.
pub use weir_streams::AwsAccess;

use futures_util::future::BoxFuture;
use weir_model::Event;

/// A place that takes events.
///
/// `send` may be called concurrently, and again with the same events after any failure. An event that is answered with
/// [`Outcome::Accepted`] is durable at the other side, as far as that side promises it. Who calls retries.
pub trait Sink: Send + Sync {
    /// Most events of one request.
    fn events_max(&self) -> usize;

    /// Most bytes of one request, as [`Self::size`] counts them.
    fn bytes_max(&self) -> usize;

    /// Bytes of an event in a request.
    fn size(&self, event: &Event) -> usize;

    /// Sends events in one request, within the limits, and answers for each in order.
    fn send<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Vec<Outcome>>;
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Accepted,
    /// This event was not taken, and may be tried again.
    Retry {
        /// Why.
        reason: String,
    },
    /// The sink could not be asked, or takes nothing at all now. Nobody knows whether it took this event; it may be tried
    /// again, and says nothing against the event.
    Unavailable {
        /// Why.
        reason: String,
    },
    /// It will never be taken as it is.
    Refused {
        /// Why.
        reason: String,
    },
}
