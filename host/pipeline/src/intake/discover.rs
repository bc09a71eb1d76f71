//! Finds the shards of a source, and the next stream of its table.
//!
//! One worker asks at a time, whoever's turn it is: the service answers ten such questions a second and stream, whatever
//! the number of workers. What was found stands in the ledger, for all of them.
//!
//! # Invariants
//!
//! - A child is entered only together with its parent, or once it is sure that the parent is gone: an answer may leave a
//!   shard out that is there (streams.md 5, 6).
//! - A shard that was entered is never forgotten.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use weir_ledger::{Ledger, NewShard, Shard, Stream};
use weir_model::ShardId;
use weir_streams::{FindError, FoundShard, StreamDescription, made_at};

use super::pace::IntakePace;
use super::prepare::{self, Source, SourceTable};
use super::progress::IntakeStatus;
use crate::pace::Backoff;
use crate::problem::error_chain;

/// Age of a parent from which on it has been trimmed: a shard lives for hours, its records for 24 h, and both count from
/// its making at the earliest.
const TRIMMED_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_hours(48);

/// Finds shards of one source.
pub(super) struct DiscoverTask {
    ledger: Ledger,
    source: Arc<Source>,
    nudge: Arc<Notify>,
    status: IntakeStatus,
    pace: IntakePace,
    /// Parents that every answer since then named and did not have.
    missing: HashMap<ShardId, Instant>,
    /// Since when the stream looks drained in every answer.
    drained_since: Option<Instant>,
}

/// What a round found.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// The stream goes on.
    Open,
    /// A parent is missing in the answer: it is asked for again before its children are read.
    Doubt,
    /// The stream is off, and everything of it is recorded.
    Drained,
}

impl DiscoverTask {
    pub(super) fn new(
        ledger: Ledger,
        source: Arc<Source>,
        nudge: Arc<Notify>,
        status: IntakeStatus,
        pace: IntakePace,
    ) -> Self {
        Self {
            ledger,
            source,
            nudge,
            status,
            pace,
            missing: HashMap::new(),
            drained_since: None,
        }
    }

    /// Looks for shards until `stop` is cancelled. Failures are waited out.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(self.pace.retry_first, self.pace.retry_max);
        let mut is_urgent = true;
        let what = format!("source {} cannot be asked for its shards", self.source.settings.name);
        while !stop.is_cancelled() {
            let result = self.round(is_urgent).await;
            self.status.tell(&what, result.is_err());
            let wait = match result {
                Ok(Found::Doubt) => self.pace.doubt_interval,
                Ok(Found::Open | Found::Drained) => {
                    backoff.succeeded();
                    self.pace.describe_interval
                }
                Err(problem) => {
                    if backoff.is_news() {
                        tracing::warn!(source = %self.source.settings.name, problem, "the stream cannot be described");
                    }
                    backoff.next()
                }
            };
            is_urgent = false;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => is_urgent = wait == self.pace.doubt_interval,
                () = self.nudge.notified() => is_urgent = true,
            }
        }
    }

    /// Enters the shards that the source's stream has now, if it is our turn to ask or there is a reason to.
    async fn round(&mut self, is_urgent: bool) -> Result<Found, String> {
        let database = |error: weir_ledger::DatabaseError| error_chain(&error);
        let Some(stream) = self.current().await.map_err(database)? else {
            return Ok(Found::Open);
        };
        let interval = if is_urgent {
            Duration::ZERO
        } else {
            self.pace.describe_interval
        };
        if !self
            .ledger
            .take_describe_turn(stream.stream_id, interval)
            .await
            .map_err(database)?
        {
            return Ok(Found::Open);
        }
        if stream.is_drained {
            self.take_next_stream(&stream).await;
            return Ok(Found::Drained);
        }
        let described = match self.source.streams.describe(&stream.arn).await {
            Ok(described) => Some(described),
            Err(FindError::Missing { .. }) => None,
            Err(error) => return Err(error.to_string()),
        };
        let known = self.ledger.shards(stream.stream_id).await.map_err(database)?;
        let sure = described
            .as_ref()
            .map(|described| self.sure(described, &known))
            .unwrap_or_default();
        self.ledger
            .enter_shards(stream.stream_id, &sure)
            .await
            .map_err(database)?;
        if !self.missing.is_empty() {
            return Ok(Found::Doubt);
        }
        let is_drained =
            known.iter().all(|shard| shard.finished) && sure.iter().all(|new| is_known(&known, &new.shard));
        if described.is_some_and(|described| described.enabled) || !is_drained {
            self.drained_since = None;
            return Ok(Found::Open);
        }
        if self.drained_since.get_or_insert_with(Instant::now).elapsed() < self.pace.sure_after {
            return Ok(Found::Open);
        }
        self.drained_since = None;
        self.ledger.drained_stream(stream.stream_id).await.map_err(database)?;
        self.take_next_stream(&stream).await;
        Ok(Found::Drained)
    }

    /// The stream that is recorded now: the oldest of this source that is not drained, or else the last one.
    async fn current(&self) -> Result<Option<Stream>, weir_ledger::DatabaseError> {
        let mut streams = self.ledger.streams().await?;
        streams.retain(|stream| stream.source == self.source.settings.name);
        let open = streams.iter().position(|stream| !stream.is_drained);
        Ok(match open {
            Some(open) => Some(streams.swap_remove(open)),
            None => streams.pop(),
        })
    }

    /// The shards of an answer that may be entered: those without a parent, with a parent that is known, and those whose
    /// parent is gone, which its age says, or every answer for a while.
    fn sure(&mut self, described: &StreamDescription, known: &[Shard]) -> Vec<NewShard> {
        let listed: HashSet<&ShardId> = described.shards.iter().map(|found| &found.shard).collect();
        let before = std::mem::take(&mut self.missing);
        let mut doubted: HashSet<&ShardId> = HashSet::new();
        for found in described.shards.iter().filter(|found| !is_known(known, &found.shard)) {
            if let Some(parent) = &found.parent
                && !listed.contains(parent)
                && !is_known(known, parent)
                && !is_trimmed(parent, described.answered_at)
                && before
                    .get(parent)
                    .is_none_or(|since| since.elapsed() < self.pace.sure_after)
            {
                if !before.contains_key(parent) {
                    tracing::info!(shard.id = %found.shard, parent = %parent, "the parent is missing in the answer; the shard waits");
                }
                let since = before.get(parent).copied().unwrap_or_else(Instant::now);
                self.missing.insert(parent.clone(), since);
                doubted.insert(&found.shard);
            }
        }
        // Whoever descends from a shard that waits, waits too.
        loop {
            let descends = |found: &&FoundShard| {
                let waits = found.parent.as_ref().is_some_and(|parent| doubted.contains(parent));
                waits && !doubted.contains(&found.shard) && !is_known(known, &found.shard)
            };
            let more: Vec<&ShardId> = described
                .shards
                .iter()
                .filter(descends)
                .map(|found| &found.shard)
                .collect();
            if more.is_empty() {
                break;
            }
            doubted.extend(more);
        }
        let sure = described.shards.iter().filter(|found| !doubted.contains(&found.shard));
        sure.map(|found| NewShard {
            shard: found.shard.clone(),
            parent: found.parent.clone(),
        })
        .collect()
    }

    /// The stream is off and read to its end: goes on with the one that its table has now, if it has one.
    async fn take_next_stream(&self, drained: &Stream) {
        let SourceTable::Table(table) = &self.source.settings.table else {
            tracing::warn!(stream.arn = %drained.arn, "the stream was switched off and is recorded to its end");
            return;
        };
        match self.source.streams.find_after(table, &drained.arn).await {
            Ok(found) => match prepare::enter(&self.ledger, &self.source.settings, &found, None).await {
                Ok(stream) => {
                    tracing::warn!(
                        stream.arn = %stream.arn,
                        table,
                        "the table has a new stream: what was written between the two is lost, and recorded as a gap"
                    );
                    self.nudge.notify_one();
                }
                Err(error) => tracing::warn!(table, error = %error, "the table's new stream cannot be recorded"),
            },
            Err(FindError::NoStream { .. }) => {
                tracing::warn!(table, "the table's stream is switched off and recorded to its end");
            }
            Err(error) => tracing::warn!(table, error = %error, "cannot look for the table's new stream"),
        }
    }
}

fn is_known(known: &[Shard], shard: &ShardId) -> bool {
    known.iter().any(|known| known.shard == *shard)
}

/// Whether a shard is so old that the service cannot have it any more. Its id says when it was made; the form of ids is
/// not documented, and one that cannot be read says nothing.
fn is_trimmed(shard: &ShardId, now: jiff::Timestamp) -> bool {
    made_at(shard).is_some_and(|made_at| now.duration_since(made_at) > TRIMMED_AFTER)
}
