//! Changes that are withheld: recorded for nobody to see, and told as amendments once they were annotated again.
//!
//! ```text
//! withheld ──▶ amended: an `amendment` stands in the ledger ──▶ its first body is ordered to be erased ──▶ forgotten here
//! ```
//!
//! # Invariants
//!
//! - That a change is withheld becomes visible with its entry. It is amended once, in the transaction of its amendment.
//! - Of one item, changes are amended in the order in which they were withheld.

use std::collections::HashSet;

use jiff::Timestamp;
use weir_model::Position;

use crate::append::OwnRecord;
use crate::{
    BodyKeyError, Erasure, ErasureError, Ledger, NewErasure, SealedRecord, Selector, from_stored, in_time, to_stored,
};

/// The token of an item, as entries and rows have it.
pub type TokenBytes = [u8; 16];

/// What is told now of a change that was withheld.
#[derive(Clone, Debug)]
pub struct Amendment {
    /// Where it was withheld.
    pub withheld: Position,
    /// The amendment.
    pub record: SealedRecord,
}

/// Why nothing was amended.
#[derive(Debug, thiserror::Error)]
pub enum AmendError {
    /// One of them was amended or erased meanwhile, or stands behind one of its item that is still withheld.
    #[error("what is withheld has changed meanwhile; ask again")]
    Changed,
    /// Keys for the bodies could not be had.
    #[error("could not make keys of bodies")]
    BodyKey(#[from] BodyKeyError),
    /// Postgres failed. Asking again is safe.
    #[error("could not amend")]
    Database(#[from] sqlx::Error),
}

impl Ledger {
    /// Those of the items that have a change which is withheld.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn withheld_items(&self, tokens: &[TokenBytes]) -> sqlx::Result<HashSet<TokenBytes>> {
        let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| token.to_vec()).collect();
        let found = sqlx::query_scalar!(
            "select distinct token from withheld where ledger_id = $1 and token = any($2) and amended_position is null",
            self.shared.id,
            &tokens,
        )
        .fetch_all(&self.shared.pool);
        let found: Vec<Vec<u8>> = in_time::<_, sqlx::Error>(found).await?;
        Ok(found.into_iter().filter_map(|token| token.try_into().ok()).collect())
    }

    /// Where changes are withheld, oldest first, from `from` on.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn withheld_from(&self, from: Position, count_max: u16) -> sqlx::Result<Vec<Position>> {
        let positions = sqlx::query_scalar!(
            "
            select position
            from withheld
            where ledger_id = $1 and position >= $2 and amended_position is null
            order by position
            limit $3
            ",
            self.shared.id,
            to_stored(from),
            i64::from(count_max),
        )
        .fetch_all(&self.shared.pool);
        let positions: Vec<i64> = in_time::<_, sqlx::Error>(positions).await?;
        Ok(positions.into_iter().map(from_stored).collect())
    }

    /// How many changes are withheld.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn withheld_count(&self) -> sqlx::Result<u64> {
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!" from withheld where ledger_id = $1 and amended_position is null"#,
            self.shared.id,
        )
        .fetch_one(&self.shared.pool);
        Ok(in_time::<_, sqlx::Error>(count).await?.cast_unsigned())
    }

    /// Tells of changes that were withheld, all or none, in this order. Says where the first amendment stands.
    ///
    /// # Errors
    ///
    /// What is withheld is not what it was, or Postgres failed.
    pub async fn amend(&self, amendments: Vec<Amendment>) -> Result<Position, AmendError> {
        let withheld: Vec<i64> = amendments
            .iter()
            .map(|amendment| to_stored(amendment.withheld))
            .collect();
        let records: Vec<OwnRecord> = amendments
            .into_iter()
            .map(|amendment| OwnRecord::from(amendment.record))
            .collect();
        let mut first = Position(0);
        let appended = self.append_all_own(&records, async |conn, position| {
            first = position;
            let amended = sqlx::query!(
                "
                update withheld
                set amended_position = $3 + amended.number - 1
                from unnest($2::bigint[]) with ordinality as amended (position, number)
                where ledger_id = $1 and withheld.position = amended.position and amended_position is null
                    and not exists (
                        select from withheld as earlier
                        where earlier.ledger_id = $1 and earlier.token = withheld.token
                            and earlier.position < withheld.position and earlier.amended_position is null
                            and earlier.position <> all ($2)
                    )
                ",
                self.shared.id,
                &withheld,
                to_stored(position),
            )
            .execute(conn)
            .await?;
            if amended.rows_affected() == withheld.len() as u64 {
                Ok(())
            } else {
                Err(sqlx::Error::RowNotFound)
            }
        });
        match appended.await {
            Ok(_) => Ok(first),
            Err(sqlx::Error::RowNotFound) => Err(AmendError::Changed),
            Err(error) => Err(error.into()),
        }
    }

    /// Orders the first bodies of what was amended to be erased: nobody needs them any more. What is held waits.
    ///
    /// # Errors
    ///
    /// Postgres failed, or the ledger cannot be read. Safe to repeat.
    pub async fn order_amended(&self, now: Timestamp) -> Result<Vec<Erasure>, ErasureError> {
        let amended = sqlx::query_scalar!(
            "select position from withheld where ledger_id = $1 and amended_position is not null order by position limit 1000",
            self.shared.id,
        )
        .fetch_all(&self.shared.pool);
        let amended: Vec<i64> = in_time::<_, sqlx::Error>(amended).await?;
        if amended.is_empty() {
            return Ok(Vec::new());
        }
        let mut orders = Vec::new();
        match self.order_first_bodies(&amended, now, &mut orders).await {
            Err(ErasureError::Held { .. }) => {
                for position in amended {
                    match self.order_first_bodies(&[position], now, &mut orders).await {
                        Ok(()) | Err(ErasureError::Held { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            ordered => ordered?,
        }
        Ok(orders)
    }

    async fn order_first_bodies(
        &self,
        positions: &[i64],
        now: Timestamp,
        orders: &mut Vec<Erasure>,
    ) -> Result<(), ErasureError> {
        let order = NewErasure {
            selector: Selector::Amended(positions.iter().copied().map(from_stored).collect()),
            attributes: Vec::new(),
            basis: "annotated again: an amendment tells of it".to_owned(),
            approver: "weir".to_owned(),
        };
        match self.order_erasure(&order, now).await {
            Ok(taken) => orders.extend(taken),
            // They are gone already.
            Err(ErasureError::Nothing) => {}
            Err(error) => return Err(error),
        }
        let forgotten = sqlx::query!(
            "delete from withheld where ledger_id = $1 and position = any($2)",
            self.shared.id,
            positions,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(forgotten).await?;
        Ok(())
    }
}
