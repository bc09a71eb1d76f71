//! A stream: shards that descend from each other, several open at once.
//!
//! ```text
//! a ──▶ b ──▶ c        a rotation gives one child
//! d ─┬▶ e              a split gives two
//!    └▶ f              nothing is ever merged
//! ```
//!
//! # Invariants
//!
//! - While the stream is on, every item belongs to exactly one open shard.
//! - The sequence numbers of a child go on from those of its parent.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::random::{Random, hash};
use crate::world::WorldError;
use crate::world::clock::later;
use crate::world::sequence::SequenceCounter;
use crate::world::shard::{HashRange, Shard, ShardRecord, as_text};
use crate::world::view::ViewType;

/// A stream of a table.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) arn: String,
    pub(crate) label: String,
    pub(crate) table: String,
    pub(crate) view: ViewType,
    pub(crate) enabled_at: Timestamp,
    pub(crate) disabled_at: Option<Timestamp>,
    /// It is not there any more.
    pub(crate) gone: bool,
    /// Parents before children.
    pub(crate) shards: Vec<Shard>,
}

/// How a shard gives way to its children.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resharding {
    /// Last records of the parent that the children begin with again, each with those of its own items.
    pub repeats: usize,
    /// The repeats get new sequence numbers; their event ids stay.
    pub renumbered: bool,
    /// For how long `DescribeStream` does not list the children, in milliseconds.
    pub late_ms: u64,
    /// For how long `DescribeStream` shows the parent as open, in milliseconds.
    pub parent_looks_open_ms: u64,
    /// The children's ids carry no time.
    pub opaque_ids: bool,
}

impl Stream {
    /// Switches a stream on, with so many shards.
    pub(crate) fn begin(name: StreamName, view: ViewType, shards: usize, now: Timestamp, random: &mut Random) -> Self {
        let roots = HashRange::parts(shards).into_iter().map(|range| {
            let mut counter = SequenceCounter::begin(random);
            Shard {
                id: dated_id(now, random),
                parent: None,
                range,
                starting: counter.next(random),
                counter,
                ending: None,
                opened_at: now,
                closed_at: None,
                records: Vec::new(),
                trimmed: 0,
                gone: false,
                listed_from: now,
                looks_open_until: None,
                empty_pages: 0,
            }
        });
        Self {
            shards: roots.collect(),
            arn: name.arn,
            label: name.label,
            table: name.table,
            view,
            enabled_at: now,
            disabled_at: None,
            gone: false,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.disabled_at.is_none()
    }

    /// A shard that is there.
    pub(crate) fn shard(&self, id: &str) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.id == id && !shard.gone)
    }

    /// The place of a shard, or of the first open one if none is named.
    pub(crate) fn find(&self, id: Option<&str>) -> Result<usize, WorldError> {
        let place = self.shards.iter().position(|shard| match id {
            Some(id) => shard.id == id && !shard.gone,
            None => shard.is_open(),
        });
        place.ok_or_else(|| WorldError::Shard {
            shard: id.unwrap_or("that is open").to_owned(),
        })
    }

    /// The open shard that holds an item.
    pub(crate) fn shard_of(&self, item: &str) -> Option<usize> {
        let hash = hash(item);
        self.shards
            .iter()
            .position(|shard| shard.is_open() && shard.range.contains(hash))
    }

    /// Closes a shard and opens its children, one for each of `ranges`. Returns their places.
    pub(crate) fn reshard(
        &mut self,
        parent: usize,
        ranges: &[HashRange],
        how: &Resharding,
        now: Timestamp,
        random: &mut Random,
    ) -> Result<Vec<usize>, WorldError> {
        let closing = &mut self.shards[parent];
        if !closing.is_open() {
            return Err(WorldError::Closed {
                shard: closing.id.clone(),
            });
        }
        closing.close(now);
        if how.parent_looks_open_ms > 0 {
            closing.looks_open_until = Some(later(now, Duration::from_millis(how.parent_looks_open_ms)));
        }
        let closed = &self.shards[parent];
        let children: Vec<Shard> = ranges
            .iter()
            .map(|range| child_of(closed, *range, how, now, random))
            .collect();
        let first = self.shards.len();
        self.shards.extend(children);
        Ok((first..self.shards.len()).collect())
    }

    pub(crate) fn end(&mut self, now: Timestamp) {
        self.disabled_at = Some(now);
        for shard in self.shards.iter_mut().filter(|shard| shard.is_open()) {
            shard.close(now);
        }
    }
}

/// What a stream is called by.
pub(crate) struct StreamName {
    pub(crate) arn: String,
    pub(crate) label: String,
    pub(crate) table: String,
}

fn child_of(parent: &Shard, range: HashRange, how: &Resharding, now: Timestamp, random: &mut Random) -> Shard {
    let mut counter = parent.counter.clone();
    let repeated = parent.records.len().saturating_sub(how.repeats).max(parent.trimmed);
    // An item's records are in one line of shards, so those of items that go to another child are not repeated in this one.
    let is_ours = |record: &&ShardRecord| range.contains(hash(&record.item));
    let mut records: Vec<ShardRecord> = parent.records[repeated..].iter().filter(is_ours).cloned().collect();
    if how.renumbered {
        for record in &mut records {
            record.sequence = counter.next(random);
            let mut renumbered: Value = serde_json::from_str(record.wire.get()).expect("it is JSON");
            renumbered["dynamodb"]["SequenceNumber"] = record.sequence.as_str().into();
            record.wire = as_text(&renumbered);
        }
    }
    let starting = match records.first() {
        Some(first) => first.sequence.clone(),
        None => counter.next(random),
    };
    Shard {
        id: if how.opaque_ids {
            format!("shardId-opaque-{}", random.hex(24))
        } else {
            dated_id(now, random)
        },
        parent: Some(parent.id.clone()),
        range,
        counter,
        starting,
        ending: None,
        opened_at: now,
        closed_at: None,
        records,
        trimmed: 0,
        gone: false,
        listed_from: later(now, Duration::from_millis(how.late_ms)),
        looks_open_until: None,
        empty_pages: 0,
    }
}

/// As the service makes them, though it does not say so: milliseconds since 1970 in 20 digits, and a hash.
fn dated_id(now: Timestamp, random: &mut Random) -> String {
    format!("shardId-{:020}-{}", now.as_millisecond(), random.hex(8))
}
