//! Records are accounted for, shard by shard (`formats/bundle.md`, "Records are accounted for").
//!
//! ```text
//! change 1 ─ change 2 ─ batch (start, 1 to 2) ─ change 3 ─ batch (2, 3 to 3) ─ gap (3) ─ change 9 ─ batch (gap, 9 to 9)
//! ```
//!
//! The tree proves that no entry was touched since it was recorded. This proves that what was read from the source was
//! recorded: each batch says how many records came and where the batch before it ended, so whoever leaves records or
//! batches out breaks the chain. A hole in the chain is there only where a gap says so.
//!
//! # Invariants
//!
//! - Entries come in order of position, every one of the range that is checked.
//! - Memory grows with the number of shards, and of changes that are withheld, never with that of entries.
//! - Entries behind the last batch of their shard are no finding: a batch follows.

mod finding;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::HashMap;

use weir_model::{EventId, SequenceNumber};

use crate::{Batch, BatchAfter, Closed, Entry, EntryKind, Gap, Origin};

pub use self::finding::{Unaccounted, UnaccountedWhy};

/// Follows the batches of every shard.
#[derive(Debug)]
pub struct Accounts {
    begins_at_zero: bool,
    shards: HashMap<Origin, ShardAccount>,
}

/// Where one shard stands behind the entries taken so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardAccount {
    last_sequence: Option<SequenceNumber>,
    last_batch: Option<LastBatch>,
    has_gap_since: bool,
    has_ended: bool,
    /// Of the entries that no batch accounts for yet: how many.
    waiting: u64,
    /// And the lowest sequence number among them, with its position. The highest is the last.
    lowest_waiting: Option<(SequenceNumber, u64)>,
    /// Changes that were withheld and are not told yet.
    withheld: HashMap<SequenceNumber, EventId>,
}

/// What is kept of a shard's last batch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LastBatch {
    position: u64,
    /// What the next batch's `after` has to be.
    end: BatchAfter,
}

impl Accounts {
    /// Begins with nothing. `begins_at_zero` says that the first entry is the ledger's first, so that nothing of a shard
    /// can stand before it.
    #[must_use]
    pub fn new(begins_at_zero: bool) -> Self {
        Self {
            begins_at_zero,
            shards: HashMap::new(),
        }
    }

    /// Takes the next entry. Gives back what is wrong with it, which is nothing if the list is empty.
    #[must_use]
    pub fn take(&mut self, position: u64, entry: &Entry) -> Vec<Unaccounted> {
        let mut findings = Vec::new();
        let Some(origin) = entry.origin() else {
            return findings;
        };
        let shard = match self.shards.get_mut(origin) {
            Some(shard) => shard,
            None => self.shards.entry(origin.clone()).or_default(),
        };
        let mut find = |why| {
            findings.push(Unaccounted {
                position,
                origin: origin.clone(),
                why,
            });
        };
        if let EntryKind::Change {
            is_amendment: true,
            sequence,
            event,
            ..
        } = &entry.kind
        {
            // It tells of a record that was accounted for when it was withheld, however long ago.
            let withheld = shard.withheld.remove(sequence);
            if self.begins_at_zero && withheld.as_ref() != Some(event) {
                find(UnaccountedWhy::Amendment {
                    sequence: sequence.clone(),
                });
            }
            return findings;
        }
        if shard.has_ended {
            find(UnaccountedWhy::BehindEnd);
        }
        match &entry.kind {
            EntryKind::Change { sequence, .. } | EntryKind::Unknown { sequence, .. } => {
                shard.take_record(position, sequence, &mut find);
            }
            EntryKind::Withheld { sequence, event, .. } => {
                shard.take_record(position, sequence, &mut find);
                shard.withheld.insert(sequence.clone(), event.clone());
            }
            EntryKind::Gap(gap) => shard.take_gap(gap, &mut find),
            EntryKind::Batch(batch) => shard.take_batch(position, batch, self.begins_at_zero, &mut find),
            EntryKind::Lifecycle { .. } | EntryKind::Erasure(_) | EntryKind::Hold(_) => {}
        }
        findings
    }

    /// Where a shard stands; `None` if no entry was about it.
    #[must_use]
    pub fn shard(&self, origin: &Origin) -> Option<&ShardAccount> {
        self.shards.get(origin)
    }

    /// Where all shards stand, in no order.
    pub fn shards(&self) -> impl Iterator<Item = (&Origin, &ShardAccount)> {
        self.shards.iter()
    }

    /// Entries that no batch accounts for yet.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.shards.values().map(|shard| shard.waiting).sum()
    }
}

impl ShardAccount {
    /// The last sequence number that was recorded, or that a batch says was read, whichever is later. `None` if neither
    /// is known.
    #[must_use]
    pub fn last_sequence(&self) -> Option<&SequenceNumber> {
        let batch_end = match self.last_batch_end() {
            Some(BatchAfter::Record(end)) => Some(end),
            Some(BatchAfter::Start | BatchAfter::Gap) | None => None,
        };
        match (self.last_sequence.as_ref(), batch_end) {
            (Some(recorded), Some(end)) if compare(recorded, end) == Ordering::Less => Some(end),
            (recorded, end) => recorded.or(end),
        }
    }

    /// What the next batch continues if no gap comes between: the `last` of the last batch, or its `after` if it read
    /// nothing. `None` if there was no batch.
    #[must_use]
    pub fn last_batch_end(&self) -> Option<&BatchAfter> {
        self.last_batch.as_ref().map(|batch| &batch.end)
    }

    /// Says whether a gap stands behind the last batch.
    #[must_use]
    pub fn has_gap_since(&self) -> bool {
        self.has_gap_since
    }

    /// Says whether the shard's last batch was read.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Entries of this shard that no batch accounts for yet.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    fn take_record(&mut self, position: u64, sequence: &SequenceNumber, find: &mut impl FnMut(UnaccountedWhy)) {
        if let Some(before) = &self.last_sequence
            && compare(before, sequence) != Ordering::Less
        {
            find(UnaccountedWhy::SequenceOrder {
                sequence: sequence.clone(),
                before: before.clone(),
            });
        }
        let is_lower = |(lowest, _): &(SequenceNumber, u64)| compare(sequence, lowest) == Ordering::Less;
        if self.lowest_waiting.as_ref().is_none_or(is_lower) {
            self.lowest_waiting = Some((sequence.clone(), position));
        }
        self.last_sequence = Some(sequence.clone());
        self.waiting += 1;
    }

    fn take_gap(&mut self, gap: &Gap, find: &mut impl FnMut(UnaccountedWhy)) {
        if let (Some(after), Some(last)) = (&gap.after, self.last_sequence())
            && compare(after, last) != Ordering::Equal
        {
            find(UnaccountedWhy::GapAfter {
                after: after.clone(),
                last: last.clone(),
            });
        }
        self.has_gap_since = true;
    }

    fn take_batch(
        &mut self,
        position: u64,
        batch: &Batch,
        begins_at_zero: bool,
        find: &mut impl FnMut(UnaccountedWhy),
    ) {
        self.check_chain(batch, begins_at_zero, find);
        self.check_counts(batch, begins_at_zero, find);
        self.check_range(batch, find);
        self.last_batch = Some(LastBatch {
            position,
            end: match &batch.range {
                Some((_, last)) => BatchAfter::Record(last.clone()),
                None => batch.after.clone(),
            },
        });
        self.has_gap_since = false;
        self.has_ended |= batch.closed == Closed::End;
        self.waiting = 0;
        self.lowest_waiting = None;
    }

    fn check_chain(&self, batch: &Batch, begins_at_zero: bool, find: &mut impl FnMut(UnaccountedWhy)) {
        let expected = match &self.last_batch {
            _ if self.has_gap_since && (begins_at_zero || self.last_batch.is_some()) => BatchAfter::Gap,
            Some(before) => before.end.clone(),
            None if begins_at_zero => BatchAfter::Start,
            None => return,
        };
        if !is_same(&batch.after, &expected) {
            find(UnaccountedWhy::Chain {
                after: batch.after.clone(),
                expected,
                batch_before: self.last_batch.as_ref().map(|before| before.position),
            });
        }
    }

    fn check_counts(&self, batch: &Batch, begins_at_zero: bool, find: &mut impl FnMut(UnaccountedWhy)) {
        // What of the first batch stands before the range cannot be counted.
        let is_partly_outside = self.last_batch.is_none() && !begins_at_zero;
        let fits = if is_partly_outside {
            batch.recorded >= self.waiting
        } else {
            batch.recorded == self.waiting
        };
        if !fits {
            find(UnaccountedWhy::Recorded {
                recorded: batch.recorded,
                entries: self.waiting,
            });
        }
        if batch.recorded > batch.read || batch.redacted > batch.recorded {
            find(UnaccountedWhy::Counts {
                read: batch.read,
                recorded: batch.recorded,
                redacted: batch.redacted,
            });
        }
    }

    fn check_range(&self, batch: &Batch, find: &mut impl FnMut(UnaccountedWhy)) {
        let Some((first, last)) = &batch.range else {
            if batch.read != 0 {
                find(UnaccountedWhy::NoRange { read: batch.read });
            }
            return;
        };
        if compare(first, last) == Ordering::Greater {
            find(UnaccountedWhy::RangeReversed {
                first: first.clone(),
                last: last.clone(),
            });
        }
        if let BatchAfter::Record(after) = &batch.after
            && compare(after, first) != Ordering::Less
        {
            find(UnaccountedWhy::RangeBeforeAfter {
                after: after.clone(),
                first: first.clone(),
            });
        }
        if let (Some((lowest, entry)), Some(highest)) = (&self.lowest_waiting, &self.last_sequence)
            && (compare(lowest, first) == Ordering::Less || compare(highest, last) == Ordering::Greater)
        {
            find(UnaccountedWhy::OutsideRange {
                entry: *entry,
                lowest: lowest.clone(),
                highest: highest.clone(),
                first: first.clone(),
                last: last.clone(),
            });
        }
    }
}

/// Compares what the digits mean. Leading zeros mean nothing.
fn compare(left: &SequenceNumber, right: &SequenceNumber) -> Ordering {
    let left = left.as_str().trim_start_matches('0');
    let right = right.as_str().trim_start_matches('0');
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn is_same(left: &BatchAfter, right: &BatchAfter) -> bool {
    match (left, right) {
        (BatchAfter::Record(left), BatchAfter::Record(right)) => compare(left, right) == Ordering::Equal,
        _ => left == right,
    }
}
