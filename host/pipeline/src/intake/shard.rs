//! The path of one shard's records into the ledger: read, seal, append, page by page, to the shard's end.
//!
//! # Invariants
//!
//! - The position moves only in the transaction that adds the entries it moves across.
//! - A page is appended whole or not at all, and again until it is known to be there.
//! - What was trimmed before it was read becomes a `gap` entry, in the same transaction as what stands behind it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_evidence::{GapCause, Loss};
use weir_ledger::{AppendError, AppendTo, Appended, ClaimError, Ledger, SealedRecord, ShardBatch, ShardLease, Stream};
use weir_model::{Position, Record, SequenceNumber, ShardId};
use weir_streams::{DynamoDbStreams, FindError, Page, ReadError, ShardReader};

use super::seal::{Gap, Origin, Sealer};
use crate::pace::{Backoff, pause};
use crate::problem::error_chain;
use crate::{Activities, Activity, fault};

/// Between two reads while records come: about four reads a second and shard (streams.md 24).
const ACTIVE_INTERVAL: Duration = Duration::from_millis(250);

/// Between two reads while none come.
const IDLE_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// A page with this many records is likely full: more waits behind it, so the next read follows at once.
const FULL_PAGE_RECORDS: usize = 500;

/// Records one shard.
pub(super) struct ShardTask {
    pub(super) ledger: Ledger,
    pub(super) streams: DynamoDbStreams,
    pub(super) stream: Stream,
    pub(super) shard: ShardId,
    pub(super) sealer: Arc<Sealer>,
    pub(super) activities: Activities,
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

/// A shard that is held, and where it stands.
struct Held {
    lease: ShardLease,
    reader: ShardReader,
    /// The last record in the ledger.
    after: Option<SequenceNumber>,
    /// Found, and not yet in the ledger.
    gap: Option<Gap>,
}

impl ShardTask {
    /// Records the shard to its end, or until `stop` is cancelled.
    ///
    /// Stopping waits for the page in hand: `stop` interrupts the wait for the next page, never the work on this one.
    pub(super) async fn run(self, stop: CancellationToken) -> ShardEnd {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15));
        loop {
            match self.hold().await {
                Ok(held) => return self.record_to_end(held, &stop).await,
                Err(ClaimError::Finished(_)) => return ShardEnd::Recorded,
                Err(ClaimError::ParentOpen(_) | ClaimError::Unknown(_)) => return ShardEnd::Stopped,
                Err(ClaimError::Database(error)) => {
                    tracing::warn!(shard.id = %self.shard, error = &error as &dyn std::error::Error, "the shard cannot be taken yet");
                }
            }
            if !pause(&stop, backoff.next()).await {
                return ShardEnd::Stopped;
            }
        }
    }

    async fn hold(&self) -> Result<Held, ClaimError> {
        let lease = self.ledger.claim_shard(self.stream.stream_id, &self.shard).await?;
        let after = lease.position.clone();
        let reader = self
            .streams
            .read(&self.stream.arn, &self.stream.table, &self.shard, after.clone());
        let gap = if after.is_none() {
            self.gap_before_stream().await?
        } else {
            None
        };
        tracing::info!(shard.id = %self.shard, epoch = lease.epoch, position = ?after.as_ref().map(SequenceNumber::as_str), "shard taken");
        Ok(Held {
            lease,
            reader,
            after,
            gap,
        })
    }

    /// A stream that is not the first of its source begins with a gap: nobody knows what was written while there was
    /// none (streams.md 15). It stands before the first records of the shards that have no parent.
    async fn gap_before_stream(&self) -> Result<Option<Gap>, weir_ledger::DatabaseError> {
        let streams = self.ledger.streams().await?;
        let is_first = streams.iter().find(|stream| stream.source == self.stream.source) == Some(&self.stream);
        let shards = self.ledger.shards(self.stream.stream_id).await?;
        let parent = shards
            .iter()
            .find(|shard| shard.shard == self.shard)
            .and_then(|shard| shard.parent.as_ref());
        let has_parent = shards.iter().any(|shard| Some(&shard.shard) == parent);
        let gap = Gap {
            after: None,
            cause: GapCause::StreamReplaced,
            loss: Loss::Possible,
        };
        Ok((!is_first && !has_parent).then_some(gap))
    }

    async fn record_to_end(&self, mut held: Held, stop: &CancellationToken) -> ShardEnd {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15));
        let mut idle_interval = ACTIVE_INTERVAL;
        loop {
            let Some(read) = stop.run_until_cancelled(held.reader.next_page()).await else {
                return ShardEnd::Stopped;
            };
            let wait = match read {
                Ok(page) => {
                    backoff.succeeded();
                    let (count, is_last) = (page.records.len(), page.is_last);
                    match self.record(&mut held, page, stop).await {
                        Ok(()) if is_last => return ShardEnd::Recorded,
                        Ok(()) => {}
                        Err(end) => return end,
                    }
                    idle_interval = if count > 0 {
                        ACTIVE_INTERVAL
                    } else {
                        (idle_interval * 2).min(IDLE_INTERVAL_MAX)
                    };
                    if count >= FULL_PAGE_RECORDS {
                        Duration::ZERO
                    } else {
                        idle_interval
                    }
                }
                Err(ReadError::Trimmed { .. }) => {
                    self.found_gap(&mut held);
                    backoff.next()
                }
                Err(ReadError::Gone) => match self.shard_is_gone(&mut held, stop).await {
                    Some(end) => return end,
                    None => backoff.next(),
                },
                Err(error) => {
                    if backoff.is_news() {
                        tracing::warn!(shard.id = %self.shard, error = %error, "reading waits");
                    }
                    backoff.next()
                }
            };
            if !pause(stop, wait).await {
                return ShardEnd::Stopped;
            }
        }
    }

    fn found_gap(&self, held: &mut Held) {
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
        held.gap.get_or_insert(Gap {
            after: held.after.clone(),
            cause: GapCause::Trimmed,
            loss,
        });
        held.reader.skip_to_horizon();
    }

    /// The service says that there is no such shard. Asks for the stream before believing it (streams.md 20).
    async fn shard_is_gone(&self, held: &mut Held, stop: &CancellationToken) -> Option<ShardEnd> {
        match self.streams.describe(&self.stream.arn).await {
            Ok(described) if described.shards.iter().any(|found| found.shard == self.shard) => return None,
            Ok(_) | Err(FindError::Missing { .. }) => {}
            Err(_) => return None,
        }
        tracing::error!(shard.id = %self.shard, "the shard left the stream before it was read to its end; a gap is recorded");
        held.gap.get_or_insert(Gap {
            after: held.after.clone(),
            cause: GapCause::ShardExpired,
            loss: Loss::Possible,
        });
        let end = Page {
            records: Vec::new(),
            is_last: true,
        };
        Some(self.record(held, end, stop).await.err().unwrap_or(ShardEnd::Recorded))
    }

    /// Appends a page, however often it takes.
    async fn record(&self, held: &mut Held, page: Page, stop: &CancellationToken) -> Result<(), ShardEnd> {
        let records: Arc<[Record]> = page
            .records
            .into_iter()
            .filter(|record| self.is_new(held, record))
            .collect();
        let last = records.last().map(|record| record.sequence().clone());
        let to = match (&last, page.is_last) {
            (_, true) => AppendTo::End(last.clone()),
            (Some(last), false) => AppendTo::Record(last.clone()),
            // A gap without anything behind it yet waits for that, so that both become visible together.
            (None, false) => return Ok(()),
        };
        let origin = Origin {
            stream: self.stream.arn.clone(),
            shard: self.shard.clone(),
        };
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut sealed: Option<Vec<SealedRecord>> = None;
        loop {
            let problem = match &sealed {
                None => match self.sealer.seal(&origin, held.gap.clone(), Arc::clone(&records)).await {
                    Ok(ready) => {
                        sealed = Some(ready);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                Some(ready) => {
                    let batch = ShardBatch {
                        lease: &held.lease,
                        after: held.after.clone(),
                        to: to.clone(),
                        records: ready,
                    };
                    fault::point("before-append");
                    match self.ledger.append(batch).await {
                        Ok(appended) => {
                            fault::point("after-append");
                            self.tell(&appended, usize::from(held.gap.is_some()), &records);
                            self.learn_key(&records).await;
                            held.gap = None;
                            held.after = last.or(held.after.take());
                            return Ok(());
                        }
                        Err(AppendError::Fenced { .. }) => return Err(ShardEnd::Fenced),
                        // Only a worker that took the shard could have moved it, and that is told as fenced.
                        Err(AppendError::Moved { .. }) => return Err(ShardEnd::Stopped),
                        Err(error @ AppendError::Database(_)) => error_chain(&error),
                    }
                }
            };
            tracing::warn!(shard.id = %self.shard, problem, "recording waits");
            if !pause(stop, backoff.next()).await {
                return Err(ShardEnd::Stopped);
            }
        }
    }

    /// Drops what is in the ledger already (streams.md 32), and changes older than the configured start (44).
    fn is_new(&self, held: &Held, record: &Record) -> bool {
        let repeated = held.after.as_ref().is_some_and(|after| record.sequence() <= after);
        // Source times are whole seconds: of the second in which Weir started, all is recorded.
        let too_old = match (record, self.stream.records_from) {
            (Record::Change(change), Some(from)) => change.created_at.as_second() < from.as_second(),
            // A record that was not understood may say nothing true about its time.
            _ => false,
        };
        !repeated && !too_old
    }

    /// Some emulators do not tell the key schema of a stream; where the key is one attribute, every record does.
    async fn learn_key(&self, records: &[Record]) {
        if !self.stream.key_names.is_empty() {
            return;
        }
        let Some(Record::Change(change)) = records.first() else {
            return;
        };
        if let (1, Some(name)) = (change.keys.len(), change.keys.keys().next()) {
            // Nothing but the convenience of `weir history` depends on it, and the next page tries again.
            let _ = self.ledger.learn_key_name(self.stream.stream_id, name).await;
        }
    }

    fn tell(&self, appended: &Appended, gaps: usize, records: &[Record]) {
        let Appended::Written { first, head } = appended else {
            return;
        };
        tracing::debug!(shard.id = %self.shard, position = %first, count = records.len(), "recorded");
        for (offset, record) in (gaps as u64..).zip(records) {
            let Record::Change(change) = record else { continue };
            self.activities.tell(|| {
                let who = self.sealer.who(change);
                Activity::Recorded {
                    position: Position(first.0 + offset),
                    operation: change.operation,
                    table: change.table.clone(),
                    key: weir_model::plain_json(&change.keys),
                    actor: who.actor,
                    assurance: who.assurance,
                }
            });
        }
        self.activities.tell(|| Activity::Head {
            size: head.size,
            root: head.root,
        });
    }
}
