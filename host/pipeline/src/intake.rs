//! The way in: workers share the shards of a ledger's sources, and each has its shards recorded, parents before children.
//!
//! ```text
//!            ┌── discover ── asks each stream for its shards, enters them; goes on with a table's next stream
//! Intake ────┤
//!            └── every two seconds: look at all open shards, take, ask, let go ──▶ one task per shard
//! ```
//!
//! One task runs per shard, which keeps the changes of one item in order. Between shards there is no order.
//!
//! # Invariants
//!
//! - A shard is read only after its parent was recorded to its end.
//! - A worker whose heart did not beat in time reads nothing: others may have what it had (`heart`).
//! - Nothing here sends anything to the outside but questions to the source.
//! - A stream that was switched off is drained; the next one of its table is taken up with a `gap` entry.

mod again;
mod annotate;
mod discover;
mod doubt;
mod figures;
mod lineage;
mod pace;
mod polling;
mod prepare;
mod progress;
mod room;
mod seal;
mod shard;

pub use again::{Again, AgainError, StillWithheld, annotate_again};
pub use annotate::{AnnotatorError, IntakePlugin, redact};
pub use figures::{IntakeFigures, ShardFigures, SourceFigures};
pub use pace::IntakePace;
pub use prepare::{AtGap, Images, PrepareError, Source, SourceSettings, SourceTable, Start};
pub use progress::IntakeStatus;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_ledger::{ClaimError, Ledger, OpenShard, ShardLease, Stream, Work, WorkerId};
use weir_model::ShardId;

use self::discover::DiscoverTask;
use self::room::PageRoom;
use self::shard::{ShardEnd, ShardTask};
use crate::balance::{self, Piece};
use crate::heart::{Member, Pulse, Term};
use crate::problem::error_chain;

/// Shards read at a time. More wait for their turn, or for another worker.
const SHARDS_MAX: usize = 4096;

/// How much sooner than usual the next round comes when a shard ended.
const SOON: u32 = 8;

/// Weight of a shard that is only polled.
const IDLE_WEIGHT: f64 = 1.0;

/// Records a second that weigh as much as a shard that is only polled.
const RECORDS_PER_WEIGHT: f64 = 100.0;

/// Records a process's share of every source.
pub struct Intake {
    ledger: Ledger,
    member: Member,
    sources: Vec<Arc<Source>>,
    status: IntakeStatus,
    pace: IntakePace,
}

/// Why intake ended by itself. Everything recorded so far is recorded.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// A task panicked. The position of each shard is that of its last commit.
    #[error("a task of the intake failed")]
    Task(#[source] tokio::task::JoinError),
}

/// What a worker reads.
struct Share<'a> {
    intake: &'a Intake,
    /// In which it took what is held.
    term: Option<Term>,
    reported_at: Instant,
    /// What is read now.
    held: HashMap<(i32, ShardId), CancellationToken>,
    tasks: JoinSet<(ShardLease, ShardEnd)>,
    /// Wake those who look for shards.
    nudges: Vec<Arc<Notify>>,
    /// What all shards share.
    room: PageRoom,
}

impl Intake {
    /// For these sources, under the name of a worker.
    #[must_use]
    pub fn new(ledger: Ledger, member: Member, sources: Vec<Source>) -> Self {
        Self {
            ledger,
            member,
            sources: sources.into_iter().map(Arc::new).collect(),
            status: IntakeStatus::default(),
            pace: IntakePace::default(),
        }
    }

    /// At another pace: for tests, which have no time.
    #[must_use]
    pub fn at_pace(self, pace: IntakePace) -> Self {
        Self { pace, ..self }
    }

    /// Tells what does not move.
    #[must_use]
    pub fn status(&self) -> IntakeStatus {
        self.status.clone()
    }

    /// Records until `stop` is cancelled. Failures of sources and Postgres are waited out.
    ///
    /// Stopping waits for the pages in hand, and lets go of the shards, so that another worker goes on at once.
    ///
    /// # Errors
    ///
    /// A task of ours is broken.
    pub async fn run(self, stop: CancellationToken) -> Result<(), IntakeError> {
        let mut discovering: JoinSet<()> = JoinSet::new();
        let mut nudges = Vec::new();
        let found = Arc::new(Notify::new());
        for source in &self.sources {
            let nudge = Arc::new(Notify::new());
            nudges.push(Arc::clone(&nudge));
            let task = DiscoverTask::new(
                self.ledger.clone(),
                Arc::clone(source),
                nudge,
                Arc::clone(&found),
                self.status.clone(),
                self.pace,
            );
            discovering.spawn(task.run(stop.clone()));
        }
        let mut share = Share::new(&self, nudges);
        let mut member = self.member.clone();
        let mut next_round = tokio::time::Instant::now();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(next_round) => {
                    let is_done = share.round().await;
                    let wait = if is_done { self.pace.round_interval } else { Duration::ZERO };
                    next_round = tokio::time::Instant::now() + wait;
                }
                () = member.next_pulse(), if share.term.is_none() => next_round = tokio::time::Instant::now(),
                () = found.notified() => next_round = tokio::time::Instant::now(),
                Some(ended) = share.tasks.join_next() => {
                    share.settle(ended).await?;
                    // Its children are looked for, and may be there soon. When many end, one look is for all of them.
                    next_round = next_round.min(tokio::time::Instant::now() + self.pace.round_interval / SOON);
                }
                Some(ended) = discovering.join_next() => {
                    if let Err(error) = ended { return Err(IntakeError::Task(error)); }
                }
            }
        }
        share.leave().await?;
        while let Some(ended) = discovering.join_next().await {
            ended.map_err(IntakeError::Task)?;
        }
        Ok(())
    }
}

impl<'a> Share<'a> {
    fn new(intake: &'a Intake, nudges: Vec<Arc<Notify>>) -> Self {
        Self {
            intake,
            term: None,
            reported_at: Instant::now(),
            held: HashMap::new(),
            tasks: JoinSet::new(),
            nudges,
            room: PageRoom::default(),
        }
    }

    /// Looks at all shards, and does what is to be done. A failure is made good by the next round. Returns whether there was
    /// time for everything.
    async fn round(&mut self) -> bool {
        let pulse = self.intake.member.pulse();
        let term = pulse.as_ref().map(|pulse| pulse.term);
        if self.term.is_some() && term != self.term && !self.held.is_empty() {
            tracing::warn!(
                shards = self.held.len(),
                "no heartbeat arrived for too long: others may read what we read"
            );
            self.held.values().for_each(CancellationToken::cancel);
        }
        self.term = term;
        let result = match &pulse {
            Some(pulse) => self.look(pulse).await,
            None => Ok(true),
        };
        self.intake.status.tell(
            "Postgres cannot be asked who reads which shard",
            pulse.is_none() || result.is_err(),
        );
        if let Err(error) = &result {
            tracing::warn!(problem = error_chain(error), "the work cannot be shared now");
        }
        result.unwrap_or(true)
    }

    /// Returns whether there was time to take all that it should take.
    async fn look(&mut self, pulse: &Pulse) -> Result<bool, weir_ledger::DatabaseError> {
        let (ledger, me) = (&self.intake.ledger, pulse.term.worker);
        let streams = ledger.streams().await?;
        let mut shards = ledger.open_shards().await?;
        // Of sources that this process is not configured for, others take care.
        shards.retain(|shard| self.source_of(&streams, shard.stream_id).is_some());
        let unread = shards.iter().filter(|shard| shard.is_ready && shard.worker.is_none());
        self.intake
            .status
            .unread(unread.map(|shard| (shard.stream_id, shard.shard.clone())));
        let pieces = shards.iter().map(|shard| self.piece(&streams, shard));
        let pieces: Vec<Piece> = pieces.collect();
        let moves = balance::moves(me, &pulse.workers, &pieces);
        for index in moves.let_go {
            let shard = &shards[index];
            if let Some(stop) = self.held.get(&(shard.stream_id, shard.shard.clone())) {
                stop.cancel();
            }
        }
        let begun_at = Instant::now();
        for index in moves.take {
            self.take(me, &streams, &shards[index]).await?;
            // Who has what changes meanwhile. At least one was taken, however slow Postgres is.
            if begun_at.elapsed() >= self.intake.pace.round_interval {
                return Ok(false);
            }
        }
        // What is ours in Postgres, but was given up here (a beat was late), is taken up anew.
        let forgotten = |shard: &&OpenShard| {
            shard.worker == Some(me) && !self.held.contains_key(&(shard.stream_id, shard.shard.clone()))
        };
        let forgotten: Vec<OpenShard> = shards.iter().filter(forgotten).cloned().collect();
        for shard in &forgotten {
            self.take(me, &streams, shard).await?;
        }
        for index in moves.ask {
            ledger
                .ask_for_shard(me, shards[index].stream_id, &shards[index].shard)
                .await?;
        }
        if self.reported_at.elapsed() >= self.intake.pace.report_interval {
            self.reported_at = Instant::now();
            ledger.report_shards(&self.intake.status.reports()).await?;
        }
        Ok(true)
    }

    /// A shard weighs something because it is polled, and more the more records come.
    fn piece(&self, streams: &[Stream], shard: &OpenShard) -> Piece {
        let source = self.source_of(streams, shard.stream_id);
        let key = (shard.stream_id, shard.shard.clone());
        Piece {
            of: Work::Source(source.map(|source| source.settings.name.clone()).unwrap_or_default()),
            is_ready: shard.is_ready,
            worker: shard.worker,
            wanted_by: shard.wanted_by,
            is_left: self.intake.status.unread_for(&key) >= self.intake.pace.left_after,
            weight: IDLE_WEIGHT + f64::from(shard.records_per_s) / RECORDS_PER_WEIGHT,
        }
    }

    /// Takes a shard and has it read.
    async fn take(
        &mut self,
        me: WorkerId,
        streams: &[Stream],
        shard: &OpenShard,
    ) -> Result<(), weir_ledger::DatabaseError> {
        let key = (shard.stream_id, shard.shard.clone());
        let stream = streams.iter().find(|stream| stream.stream_id == shard.stream_id);
        let (Some(source), Some(stream)) = (self.source_of(streams, shard.stream_id), stream) else {
            return Ok(());
        };
        if self.held.contains_key(&key) {
            return Ok(());
        }
        if self.held.len() >= SHARDS_MAX {
            tracing::warn!(stream.arn = %stream.arn, limit = SHARDS_MAX, "shards wait for their turn");
            return Ok(());
        }
        let lease = match self.intake.ledger.claim_shard(me, shard.stream_id, &shard.shard).await {
            Ok(lease) => lease,
            // Somebody was quicker, or knows more.
            Err(ClaimError::Held(_) | ClaimError::Finished(_) | ClaimError::ParentOpen(_) | ClaimError::Unknown(_)) => {
                return Ok(());
            }
            Err(ClaimError::Database(error)) => return Err(error),
        };
        let task = ShardTask {
            ledger: self.intake.ledger.clone(),
            source: Arc::clone(source),
            stream: stream.clone(),
            shard: shard.shard.clone(),
            status: self.intake.status.clone(),
            pace: self.intake.pace,
            room: self.room.clone(),
        };
        let stop = CancellationToken::new();
        self.held.insert(key, stop.clone());
        self.tasks.spawn(async move {
            let end = task.run(lease.clone(), stop).await;
            (lease, end)
        });
        Ok(())
    }

    fn source_of(&self, streams: &[Stream], stream_id: i32) -> Option<&'a Arc<Source>> {
        let stream = streams.iter().find(|stream| stream.stream_id == stream_id)?;
        self.intake
            .sources
            .iter()
            .find(|source| source.settings.name == stream.source)
    }

    /// Lets go of a shard that is read no more.
    async fn settle(
        &mut self,
        ended: Result<(ShardLease, ShardEnd), tokio::task::JoinError>,
    ) -> Result<(), IntakeError> {
        let (lease, end) = ended.map_err(IntakeError::Task)?;
        self.held.remove(&(lease.stream_id, lease.shard.clone()));
        self.intake.status.ends(lease.stream_id, &lease.shard);
        match end {
            ShardEnd::Recorded => {
                tracing::info!(shard.id = %lease.shard, "shard recorded to its end");
                // Its children are looked for at once.
                self.nudges.iter().for_each(|nudge| nudge.notify_one());
            }
            ShardEnd::Fenced => tracing::info!(shard.id = %lease.shard, "another worker has the shard"),
            ShardEnd::Stopped => {
                if let Err(error) = self.intake.ledger.release_shard(&lease).await {
                    tracing::debug!(shard.id = %lease.shard, problem = error_chain(&error), "the shard is free when our time is over");
                }
            }
        }
        Ok(())
    }

    /// Stops reading and lets go of everything.
    async fn leave(mut self) -> Result<(), IntakeError> {
        self.held.values().for_each(CancellationToken::cancel);
        while let Some(ended) = self.tasks.join_next().await {
            self.settle(ended).await?;
        }
        Ok(())
    }
}
