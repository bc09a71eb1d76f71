//! What became of the deliveries of a change: those that its version makes, and what waits or was given up of replays.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_ledger::{DeadLetter, Ledger, Parked};
use weir_model::Position;

use super::{ExplainError, Explained};
use crate::route::decide::Decided;

/// Deliveries that are told of, at most.
const DELIVERIES_MAX: u16 = 1000;

/// One event on its way to one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedDelivery {
    /// Its id.
    pub delivery: String,
    /// Type of the event; absent where none could be made, and of a replay's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail_type: Option<String>,
    /// Its sink; absent where no event could be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// The version of the route that made it, where that is another one: a replay's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Name of the replay that sends it as new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_as: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub state: DeliveryState,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum DeliveryState {
    /// The route has not passed it yet.
    Waiting,
    /// The sink accepted it; or it was a dead letter, and an operator threw that away.
    Settled,
    /// It waits behind its item.
    Parked {
        /// How often it was sent.
        attempts: u32,
        /// When it is sent again; absent for what stands behind another delivery of its item.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due_at: Option<Timestamp>,
    },
    /// It was given up.
    DeadLetter {
        /// Why, for machines.
        code: String,
        /// Why.
        reason: String,
        /// How often it was sent.
        attempts: u32,
        /// It was ordered to be sent again.
        redriven: bool,
    },
}

impl Explained {
    /// What became of what was decided.
    pub(super) async fn outcomes(
        &self,
        ledger: &Ledger,
        decided: Decided,
    ) -> Result<Vec<ExplainedDelivery>, ExplainError> {
        let position = Position(self.position);
        let parked = ledger.parked_at(&self.route, position, DELIVERIES_MAX).await?;
        let mut parked: HashMap<String, Parked> = parked
            .into_iter()
            .map(|parked| (parked.delivery.clone(), parked))
            .collect();
        let letters = ledger.dead_letters_at(&self.route, position, DELIVERIES_MAX).await?;
        let mut letters: HashMap<String, DeadLetter> = letters
            .into_iter()
            .map(|letter| (letter.delivery.clone(), letter))
            .collect();
        let sent = decided.deliveries.into_iter().map(|delivery| {
            let detail_type = Some(delivery.event.detail_type);
            (delivery.id.to_string(), detail_type, Some(delivery.sink))
        });
        let failed = decided
            .dead_letters
            .into_iter()
            .map(|letter| (letter.delivery, None, letter.sink));
        let told = sent.chain(failed).take(DELIVERIES_MAX.into());
        let told = told.map(|(delivery, detail_type, sink)| {
            let state = match (letters.remove(&delivery), parked.remove(&delivery)) {
                (Some(letter), _) => dead(letter),
                (None, Some(parked)) => waiting(&parked),
                (None, None) if self.is_passed => DeliveryState::Settled,
                (None, None) => DeliveryState::Waiting,
            };
            ExplainedDelivery {
                delivery,
                detail_type,
                sink,
                version: None,
                replayed_as: None,
                state,
            }
        });
        let mut told: Vec<ExplainedDelivery> = told.collect();
        told.extend(self.of_replays(letters, parked));
        Ok(told)
    }

    /// What waits or was given up and was not made by the version that routes the position, in order of id: replays made it, or a dead letter was sent
    /// again as a later version has it.
    fn of_replays(
        &self,
        letters: HashMap<String, DeadLetter>,
        parked: HashMap<String, Parked>,
    ) -> Vec<ExplainedDelivery> {
        let other = |version: u32| Some(version).filter(|version| *version != self.version);
        let waiting = parked.into_values().map(|parked| ExplainedDelivery {
            state: waiting(&parked),
            delivery: parked.delivery,
            detail_type: None,
            sink: Some(parked.sink),
            version: other(parked.version),
            replayed_as: parked.as_new,
        });
        let dead = letters.into_values().map(|letter| ExplainedDelivery {
            delivery: letter.delivery.clone(),
            detail_type: None,
            sink: letter.sink.clone(),
            version: other(letter.version),
            replayed_as: letter.as_new.clone(),
            state: dead(letter),
        });
        let mut all: Vec<ExplainedDelivery> = waiting.chain(dead).collect();
        all.sort_by(|one, other| one.delivery.cmp(&other.delivery));
        all
    }
}

fn waiting(parked: &Parked) -> DeliveryState {
    DeliveryState::Parked {
        attempts: parked.tried.map_or(0, |tried| tried.attempts),
        due_at: parked.tried.map(|tried| tried.due_at),
    }
}

fn dead(letter: DeadLetter) -> DeliveryState {
    DeliveryState::DeadLetter {
        code: letter.code,
        reason: letter.reason,
        attempts: letter.attempts,
        redriven: letter.is_redriven,
    }
}
