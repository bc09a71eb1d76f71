//! The path of one shard's records into the ledger: read, seal, append, page by page, to the shard's end.
//!
//! # Invariants
//!
//! - The position moves only in the transaction that adds the entries it moves across.
//! - A page is appended whole or not at all, and again until it is known to be there.
//! - What was trimmed before it was read becomes a `gap` entry, in the same transaction as what stands behind it.

mod gaps;
mod record;
mod refused;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use weir_evidence::{Body, Closed, Entry, EntryKind, Gap};
use weir_ledger::{
    Appended, Ledger, ReadError as ReadLedgerError, SealedRecord, Shard, ShardBatch, ShardLease, Stream,
};
use weir_model::{EventId, Position, Record, SequenceNumber, ShardId};
use weir_streams::{Page, ReadError, ShardReader};

use self::gaps::Beginning;
use super::figures::Count;
use super::pace::IntakePace;
use super::polling::Polling;
use super::prepare::Source;
use super::progress::IntakeStatus;
use super::room::{ExpectedPage, PageRoom, Taken};
use crate::Activity;
use crate::pace::{Backoff, pause};
use crate::problem::error_chain;

/// How long records may be in the ledger without being accounted for, while nothing more comes.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How long stopping waits for the account of what was recorded.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A page with this many records is likely full: more waits behind it, so the next read follows at once.
const FULL_PAGE_RECORDS: usize = 500;

/// Records one shard.
pub(super) struct ShardTask {
    pub(super) ledger: Ledger,
    pub(super) source: Arc<Source>,
    pub(super) stream: Stream,
    pub(super) shard: ShardId,
    pub(super) status: IntakeStatus,
    pub(super) pace: IntakePace,
    pub(super) room: PageRoom,
}

/// Why a shard's task ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ShardEnd {
    /// The shard was recorded to its end.
    Recorded,
    /// It was asked to stop, or may go on later: what is recorded is recorded.
    Stopped,
    /// Someone else records the shard now.
    Fenced,
}

/// Ancestors whose last records a shard may begin with.
const ANCESTORS_MAX: i32 = 4;

/// Shards without a known child that are looked at for a shard without a known parent.
const LEAVES_MAX: usize = 16;

/// How a parent ended: its child may begin with the same records again (streams.md 43).
struct ParentEnd {
    /// The last record, if the parent is known: without it, event ids alone tell.
    last: Option<SequenceNumber>,
    /// Event ids of the last records: the child may have them under other sequence numbers.
    events: HashSet<EventId>,
}

/// A shard that is held, and where it stands.
struct Held {
    lease: ShardLease,
    reader: ShardReader,
    /// The last record in the ledger.
    after: Option<SequenceNumber>,
    beginning: Beginning,
    /// How the parent ended, until the shard has a record of its own.
    parent_end: Option<ParentEnd>,
    /// Found, and not yet in the ledger.
    gap: Option<Gap>,
    /// Since when records of ours may be in the ledger without being accounted for.
    open_since: Option<Instant>,
}

impl ShardTask {
    /// Records the shard to its end, or until `stop` is cancelled.
    ///
    /// Stopping waits for the page in hand: `stop` interrupts the wait for the next page, never the work on this one.
    pub(super) async fn run(self, lease: ShardLease, stop: CancellationToken) -> ShardEnd {
        self.status.begins(&self.stream.source, lease.stream_id, &lease.shard);
        let mut backoff = Backoff::new(self.pace.retry_first, self.pace.retry_max);
        loop {
            match self.hold(&lease).await {
                Ok(held) => return self.record_to_end(held, &stop).await,
                Err(error) => self.waits(&error_chain(&error)),
            }
            if !pause(&stop, backoff.next()).await {
                return ShardEnd::Stopped;
            }
        }
    }

    async fn hold(&self, lease: &ShardLease) -> Result<Held, ReadLedgerError> {
        let after = lease.position.clone();
        let reader = self
            .source
            .streams
            .read(&self.stream.arn, &self.stream.table, &self.shard, after.clone());
        let (mut beginning, mut gap, mut parent_end) = (Beginning::default(), None, None);
        if after.is_none() {
            // Itself, and its ancestors.
            let lineage = self
                .ledger
                .lineage(self.stream.stream_id, &self.shard, 1 + ANCESTORS_MAX);
            let lineage = lineage.await?;
            let ancestors = lineage.get(1..).unwrap_or_default();
            (beginning, gap) = self.beginning(lease, ancestors).await?;
            // Behind a parent that came and went unseen, any shard that ended may be the one before it.
            let is_cut_off = ancestors.is_empty() && lineage.first().is_some_and(|shard| shard.parent.is_some());
            parent_end = if is_cut_off {
                let leaves = self.ledger.finished_leaves(self.stream.stream_id).await?;
                let last_leaves = leaves.len().saturating_sub(LEAVES_MAX);
                let events = self.last_events(&leaves[last_leaves..]).await?;
                (!events.is_empty()).then_some(ParentEnd { last: None, events })
            } else {
                let events = self.last_events(ancestors).await?;
                let last = ancestors.iter().find_map(|shard| shard.position.clone());
                last.map(|last| ParentEnd {
                    last: Some(last),
                    events,
                })
            };
        }
        tracing::info!(shard.id = %self.shard, epoch = lease.epoch, position = ?after.as_ref().map(SequenceNumber::as_str), "shard taken");
        Ok(Held {
            lease: lease.clone(),
            reader,
            after,
            beginning,
            parent_end,
            gap,
            open_since: None,
        })
    }

    async fn last_events(&self, shards: &[Shard]) -> Result<HashSet<EventId>, ReadLedgerError> {
        let mut events = HashSet::new();
        // A parent may have begun with records of its own parent, and ended with them.
        for shard in shards {
            events.extend(self.ledger.last_events(&self.stream, &shard.shard).await?);
        }
        Ok(events)
    }

    /// How long ago something was, by the service's clock.
    fn age(&self, at: Timestamp) -> Duration {
        let age = self.source.streams.service_time().duration_since(at);
        Duration::try_from(age).unwrap_or_default()
    }

    fn waits(&self, problem: &str) {
        self.status.waits(self.stream.stream_id, &self.shard, problem);
    }

    async fn record_to_end(&self, mut held: Held, stop: &CancellationToken) -> ShardEnd {
        let end = self.record_pages(&mut held, stop).await;
        if end == ShardEnd::Stopped && held.open_since.is_some() {
            // What is not accounted for now is accounted for by whoever takes the shard next.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.close(&mut held, Closed::HandOver)).await;
        }
        end
    }

    async fn record_pages(&self, held: &mut Held, stop: &CancellationToken) -> ShardEnd {
        let mut backoff = Backoff::new(self.pace.retry_first, self.pace.retry_max);
        let mut polling = Polling::new(self.source.settings.read_interval(), self.pace.idle_interval_max);
        let mut expected = ExpectedPage::default();
        loop {
            let read = async {
                let room = self.room.take(&expected).await;
                (held.reader.next_page().await, room)
            };
            let wait = match stop.run_until_cancelled(read).await {
                None => return ShardEnd::Stopped,
                Some((Ok(page), room)) => {
                    backoff.succeeded();
                    expected.came(page.bytes);
                    self.page_came(held, page, room, &mut polling, stop).await
                }
                Some((Err(error), room)) => {
                    drop(room);
                    expected.failed();
                    self.read_failed(held, &error, &mut backoff, &mut polling, stop).await
                }
            };
            match wait {
                Ok(wait) => {
                    if !pause(stop, wait).await {
                        return ShardEnd::Stopped;
                    }
                }
                Err(end) => return end,
            }
        }
    }

    /// Records a page. How long to wait for the next one.
    async fn page_came(
        &self,
        held: &mut Held,
        page: Page,
        room: Taken,
        polling: &mut Polling,
        stop: &CancellationToken,
    ) -> Result<Duration, ShardEnd> {
        let (count, is_last) = (page.records.len(), page.is_last);
        let record_at = page.records.last().map(Record::created_at);
        let behind = record_at.map_or(Duration::ZERO, |at| self.age(at));
        self.status
            .answered(self.stream.stream_id, &self.shard, count, record_at, behind);
        self.looks_for_late_beginning(held);
        if self.is_to_stop_at_gap(held) {
            // It is read again, and keeps no room until somebody decides.
            drop((page, room));
            return Err(self.stand_at_gap(held, stop).await);
        }
        self.record(held, page, stop).await?;
        drop(room);
        self.status.moved(self.stream.stream_id, &self.shard);
        if is_last {
            return Err(ShardEnd::Recorded);
        }
        if count == 0 && held.open_since.is_some_and(|since| since.elapsed() >= BATCH_INTERVAL) {
            self.close(held, Closed::Interval).await;
        }
        Ok(polling.after_page(count > 0, count >= FULL_PAGE_RECORDS))
    }

    /// There is no page. How long to wait before the next try.
    async fn read_failed(
        &self,
        held: &mut Held,
        error: &ReadError,
        backoff: &mut Backoff,
        polling: &mut Polling,
        stop: &CancellationToken,
    ) -> Result<Duration, ShardEnd> {
        match error {
            ReadError::Trimmed { .. } => {
                self.found_gap(held);
                Ok(backoff.next())
            }
            ReadError::Gone => self
                .shard_is_gone(held, stop)
                .await
                .map_or_else(|| Ok(backoff.next()), Err),
            ReadError::Throttled | ReadError::Service(_) => {
                self.waits(&error.to_string());
                if backoff.is_news() {
                    tracing::warn!(shard.id = %self.shard, %error, "reading waits");
                }
                if matches!(error, ReadError::Throttled) {
                    self.status.count(&self.stream.source, Count::Throttle);
                    return Ok(polling.throttled().max(backoff.next()));
                }
                Ok(backoff.next())
            }
        }
    }

    /// Accounts for what was recorded so far. A failure is made good by the next append.
    async fn close(&self, held: &mut Held, why: Closed) {
        let batch = ShardBatch::close(held.lease.clone(), held.after.clone(), self.source.sealer.config(), why);
        match self.ledger.append(batch).await {
            Ok(_) => held.open_since = None,
            Err(error) => tracing::debug!(shard.id = %self.shard, problem = error_chain(&error), "a batch stays open"),
        }
    }

    /// Some emulators do not tell the key schema of a stream; where the key is one attribute, every record does.
    async fn learn_key(&self, records: &[SealedRecord]) {
        if !self.stream.key_names.is_empty() {
            return;
        }
        let keys = records.iter().find_map(opened).and_then(|body| body.keys);
        if let Some(keys) = keys
            && let (1, Some(name)) = (keys.len(), keys.keys().next())
        {
            // Nothing but the convenience of `weir history` depends on it, and the next page tries again.
            let _ = self.ledger.learn_key_name(self.stream.stream_id, name).await;
        }
    }

    fn tell(&self, appended: &Appended, sealed: &[SealedRecord]) {
        let Appended::Written { first, head } = appended else {
            return;
        };
        tracing::debug!(shard.id = %self.shard, position = %first, count = sealed.len(), "recorded");
        let activities = &self.source.activities;
        for (position, sealed) in (first.0..).map(Position).zip(sealed) {
            if sealed.is_withheld()
                && let Some(body) = opened(sealed)
            {
                let sequence = sealed.sequence.as_ref().map(tracing::field::display);
                tracing::warn!(%position, sequence, code = body.reason, "a change is withheld");
                self.status.count(&self.stream.source, Count::Withheld);
            }
            activities.tell_any(|| recorded(position, sealed));
        }
        activities.tell(|| Activity::Head {
            size: head.size,
            root: head.root,
        });
    }
}

/// What a record says, but for a gap.
fn opened(sealed: &SealedRecord) -> Option<Body> {
    Some(sealed.body.as_ref()?.plain.as_ref()?.read().ok()?.body)
}

/// What those who watch are told of a record; `None` where it is no change.
fn recorded(position: Position, sealed: &SealedRecord) -> Option<Activity> {
    let body = opened(sealed)?;
    match Entry::decode(&sealed.entry).ok()?.kind {
        EntryKind::Change {
            operation,
            table,
            assurance,
            ..
        } => Some(Activity::Recorded {
            position,
            operation,
            table,
            key: weir_model::plain_json(body.keys.as_ref()?),
            actor: body.actor.clone(),
            assurance,
        }),
        EntryKind::Withheld { operation, table, .. } => Some(Activity::Withheld {
            position,
            operation,
            table,
            code: body.reason.clone()?,
        }),
        _ => None,
    }
}
