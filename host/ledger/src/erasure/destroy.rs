//! Destroys body keys and whatever else still holds what a body said.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use weir_evidence::{BODY_KEYS_PER_SEGMENT, SegmentKey};

use super::ErasureError;
use crate::body_key::segment_of;
use crate::transaction::begin;
use crate::{BodyKeyError, Ledger};

impl Ledger {
    /// Replaces the segments of these keys by what is left without them.
    pub(super) async fn destroy_keys(&self, conn: &mut PgConnection, keys: &[i64]) -> Result<(), ErasureError> {
        let mut by_segment: BTreeMap<i64, Vec<u16>> = BTreeMap::new();
        for key in keys {
            let index = key.rem_euclid(BODY_KEYS_PER_SEGMENT.cast_signed());
            let index = u16::try_from(index).expect("a segment has 2^16 keys");
            by_segment.entry(segment_of(*key)).or_default().push(index);
        }
        for (segment, indexes) in by_segment {
            let wrapped = sqlx::query_scalar!(
                "select wrapped from segment_key where ledger_id = $1 and segment = $2 for update",
                self.shared.id,
                segment,
            )
            .fetch_optional(&mut *conn)
            .await?;
            // Without its segment a key is as good as destroyed.
            let Some(wrapped) = wrapped else { continue };
            let context = self.segment_context(segment);
            let mut left = self
                .shared
                .secret
                .unwrap(&wrapped, &context)
                .and_then(|nodes| SegmentKey::from_bytes(&nodes).ok())
                .ok_or(BodyKeyError::Unauthentic { segment })?;
            for index in indexes {
                left.destroy(index);
            }
            let mut nonce = [0; 12];
            getrandom::fill(&mut nonce).map_err(BodyKeyError::Randomness)?;
            sqlx::query!(
                "update segment_key set wrapped = $3 where ledger_id = $1 and segment = $2",
                self.shared.id,
                segment,
                self.shared.secret.wrap(&left.to_bytes(), nonce, &context),
            )
            .execute(&mut *conn)
            .await?;
        }
        Ok(())
    }

    /// Destroys keys by number, for a database that was restored from before they were destroyed. Bodies that they seal have
    /// to be erased by an order first ([`Selector::BodyKeys`](super::Selector)): without one they only look tampered with.
    ///
    /// # Errors
    ///
    /// Postgres failed or a segment cannot be read. Safe to repeat.
    pub async fn destroy_keys_again(&self, keys: &[i64]) -> Result<(), ErasureError> {
        let mut tx = begin(&self.shared.eraser).await?;
        self.destroy_keys(&mut tx, keys).await?;
        tx.commit().await?;
        self.forget_segments();
        self.rewrite_erased().await
    }

    /// Those of the keys that can still be made.
    ///
    /// # Errors
    ///
    /// Postgres failed or a segment cannot be read.
    pub async fn keys_that_exist(&self, keys: &[i64]) -> Result<Vec<i64>, BodyKeyError> {
        let mut exist = Vec::new();
        for key in keys {
            match self.body_key(*key).await {
                Ok(Some(_)) => exist.push(*key),
                Ok(None) | Err(BodyKeyError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(exist)
    }

    /// Writes the tables of keys and dead letters anew, so that no page of them holds what was destroyed. A transaction
    /// that is older than the destruction, and still open, keeps it: once it has ended, this is worth repeating.
    ///
    /// # Errors
    ///
    /// Postgres failed. Safe to repeat.
    pub async fn rewrite_erased(&self) -> Result<(), ErasureError> {
        sqlx::query!("select rewrite_erased()")
            .fetch_one(&self.shared.eraser)
            .await?;
        Ok(())
    }

    /// Index rows of bodies that are gone, what dead letters and sinks say of them, and that they are withheld.
    pub(super) async fn remove_copies(
        &self,
        conn: &mut PgConnection,
        positions: &[u64],
        is_whole: bool,
    ) -> sqlx::Result<()> {
        let positions: Vec<i64> = positions.iter().map(|position| position.cast_signed()).collect();
        if is_whole {
            sqlx::query!(
                "delete from item_index where ledger_id = $1 and position = any($2)",
                self.shared.id,
                &positions,
            )
            .execute(&mut *conn)
            .await?;
            sqlx::query!(
                "delete from withheld where ledger_id = $1 and position = any($2) and amended_position is null",
                self.shared.id,
                &positions,
            )
            .execute(&mut *conn)
            .await?;
        }
        sqlx::query!(
            "
            update dead_letter set payload = null, plugin_log = null, reason = '(erased)'
            where ledger_id = $1 and position = any($2)
            ",
            self.shared.id,
            &positions,
        )
        .execute(&mut *conn)
        .await?;
        // What a sink answered may quote what it was sent, and nobody knows of which change.
        sqlx::query!(
            "update sink_state set reason = '(erased)' where ledger_id = $1 and reason <> ''",
            self.shared.id,
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}
