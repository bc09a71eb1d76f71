//! What was asked, and how often: every call that arrived, whatever was answered.
//!
//! # Invariants
//!
//! - Seconds are those of the clock of the world. While it stands still, all calls are of one second.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How often an operation was called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCount {
    /// Calls so far.
    pub calls: u64,
    /// Those of the second that had most.
    pub per_second_max: u32,
    /// Those for one shard, in the second and for the shard that had most; 0 if the operation is about no shard.
    pub per_second_and_shard_max: u32,
}

/// Every call so far.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    operations: BTreeMap<String, Operation>,
}

#[derive(Debug, Default)]
struct Operation {
    all: Rate,
    shards: BTreeMap<String, Rate>,
}

#[derive(Debug, Default)]
struct Rate {
    calls: u64,
    /// The second that is counted now, and the calls in it.
    second: i64,
    in_second: u32,
    per_second_max: u32,
}

impl Calls {
    pub(crate) fn count(&mut self, operation: &str, shard: Option<&str>, now: Timestamp) {
        let operation = self.operations.entry(operation.to_owned()).or_default();
        operation.all.count(now);
        if let Some(shard) = shard {
            operation.shards.entry(shard.to_owned()).or_default().count(now);
        }
    }

    /// By operation.
    pub(crate) fn told(&self) -> BTreeMap<String, CallCount> {
        let told = |operation: &Operation| {
            let shards = operation.shards.values().map(|rate| rate.per_second_max);
            CallCount {
                calls: operation.all.calls,
                per_second_max: operation.all.per_second_max,
                per_second_and_shard_max: shards.max().unwrap_or_default(),
            }
        };
        let operations = self.operations.iter();
        operations
            .map(|(name, operation)| (name.clone(), told(operation)))
            .collect()
    }
}

impl Rate {
    fn count(&mut self, now: Timestamp) {
        if self.second != now.as_second() {
            (self.second, self.in_second) = (now.as_second(), 0);
        }
        self.calls += 1;
        self.in_second += 1;
        self.per_second_max = self.per_second_max.max(self.in_second);
    }
}
