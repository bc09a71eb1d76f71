//! `GetShardIterator` and `GetRecords`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::service::iterator::ShardIterator;
use crate::service::{Answer, ApiError, Call, Service, limit, required};
use crate::world::clock::later;
use crate::world::sequence::SequenceNumber;
use crate::world::shard::Shard;

/// Records of a page at most (API model, `GetRecords`).
const PAGE_RECORDS_MAX: usize = 1000;

/// Bytes of a page at most (API reference, `GetRecords`: "1 MB of data").
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// How long an iterator lives (API reference, `GetShardIterator`: "expires 15 minutes after it is retrieved").
const ITERATOR_LIFE_SECONDS: u64 = 15 * 60;

/// Answer of `GetRecords`.
#[derive(Serialize)]
struct Page<'shard> {
    #[serde(rename = "NextShardIterator", skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(rename = "Records")]
    records: Vec<&'shard RawValue>,
}

/// How pages are cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    /// Records of a page at most.
    pub page_records_max: usize,
    /// Bytes of a page at most, unless its only record has more.
    pub page_bytes_max: usize,
    /// A closed shard ends with a page without records, never with the page that has its last ones.
    pub ends_after_empty_page: bool,
    /// How long an iterator lives, in seconds.
    pub iterator_life_seconds: u64,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            page_records_max: PAGE_RECORDS_MAX,
            page_bytes_max: PAGE_BYTES_MAX,
            ends_after_empty_page: false,
            iterator_life_seconds: ITERATOR_LIFE_SECONDS,
        }
    }
}

impl Service {
    pub(super) fn get_shard_iterator(&mut self, call: &Call) -> Result<Answer, ApiError> {
        let arn = required(call.stream_arn.as_deref(), "streamArn")?;
        let shard_id = required(call.shard_id.as_deref(), "shardId")?;
        let kind = required(call.shard_iterator_type.as_deref(), "shardIteratorType")?;
        let shard = self.shard(arn, shard_id)?;
        let place = match kind {
            "TRIM_HORIZON" => shard.trimmed,
            "LATEST" => shard.records.len(),
            "AT_SEQUENCE_NUMBER" => shard.place_at(known_number(shard, call)?),
            "AFTER_SEQUENCE_NUMBER" => shard.place_after(known_number(shard, call)?),
            _ => return Err(ApiError::validation(format!("Invalid ShardIteratorType: {kind}"))),
        };
        self.readers += 1;
        let iterator = ShardIterator {
            stream: arn.to_owned(),
            shard: shard_id.to_owned(),
            place,
            issued_at: self.world.clock.now(),
            reader: self.readers,
        };
        Ok(Answer {
            body: json!({ "ShardIterator": iterator.to_token() }).to_string(),
            changes: Vec::new(),
        })
    }

    pub(super) fn get_records(&mut self, call: &Call) -> Result<Answer, ApiError> {
        let page_max = limit(call.limit, PAGE_RECORDS_MAX)?.min(self.reading.page_records_max.max(1));
        let token = required(call.shard_iterator.as_deref(), "shardIterator")?;
        let iterator = ShardIterator::from_token(token).ok_or_else(|| ApiError::validation("Invalid ShardIterator"))?;
        let now = self.world.clock.now();
        if later(
            iterator.issued_at,
            Duration::from_secs(self.reading.iterator_life_seconds),
        ) < now
        {
            return Err(ApiError::new(
                "ExpiredIteratorException",
                "The shard iterator is expired: it is more than 15 minutes old",
            ));
        }
        self.shard(&iterator.stream, &iterator.shard)?;
        self.admit_get_records(&iterator)?;
        let is_held_back = self.holds_back(&iterator);
        let shard = self.shard(&iterator.stream, &iterator.shard)?;
        if iterator.place < shard.trimmed {
            return Err(ApiError::trimmed());
        }
        let mut records: Vec<&RawValue> = Vec::new();
        let mut changes = Vec::new();
        let mut bytes = 0;
        for record in shard.records.iter().skip(iterator.place).take(page_max) {
            bytes += record.wire.get().len();
            if is_held_back || (bytes > self.reading.page_bytes_max && !records.is_empty()) {
                break;
            }
            records.push(&record.wire);
            changes.push(record.change);
        }
        let place = iterator.place + records.len();
        let is_read = place == shard.records.len() && shard.closed_at.is_some() && !is_held_back;
        let is_end = is_read && (records.is_empty() || !self.reading.ends_after_empty_page);
        let next = ShardIterator {
            place,
            issued_at: now,
            ..iterator
        };
        let page = Page {
            next: (!is_end).then(|| next.to_token()),
            records,
        };
        Ok(Answer {
            body: serde_json::to_string(&page).expect("a page is JSON"),
            changes,
        })
    }

    /// Whether this page is one of those that come without records.
    fn holds_back(&mut self, iterator: &ShardIterator) -> bool {
        let mut streams = self.world.streams.iter_mut();
        let shard = streams
            .find(|stream| stream.arn == iterator.stream)
            .and_then(|stream| stream.shards.iter_mut().find(|shard| shard.id == iterator.shard));
        let Some(shard) = shard.filter(|shard| shard.empty_pages > 0) else {
            return false;
        };
        shard.empty_pages -= 1;
        true
    }
}

/// The sequence number that was asked for, if it can be a place in this shard.
fn known_number<'place>(shard: &Shard, call: &'place Call) -> Result<&'place SequenceNumber, ApiError> {
    let number = call
        .sequence_number
        .as_ref()
        .ok_or_else(|| ApiError::validation("SequenceNumber is required for this ShardIteratorType"))?;
    // One that was read and then trimmed raises this too, though nothing between was lost.
    if shard.is_trimmed(number) {
        return Err(ApiError::trimmed());
    }
    if *number < shard.starting || number > shard.last_sequence() {
        return Err(ApiError::validation("Invalid SequenceNumber: it is not in the shard"));
    }
    Ok(number)
}
