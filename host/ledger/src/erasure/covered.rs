//! Which bodies orders cover: a body that is gone is looked up here before it counts as erased.
//!
//! # Invariants
//!
//! - An order is read once. It stands in the ledger before anything of it is carried out, so who finds a body gone and
//!   then reads the orders that are new finds the one that says so.
//! - An order is read without asking whether it was erased itself: it never is.

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

    /// Those of these positions that an order covers, wholly or in part, as of now.
    ///
    /// # Errors
    ///
    /// Postgres failed, or an order cannot be read.
    pub async fn erasing<C: FromIterator<Position>>(
        &self,
        positions: impl Iterator<Item = Position>,
    ) -> Result<C, ReadError> {
        Ok(self.ordered_now(positions).await?.into_iter().collect())
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
                ErasureScope::Attribute => &mut covered.partial,
                _ => &mut covered.whole,
            };
            *positions = positions.union(&order.plan.positions);
            covered.read_to = Position(order.intent.0 + 1);
        }
        Ok(())
    }
}
