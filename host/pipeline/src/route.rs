//! The way out: one task per partition of a route reads the ledger behind its cursor, decides, delivers, and moves the cursor.
//!
//! ```text
//! entries ─▶ cut where the version changes ─▶ event pattern ─▶ plugin ─▶ deliveries ─▶ a line for each sink ─▶ sinks
//!  (reader)                                                                 │              │
//!                                                      dead letters, parked ┴──────────────┘
//!                                                      and cursor, in one transaction  (books)
//! ```
//!
//! A route is one partition, or several that processes share: each has the items of some lanes (`share`). What is said of a route
//! below holds for each partition.
//!
//! Reading, sending and writing go on side by side. What is in memory is bounded: past that nothing is read, for the ledger is the
//! queue.
//!
//! # Invariants
//!
//! - What is decided about a change depends on the change and the route's version at its position, on nothing else.
//! - The cursor passes a position only when each of its deliveries was accepted, is parked, is a dead letter, or was erased.
//! - A sink that takes nothing makes the route wait where it is. An item that fails makes nothing wait but itself.
//! - A route that halts stands before the change that its plugin fails on, and goes on there with its next version.
//! - A process sends nothing of a route that is ahead of it (`ahead`).

mod ahead;
mod books;
mod decide;
mod explain;
mod line;
mod preview;
mod reader;
mod rehearsal;
mod router;
mod share;
mod tables;
mod tap;
mod trial;
mod version;

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use weir_ledger::{Consumer, DatabaseError, Ledger, Partition};
use weir_routing::RetrySchedule;

use self::ahead::ahead_of;
pub use self::explain::{
    DeliveryState, ExplainError, Explained, ExplainedChange, ExplainedDecision, ExplainedDelivery, ExplainedMiss,
};
use self::line::Rules;
pub use self::preview::{Candidate, EventDifference, EventDifferenceKind, FieldDifference, Preview};
use self::reader::Reader;
pub use self::rehearsal::{Rehearsal, RehearsalError, Rehearsed};
use self::router::Router;
use self::share::Turns;
pub use self::share::{Routes, RoutesPace};
pub use self::tables::{TableDigests, TableError, give_tables, newest_tables};
pub use self::tap::{Tap, TapError, TapRequest, Tapped, TappedCase, TappedChange, TappedEvent};
pub use self::trial::{Trial, TrialError};
use self::version::Versions;
use crate::heart::{Member, Term};

/// What a route is made of, besides what the ledger knows of it.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// Its name. What it does stands in the ledger, as versions of it.
    pub name: String,
    /// When a failed delivery is tried again, and when it is given up.
    pub retry: RetrySchedule,
    /// Deliveries that may wait behind their item, at most. Past that the route waits at its cursor. Its partitions have equal
    /// parts of it.
    pub parked_max: NonZeroUsize,
}

/// Why routing ended by itself. Everything settled so far is settled.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// A task panicked. Each cursor stands where it was settled last.
    #[error("a task of the routes failed")]
    Task(#[source] tokio::task::JoinError),
}

/// Routes the changes of a partition, by whatever versions of the route the ledger names.
struct PartitionTask {
    partition: Partition,
    ledger: Ledger,
    member: Member,
    /// In which it was taken.
    term: Term,
    turns: Turns,
    reader: Reader,
    rules: Rules,
    parked_max: usize,
}

/// How routing a partition ended.
enum PartitionEnd {
    /// It was told to, and is still ours. What was done is settled, as far as Postgres took it.
    Stopped(Consumer),
    /// Another process has it.
    Fenced,
    /// It could not begin.
    Failed(Consumer, DatabaseError),
}

impl PartitionTask {
    /// One of so many partitions of a route.
    fn new(
        routes: &Routes,
        (settings, versions): &(RouteSettings, Versions),
        term: Term,
        partition: Partition,
        parts: usize,
    ) -> Self {
        let parts = parts.max(1);
        let (feed, activities) = (Arc::clone(&routes.feed), &routes.activities);
        let reader = Reader::new(
            partition.clone(),
            parts,
            feed,
            versions.clone(),
            routes.turns.clone(),
            Arc::clone(&routes.gates),
            activities.clone(),
        );
        Self {
            ledger: routes.ledger.clone(),
            member: routes.member.clone(),
            term,
            turns: routes.turns.clone(),
            reader,
            rules: Rules {
                route: settings.name.clone(),
                gates: Arc::clone(&routes.gates),
                retry: settings.retry.clone(),
                activities: activities.clone(),
                parts,
            },
            partition,
            parked_max: settings.parked_max.get().div_ceil(parts),
        }
    }

    async fn run(self, consumer: Consumer, stop: CancellationToken) -> PartitionEnd {
        // Nothing is sent before this is known, or what waits behind its item would be overtaken.
        let turn = self.turns.to_read.acquire().await;
        let parked = self.ledger.parked_items(&self.partition).await;
        // After it was taken: whatever others parked until then, a version named before that.
        let ahead = ahead_of(&self.rules.gates, &self.ledger).await;
        drop(turn);
        let parked = match (parked, ahead) {
            (Ok(_), Ok(ahead)) if ahead.contains_key(&self.partition.route) => {
                return PartitionEnd::Stopped(consumer);
            }
            (Ok(parked), Ok(_)) => parked,
            (Err(error), _) | (_, Err(error)) => return PartitionEnd::Failed(consumer, error),
        };
        Router::new(self, consumer, &parked).run(&stop).await
    }
}
