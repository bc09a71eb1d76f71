//! Streams, shards and records as DynamoDB Streams has them: a real protocol, against a local DynamoDB where that behaves
//! like the service, and against a scripted one for all that it never does.
//!
//! ```text
//! find       a table's stream and its shards
//! paging     pages, their order, and the end of a shard
//! failures   iterators that expire, records that are trimmed, throttles, a service that does not answer
//! recorded   a file in the place of the service
//! records    one record: a change, or something that we do not understand
//! values     every attribute value, by every kind of write
//! agreement  pages by chance, beside what the client library makes of them
//! ```

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod agreement;
mod failures;
mod find;
mod paging;
mod recorded;
mod records;
mod values;
