//! The heart of a process: it tells the others that the process is alive, and hears who else is.
//!
//! ```text
//! Heart ── every two seconds ──▶ row in `worker`, and who else is alive ──▶ pulse ──▶ intake, routes: share the work
//!   ├── sees that another process of this machine is gone ──▶ its row goes: what it had is free at once
//!   └── told to stop, and nobody works any more ──▶ the own row goes
//! ```
//!
//! # Invariants
//!
//! - Whoever works under a worker's name is a member, and the worker does not leave before its last member is gone.
//! - A process whose last beat is long ago works at nothing: others may have what it had. It measures that on its own clock. What it
//!   had before is not its own again when it beats anew: that is another [`Term`].

mod process;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use weir_ledger::{DatabaseError, Ledger, LiveWorker, Work, WorkerId};

use self::process::ProcessId;
use crate::problem::error_chain;

/// How long leaving may take. Others take what the process had anyway when its time is over.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may take to put out of the list who is gone: the heart has to beat.
const FORGET_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a heart beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartPace {
    /// Between two beats.
    pub beat_interval: Duration,
    /// How long the process may work without a beat that arrived. Below the time after which others take what it has
    /// (`LedgerSettings::lease_expiry`).
    pub unsure_after: Duration,
}

impl Default for HeartPace {
    fn default() -> Self {
        Self {
            beat_interval: Duration::from_secs(2),
            unsure_after: Duration::from_secs(5),
        }
    }
}

/// Keeps a process alive in the eyes of all that share its ledger.
pub struct Heart {
    ledger: Ledger,
    name: String,
    process: Option<ProcessId>,
    works_at: Vec<Work>,
    configuration: Option<u32>,
    pace: HeartPace,
    pulse: watch::Sender<Option<Pulse>>,
    /// Gone once the heart is told to stop: it stops when the members' are, too.
    members: Option<mpsc::Sender<Infallible>>,
    last_member: mpsc::Receiver<Infallible>,
}

/// A time without a doubt: who took something in it has that until it ends, if nobody was asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// The name under which it is held.
    pub(crate) worker: WorkerId,
    since: Instant,
}

/// What the last beat told.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    /// This process, and since when it is believed to be alive without a break.
    pub(crate) term: Term,
    /// All that are alive.
    pub(crate) workers: Vec<LiveWorker>,
    /// When that was asked.
    beaten_at: Instant,
}

/// Whoever works under the worker's name. Hears its pulse; the worker leaves after the last of them is gone.
#[derive(Clone)]
pub struct Member {
    pulse: watch::Receiver<Option<Pulse>>,
    unsure_after: Duration,
    _stays: mpsc::Sender<Infallible>,
}

impl Heart {
    /// Of a process that people call by this name, configured for these.
    #[must_use]
    pub fn new(ledger: Ledger, name: String, works_at: Vec<Work>) -> Self {
        let (members, last_member) = mpsc::channel(1);
        Self {
            ledger,
            name,
            process: ProcessId::own(),
            works_at,
            configuration: None,
            pace: HeartPace::default(),
            pulse: watch::Sender::new(None),
            members: Some(members),
            last_member,
        }
    }

    /// Of a process that does what was applied under this number.
    #[must_use]
    pub fn doing(self, configuration: Option<u32>) -> Self {
        Self { configuration, ..self }
    }

    /// At another pace: for tests, which have no time.
    #[must_use]
    pub fn at_pace(self, pace: HeartPace) -> Self {
        Self { pace, ..self }
    }

    /// One more that works under its name.
    ///
    /// # Panics
    ///
    /// Never: the heart is not running yet.
    #[must_use]
    pub fn member(&self) -> Member {
        Member {
            pulse: self.pulse.subscribe(),
            unsure_after: self.pace.unsure_after,
            _stays: self.members.clone().expect("the heart was not told to stop"),
        }
    }

    /// Beats until `stop` is cancelled and every member is gone; then leaves. Failures of Postgres are waited out.
    pub async fn beat(mut self, stop: CancellationToken) {
        let mut worker = None;
        let mut next_beat = tokio::time::Instant::now();
        loop {
            if let Err(error) = self.beat_once(&mut worker).await {
                tracing::warn!(problem = error_chain(&error), "no heartbeat arrives at Postgres");
            }
            next_beat = tokio::time::Instant::now().max(next_beat + self.pace.beat_interval);
            tokio::select! {
                () = tokio::time::sleep_until(next_beat) => {}
                () = stop.cancelled(), if self.members.is_some() => {
                    self.members = None;
                    self.drain(worker).await;
                }
                None = self.last_member.recv(), if self.members.is_none() => break,
            }
        }
        if let Some(worker) = worker {
            let left = tokio::time::timeout(LEAVE_TIMEOUT, self.ledger.leave_worker(worker));
            if !matches!(left.await, Ok(Ok(()))) {
                tracing::debug!("the worker could not leave; others wait until its time is over");
            }
        }
    }

    async fn beat_once(&self, worker: &mut Option<WorkerId>) -> Result<(), DatabaseError> {
        let beaten_at = Instant::now();
        let me = match *worker {
            Some(me) => me,
            None => {
                let process = self.process.as_ref().map(ToString::to_string);
                let (ledger, name) = (&self.ledger, &self.name);
                let entered = ledger.enter_worker(name, process.as_deref(), &self.works_at, self.configuration);
                let entered = *worker.insert(entered.await?);
                if self.members.is_none() {
                    self.drain(*worker).await;
                }
                entered
            }
        };
        let workers = self.ledger.beat(me).await?;
        let is_other = |worker: &LiveWorker| worker.id != me;
        let (gone, workers): (Vec<_>, Vec<_>) = workers
            .into_iter()
            .partition(|worker| is_other(worker) && self.sees_the_end_of(worker));
        if workers.iter().all(is_other) {
            // Our row is gone, and what we had is others'. Under a new name there is nothing that was ours.
            *worker = None;
            self.pulse.send_replace(None);
            return Ok(());
        }
        self.pulse.send_modify(|pulse| {
            let term = pulse.as_ref().filter(|before| before.is_fresh(self.pace.unsure_after));
            let term = term.map(|before| before.term).filter(|term| term.worker == me);
            let begins = Term {
                worker: me,
                since: beaten_at,
            };
            *pulse = Some(Pulse {
                term: term.unwrap_or(begins),
                workers,
                beaten_at,
            });
        });
        let forgotten = tokio::time::timeout(FORGET_TIMEOUT, async {
            for worker in gone {
                tracing::warn!(
                    worker = worker.name,
                    "a process of this machine is gone; what it had is free"
                );
                self.ledger.leave_worker(worker.id).await?;
            }
            Ok::<_, DatabaseError>(())
        });
        if !matches!(forgotten.await, Ok(Ok(()))) {
            tracing::debug!("who is gone stays in the list until its time is over");
        }
        Ok(())
    }

    /// Has others take what this process lets go of, while it does.
    async fn drain(&self, worker: Option<WorkerId>) {
        if let Some(worker) = worker {
            let drained = tokio::time::timeout(FORGET_TIMEOUT, self.ledger.drain_worker(worker, true));
            if !matches!(drained.await, Ok(Ok(_))) {
                tracing::debug!("others do not know that this process stops");
            }
        }
    }

    fn sees_the_end_of(&self, worker: &LiveWorker) -> bool {
        let (own, other) = (self.process.as_ref(), worker.process.as_deref());
        own.zip(other).is_some_and(|(own, other)| own.sees_the_end_of(other))
    }
}

impl Pulse {
    fn is_fresh(&self, unsure_after: Duration) -> bool {
        self.beaten_at.elapsed() < unsure_after
    }
}

impl Member {
    /// What the last beat told, if that is not too long ago.
    pub(crate) fn pulse(&self) -> Option<Pulse> {
        let pulse = self.pulse.borrow();
        pulse
            .as_ref()
            .filter(|pulse| pulse.is_fresh(self.unsure_after))
            .cloned()
    }

    /// Whether nobody else may have taken what was taken in a term.
    pub(crate) fn is_in(&self, term: Term) -> bool {
        let pulse = self.pulse.borrow();
        let pulse = pulse.as_ref().filter(|pulse| pulse.is_fresh(self.unsure_after));
        pulse.is_some_and(|pulse| pulse.term == term)
    }

    /// Until the next beat.
    pub(crate) async fn next_pulse(&mut self) {
        if self.pulse.changed().await.is_err() {
            // The heart stopped: there is no next one.
            std::future::pending().await
        }
    }
}
