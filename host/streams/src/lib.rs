//! Sources of changes: DynamoDB Streams, and recordings of it.
//!
//! ```text
//! table ──▶ stream ──▶ shards and their parents ──▶ pages of records as bytes ──▶ changes
//!           find       describe, lineage           reader, answer                decode
//! ```
//!
//! # Invariants
//!
//! - Nothing here remembers how far it got: a position is the ledger's, and is handed in.
//! - No record is skipped in silence. What cannot be understood comes out as an unknown record, what was trimmed as
//!   [`ReadError::Trimmed`].
//! - Every call has a time limit, and may be made again.

mod access;
mod answer;
mod decode;
mod describe;
mod find;
mod lineage;
mod reader;
mod recorded;
mod service_time;
mod turnstile;

pub use access::{AwsAccess, explain};
pub use describe::{Describing, FoundShard, StreamDescription, ViewType};
pub use find::{DynamoDbStreams, FindError};
pub use lineage::made_at;
pub use reader::{Page, ReadError, ShardReader};
pub use recorded::RecordedError;
