//! What is missing: records that were trimmed before they were read, shards that left, streams that were replaced.
//!
//! ```text
//! beginning   another stream was before this one, the parent came and went unseen, or the first read comes a day late
//! middle      the service says that the next record is trimmed
//! end         the service has no such shard any more
//! ```
//!
//! # Invariants
//!
//! - A gap is recorded in the transaction of what stands behind it, or of the shard's end.
//! - Where the source is configured to stop at a gap, nothing behind it is recorded, and nothing before it is lost.

use jiff::SignedDuration;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use weir_evidence::{Gap, GapCause, Loss};
use weir_ledger::{ReadError, Shard, ShardLease};
use weir_model::SequenceNumber;
use weir_streams::{FindError, Page};

use super::{Held, ShardEnd, ShardTask};
use crate::intake::prepare::AtGap;

/// How long the service keeps a record (`DynamoDB` Developer Guide, "Change data capture for DynamoDB Streams").
const RETENTION: SignedDuration = SignedDuration::from_hours(24);

/// Until when all of a shard was seen, as long as nothing of it is recorded.
#[derive(Default)]
pub(super) struct Beginning {
    /// Records that were written since then are to be recorded; by the service's clock.
    owed_from: Option<Timestamp>,
}

impl ShardTask {
    /// What is known of the beginning of a shard of which nothing is recorded, and the gap that it begins with.
    pub(super) async fn beginning(
        &self,
        lease: &ShardLease,
        ancestors: &[Shard],
    ) -> Result<(Beginning, Option<Gap>), ReadError> {
        let known = self.ledger.shard_beginning(lease.stream_id, &lease.shard).await?;
        let seen_until = known.empty_ago.and_then(|ago| {
            let ago = SignedDuration::try_from(ago).ok()?;
            self.source.streams.service_time().checked_sub(ago).ok()
        });
        let beginning = Beginning {
            owed_from: known
                .owed_from
                .map(|owed_from| seen_until.map_or(owed_from, |seen| seen.max(owed_from))),
        };
        if known.is_orphan {
            tracing::error!(shard.id = %self.shard, "the parent of this shard left the stream unseen; a gap will be recorded");
            return Ok((
                beginning,
                Some(gap(lease, None, GapCause::ShardExpired, Loss::Possible)),
            ));
        }
        let is_replaced = ancestors.is_empty() && !self.is_first_stream().await?;
        let gap = is_replaced.then(|| gap(lease, None, GapCause::StreamReplaced, Loss::Possible));
        Ok((beginning, gap))
    }

    /// A stream that is not the first of its source begins with a gap: nobody knows what was written while there was
    /// none (streams.md 15). It stands before the first records of the shards that have no parent.
    async fn is_first_stream(&self) -> Result<bool, weir_ledger::DatabaseError> {
        let streams = self.ledger.streams().await?;
        let first = streams.iter().find(|stream| stream.source == self.stream.source);
        Ok(first.is_some_and(|first| first.stream_id == self.stream.stream_id))
    }

    /// The service gave a page. If it is the first one, or the first for a day, then what was written a day ago and more is
    /// trimmed, and no error tells.
    pub(super) fn looks_for_late_beginning(&self, held: &mut Held) {
        let now = self.source.streams.service_time();
        let Some(owed_from) = held.beginning.owed_from.replace(now) else {
            held.beginning.owed_from = None;
            return;
        };
        if held.after.is_some() || now.duration_since(owed_from) <= RETENTION {
            return;
        }
        tracing::error!(
            shard.id = %self.shard,
            %owed_from,
            "the shard is read for the first time after more than a day; a gap will be recorded"
        );
        held.gap
            .get_or_insert_with(|| gap(&held.lease, None, GapCause::Trimmed, Loss::Possible));
    }

    /// The service says that the next record is trimmed.
    pub(super) fn found_gap(&self, held: &mut Held) {
        // The last recorded record itself may be what was trimmed, and nothing else (streams.md 45).
        let loss = if held.after.is_some() {
            Loss::Possible
        } else {
            Loss::Certain
        };
        tracing::error!(
            shard.id = %self.shard,
            after = ?held.after.as_ref().map(SequenceNumber::as_str),
            loss = loss.as_str(),
            "records were trimmed before they were read; a gap will be recorded"
        );
        let after = held.after.clone();
        held.gap
            .get_or_insert_with(|| gap(&held.lease, after, GapCause::Trimmed, loss));
        held.reader.skip_to_horizon();
    }

    /// The service says that there is no such shard. Asks for the stream before believing it (streams.md 20).
    pub(super) async fn shard_is_gone(&self, held: &mut Held, stop: &CancellationToken) -> Option<ShardEnd> {
        match self.source.streams.describe(&self.stream.arn).await {
            Ok(described) if described.shards.iter().any(|found| found.shard == self.shard) => return None,
            Ok(_) | Err(FindError::Missing { .. }) => {}
            Err(_) => return None,
        }
        tracing::error!(shard.id = %self.shard, "the shard left the stream before it was read to its end; a gap is recorded");
        let after = held.after.clone();
        held.gap
            .get_or_insert_with(|| gap(&held.lease, after, GapCause::ShardExpired, Loss::Possible));
        if self.is_to_stop_at_gap(held) {
            return Some(self.stand_at_gap(held, stop).await);
        }
        let end = Page {
            records: Vec::new(),
            bytes: 0,
            is_last: true,
        };
        Some(self.record(held, end, stop).await.err().unwrap_or(ShardEnd::Recorded))
    }

    /// Whether somebody has to decide about the gap that was found, if the source is configured so (streams.md 19). What one
    /// stream lost before the next began was decided by whoever switched it off.
    pub(super) fn is_to_stop_at_gap(&self, held: &Held) -> bool {
        let found = held.gap.as_ref();
        self.source.settings.at_gap == AtGap::Stop && found.is_some_and(|gap| gap.cause != GapCause::StreamReplaced)
    }

    /// Waits at a gap until somebody decides.
    pub(super) async fn stand_at_gap(&self, held: &Held, stop: &CancellationToken) -> ShardEnd {
        let after = held.gap.as_ref().and_then(|gap| gap.after.as_ref());
        let problem = format!(
            "records after {} were lost before they were read, and `at_gap = \"stop\"` keeps the shard here. \
             To have the gap recorded and go on, set `at_gap = \"record\"` and restart",
            after.map_or("the shard's beginning", SequenceNumber::as_str)
        );
        tracing::error!(shard.id = %self.shard, problem, "the shard stands at a gap");
        self.waits(&problem);
        stop.cancelled().await;
        ShardEnd::Stopped
    }
}

fn gap(lease: &ShardLease, after: Option<SequenceNumber>, cause: GapCause, loss: Loss) -> Gap {
    Gap {
        origin: lease.origin(),
        commitment: None,
        after,
        next: None,
        since: None,
        until: None,
        cause,
        loss,
    }
}
