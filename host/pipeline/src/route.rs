//! The way out: one task per route reads the ledger behind its cursor, decides, delivers, and moves the cursor.
//!
//! ```text
//! page of entries ─▶ cut where the version changes ─▶ event pattern ─▶ plugin ─▶ deliveries ─▶ sinks
//!                                                                         │                     │
//!                                                 dead letters ◀──────────┴─────────────────────┘
//!                                                 and cursor, in one transaction
//! ```
//!
//! # Invariants
//!
//! - What is decided about a change depends on the change and the route's version at its position, on nothing else.
//! - The cursor passes a position only when each of its deliveries was acknowledged or is a dead letter.
//! - A sink that takes nothing makes the route wait where it is. The ledger is the queue.
//! - A route that halts stands before the change that its plugin fails on, and goes on there with its next version.
//! - Deliveries of one item go one after the other.

mod decide;
mod deliver;
mod tables;
mod trial;
mod version;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_ledger::{Consumer, ConsumerError, DeadLetter, Ledger, ReadError, RecordedEntry, Stream};
use weir_model::Position;
use weir_routing::RetrySchedule;
use weir_runtime::Runtime;
use weir_sinks::Sink;

use self::decide::Decided;
use self::deliver::Courier;
pub use self::tables::{TableDigests, TableError, give_tables, newest_tables};
pub use self::trial::{Trial, TrialError};
use self::version::{LoadedVersion, VersionError, Versions};
use crate::pace::{Backoff, pause};
use crate::problem::error_chain;
use crate::{Activities, Activity, fault};

/// Entries routed at a time, at most. A plugin batch has at most as many (design, "Plugins").
const WINDOW_ENTRIES_MAX: u16 = 1000;

/// How often the ledger is looked at for what other processes appended.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The configured sinks, by name.
pub type Sinks = BTreeMap<String, Arc<dyn Sink>>;

/// Routes the changes of a ledger, by whatever versions of the route the ledger names.
pub struct RouteTask {
    name: String,
    ledger: Ledger,
    versions: Versions,
    courier: Courier,
    activities: Activities,
    streams: Vec<Stream>,
    /// The change before which it stands still, and the version whose plugin failed on it.
    halted: Option<(Position, u32)>,
    /// Entries routed at a time: fewer where a plugin fails on many changes, for finding them has its limit.
    window_entries: u16,
}

/// Why a route ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Another process has the route now.
    #[error("route {0} was taken over by another process")]
    Fenced(String),
    /// Postgres failed before the route could begin.
    #[error("the route cannot begin")]
    Database(#[from] weir_ledger::DatabaseError),
}

/// What keeps a route from going on for now. Its cursor stays where it is.
#[derive(Debug, thiserror::Error)]
enum Hindrance {
    #[error("stopped")]
    Stopped,
    #[error("the ledger cannot be read")]
    Read(#[from] ReadError),
    #[error("the version for position {0} is not there")]
    NoVersion(Position),
    #[error("its version cannot be loaded")]
    Version(#[from] VersionError),
    #[error("the plugin cannot be run")]
    Plugin(#[from] weir_runtime::HostError),
    #[error("the cursor cannot be moved")]
    Cursor(#[from] ConsumerError),
}

impl From<weir_ledger::DatabaseError> for Hindrance {
    fn from(error: weir_ledger::DatabaseError) -> Self {
        Self::Read(error.into())
    }
}

impl RouteTask {
    /// A route by name. What it does stands in the ledger, as versions of it.
    #[must_use]
    pub fn new(
        name: String,
        ledger: Ledger,
        runtime: Runtime,
        sinks: Sinks,
        retry: RetrySchedule,
        activities: Activities,
    ) -> Self {
        let versions = Versions::new(name.clone(), ledger.clone(), runtime);
        let courier = Courier::new(sinks, retry, activities.clone());
        Self {
            name,
            ledger,
            versions,
            courier,
            activities,
            streams: Vec::new(),
            halted: None,
            window_entries: WINDOW_ENTRIES_MAX,
        }
    }

    /// Routes until `stop` is cancelled. What is in its way is waited out, at the cursor.
    ///
    /// Stopping waits for the requests in hand; deliveries that wait for another attempt are attempted again at the
    /// next start, under the same ids.
    ///
    /// # Errors
    ///
    /// Another process took the route over.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), RouteError> {
        // Before its first version a route has nothing to do.
        let begins = self
            .ledger
            .route_versions(&self.name)
            .await?
            .first()
            .map_or(Position(0), |first| first.from_position);
        let mut consumer = self
            .ledger
            .claim_consumer(&format!("route:{}", self.name), begins)
            .await?;
        let mut size = self.ledger.watch_size();
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        while !stop.is_cancelled() {
            match self.window(&mut consumer, &stop).await {
                Ok(true) => {
                    backoff.succeeded();
                    self.window_entries = self.window_entries.saturating_mul(2).min(WINDOW_ENTRIES_MAX);
                }
                Ok(false) => {
                    let grew = tokio::time::timeout(LOOK_INTERVAL, size.changed());
                    stop.run_until_cancelled(grew).await;
                }
                Err(Hindrance::Stopped) => {}
                Err(Hindrance::Plugin(weir_runtime::HostError::TooMuchPoison)) => {
                    self.window_entries = (self.window_entries / 2).max(1);
                    tracing::warn!(
                        route = %self.name,
                        position = %consumer.next,
                        entries = self.window_entries,
                        "the plugin fails on many changes; they are routed fewer at a time"
                    );
                }
                Err(Hindrance::Cursor(ConsumerError::Fenced { .. })) => return Err(RouteError::Fenced(self.name)),
                Err(hindrance) => {
                    tracing::warn!(
                        route = %self.name,
                        position = %consumer.next,
                        problem = error_chain(&hindrance),
                        "the route waits at its cursor"
                    );
                    pause(&stop, backoff.next()).await;
                }
            }
        }
        Ok(())
    }

    /// Routes the entries behind the cursor, up to the next version. Says whether there were any.
    async fn window(&mut self, consumer: &mut Consumer, stop: &CancellationToken) -> Result<bool, Hindrance> {
        let mut entries = self.ledger.read_from(consumer.next, self.window_entries).await?;
        let Some(first) = entries.first().map(|entry| entry.position) else {
            return Ok(false);
        };
        // Versions are entered under the head's lock: those read now are all there are for these positions.
        let (version, until) = self.versions.at(first).await?.ok_or(Hindrance::NoVersion(first))?;
        if let Some(until) = until {
            entries.truncate(entries.partition_point(|entry| entry.position < until));
        }
        if self.halted == Some((first, version.stored.version)) {
            // Until there is another version.
            return Ok(false);
        }
        let next = Position(entries.last().map_or(consumer.next.0, |entry| entry.position.0 + 1));
        self.know_streams(&entries).await?;
        let decided = self.decide(&version, entries).await?;
        let next = decided.halt.as_ref().map_or(next, |(position, _)| *position);
        fault::point("before-send");
        let mut dead_letters = decided.dead_letters;
        dead_letters.extend(
            self.courier
                .deliver(&version, decided.deliveries, stop)
                .await
                .ok_or(Hindrance::Stopped)?,
        );
        fault::point("after-send");
        self.settle(consumer, next, &dead_letters).await?;
        fault::point("after-cursor");
        if let Some((position, code)) = decided.halt {
            self.halt(position, version.stored.version, code).await?;
        }
        Ok(true)
    }

    /// Stands still before a change, until there is another version.
    async fn halt(&mut self, position: Position, version: u32, code: String) -> Result<(), Hindrance> {
        self.ledger.halt_route(&self.name, position, version, &code).await?;
        tracing::error!(
            route = %self.name,
            %position,
            version,
            code,
            "the plugin fails on a change and the route halts before it; `weir plugin promote` or `rollback` goes on there"
        );
        self.activities.tell(|| Activity::Halted {
            position,
            route: self.name.clone(),
            code,
        });
        self.halted = Some((position, version));
        Ok(())
    }

    async fn decide(&self, version: &Arc<LoadedVersion>, entries: Vec<RecordedEntry>) -> Result<Decided, Hindrance> {
        Ok(decide::decide(
            &self.name,
            version,
            self.ledger.name(),
            &self.streams,
            entries,
            &self.activities,
        )
        .await?)
    }

    async fn settle(
        &self,
        consumer: &mut Consumer,
        next: Position,
        dead_letters: &[DeadLetter],
    ) -> Result<(), Hindrance> {
        self.ledger.settle(consumer, next, dead_letters).await?;
        for letter in dead_letters {
            tracing::warn!(
                route = %letter.route,
                position = %letter.position,
                code = letter.code,
                delivery = letter.delivery,
                "dead letter"
            );
            self.activities.tell(|| Activity::GaveUp {
                position: letter.position,
                reason: format!("{}: {}", letter.code, letter.reason),
            });
        }
        Ok(())
    }

    /// Makes sure that the streams of these entries are known by the name of their source.
    async fn know_streams(&mut self, entries: &[RecordedEntry]) -> Result<(), Hindrance> {
        let known = |entry: &RecordedEntry| {
            let origin = entry.entry.origin();
            origin.is_none_or(|origin| self.streams.iter().any(|stream| stream.arn == origin.stream))
        };
        if !entries.iter().all(known) {
            self.streams = self.ledger.streams().await?;
        }
        Ok(())
    }
}
