//! The way out: one task per route reads the ledger behind its cursor, decides, delivers, and moves the cursor.
//!
//! ```text
//! entries ─▶ cut where the version changes ─▶ event pattern ─▶ plugin ─▶ deliveries ─▶ a line for each sink ─▶ sinks
//!  (reader)                                                                 │              │
//!                                                      dead letters, parked ┴──────────────┘
//!                                                      and cursor, in one transaction  (books)
//! ```
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

mod books;
mod decide;
mod explain;
mod line;
mod reader;
mod rehearsal;
mod router;
mod tables;
mod trial;
mod version;

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use weir_ledger::{DatabaseError, Ledger};
use weir_model::Position;
use weir_routing::RetrySchedule;
use weir_runtime::Runtime;

pub use self::explain::{
    DeliveryState, ExplainError, Explained, ExplainedChange, ExplainedDecision, ExplainedDelivery, ExplainedMiss,
};
use self::line::Rules;
use self::reader::Reader;
pub use self::rehearsal::{Rehearsal, RehearsalError, Rehearsed};
use self::router::Router;
pub use self::tables::{TableDigests, TableError, give_tables, newest_tables};
pub use self::trial::{Trial, TrialError};
use crate::gate::Gates;
use crate::{Activities, Feed};

/// What a route is made of, besides what the ledger knows of it.
pub struct RouteSettings {
    /// Its name. What it does stands in the ledger, as versions of it.
    pub name: String,
    /// When a failed delivery is tried again, and when it is given up.
    pub retry: RetrySchedule,
    /// Deliveries that may wait behind their item, at most. Past that the route waits at its cursor.
    pub parked_max: NonZeroUsize,
}

/// Routes the changes of a ledger, by whatever versions of the route the ledger names.
pub struct RouteTask {
    name: String,
    ledger: Ledger,
    reader: Reader,
    rules: Rules,
    parked_max: NonZeroUsize,
}

/// Why a route ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Another process has the route now.
    #[error("route {0} was taken over by another process")]
    Fenced(String),
    /// Postgres failed before the route could begin.
    #[error("the route cannot begin")]
    Database(#[from] DatabaseError),
}

impl RouteTask {
    /// A route by name. What it does stands in the ledger, as versions of it.
    #[must_use]
    pub fn new(
        settings: RouteSettings,
        feed: Arc<Feed>,
        runtime: Runtime,
        gates: Arc<Gates>,
        activities: Activities,
    ) -> Self {
        let name = settings.name;
        Self {
            ledger: feed.ledger().clone(),
            reader: Reader::new(name.clone(), feed, runtime, activities.clone()),
            rules: Rules {
                route: name.clone(),
                gates,
                retry: settings.retry,
                activities,
            },
            name,
            parked_max: settings.parked_max,
        }
    }

    /// Routes until `stop` is cancelled. What is in its way is waited out, at the cursor.
    ///
    /// Stopping waits for the requests in hand; what waits for another attempt is attempted again at the next start, under the
    /// same ids.
    ///
    /// # Errors
    ///
    /// Another process took the route over.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RouteError> {
        // Before its first version a route has nothing to do.
        let begins = self
            .ledger
            .route_versions(&self.name)
            .await?
            .first()
            .map_or(Position(0), |first| first.from_position);
        let consumer = self
            .ledger
            .claim_consumer(&format!("route:{}", self.name), begins)
            .await?;
        // Nothing is sent before this is known, or what waits behind its item would be overtaken.
        let parked = self.ledger.parked_items(&self.name).await?;
        self.rules.gates.look(&self.ledger).await?;
        Router::new(self, consumer, &parked).run(&stop).await
    }
}
