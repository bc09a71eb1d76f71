//! Accounts for what was recorded of a shard: `batch` entries, one a second and shard at most.
//!
//! What was recorded since the last one waits in the shard's row. A batch is closed when it has been open for the
//! interval, when the configuration changes, at a hand-over, at a gap, and at the shard's end.

use std::time::Duration;

use jiff::Timestamp;
use weir_evidence::{Batch, BatchAfter, Closed, ConfigurationDigest, Origin};
use weir_model::SequenceNumber;

use super::{AppendTo, ShardBatch};

/// What was recorded of a shard and not accounted for yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenBatch {
    pub(super) after: BatchAfter,
    pub(super) range: Option<(SequenceNumber, SequenceNumber)>,
    pub(super) read: u64,
    pub(super) recorded: u64,
    pub(super) redacted: u64,
    pub(super) config: ConfigurationDigest,
    pub(super) epoch: i64,
    pub(super) opened_at: Timestamp,
}

/// What an append has to write besides its records.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accounted {
    /// Before them.
    pub(super) before: Option<Batch>,
    /// Behind them.
    pub(super) behind: Option<Batch>,
    /// What waits afterwards.
    pub(super) open: Option<OpenBatch>,
}

/// Accounts for a batch that is being appended at `now` to a shard with `open`.
pub(super) fn account(open: Option<OpenBatch>, batch: &ShardBatch, now: Timestamp, interval: Duration) -> Accounted {
    let origin = || batch.lease.origin();
    let begins_with_gap = batch.records.first().is_some_and(|record| record.sequence.is_none());
    let (mut open, mut before) = (open, None);
    if let Some(earlier) = open.take_if(|open| !continues(open, batch) || begins_with_gap) {
        let why = if earlier.config != batch.config {
            Closed::Configuration
        } else if earlier.epoch != batch.lease.epoch {
            Closed::HandOver
        } else {
            Closed::Interval
        };
        before = Some(earlier.close(origin(), why));
    }
    let last = match &batch.to {
        AppendTo::Record(last) => Some(last),
        AppendTo::End(last) => last.as_ref(),
        AppendTo::Close(_) => None,
    };
    if open.is_some() || batch.read > 0 || begins_with_gap || matches!(batch.to, AppendTo::End(_)) {
        let open = open.get_or_insert_with(|| OpenBatch {
            after: match &batch.after {
                _ if begins_with_gap => BatchAfter::Gap,
                Some(sequence) => BatchAfter::Record(sequence.clone()),
                None => BatchAfter::Start,
            },
            range: None,
            read: 0,
            recorded: 0,
            redacted: 0,
            config: batch.config,
            epoch: batch.lease.epoch,
            opened_at: now,
        });
        open.add(batch, last);
    }
    let why = match &batch.to {
        AppendTo::End(_) => Some(Closed::End),
        AppendTo::Close(why) => Some(*why),
        AppendTo::Record(_) => {
            let age = open
                .as_ref()
                .map(|open| now.duration_since(open.opened_at).unsigned_abs());
            age.is_some_and(|age| age >= interval).then_some(Closed::Interval)
        }
    };
    let behind = why.and_then(|why| Some(open.take()?.close(origin(), why)));
    Accounted { before, behind, open }
}

/// Whether what is being appended belongs to the batch that is open.
fn continues(open: &OpenBatch, batch: &ShardBatch) -> bool {
    let stands_where_it_ended = match (&open.range, &open.after) {
        (Some((_, last)), _) | (None, BatchAfter::Record(last)) => batch.after.as_ref() == Some(last),
        (None, BatchAfter::Start) => batch.after.is_none(),
        (None, BatchAfter::Gap) => true,
    };
    open.config == batch.config && open.epoch == batch.lease.epoch && stands_where_it_ended
}

impl OpenBatch {
    fn add(&mut self, batch: &ShardBatch, last: Option<&SequenceNumber>) {
        if let (Some(first), Some(last)) = (&batch.first, last) {
            let first = self.range.take().map_or_else(|| first.clone(), |(first, _)| first);
            self.range = Some((first, last.clone()));
        }
        self.read += batch.read;
        self.recorded += batch.records.iter().filter(|record| record.sequence.is_some()).count() as u64;
        self.redacted += batch.records.iter().filter(|record| record.is_redacted).count() as u64;
    }

    fn close(self, origin: Origin, closed: Closed) -> Batch {
        Batch {
            origin,
            after: self.after,
            range: self.range,
            read: self.read,
            recorded: self.recorded,
            redacted: self.redacted,
            config: self.config,
            closed,
        }
    }
}
