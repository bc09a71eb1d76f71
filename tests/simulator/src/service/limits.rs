//! How often may be asked. Counted by the clock of the world: a limit that is reached stays so until the clock is stepped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::service::iterator::ShardIterator;
use crate::service::{ApiError, Service};

/// `DescribeStream` calls a second (API reference, `DescribeStream`).
const DESCRIBE_STREAM_PER_SECOND: u32 = 10;

/// `ListStreams` calls a second (API reference, `ListStreams`).
const LIST_STREAMS_PER_SECOND: u32 = 5;

/// Readers of a shard (DynamoDB Developer Guide, "Reading and processing a stream").
const READERS_PER_SHARD: usize = 2;

/// A reader counts for so long after it last read. The service does not say how it tells readers apart.
const READER_LIFE_SECONDS: i64 = 5;

/// How often may be asked. No limit where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// `GetRecords` calls a second for a shard.
    pub get_records_per_second: Option<u32>,
    /// Iterators with their successors that read a shard at the same time.
    pub readers_per_shard: Option<usize>,
    /// `DescribeStream` calls a second.
    pub describe_stream_per_second: Option<u32>,
    /// `ListStreams` calls a second.
    pub list_streams_per_second: Option<u32>,
    /// What too many calls of `GetRecords` are answered with.
    pub reading_code: ThrottleCode,
    /// What too many calls of `DescribeStream` and `ListStreams` are answered with. `None` takes `ThrottlingException`.
    pub discovery_code: Option<ThrottleCode>,
}

/// What too many calls are answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThrottleCode {
    /// `LimitExceededException`, which the API model has.
    #[default]
    LimitExceeded,
    /// `ThrottlingException`, which it has not.
    Throttling,
}

impl ThrottleCode {
    /// The code of the error.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LimitExceeded => "LimitExceededException",
            Self::Throttling => "ThrottlingException",
        }
    }
}

impl Limits {
    /// The limits that AWS documents.
    #[must_use]
    pub fn documented() -> Self {
        Self {
            readers_per_shard: Some(READERS_PER_SHARD),
            describe_stream_per_second: Some(DESCRIBE_STREAM_PER_SECOND),
            list_streams_per_second: Some(LIST_STREAMS_PER_SECOND),
            ..Self::default()
        }
    }
}

/// What was asked lately.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// The second that is counted now, and the calls in it.
    calls: BTreeMap<String, (i64, u32)>,
    /// When each reader of a shard last read.
    readers: BTreeMap<String, BTreeMap<u64, i64>>,
}

impl Service {
    pub(super) fn admit_list_streams(&mut self) -> Result<(), ApiError> {
        let code = self.limits.discovery_code.unwrap_or(ThrottleCode::Throttling);
        self.admit("ListStreams", self.limits.list_streams_per_second, code)
    }

    pub(super) fn admit_describe_stream(&mut self) -> Result<(), ApiError> {
        let code = self.limits.discovery_code.unwrap_or(ThrottleCode::Throttling);
        self.admit("DescribeStream", self.limits.describe_stream_per_second, code)
    }

    pub(super) fn admit_get_records(&mut self, iterator: &ShardIterator) -> Result<(), ApiError> {
        let code = self.limits.reading_code;
        self.admit(&iterator.shard, self.limits.get_records_per_second, code)?;
        let Some(readers_max) = self.limits.readers_per_shard else {
            return Ok(());
        };
        let now = self.world.clock.now().as_second();
        let readers = self.meter.readers.entry(iterator.shard.clone()).or_default();
        readers.retain(|_, last| now - *last < READER_LIFE_SECONDS);
        if readers.len() >= readers_max && !readers.contains_key(&iterator.reader) {
            return Err(throttled(code));
        }
        readers.insert(iterator.reader, now);
        Ok(())
    }

    fn admit(&mut self, what: &str, per_second: Option<u32>, code: ThrottleCode) -> Result<(), ApiError> {
        let now = self.world.clock.now().as_second();
        let (second, calls) = self.meter.calls.entry(what.to_owned()).or_insert((now, 0));
        if *second != now {
            (*second, *calls) = (now, 0);
        }
        if per_second.is_some_and(|max| *calls >= max) {
            return Err(throttled(code));
        }
        *calls += 1;
        Ok(())
    }
}

fn throttled(code: ThrottleCode) -> ApiError {
    ApiError::new(code.as_str(), "Rate of requests exceeds the allowed throughput")
}
