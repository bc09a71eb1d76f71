//! Finds the shards of a source, and the next stream of its table.
//!
//! One worker asks at a time, whoever's turn it is: the service answers ten such questions a second and stream, whatever
//! the number of workers. What was found stands in the ledger, for all of them.
//!
//! # Invariants
//!
//! - A shard that was entered is never forgotten. Which may be entered: `lineage`.
//! - The next stream of a table is taken up only after the one before was recorded to its end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use weir_ledger::{Ledger, NewShard, Shard, Stream};
use weir_model::ShardId;
use weir_streams::{Describing, FindError, FoundShard, StreamDescription};

use super::doubt::Doubt;
use super::lineage::{KnownStream, Lineage};
use super::pace::IntakePace;
use super::prepare::{self, Source, Wanted};
use super::progress::IntakeStatus;
use crate::pace::Backoff;
use crate::problem::error_chain;

/// Shards at their end whose children are asked for one by one. For more, going through everything is fewer calls.
const CHILDREN_ASKED_MAX: usize = 4;

/// Finds shards of one source.
pub(super) struct DiscoverTask {
    ledger: Ledger,
    source: Arc<Source>,
    nudge: Arc<Notify>,
    /// Told when shards are there that were not: whoever shares them need not wait.
    found: Arc<Notify>,
    status: IntakeStatus,
    pace: IntakePace,
    lineage: Lineage,
    /// An answer of many pages that a failure interrupted.
    describing: Option<(i32, Describing)>,
    /// The stream looks drained in every answer.
    drained: Option<Doubt>,
}

/// What a round found.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// All that there is.
    All,
    /// Something that one answer alone does not tell: it is asked again soon.
    Doubt,
}

impl DiscoverTask {
    pub(super) fn new(
        ledger: Ledger,
        source: Arc<Source>,
        nudge: Arc<Notify>,
        found: Arc<Notify>,
        status: IntakeStatus,
        pace: IntakePace,
    ) -> Self {
        Self {
            ledger,
            source,
            nudge,
            found,
            status,
            pace,
            lineage: Lineage::default(),
            describing: None,
            drained: None,
        }
    }

    /// Looks for shards until `stop` is cancelled. Failures are waited out.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(self.pace.retry_first, self.pace.retry_max);
        let mut is_urgent = true;
        let what = format!("source {} cannot be asked for its shards", self.source.settings.name);
        while !stop.is_cancelled() {
            // From here on, for a question that hangs fails late.
            self.status.tell(&what, true);
            // What is entered is entered by one transaction each: a look can be broken off anywhere.
            let Some(result) = stop.run_until_cancelled(self.round(is_urgent)).await else {
                return;
            };
            self.status.tell(&what, result.is_err());
            // A failure is followed by another question, and not by a round in which it is not our turn: that would be well.
            is_urgent = matches!(result, Ok(Found::Doubt) | Err(_));
            let wait = match result {
                Ok(Found::Doubt) => self.pace.doubt_interval,
                Ok(Found::All) => {
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
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                () = self.nudge.notified() => is_urgent = true,
            }
        }
    }

    /// Enters the shards that the source's stream has now, if it is our turn to ask or there is a reason to.
    async fn round(&mut self, is_urgent: bool) -> Result<Found, String> {
        let database = |error: weir_ledger::DatabaseError| error_chain(&error);
        let Some(stream) = self.current().await.map_err(database)? else {
            return Ok(Found::All);
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
            return Ok(Found::All);
        }
        if stream.is_drained {
            self.take_next_stream(&stream).await;
            return Ok(Found::All);
        }
        let shards = self.ledger.shards(stream.stream_id).await.map_err(database)?;
        if is_urgent && !self.lineage.is_in_doubt() && self.enter_children(&stream, &shards).await? {
            return Ok(Found::All);
        }
        let (found, is_on, answered_at) = match self.describe(&stream).await {
            Ok(described) => (described.shards, described.enabled, described.answered_at),
            Err(FindError::Missing { answered_at, .. }) => (Vec::new(), false, answered_at),
            Err(error) => return Err(error.to_string()),
        };
        let known: HashSet<ShardId> = shards.iter().map(|shard| shard.shard.clone()).collect();
        let known_stream = known_stream(&stream, &known);
        let sure = self
            .lineage
            .sure(&found, &known_stream, answered_at, self.pace.sure_after);
        self.enter(&stream, &sure, &known, answered_at).await?;
        if self.lineage.is_in_doubt() {
            return Ok(Found::Doubt);
        }
        let is_drained = shards.iter().all(|shard| shard.finished) && sure.iter().all(|new| known.contains(&new.shard));
        if is_on || !is_drained {
            self.drained = None;
            return Ok(Found::All);
        }
        let drained = Doubt::more(self.drained.take(), answered_at);
        if !drained.is_settled(answered_at, self.pace.sure_after) {
            self.drained = Some(drained);
            return Ok(Found::Doubt);
        }
        self.ledger.drained_stream(stream.stream_id).await.map_err(database)?;
        tracing::warn!(stream.arn = %stream.arn, "the stream was switched off and is recorded to its end");
        self.take_next_stream(&stream).await;
        Ok(Found::All)
    }

    /// All that the service tells of a stream. What a failed call did not bring, the next one does.
    async fn describe(&mut self, stream: &Stream) -> Result<StreamDescription, FindError> {
        let begun = self
            .describing
            .take()
            .filter(|(stream_id, _)| *stream_id == stream.stream_id);
        let mut describing = match begun {
            Some((_, describing)) => describing,
            None => self.source.streams.describing(&stream.arn),
        };
        let described = describing.finish().await;
        if matches!(described, Err(FindError::Service(_))) {
            self.describing = Some((stream.stream_id, describing));
        }
        described
    }

    /// Asks for the children of shards that came to their end, if they are few; enters them, and returns whether that were
    /// all. What the filter leaves out is found by going through everything (streams.md 7).
    async fn enter_children(&self, stream: &Stream, shards: &[Shard]) -> Result<bool, String> {
        let has_child = |parent: &Shard| shards.iter().any(|child| child.parent.as_ref() == Some(&parent.shard));
        let childless: Vec<&Shard> = shards
            .iter()
            .filter(|shard| shard.finished && !has_child(shard))
            .collect();
        if childless.is_empty() || childless.len() > CHILDREN_ASKED_MAX {
            return Ok(false);
        }
        let mut found: Vec<FoundShard> = Vec::new();
        for parent in childless {
            match self.source.streams.children(&stream.arn, &parent.shard).await {
                Ok(children) if !children.is_empty() => found.extend(children),
                Ok(_) | Err(FindError::Missing { .. }) => return Ok(false),
                Err(error) => return Err(error.to_string()),
            }
        }
        let known: HashSet<ShardId> = shards.iter().map(|shard| shard.shard.clone()).collect();
        let answered_at = self.source.streams.service_time();
        // Their parents are known, so nothing is in doubt.
        let sure = Lineage::default().sure(&found, &known_stream(stream, &known), answered_at, self.pace.sure_after);
        // This answer says nothing of other shards, so it is no time at which all of them were told.
        let told_at = stream.told_at.unwrap_or(answered_at);
        self.enter(stream, &sure, &known, told_at).await?;
        Ok(true)
    }

    /// Enters shards, of which some may be known, and says so if others are there now.
    async fn enter(
        &self,
        stream: &Stream,
        shards: &[NewShard],
        known: &HashSet<ShardId>,
        told_at: Timestamp,
    ) -> Result<(), String> {
        let entered = self.ledger.enter_shards(stream.stream_id, shards, told_at).await;
        entered.map_err(|error| error_chain(&error))?;
        if shards.iter().any(|new| !known.contains(&new.shard)) {
            self.found.notify_one();
        }
        Ok(())
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

    /// The stream is off and read to its end: goes on with the one that its table had next, if it had one.
    async fn take_next_stream(&self, drained: &Stream) {
        let Wanted::Table(table) = &self.source.wanted else {
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
            Err(FindError::NoStream { .. }) => {}
            Err(error) => tracing::warn!(table, error = %error, "cannot look for the table's new stream"),
        }
    }
}

fn known_stream<'a>(stream: &Stream, shards: &'a HashSet<ShardId>) -> KnownStream<'a> {
    KnownStream {
        shards,
        entered_at: stream.entered_at,
        told_at: stream.told_at,
    }
}
