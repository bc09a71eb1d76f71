//! What a partition of a route settles at a time: its cursor, and all that it leaves behind.
//!
//! # Invariants
//!
//! - The cursor passes a position only together with what is written of it: dead letters, and what is parked.
//! - Nothing is written by a worker whose consumer another one took.

use weir_model::Position;

use crate::{Consumer, ConsumerError, DeadLetter, Ledger, Parked, Partition, Replayed, Tried, in_time};

/// What a route has done since it settled last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// Deliveries that were given up.
    pub dead_letters: Vec<DeadLetter>,
    /// Deliveries that wait behind their item from now on.
    pub parked: Vec<Parked>,
    /// Deliveries that were parked and failed once more.
    pub tried: Vec<(String, Tried)>,
    /// Deliveries that are parked no more: accepted, given up, or erased.
    pub unparked: Vec<String>,
    /// Dead letters that are sent again.
    pub redriven: Vec<Redriven>,
    /// How far the route's replay has come, if it has one.
    pub replayed: Option<Replayed>,
}

/// A dead letter that is sent again: it is one no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redriven {
    /// Its delivery.
    pub letter: String,
    /// What is sent in its place: itself, or what another version makes of the change.
    pub parked: Vec<Parked>,
}

impl Settlement {
    /// Only these were given up.
    #[must_use]
    pub fn of_dead_letters(dead_letters: impl Into<Vec<DeadLetter>>) -> Self {
        Self {
            dead_letters: dead_letters.into(),
            ..Self::default()
        }
    }
}

impl Ledger {
    /// Moves the cursor of a route's partition, together with what it leaves behind.
    ///
    /// # Errors
    ///
    /// The partition was taken over, or Postgres failed. Then nothing of it was written, or all.
    pub async fn settle(
        &self,
        consumer: &mut Consumer,
        next: Position,
        settlement: &Settlement,
    ) -> Result<(), ConsumerError> {
        in_time(async {
            let mut tx = self.begin().await?;
            if !settlement.dead_letters.is_empty() || !settlement.redriven.is_empty() {
                // Before any row of a letter: whoever erases has it first, too.
                self.hold_erasures(&mut tx).await?;
            }
            // First, for a letter may be written again under the same id.
            let redriven = self.delete_redriven(&mut tx, &settlement.redriven).await?;
            self.insert_dead_letters(&mut tx, &settlement.dead_letters).await?;
            if !settlement.parked.is_empty() {
                self.insert_parked(&mut tx, &settlement.parked).await?;
            }
            for redriven in redriven {
                self.insert_parked(&mut tx, &redriven.parked).await?;
            }
            self.update_parked(&mut tx, &settlement.tried).await?;
            if !settlement.unparked.is_empty() {
                self.delete_parked(&mut tx, &settlement.unparked).await?;
            }
            // Before what partitions share: whoever hangs with that in hand is found by who takes the partition over.
            self.move_consumer(&mut tx, consumer, next).await?;
            if let (Some(replayed), Some(partition)) = (settlement.replayed, Partition::of_consumer(&consumer.name)) {
                self.move_replay(&mut tx, &partition, replayed).await?;
            }
            Ok::<_, ConsumerError>(tx.commit().await?)
        })
        .await?;
        consumer.next = next;
        Ok(())
    }
}
