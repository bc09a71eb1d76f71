//! A recorded change, as routes see it.

use std::sync::Arc;

use weir_evidence::{EntryKind, ItemToken};
use weir_ledger::{RecordedEntry, Stream};
use weir_model::{
    AttributedChange, Change, Event, EventContext, LedgerName, Position, SequenceNumber, ShardId, StreamArn, Who,
};
use weir_routing::{Pattern, Subject};

/// A change that stands in the ledger and was not erased. The event that it is takes as much memory again: it is made where it is
/// needed.
#[derive(Clone)]
pub(crate) struct RecordedChange {
    pub(crate) ledger: LedgerName,
    pub(crate) position: Position,
    /// The source's configured name.
    pub(crate) source: String,
    pub(crate) stream: StreamArn,
    pub(crate) shard: ShardId,
    pub(crate) sequence: SequenceNumber,
    pub(crate) item: ItemToken,
    /// Its lane: says in which partition it is.
    pub(crate) lane: u8,
    /// Number of the key that seals its body.
    pub(crate) body_key: Option<i64>,
    /// As a plugin reads it.
    pub(crate) change: Arc<AttributedChange>,
}

impl RecordedChange {
    /// The change of an entry; `None` if the entry is about none, if it was erased, and if nobody knows its stream.
    pub(crate) fn of(recorded: RecordedEntry, ledger: &LedgerName, streams: &[Stream]) -> Option<Self> {
        // What was erased is routed no more.
        if recorded.is_erased {
            return None;
        }
        let body = recorded.body;
        // An amendment is routed like the change that was withheld would have been.
        let EntryKind::Change {
            origin,
            sequence,
            event,
            operation,
            table,
            item,
            time,
            assurance,
            ..
        } = recorded.entry.kind
        else {
            return None;
        };
        let stream = streams.iter().find(|stream| stream.arn == origin.stream)?;
        let who = Who {
            actor: body.actor,
            assurance,
        };
        let change = Change {
            sequence: sequence.clone(),
            event_id: event,
            table,
            operation,
            created_at: time,
            keys: body.keys.unwrap_or_default(),
            old: body.old,
            new: body.new,
            service: who.service(),
        };
        Some(Self {
            ledger: ledger.clone(),
            position: recorded.position,
            source: stream.source.clone(),
            stream: origin.stream,
            shard: origin.shard,
            sequence,
            item,
            // Every change has one: the verifier says where one has not.
            lane: recorded.lane.unwrap_or_default(),
            body_key: recorded.body_key,
            change: Arc::new(AttributedChange { change, who }),
        })
    }

    /// The event that it is, without any route.
    pub(crate) fn event(&self) -> Event {
        let context = EventContext {
            source: &self.source,
            ledger: &self.ledger,
            position: self.position,
            shard: &self.shard,
        };
        Event::of_change(&self.change, context)
    }

    /// Whether this pattern takes it.
    pub(crate) fn is_taken_by(&self, pattern: &Pattern) -> bool {
        match pattern.subject() {
            Subject::Event => pattern.matches(&self.event().to_json()),
            Subject::Record => pattern.matches(&self.change.change.to_stream_record(&self.stream)),
        }
    }
}
