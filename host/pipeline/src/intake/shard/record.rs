//! Appends what came of one page, as often as it takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use weir_ledger::{AppendError, AppendTo, ShardBatch};
use weir_model::{EventId, Record, SequenceNumber};
use weir_streams::Page;

use super::{Held, ShardEnd, ShardTask};
use crate::fault;
use crate::intake::figures::Count;
use crate::pace::{Backoff, pause};
use crate::problem::error_chain;

/// What came of a page: records that were not seen before.
struct Came {
    first: Option<SequenceNumber>,
    last: Option<SequenceNumber>,
    read: u64,
    /// Those that are to be recorded; they are gone once they are sealed, unless a plugin made others of them.
    records: Vec<Record>,
}

impl ShardTask {
    /// Appends a page, however often it takes.
    pub(super) async fn record(&self, held: &mut Held, page: Page, stop: &CancellationToken) -> Result<(), ShardEnd> {
        let is_last = page.is_last;
        let mut came = self.came(held, page.records);
        let to = match (&came.last, is_last) {
            (_, true) => AppendTo::End(came.last.clone()),
            (Some(last), false) => AppendTo::Record(last.clone()),
            // A gap without anything behind it yet waits for that, so that both become visible together.
            (None, false) => return Ok(()),
        };
        if let Some(gap) = &mut held.gap {
            gap.next.clone_from(&came.first);
            gap.until = came.records.first().map(Record::created_at);
        }
        let mut batch = ShardBatch {
            lease: held.lease.clone(),
            after: held.after.clone(),
            to,
            records: Arc::new([]),
            first: came.first.clone(),
            read: came.read,
            config: self.source.sealer.config(),
        };
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut is_sealed = false;
        let mut refused = None;
        loop {
            let problem = if is_sealed {
                fault::point("before-append");
                match self.ledger.append(batch.clone()).await {
                    Ok(appended) => {
                        fault::point("after-append");
                        self.tell(&appended, &batch.records);
                        self.learn_key(&batch.records).await;
                        if held.gap.take().is_some() {
                            self.status.count(&self.stream.source, Count::Gap);
                        }
                        held.after = came.last.or(held.after.take());
                        held.open_since = (!is_last).then(|| held.open_since.unwrap_or_else(Instant::now));
                        return Ok(());
                    }
                    Err(AppendError::Fenced { .. }) => return Err(ShardEnd::Fenced),
                    // Only a worker that took the shard could have moved it, and that is told as fenced.
                    Err(AppendError::Moved { .. }) => return Err(ShardEnd::Stopped),
                    Err(AppendError::Refused { index, reason }) => {
                        let around = self.go_around(&mut batch, (index, &reason), &came.records, &mut refused);
                        match around.await {
                            Ok(()) => continue,
                            Err(problem) => problem,
                        }
                    }
                    Err(error @ (AppendError::Database(_) | AppendError::ParentOpen { .. })) => error_chain(&error),
                }
            } else {
                let sealer = &self.source.sealer;
                match sealer
                    .seal(&held.lease.origin(), held.gap.clone(), &mut came.records)
                    .await
                {
                    Ok(sealed) => {
                        batch.records = sealed.into();
                        is_sealed = true;
                        continue;
                    }
                    Err(error) => error_chain(&error),
                }
            };
            self.waits(&problem);
            tracing::warn!(shard.id = %self.shard, problem, "recording waits");
            if !pause(stop, backoff.next()).await {
                return Err(ShardEnd::Stopped);
            }
        }
    }

    /// Drops what is in the ledger already (streams.md 32), also as the end of the shard's parent (43), and sets aside what
    /// is older than the configured start (44).
    fn came(&self, held: &Held, records: Vec<Record>) -> Came {
        let is_new = |record: &Record| match (&held.after, &held.parent_end) {
            (Some(after), _) => record.sequence() > after,
            (None, Some(parent)) => {
                let is_behind = parent.last.as_ref().is_none_or(|last| record.sequence() > last);
                is_behind && !parent.events.iter().any(|event| is_event(record, event))
            }
            (None, None) => true,
        };
        let count = records.len();
        let new: Vec<Record> = records.into_iter().filter(is_new).collect();
        if new.len() < count {
            let repeats = count - new.len();
            tracing::info!(shard.id = %self.shard, count = repeats, "records came again and were dropped");
            self.status.count(&self.stream.source, Count::Repeats(repeats as u64));
        }
        Came {
            first: new.first().map(|record| record.sequence().clone()),
            last: new.last().map(|record| record.sequence().clone()),
            read: new.len() as u64,
            records: new.into_iter().filter(|record| !self.is_too_old(record)).collect(),
        }
    }

    fn is_too_old(&self, record: &Record) -> bool {
        // Source times are whole seconds: of the second in which Weir started, all is recorded.
        match (record, self.stream.records_from) {
            (Record::Change(change), Some(from)) => change.created_at.as_second() < from.as_second(),
            // A record that was not understood may say nothing true about its time.
            _ => false,
        }
    }
}

fn is_event(record: &Record, event: &EventId) -> bool {
    matches!(record, Record::Change(change) if change.event_id == *event)
}
