//! A delivery in memory: what is sent, made once, and what became of it so far.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use weir_ledger::{TokenBytes, Tried};
use weir_sinks::Message;

use crate::clock::Clock;
use crate::gate::Gate;
use crate::route::decide::Delivery;

/// A delivery in memory.
pub(super) struct Outgoing {
    pub(super) delivery: Delivery,
    pub(super) message: Arc<Message>,
    pub(super) attempts: u32,
    /// Attempts that the sink answered. A sink that is away does not count.
    pub(super) failures: u32,
    pub(super) failed_at: Option<Timestamp>,
    pub(super) is_parked: bool,
    /// Attempts of which its row knows.
    pub(super) attempts_noted: u32,
    /// How much the sink had accepted when it was away for this one last.
    pub(super) away_at: Option<u64>,
    /// How much it had accepted when it asked to be left alone with this one, before it was parked.
    pub(super) asked_at: Option<u64>,
}

impl Outgoing {
    /// `parked` is what became so far of a delivery that is parked.
    pub(super) fn new(gate: &Gate, delivery: Delivery, parked: Option<Option<Tried>>) -> Self {
        let tried = parked.flatten();
        let attempts = tried.map_or(0, |tried| tried.attempts);
        let message = Message::new(
            &*gate.sink,
            delivery.id.clone(),
            group_of(&delivery.item.token),
            &delivery.event,
        );
        Self {
            message: Arc::new(message),
            delivery,
            attempts,
            attempts_noted: attempts,
            failures: tried.map_or(0, |tried| tried.failures),
            failed_at: tried.map(|tried| tried.failed_at),
            is_parked: parked.is_some(),
            away_at: None,
            asked_at: None,
        }
    }

    /// How long ago it failed first: now, if it did not before.
    pub(super) fn age(&mut self, now: Duration, clock: &Clock) -> Duration {
        let now = clock.timestamp(now);
        let failed_at = *self.failed_at.get_or_insert(now);
        Duration::try_from(now.duration_since(failed_at)).unwrap_or_default()
    }

    /// What became of it so far, if it is sent again at `due`.
    pub(super) fn tried(&self, due: Duration, clock: &Clock) -> Tried {
        let due_at = clock.timestamp(due);
        Tried {
            attempts: self.attempts,
            failures: self.failures,
            failed_at: self.failed_at.unwrap_or_else(|| clock.timestamp(clock.now())),
            due_at,
        }
    }
}

/// What receivers know the messages of an item by. The token itself stays in the ledger, where it links entries.
fn group_of(token: &TokenBytes) -> String {
    let hash = Sha256::new_with_prefix(b"weir/message-group/v1\0");
    hex::encode(&hash.chain_update(token).finalize()[..16])
}
