//! The share of a process: which partitions of which routes it works at.
//!
//! ```text
//! every second: look at all partitions ──▶ take free ones, ask for some, let go of some ──▶ one task per partition
//!                        └── all of a route stand at another number's beginning ──▶ that many others come in their place
//! ```
//!
//! # Invariants
//!
//! - A process whose heart did not beat in time sends nothing: others may have what it had.
//! - What is let go of is settled first, and what is taken begins where it was settled.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use weir_ledger::{Consumer, DatabaseError, Ledger, Partition, PartitionState, Work, WorkerId};
use weir_runtime::Runtime;

use super::ahead::ahead_of;
use super::version::Versions;
use super::{PartitionEnd, PartitionTask, RouteError, RouteSettings};
use crate::balance::{self, Piece};
use crate::gate::Gates;
use crate::heart::{Member, Pulse, Term};
use crate::problem::error_chain;
use crate::{Activities, Feed};

/// Partitions of a process that settle at the same time, and that ask for what is parked or ordered. New entries are read by one for
/// all (`feed`).
const SETTLING_MAX: usize = 5;
const READING_MAX: usize = 5;

/// Routes a process's share of every route.
pub struct Routes {
    pub(super) ledger: Ledger,
    pub(super) member: Member,
    /// By name, with what is loaded of each for all its partitions.
    settings: BTreeMap<String, (RouteSettings, Versions)>,
    pub(super) feed: Arc<Feed>,
    pub(super) gates: Arc<Gates>,
    pub(super) activities: Activities,
    /// What is left of the connections is for recording, and for those who ask.
    pub(super) turns: Turns,
    pace: RoutesPace,
}

/// Turns of partitions at Postgres.
#[derive(Clone)]
pub(super) struct Turns {
    pub(super) to_settle: Arc<Semaphore>,
    pub(super) to_read: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            to_settle: Arc::new(Semaphore::new(SETTLING_MAX)),
            to_read: Arc::new(Semaphore::new(READING_MAX)),
        }
    }
}

/// How often a process looks at who works at what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutesPace {
    /// Between two looks.
    pub round_interval: Duration,
    /// How long others have to take a free partition before a process takes more than its share.
    pub left_after: Duration,
}

impl Default for RoutesPace {
    fn default() -> Self {
        Self {
            round_interval: Duration::from_secs(1),
            left_after: Duration::from_secs(5),
        }
    }
}

/// What a process works at.
struct Share<'a> {
    routes: &'a Routes,
    stop: CancellationToken,
    /// In which it took what is held.
    term: Option<Term>,
    /// What is worked at now, as one of how many partitions.
    held: HashMap<Partition, (usize, CancellationToken)>,
    tasks: JoinSet<(Partition, PartitionEnd)>,
    /// Partitions that nobody works at, and since when.
    free: HashMap<Partition, Instant>,
}

impl Routes {
    /// These, of the ledger that `feed` reads, under the name of a worker.
    #[must_use]
    pub fn new(
        routes: impl IntoIterator<Item = RouteSettings>,
        member: Member,
        feed: Arc<Feed>,
        runtime: &Runtime,
        gates: Arc<Gates>,
        activities: Activities,
    ) -> Self {
        let settings = routes.into_iter().map(|route| {
            let versions = Versions::new(route.name.clone(), Arc::clone(&feed), runtime.clone());
            (route.name.clone(), (route, versions))
        });
        Self {
            ledger: feed.ledger().clone(),
            member,
            settings: settings.collect(),
            feed,
            gates,
            activities,
            turns: Turns::default(),
            pace: RoutesPace::default(),
        }
    }

    /// At another pace: for tests, which have no time.
    #[must_use]
    pub fn at_pace(self, pace: RoutesPace) -> Self {
        Self { pace, ..self }
    }

    /// Routes until `stop` is cancelled. What is in the way of a route is waited out, at its cursors.
    ///
    /// Stopping waits for the requests in hand, and lets go of the partitions, so that another process goes on at once; what waits
    /// for another attempt is attempted again there, under the same ids.
    ///
    /// # Errors
    ///
    /// A task of ours is broken.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RouteError> {
        let mut share = Share {
            routes: &self,
            stop: stop.clone(),
            term: None,
            held: HashMap::new(),
            tasks: JoinSet::new(),
            free: HashMap::new(),
        };
        let mut member = self.member.clone();
        let mut next_round = tokio::time::Instant::now();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(next_round) => {
                    // A partition that was taken meanwhile, and nobody knows of here, is free once the worker left.
                    let _ = stop.run_until_cancelled(share.round()).await;
                    next_round = tokio::time::Instant::now() + self.pace.round_interval;
                }
                () = member.next_pulse(), if share.term.is_none() => next_round = tokio::time::Instant::now(),
                Some(ended) = share.tasks.join_next() => {
                    if share.settle(ended).await? {
                        // Others come in its place, or somebody asked for it.
                        next_round = tokio::time::Instant::now();
                    }
                }
            }
        }
        while let Some(ended) = share.tasks.join_next().await {
            share.settle(ended).await?;
        }
        Ok(())
    }
}

impl Share<'_> {
    /// Looks at all partitions, and does what is to be done. A failure is made good by the next round.
    async fn round(&mut self) {
        let pulse = self.routes.member.pulse();
        let term = pulse.as_ref().map(|pulse| pulse.term);
        if self.term.is_some() && term != self.term && !self.held.is_empty() {
            tracing::warn!(
                partitions = self.held.len(),
                "no heartbeat arrived for too long: others may route what we route"
            );
            self.held.values().for_each(|(_, stop)| stop.cancel());
        }
        self.term = term;
        if let Some(pulse) = pulse
            && let Err(error) = self.look(&pulse).await
        {
            tracing::warn!(problem = error_chain(&error), "the routes cannot be shared now");
        }
    }

    async fn look(&mut self, pulse: &Pulse) -> Result<(), DatabaseError> {
        let (Routes { ledger, gates, .. }, me) = (self.routes, pulse.term.worker);
        let mut states = self.partitions().await?;
        Box::pin(self.leave_what_is_ahead(&mut states)).await?;
        self.note_free(&states);
        let holders: HashSet<WorkerId> = states.iter().filter_map(|state| state.worker).chain([me]).collect();
        gates.share(holders.len());
        let parts = |partition: &Partition| {
            let of_route = states.iter().filter(|state| state.partition.route == partition.route);
            of_route.count()
        };
        let over: HashSet<&String> = self
            .routes
            .settings
            .keys()
            .filter(|route| all_over(&states, route))
            .collect();
        for state in &states {
            let Some((as_one_of, stop)) = self.held.get(&state.partition) else {
                continue;
            };
            // Whoever else has it now took it from us; others come once nobody has any of those that are over; and among others it may
            // be called the same.
            let goes = state.worker != Some(me)
                || over.contains(&state.partition.route)
                || *as_one_of != parts(&state.partition);
            if goes {
                stop.cancel();
            }
        }
        let pieces = states
            .iter()
            .map(|state| self.piece(state, !over.contains(&state.partition.route)));
        let pieces: Vec<Piece> = pieces.collect();
        let moves = balance::moves(me, &pulse.workers, &pieces);
        for index in moves.let_go {
            if let Some((_, stop)) = self.held.get(&states[index].partition) {
                stop.cancel();
            }
        }
        if !moves.take.is_empty() {
            // Nothing is sent before this is known.
            gates.look(ledger).await?;
        }
        // What is ours in Postgres, but was given up here (a beat was late), is taken up anew.
        let is_forgotten =
            |index: &usize| states[*index].worker == Some(me) && !self.held.contains_key(&states[*index].partition);
        let forgotten: Vec<usize> = (0..states.len()).filter(is_forgotten).collect();
        for index in moves.take.into_iter().chain(forgotten) {
            let partition = &states[index].partition;
            let parts = parts(partition);
            if let Err(error) = self.take(pulse.term, partition, parts).await {
                tracing::warn!(%partition, problem = error_chain(&error), "the partition cannot be taken now");
            }
        }
        for index in moves.ask {
            let partition = &states[index].partition;
            if let Err(error) = ledger.ask_for_partition(me, partition).await {
                tracing::debug!(%partition, problem = error_chain(&error), "the partition cannot be asked for now");
            }
        }
        Ok(())
    }

    /// The partitions of the routes that this process is configured for, after others came in the place of those that are over.
    async fn partitions(&self) -> Result<Vec<PartitionState>, DatabaseError> {
        let Routes { ledger, settings, .. } = self.routes;
        let mut states = ledger.partitions().await?;
        let mut is_changed = false;
        for route in settings.keys() {
            let is_free = |state: &PartitionState| state.partition.route != *route || state.worker.is_none();
            if all_over(&states, route) && states.iter().all(is_free) {
                match ledger.partition_route(route).await {
                    Ok(()) => is_changed = true,
                    Err(error) => {
                        tracing::warn!(
                            route,
                            problem = error_chain(&error),
                            "its partitions cannot be made now"
                        );
                    }
                }
            }
        }
        if is_changed {
            states = ledger.partitions().await?;
        }
        states.retain(|state| settings.contains_key(&state.partition.route));
        Ok(states)
    }

    /// Leaves routes to others that lead to sinks which this process does not know: it is about to be configured anew, or to be
    /// replaced.
    async fn leave_what_is_ahead(&mut self, states: &mut Vec<PartitionState>) -> Result<(), DatabaseError> {
        let ahead = ahead_of(&self.routes.gates, &self.routes.ledger).await?;
        for (partition, (_, stop)) in &self.held {
            if let Some(sink) = ahead.get(&partition.route)
                && !stop.is_cancelled()
            {
                tracing::warn!(%partition, sink, "this process has no such sink: its configuration is older than the route's, which it leaves to others");
                stop.cancel();
            }
        }
        states.retain(|state| !ahead.contains_key(&state.partition.route));
        Ok(())
    }

    fn note_free(&mut self, states: &[PartitionState]) {
        let free = states.iter().filter(|state| state.worker.is_none());
        let since = |partition: &Partition| self.free.get(partition).copied().unwrap_or_else(Instant::now);
        self.free = free
            .map(|state| (state.partition.clone(), since(&state.partition)))
            .collect();
    }

    fn piece(&self, state: &PartitionState, is_ready: bool) -> Piece {
        let free_since = self.free.get(&state.partition);
        Piece {
            of: Work::Route(state.partition.route.clone()),
            is_ready,
            worker: state.worker,
            wanted_by: state.wanted_by,
            is_left: free_since.is_some_and(|since| since.elapsed() >= self.routes.pace.left_after),
            weight: 1.0,
        }
    }

    /// Takes a partition and has it routed; it is one of so many.
    async fn take(&mut self, term: Term, partition: &Partition, parts: usize) -> Result<(), DatabaseError> {
        let Some(settings) = self.routes.settings.get(&partition.route) else {
            return Ok(());
        };
        if self.held.contains_key(partition) {
            return Ok(());
        }
        let claimed = self.routes.ledger.claim_partition(term.worker, partition).await?;
        let Some(consumer) = claimed else {
            // Somebody was quicker, or knows more.
            return Ok(());
        };
        tracing::debug!(%partition, position = %consumer.next, "partition taken");
        let task = PartitionTask::new(self.routes, settings, term, partition.clone(), parts);
        let (partition, stop) = (partition.clone(), self.stop.child_token());
        self.held.insert(partition.clone(), (parts, stop.clone()));
        self.tasks.spawn(async move {
            let end = task.run(consumer, stop).await;
            (partition, end)
        });
        Ok(())
    }

    /// Lets go of a partition that is routed no more. Says whether it was routed.
    async fn settle(&mut self, ended: Result<(Partition, PartitionEnd), JoinError>) -> Result<bool, RouteError> {
        let (partition, end) = ended.map_err(RouteError::Task)?;
        self.held.remove(&partition);
        match end {
            PartitionEnd::Stopped(consumer) => self.release(&partition, &consumer).await,
            PartitionEnd::Fenced => tracing::info!(%partition, "another process routes it now"),
            PartitionEnd::Failed(consumer, error) => {
                tracing::warn!(%partition, problem = error_chain(&error), "the route cannot begin");
                self.release(&partition, &consumer).await;
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn release(&self, partition: &Partition, consumer: &Consumer) {
        if let Err(error) = self.routes.ledger.release_partition(consumer).await {
            tracing::debug!(%partition, problem = error_chain(&error), "the partition is free when our time is over");
        }
    }
}

/// Whether there is nothing more to read for any partition of a route, for it has another number of them from there on; or none
/// yet.
fn all_over(states: &[PartitionState], route: &str) -> bool {
    let mut of_route = states.iter().filter(|state| state.partition.route == route);
    of_route.all(|state| state.is_over)
}
