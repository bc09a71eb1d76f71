//! The service: what DynamoDB Streams answers about the world.
//!
//! ```text
//! ListStreams, DescribeStream ──▶ discovery ─┐
//! GetShardIterator, GetRecords ─▶ reading ───┼──▶ world
//!                                 limits ────┘
//! ```
//!
//! # Invariants
//!
//! - A call changes nothing in the world but the marks of what was read.
//! - An iterator holds all that is known of it; the service remembers none.

pub(crate) mod discovery;
pub(crate) mod iterator;
pub(crate) mod limits;
pub(crate) mod reading;

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Deserialize;

pub use discovery::{ChildFilter, Discovery};
pub use limits::{Limits, ThrottleCode};
pub use reading::Reading;

use crate::service::limits::Meter;
use crate::setup::Setup;
use crate::world::World;
use crate::world::sequence::SequenceNumber;
use crate::world::shard::Shard;
use crate::world::stream::Stream;

/// What the service says no with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    fn no_stream(arn: &str) -> Self {
        let message = format!("Requested resource not found: Stream: {arn} not found");
        Self::new("ResourceNotFoundException", message)
    }

    fn no_shard(shard: &str) -> Self {
        let message = format!("Requested resource not found: Shard: {shard} not found");
        Self::new("ResourceNotFoundException", message)
    }

    fn trimmed() -> Self {
        Self::new(
            "TrimmedDataAccessException",
            "The operation attempted to read past the oldest stream record in a shard",
        )
    }
}

/// What the service says.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// JSON.
    pub(crate) body: String,
    /// Changes whose records are in it, by number.
    pub(crate) changes: Vec<usize>,
}

/// DynamoDB Streams, and the world that it is about.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) world: World,
    pub(crate) discovery: Discovery,
    pub(crate) reading: Reading,
    pub(crate) limits: Limits,
    pub(crate) meter: Meter,
    /// When each change was first read, by the wall clock. The world does not know that one.
    pub(crate) sent_at: BTreeMap<usize, Instant>,
    readers: u64,
}

/// The body of any call, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Call {
    pub(crate) table_name: Option<String>,
    pub(crate) stream_arn: Option<String>,
    pub(crate) exclusive_start_stream_arn: Option<String>,
    pub(crate) exclusive_start_shard_id: Option<String>,
    pub(crate) limit: Option<i64>,
    pub(crate) shard_filter: Option<ShardFilter>,
    pub(crate) shard_id: Option<String>,
    pub(crate) shard_iterator_type: Option<String>,
    pub(crate) sequence_number: Option<SequenceNumber>,
    pub(crate) shard_iterator: Option<String>,
}

/// Asks for some shards only.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct ShardFilter {
    pub(crate) r#type: Option<String>,
    pub(crate) shard_id: Option<String>,
}

impl Service {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            world: World::new(setup),
            discovery: setup.discovery.clone(),
            reading: setup.reading.clone(),
            limits: setup.limits.clone(),
            meter: Meter::default(),
            sent_at: BTreeMap::new(),
            readers: 0,
        }
    }

    /// Answers a call of DynamoDB Streams.
    pub(crate) fn answer(&mut self, operation: &str, call: &Call) -> Result<Answer, ApiError> {
        match operation {
            "ListStreams" => self.list_streams(call),
            "DescribeStream" => self.describe_stream(call),
            "GetShardIterator" => self.get_shard_iterator(call),
            "GetRecords" => self.get_records(call),
            _ => Err(ApiError::new("UnknownOperationException", "")),
        }
    }

    /// Notes that records reached a reader.
    pub(crate) fn mark_read(&mut self, changes: &[usize]) {
        let now = self.world.clock.now();
        for change in changes {
            self.world.truth.changes[*change].read_at.get_or_insert(now);
            self.sent_at.entry(*change).or_insert_with(Instant::now);
        }
    }

    fn stream(&self, arn: Option<&str>) -> Result<&Stream, ApiError> {
        let arn = required(arn, "streamArn")?;
        let streams = &self.world.streams;
        let stream = streams.iter().find(|stream| stream.arn == arn && !stream.gone);
        stream.ok_or_else(|| ApiError::no_stream(arn))
    }

    fn shard(&self, arn: &str, shard: &str) -> Result<&Shard, ApiError> {
        let stream = self.stream(Some(arn))?;
        stream.shard(shard).ok_or_else(|| ApiError::no_shard(shard))
    }
}

fn required<'call>(value: Option<&'call str>, name: &str) -> Result<&'call str, ApiError> {
    value.ok_or_else(|| {
        ApiError::validation(format!(
            "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

/// A limit that lies within what the API model allows.
fn limit(asked: Option<i64>, max: usize) -> Result<usize, ApiError> {
    let Some(asked) = asked else { return Ok(max) };
    let bound = |bound: &str| {
        ApiError::validation(format!(
            "1 validation error detected: Value '{asked}' at 'limit' failed to satisfy constraint: Member must have \
             value {bound}"
        ))
    };
    match usize::try_from(asked) {
        Ok(asked) if asked > max => Err(bound(&format!("less than or equal to {max}"))),
        Ok(asked) if asked > 0 => Ok(asked),
        _ => Err(bound("greater than or equal to 1")),
    }
}
