//! A route without a ledger and without sinks: what it would make of a change. For whoever writes one.

use std::sync::Arc;

use weir_evidence::ItemToken;
use weir_ledger::{RouteDefinition, RouteVersion};
use weir_model::{AttributedChange, Event, LedgerName, Position, ShardId, StreamArn};
use weir_runtime::{HostError, Manifest, Plugin};

use super::decide;
use super::version::{LoadedVersion, VersionError};
use crate::Activities;
use crate::feed::RecordedChange;

/// A route that sends nothing.
pub struct Rehearsal {
    route: String,
    ledger: LedgerName,
    stream: StreamArn,
    shard: ShardId,
    version: Arc<LoadedVersion>,
}

/// What would become of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Rehearsed {
    /// This event is sent.
    Sent {
        /// To this sink.
        sink: String,
        /// As it is.
        event: Event,
    },
    /// Something is set aside.
    DeadLetter {
        /// Why, for machines.
        code: String,
        /// Why.
        reason: String,
    },
    /// The route halts.
    Halts {
        /// Why, for machines.
        code: String,
    },
}

/// Why a route cannot be rehearsed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct RehearsalError(#[from] VersionError);

impl Rehearsal {
    /// Of a route as it is defined; `plugin` is what its definition names, with its tables.
    ///
    /// # Errors
    ///
    /// Pattern or template cannot be read.
    pub fn new(
        route: &str,
        definition: RouteDefinition,
        plugin: Option<(Plugin, Arc<Manifest>)>,
    ) -> Result<Self, RehearsalError> {
        let stored = RouteVersion {
            version: 1,
            from_position: Position(0),
            plugin: plugin.as_ref().map(|(plugin, _)| *plugin.digest()),
            definition,
        };
        Ok(Self {
            route: route.to_owned(),
            ledger: LedgerName::parse("rehearsal").expect("a name"),
            stream: stream(),
            shard: ShardId::parse("shardId-00000000000000000000-00000000").expect("a shard"),
            version: Arc::new(LoadedVersion::new(route, stored, plugin)?),
        })
    }

    /// What is made of a change, in order.
    ///
    /// # Errors
    ///
    /// The plugin could not be run.
    pub async fn of(&self, change: AttributedChange) -> Result<Vec<Rehearsed>, HostError> {
        let source = &self.version.subscription.source;
        let change = RecordedChange {
            ledger: self.ledger.clone(),
            position: Position(0),
            source: source.clone(),
            stream: self.stream.clone(),
            shard: self.shard.clone(),
            sequence: change.change.sequence.clone(),
            item: ItemToken {
                key_id: "rehearsal".to_owned(),
                token: [0; 16],
            },
            lane: 0,
            body_key: None,
            change: Arc::new(change),
        };
        let pattern = self.version.subscription.pattern.as_ref();
        if !pattern.is_none_or(|pattern| change.is_taken_by(pattern)) {
            return Ok(Vec::new());
        }
        let decided = decide::decide(&self.route, &self.version, vec![Arc::new(change)], &Activities::new()).await?;
        let sent = decided.deliveries.into_iter().map(|delivery| Rehearsed::Sent {
            sink: delivery.sink,
            event: delivery.event,
        });
        let set_aside = decided.dead_letters.into_iter().map(|letter| Rehearsed::DeadLetter {
            code: letter.code,
            reason: letter.reason,
        });
        let halts = decided.halt.map(|(_, code)| Rehearsed::Halts { code });
        Ok(sent.chain(set_aside).chain(halts).collect())
    }
}

/// The stream that changes are from where there is none.
pub(super) fn stream() -> StreamArn {
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/rehearsal/stream/1";
    StreamArn::parse(arn).expect("an ARN")
}
