//! What a route makes of one recorded change, and what became of it. Nothing is sent.
//!
//! It is decided once more, by the version that routes the change's position: a decision depends on nothing but the change and
//! that version, so this is what was decided, as long as the body is there.

mod outcome;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_evidence::EntryKind;
use weir_ledger::{DatabaseError, Ledger, PartitionState, ReadError};
use weir_model::{Operation, Position};
use weir_routing::{Explanation, Subject};
use weir_runtime::{HostError, Runtime};

pub use self::outcome::{DeliveryState, ExplainedDelivery};
use super::decide;
use super::version::{LoadedVersion, VersionError, Versions};
use crate::feed::RecordedChange;
use crate::{Activities, Feed};

/// Why a route does with a change what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The change.
    pub position: u64,
    /// The route.
    pub route: String,
    /// The version that routes this position.
    pub version: u32,
    /// The first position that it routes.
    pub from_position: u64,
    /// SHA-256 of its plugin, hexadecimal; absent where changes are sent as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Whether the route's cursor passed it: everything of it was accepted, is parked, or was given up.
    pub is_passed: bool,
    /// What the change is, if the entry is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ExplainedChange>,
    /// What is decided about it.
    pub decision: ExplainedDecision,
    /// What is sent of it, one for each event and sink; and what the plugin failed on. The first 1,000.
    pub deliveries: Vec<ExplainedDelivery>,
}

/// What a change is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedChange {
    /// The source that it came from.
    pub source: String,
    /// Its table.
    pub table: String,
    /// What happened to the item.
    pub operation: Operation,
    /// When, as the source says.
    pub time: Timestamp,
}

/// What a route decides about an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "decision")]
pub enum ExplainedDecision {
    /// The entry is about no change: there is nothing to route.
    NoChange,
    /// Its body was erased, so that it is routed no more, and nobody can say what it was.
    Erased,
    /// It comes from another source than the route's.
    OtherSource {
        /// The route's.
        source: String,
    },
    /// The event pattern does not take it.
    Missed {
        /// For each alternative of the pattern the first field that does not match.
        misses: Vec<ExplainedMiss>,
    },
    /// The plugin drops it.
    Dropped,
    /// Events are made of it.
    Taken,
    /// The plugin fails on it, and the route halts there.
    Halts {
        /// What happens: `plugin-trap`, ...
        code: String,
    },
}

/// A field that does not match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedMiss {
    /// Fields that lead there, joined by dots; empty for the event as a whole.
    pub path: String,
    /// What the pattern asks for.
    pub rule: String,
    /// What the event has.
    pub found: String,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// No such route.
    #[error("no route is called {0:?}; `weir route ls` lists those there are")]
    NoRoute(String),
    /// The ledger has no such position.
    #[error("the ledger ends before position {position}: it has {size} entries, the first at position 0")]
    NoEntry {
        /// What was asked for.
        position: Position,
        /// Entries there are.
        size: u64,
    },
    /// The route is younger than the change.
    #[error("route {route:?} begins at position {begins}: it has nothing to do with position {position}")]
    BeforeRoute {
        /// The route.
        route: String,
        /// What was asked for.
        position: Position,
        /// The first position of its first version.
        begins: Position,
    },
    /// The version cannot be loaded.
    #[error("the version of the route cannot be loaded: {0}")]
    Version(String),
    /// The plugin could not be run.
    #[error("the plugin cannot be run")]
    Plugin(#[from] HostError),
    /// The ledger cannot be read.
    #[error("the ledger cannot be read")]
    Read(#[from] ReadError),
}

impl From<DatabaseError> for ExplainError {
    fn from(error: DatabaseError) -> Self {
        Self::Read(error.into())
    }
}

impl From<VersionError> for ExplainError {
    fn from(error: VersionError) -> Self {
        match error {
            VersionError::Database(error) => error.into(),
            error => Self::Version(crate::error_chain(&error)),
        }
    }
}

/// Whether the partition that has the lane passed a position; of what has none, whether all did.
fn is_passed(states: &[PartitionState], route: &str, lane: Option<u8>, position: Position) -> bool {
    let of_route = states.iter().filter(|state| state.partition.route == route);
    let cursors = of_route.filter(|state| lane.is_none_or(|lane| state.partition.holds(lane)));
    cursors
        .map(|state| state.next)
        .min()
        .is_some_and(|next| next > position)
}

impl Explained {
    /// Says what `route` makes of the change at `position`.
    ///
    /// # Errors
    ///
    /// There is no such route or position, or the decision cannot be taken once more.
    pub async fn new(
        ledger: &Ledger,
        runtime: &Runtime,
        route: &str,
        position: Position,
    ) -> Result<Self, ExplainError> {
        let version = version_at(ledger, runtime, route, position).await?;
        let size = ledger.head().await?.size;
        if position.0 >= size {
            return Err(ExplainError::NoEntry { position, size });
        }
        let entries = ledger.read_all_at(&[position.0.cast_signed()]).await?;
        let lane = entries.first().and_then(|entry| entry.lane);
        let is_passed = is_passed(&ledger.partitions().await?, route, lane, position);
        let mut explained = Self {
            position: position.0,
            route: route.to_owned(),
            version: version.stored.version,
            from_position: version.stored.from_position.0,
            plugin: version.stored.definition.plugin.clone(),
            is_passed,
            change: None,
            decision: ExplainedDecision::NoChange,
            deliveries: Vec::new(),
        };
        explained.decide(ledger, &version).await?;
        Ok(explained)
    }

    async fn decide(&mut self, ledger: &Ledger, version: &Arc<LoadedVersion>) -> Result<(), ExplainError> {
        let position = Position(self.position);
        let Some(entry) = ledger.read_all_at(&[position.0.cast_signed()]).await?.pop() else {
            return Ok(());
        };
        let streams = ledger.streams().await?;
        self.change = match &entry.entry.kind {
            EntryKind::Change {
                origin,
                operation,
                table,
                time,
                ..
            } => Some(ExplainedChange {
                source: streams
                    .iter()
                    .find(|stream| stream.arn == origin.stream)
                    .map_or_else(String::new, |stream| stream.source.clone()),
                table: table.clone(),
                operation: *operation,
                time: *time,
            }),
            _ => return Ok(()),
        };
        if entry.is_erased {
            self.decision = ExplainedDecision::Erased;
            return Ok(());
        }
        let Some(change) = RecordedChange::of(entry, ledger.name(), &streams) else {
            return Ok(());
        };
        if let Some(decision) = not_taken(&change, version) {
            self.decision = decision;
            return Ok(());
        }
        let decided = decide::decide(&self.route, version, vec![Arc::new(change)], &Activities::new()).await?;
        self.decision = match &decided.halt {
            Some((_, code)) => ExplainedDecision::Halts { code: code.clone() },
            None if decided.deliveries.is_empty() && decided.dead_letters.is_empty() => ExplainedDecision::Dropped,
            None => ExplainedDecision::Taken,
        };
        self.deliveries = self.outcomes(ledger, decided).await?;
        Ok(())
    }
}

async fn version_at(
    ledger: &Ledger,
    runtime: &Runtime,
    route: &str,
    position: Position,
) -> Result<Arc<LoadedVersion>, ExplainError> {
    let versions = ledger.route_versions(route).await?;
    let Some(begins) = versions.iter().map(|version| version.from_position).min() else {
        return Err(ExplainError::NoRoute(route.to_owned()));
    };
    let feed = Arc::new(Feed::aside(ledger.clone(), 1));
    let found = Versions::new(route.to_owned(), feed, runtime.clone())
        .at(position)
        .await?;
    found
        .map(|(version, _)| version)
        .ok_or_else(|| ExplainError::BeforeRoute {
            route: route.to_owned(),
            position,
            begins,
        })
}

/// Why the version does not take a change, if it does not.
fn not_taken(change: &RecordedChange, version: &LoadedVersion) -> Option<ExplainedDecision> {
    let subscription = &version.subscription;
    if change.source != subscription.source {
        return Some(ExplainedDecision::OtherSource {
            source: subscription.source.clone(),
        });
    }
    let pattern = subscription.pattern.as_ref()?;
    let subject = match pattern.subject() {
        Subject::Event => change.event().to_json(),
        Subject::Record => change.change.change.to_stream_record(&change.stream),
    };
    match pattern.explain(&subject) {
        Explanation::Matched => None,
        Explanation::Missed(misses) => {
            let misses = misses.into_iter().map(|miss| ExplainedMiss {
                path: miss.path,
                rule: miss.rule,
                found: miss.found,
            });
            Some(ExplainedDecision::Missed {
                misses: misses.collect(),
            })
        }
    }
}
