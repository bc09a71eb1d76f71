//! Which bodies orders cover: a body that is gone is looked up here before it counts as erased.
//!
//! # Invariants
//!
//! - An order is read once. It stands in the ledger before anything of it is carried out, so who finds a body gone and
//!   then reads the orders that are new finds the one that says so.
//! - An order is read without asking whether it was erased itself: it never is.

use std::collections::{BTreeMap, HashMap};

use weir_evidence::{ErasurePlan, ErasureScope, Positions};
use weir_model::Position;

use crate::{Ledger, ReadError, from_stored, in_time, to_stored};

/// What the orders cover that this process has read.
#[derive(Default)]
pub(crate) struct Covered {
    /// Orders that were announced below this were read.
    read_to: Position,
    /// Bodies that may be gone.
    whole: Positions,
    /// Bodies that may have lost attributes.
    partial: Positions,
    /// Orders about attributes that were not done when they were looked at last.
    undone: Vec<Undone>,
}

/// An order about attributes that is not done.
struct Undone {
    id: String,
    positions: Positions,
    /// Positions of it below this were dealt with.
    erased_to: u64,
}

/// What an order to erase means for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasing {
    /// It is ordered to go as a whole.
    Whole,
    /// It is ordered to lose something, and has not yet.
    Pending,
    /// It may have lost something: this is the key that seals it now.
    Done {
        /// Number of the key.
        body_key: Option<i64>,
    },
}

/// An order with its plan.
pub(crate) struct Ordered {
    pub(crate) id: String,
    pub(crate) scope: ErasureScope,
    intent: Position,
    pub(crate) plan: ErasurePlan,
}

impl Ledger {
    /// Whether an order covers a body that is gone.
    pub(crate) async fn is_erased_by_order(&self, position: Position) -> Result<bool, ReadError> {
        let mut covered = self.shared.covered.lock().await;
        if !covered.whole.contains(position.0) {
            self.read_new_orders(&mut covered).await?;
        }
        Ok(covered.whole.contains(position.0))
    }

    /// Those of these positions that an order covers, wholly or in part, as of now.
    pub(crate) async fn ordered_now(
        &self,
        positions: impl Iterator<Item = Position>,
    ) -> Result<Vec<Position>, ReadError> {
        let mut covered = self.shared.covered.lock().await;
        self.read_new_orders(&mut covered).await?;
        let is_covered =
            |position: &Position| covered.whole.contains(position.0) || covered.partial.contains(position.0);
        Ok(positions.filter(is_covered).collect())
    }

    /// What orders to erase mean for those of these positions that any order covers, as of now.
    ///
    /// # Errors
    ///
    /// Postgres failed, or an order cannot be read.
    pub async fn erasing(
        &self,
        positions: impl Iterator<Item = Position>,
    ) -> Result<BTreeMap<Position, Erasing>, ReadError> {
        let mut covered = self.shared.covered.lock().await;
        self.read_new_orders(&mut covered).await?;
        self.look_at_undone(&mut covered).await?;
        let state = |position: Position| {
            let is_pending = |order: &Undone| position.0 >= order.erased_to && order.positions.contains(position.0);
            match () {
                () if covered.whole.contains(position.0) => Some(Erasing::Whole),
                () if covered.undone.iter().any(is_pending) => Some(Erasing::Pending),
                () if covered.partial.contains(position.0) => Some(Erasing::Done { body_key: None }),
                () => None,
            }
        };
        let states = positions.filter_map(|position| Some((position, state(position)?)));
        let mut states: BTreeMap<Position, Erasing> = states.collect();
        drop(covered);
        let done = |(_, state): &(&Position, &Erasing)| matches!(state, Erasing::Done { .. });
        let done: Vec<i64> = states
            .iter()
            .filter(done)
            .map(|(position, _)| to_stored(*position))
            .collect();
        for (position, body_key) in self.body_keys_at(&done).await? {
            states.insert(position, Erasing::Done { body_key });
        }
        Ok(states)
    }

    /// The keys that seal the bodies at these positions now.
    async fn body_keys_at(&self, positions: &[i64]) -> sqlx::Result<Vec<(Position, Option<i64>)>> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query!(
            "select position, body_key from entry where ledger_id = $1 and position = any($2)",
            self.shared.id,
            positions,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?.into_iter();
        Ok(rows.map(|row| (from_stored(row.position), row.body_key)).collect())
    }

    /// How far the orders about attributes are that were not done.
    async fn look_at_undone(&self, covered: &mut Covered) -> sqlx::Result<()> {
        if covered.undone.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!(
            "select erasure_id, erased_to from erasure where ledger_id = $1 and done_at is null",
            self.shared.id,
        )
        .fetch_all(&self.shared.pool);
        let stands: HashMap<String, i64> = in_time::<_, sqlx::Error>(rows)
            .await?
            .into_iter()
            .map(|row| (row.erasure_id, row.erased_to))
            .collect();
        covered.undone.retain_mut(|order| {
            let erased_to = stands.get(&order.id);
            order.erased_to = erased_to.map_or(u64::MAX, |position| position.cast_unsigned());
            erased_to.is_some()
        });
        Ok(())
    }

    /// Orders that were announced at this position or behind it.
    pub(crate) async fn orders_since(&self, from: Position) -> Result<Vec<Ordered>, ReadError> {
        let rows = sqlx::query!(
            "
            select erasure_id, scope, intent_position
            from erasure
            where ledger_id = $1 and intent_position >= $2
            order by intent_position
            ",
            self.shared.id,
            to_stored(from),
        )
        .fetch_all(&self.shared.pool);
        let mut orders = Vec::new();
        for row in in_time::<_, sqlx::Error>(rows).await? {
            let intent = from_stored(row.intent_position);
            orders.push(Ordered {
                id: row.erasure_id,
                scope: ErasureScope::from_name(&row.scope).unwrap_or(ErasureScope::Item),
                intent,
                plan: self.plan_of(intent).await?,
            });
        }
        Ok(orders)
    }

    /// What an order is about, as its intent says it.
    pub(crate) async fn plan_of(&self, intent: Position) -> Result<ErasurePlan, ReadError> {
        let unreadable = || ReadError::Tampered {
            position: intent,
            found: "what this erasure is about cannot be read".to_owned(),
        };
        let stored = self
            .stored_at(&[to_stored(intent)])
            .await?
            .pop()
            .ok_or_else(unreadable)?;
        let (recorded, _) = self.try_open(stored).await?;
        recorded
            .body
            .raw
            .as_deref()
            .and_then(ErasurePlan::parse)
            .ok_or_else(unreadable)
    }

    async fn read_new_orders(&self, covered: &mut Covered) -> Result<(), ReadError> {
        for order in self.orders_since(covered.read_to).await? {
            let positions = match order.scope {
                ErasureScope::Attribute => {
                    covered.undone.push(Undone {
                        id: order.id.clone(),
                        positions: order.plan.positions.clone(),
                        erased_to: 0,
                    });
                    &mut covered.partial
                }
                _ => &mut covered.whole,
            };
            *positions = positions.union(&order.plan.positions);
            covered.read_to = Position(order.intent.0 + 1);
        }
        Ok(())
    }
}
