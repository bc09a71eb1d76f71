//! Takes orders: finds what they are about, and enters them before anything is erased.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use weir_evidence::{Body, Entry, EntryKind, ErasurePlan, ErasureScope, ErasureStage, ItemToken, Order, Positions};
use weir_model::Position;

use super::{Erasure, ErasureError, NewErasure, Selector, escaped, new_id};
use crate::append::OwnRecord;
use crate::{BodyKeyError, Ledger};

impl Ledger {
    /// Takes an order: finds what it is about, and enters it. It is not carried out yet. What is about more than one entry
    /// can name becomes several orders; if one of them fails, those before it stand, and ordering again orders the rest.
    ///
    /// # Errors
    ///
    /// Nothing is like that, something of it is held, or the ledger cannot be read.
    pub async fn order_erasure(&self, new: &NewErasure, now: Timestamp) -> Result<Vec<Erasure>, ErasureError> {
        let found = self.positions_of(&new.selector, &new.attributes).await?;
        if let Some(erased_to) = found.erased_to {
            self.shared.erased_to.store(erased_to, Ordering::Relaxed);
        }
        let mut positions = found.positions;
        if matches!(new.selector, Selector::OlderThan(_)) {
            positions = self.not_ordered_yet(positions).await?;
        }
        if positions.is_empty() {
            return Err(ErasureError::Nothing);
        }
        let (tx, holds) = self.lock_holds().await?;
        let scope = match &new.selector {
            Selector::OlderThan(_) => {
                let held = self.held(&holds, &positions).await?;
                let held: Positions = held.into_iter().map(|(position, _)| position).collect();
                positions = without(&positions, &held);
                ErasureScope::Retention
            }
            selector => {
                self.check_holds(&holds, &positions).await?;
                match selector {
                    _ if !new.attributes.is_empty() => ErasureScope::Attribute,
                    Selector::Item { .. } => ErasureScope::Item,
                    _ => ErasureScope::Subject,
                }
            }
        };
        let mut orders = Vec::new();
        for part in positions.parts() {
            orders.push(self.enter_order(new, scope, part, now).await?);
        }
        tx.commit().await?;
        if orders.is_empty() {
            return Err(ErasureError::Nothing);
        }
        Ok(orders)
    }

    async fn enter_order(
        &self,
        new: &NewErasure,
        scope: ErasureScope,
        positions: Positions,
        now: Timestamp,
    ) -> Result<Erasure, ErasureError> {
        let plan = ErasurePlan {
            selector: new.selector.to_string(),
            paths: paths_of(&new.attributes),
            positions,
        };
        let body = Body {
            actor: Some(new.approver.clone()),
            reason: Some(new.basis.clone()),
            raw: Some(plan.to_json()),
            ..Body::default()
        };
        let id = new_id()?;
        let item = self.token_of(&new.selector);
        let record = self.order_record(&body, &id, scope, ErasureStage::Intent, item, None, now);
        let mut intent = Position(0);
        self.append_own(&record.await?, async |conn, position| {
            intent = position;
            sqlx::query!(
                "insert into erasure (ledger_id, erasure_id, scope, intent_position) values ($1, $2, $3, $4)",
                self.shared.id,
                id,
                scope.as_str(),
                crate::to_stored(position),
            )
            .execute(conn)
            .await?;
            Ok(())
        })
        .await?;
        Ok(Erasure {
            id,
            scope: scope.as_str().to_owned(),
            intent,
            bodies: 0,
            done_at: None,
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one entry")]
    pub(super) async fn order_record(
        &self,
        body: &Body,
        id: &str,
        scope: ErasureScope,
        stage: ErasureStage,
        item: Option<ItemToken>,
        bodies: Option<u64>,
        time: Timestamp,
    ) -> Result<OwnRecord, BodyKeyError> {
        let key = self.take_own_key().await?;
        Ok(OwnRecord::sealed(&key, body, |commitment| Entry {
            ledger: self.shared.name.clone(),
            kind: EntryKind::Erasure(Order {
                commitment,
                id: id.to_owned(),
                scope,
                stage,
                item,
                bodies,
                time,
            }),
        }))
    }

    /// Without what an order is about that waits to be carried out.
    async fn not_ordered_yet(&self, mut positions: Positions) -> Result<Positions, ErasureError> {
        for erasure in self.erasures().await? {
            if erasure.done_at.is_none() && erasure.scope != ErasureScope::Attribute.as_str() {
                positions = without(&positions, &self.plan_of(erasure.intent).await?.positions);
            }
        }
        Ok(positions)
    }
}

fn without(positions: &Positions, others: &Positions) -> Positions {
    positions
        .iter()
        .filter(|position| !others.contains(*position))
        .collect()
}

/// The paths of attributes of these names, wherever an item has them.
fn paths_of(names: &[String]) -> Vec<String> {
    let of_part = |part| names.iter().map(move |name| format!("/{part}/{}", escaped(name)));
    ["keys", "new", "old"].into_iter().flat_map(of_part).collect()
}
