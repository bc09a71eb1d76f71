//! What is given up: it becomes a dead letter, written down with the cursor that passes it.

use weir_ledger::{DeadLetter, Parked};

use super::Books;
use crate::route::decide::{Delivery, event_text};

impl Books {
    /// A delivery that was not parked is given up.
    pub(in crate::route) fn give_up(&mut self, delivery: &Delivery, code: &str, reason: &str, attempts: u32) {
        self.done(delivery);
        self.bury(delivery, code, reason, attempts);
    }

    /// A delivery becomes a dead letter.
    pub(in crate::route) fn bury(&mut self, delivery: &Delivery, code: &str, reason: &str, attempts: u32) {
        self.settlement.dead_letters.push(DeadLetter {
            delivery: delivery.id.to_string(),
            route: self.route.clone(),
            version: delivery.version.stored.version,
            position: delivery.position,
            sink: Some(delivery.sink.clone()),
            code: code.to_owned(),
            reason: reason.to_owned(),
            attempts,
            plugin_digest: delivery.version.stored.plugin.map(hex::encode),
            plugin_log: None,
            payload: Some(event_text(&delivery.event)),
            created_at: None,
            is_redriven: false,
            as_new: delivery.as_new.clone(),
        });
    }

    /// A parked delivery cannot be made again as it was.
    pub(in crate::route) fn bury_lost(&mut self, parked: &Parked, attempts: u32, (code, reason): (&str, &str)) {
        self.settlement.dead_letters.push(DeadLetter {
            delivery: parked.delivery.clone(),
            route: self.route.clone(),
            version: parked.version,
            position: parked.position,
            sink: Some(parked.sink.clone()),
            code: code.to_owned(),
            reason: reason.to_owned(),
            attempts,
            plugin_digest: None,
            plugin_log: None,
            payload: None,
            created_at: None,
            is_redriven: false,
            as_new: parked.as_new.clone(),
        });
    }

    /// Something became a dead letter before there was a delivery.
    pub(in crate::route) fn bury_all(&mut self, letters: Vec<DeadLetter>) {
        self.settlement.dead_letters.extend(letters);
    }
}
