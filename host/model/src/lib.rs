//! What Weir speaks about: a change, its values, its place in a stream, who made it, and the event it becomes.
//!
//! ```text
//! stream record ──▶ Change ──▶ Who (actor + assurance)
//!                      │
//!                      └─────▶ Event (what routes match and sinks receive)
//! ```
//!
//! # Invariants
//!
//! - Nothing here does I/O, waits, or reads a clock. The same change always gives the same event, byte for byte.
//! - A database number is decimal text from the stream to the sink. It passes through a float only to be shown, and
//!   only where the float is the same number.

mod change;
mod detail;
mod event;
#[cfg(test)]
mod example;
mod ids;
mod item;
mod number;
mod path;
mod stream_record;
mod value;
mod who;

pub use change::{AttributedChange, Change, Operation, Record, ServiceIdentity, UnknownRecord};
pub use detail::Detail;
pub use event::{CORRELATION, DeliveryId, Event, EventContext, REPLAYED_AS, changed_attributes, is_reserved};
pub use ids::{EventId, IdError, LedgerName, Position, SequenceNumber, ShardId, StreamArn};
pub use item::{AttributeList, Item};
pub use number::{Number, NumberError};
pub use path::{PATH_STEPS_MAX, Path};
pub use value::{AttributeValue, Bytes, plain_json};
pub use who::{ActorRule, Assurance, Who};
