//! Carries orders out, chunk by chunk, from where each stands.

use jiff::Timestamp;
use sqlx::PgConnection;
use weir_evidence::{Body, Entry, ErasurePlan, ErasureScope, ErasureStage, SealedBody, leaf_hash};
use weir_model::Position;

use super::{Erasure, ErasureError, lock_erasures};
use crate::read::StoredEntry;
use crate::transaction::begin;
use crate::{Ledger, NumberedBodyKey, ReadError, from_stored};

/// Bodies of one transaction: a second's work at most, so that a hold never waits long.
const CHUNK_BODIES: usize = 500;

/// What became of orders.
#[derive(Debug, Default)]
pub struct CarriedOut {
    /// Those that are done now.
    pub done: Vec<Erasure>,
    /// Those that are not, and why. What was erased of them so far stays erased; carrying out again goes on there.
    pub waiting: Vec<(Erasure, ErasureError)>,
}

impl Ledger {
    /// Carries every order out that is not done. `journal` is told the numbers of the keys of each chunk before they are
    /// destroyed: it keeps them where a restored database can be held against them.
    ///
    /// Safe to repeat, and to run in two processes at once. An order that cannot be carried out keeps no other waiting.
    ///
    /// # Errors
    ///
    /// The orders cannot be read.
    pub async fn carry_out_erasures(
        &self,
        now: impl Fn() -> Timestamp,
        journal: impl Fn(&[i64]) -> std::io::Result<()>,
    ) -> sqlx::Result<CarriedOut> {
        let mut carried_out = CarriedOut::default();
        for erasure in self.erasures().await? {
            if erasure.done_at.is_none() {
                match self.carry_out(&erasure, now(), &journal).await {
                    Ok(done) => carried_out.done.push(done),
                    Err(error) => carried_out.waiting.push((erasure, error)),
                }
            }
        }
        Ok(carried_out)
    }

    async fn carry_out(
        &self,
        erasure: &Erasure,
        now: Timestamp,
        journal: impl Fn(&[i64]) -> std::io::Result<()>,
    ) -> Result<Erasure, ErasureError> {
        let plan = self.plan_of(erasure.intent).await?;
        let mut is_begun = false;
        let erased = loop {
            match self.erase_chunk(erasure, &plan, &journal).await {
                Ok(true) => is_begun = true,
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if is_begun || erased.is_ok() {
            self.forget_segments();
            self.rewrite_erased().await?;
        }
        erased?;
        self.finish_erasure(erasure, &plan, now).await
    }

    /// Erases the next bodies of an order. Says whether more are left.
    async fn erase_chunk(
        &self,
        erasure: &Erasure,
        plan: &ErasurePlan,
        journal: impl Fn(&[i64]) -> std::io::Result<()>,
    ) -> Result<bool, ErasureError> {
        let mut tx = begin(&self.shared.eraser).await?;
        lock_erasures(&mut tx, self.shared.id).await?;
        let stands = sqlx::query_scalar!(
            "select erased_to from erasure where ledger_id = $1 and erasure_id = $2 and done_at is null",
            self.shared.id,
            erasure.id,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(stands) = stands else { return Ok(false) };
        let mut chunk: Vec<u64> = plan
            .positions
            .iter_from(stands.cast_unsigned())
            .take(CHUNK_BODIES)
            .collect();
        let Some(last) = chunk.last().copied() else {
            return Ok(false);
        };
        let (holds, positions) = (self.holds_in(&mut tx).await?, chunk.iter().copied().collect());
        if erasure.scope == ErasureScope::Retention.as_str() {
            // What is held since the order is found again by the next one, once it is not held any more.
            let held = self.held(&holds, &positions).await?;
            chunk.retain(|position| held.iter().all(|(held, _)| held != position));
        } else {
            self.check_holds(&holds, &positions).await?;
        }

        let stored = self.lock_bodies(&mut tx, &chunk).await?;
        let is_partial = erasure.scope == ErasureScope::Attribute.as_str();
        let mut fresh = if is_partial {
            self.take_body_keys(stored.len()).await?
        } else {
            Vec::new()
        };
        let (mut bodies, mut keys) = (0, Vec::with_capacity(stored.len()));
        for row in stored {
            let Some(key) = row.body_key else { continue };
            let position = row.position;
            let replacement = match fresh.pop() {
                Some(fresh_key) => match self.without(&row, &plan.paths, &fresh_key).await? {
                    Some(sealed) => Some((fresh_key.number, sealed)),
                    None => continue,
                },
                None => None,
            };
            let (new_key, new_body) = replacement.map_or((None, None), |(key, body)| (Some(key), Some(body.0)));
            sqlx::query!(
                "update entry set body_key = $3, body = $4 where ledger_id = $1 and position = $2",
                self.shared.id,
                position,
                new_key,
                new_body,
            )
            .execute(&mut *tx)
            .await?;
            keys.push(key);
            bodies += 1;
        }
        journal(&keys).map_err(ErasureError::Journal)?;
        self.destroy_keys(&mut tx, &keys).await?;
        self.remove_copies(&mut tx, &chunk, !is_partial).await?;
        sqlx::query!(
            "update erasure set erased_to = $3, bodies = bodies + $4 where ledger_id = $1 and erasure_id = $2",
            self.shared.id,
            erasure.id,
            last.cast_signed() + 1,
            bodies,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn lock_bodies(&self, conn: &mut PgConnection, positions: &[u64]) -> sqlx::Result<Vec<StoredEntry>> {
        let positions: Vec<i64> = positions.iter().map(|position| position.cast_signed()).collect();
        sqlx::query_as!(
            StoredEntry,
            "
            select position, lane, body_key, entry, body
            from entry
            where ledger_id = $1 and position = any($2) and body is not null
            order by position
            for update
            ",
            self.shared.id,
            &positions,
        )
        .fetch_all(conn)
        .await
    }

    /// The body of an entry without these attributes, sealed under a fresh key; `None` if it has none of them.
    async fn without(
        &self,
        row: &StoredEntry,
        paths: &[String],
        fresh: &NumberedBodyKey,
    ) -> Result<Option<SealedBody>, ErasureError> {
        let tampered = |found: String| {
            ErasureError::Read(ReadError::Tampered {
                position: from_stored(row.position),
                found,
            })
        };
        let entry = Entry::decode(&row.entry).map_err(|error| tampered(error.to_string()))?;
        let leaf = leaf_hash(&row.entry);
        let key = match row.body_key {
            Some(number) => self.body_key(number).await?,
            None => None,
        };
        let (Some(key), Some(sealed)) = (key, &row.body) else {
            return Ok(None);
        };
        let opened = SealedBody(sealed.clone()).open(&key, &leaf, &entry);
        let body: Body = opened.map_err(|error| tampered(error.to_string()))?.body;
        // Who is named by an erased attribute is not named as the actor either.
        let names_actor = body
            .actor
            .as_deref()
            .is_some_and(|actor| is_text_of(&body, paths, actor));
        let is_erased = |path: &str| paths.iter().any(|erased| erased == path) || (names_actor && path == "/actor");
        let left = body.without(&key, is_erased);
        let sealed = left.map(|left| left.seal(&fresh.key, &leaf)).transpose();
        sealed.map_err(|error| tampered(error.to_string()))
    }

    async fn finish_erasure(
        &self,
        erasure: &Erasure,
        plan: &ErasurePlan,
        now: Timestamp,
    ) -> Result<Erasure, ErasureError> {
        let bodies = self
            .erasures()
            .await?
            .into_iter()
            .find(|known| known.id == erasure.id)
            .map_or(0, |known| known.bodies);
        let scope = ErasureScope::from_name(&erasure.scope).unwrap_or(ErasureScope::Item);
        let empty = Body::default();
        let record = self.order_record(&empty, &erasure.id, scope, ErasureStage::Done, None, Some(bodies), now);
        let record = record.await?;
        debug_assert!(bodies <= plan.positions.count());
        let done = self
            .append_own(&record, async |conn, _: Position| {
                let updated = sqlx::query!(
                    "
                    update erasure set done_at = clock_timestamp()
                    where ledger_id = $1 and erasure_id = $2 and done_at is null
                    ",
                    self.shared.id,
                    erasure.id,
                )
                .execute(conn)
                .await?;
                // Another process was quicker: its entry stands, ours must not.
                if updated.rows_affected() == 0 {
                    Err(sqlx::Error::RowNotFound)
                } else {
                    Ok(())
                }
            })
            .await;
        match done {
            Ok(_) | Err(sqlx::Error::RowNotFound) => Ok(Erasure {
                bodies,
                done_at: Some(now),
                ..erasure.clone()
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether one of the attributes at these paths is this text.
fn is_text_of(body: &Body, paths: &[String], text: &str) -> bool {
    let parts = [("/keys/", &body.keys), ("/new/", &body.new), ("/old/", &body.old)];
    parts.into_iter().any(|(part, item)| {
        item.iter().flatten().any(|(name, value)| {
            value.as_text() == Some(text) && paths.contains(&format!("{part}{}", super::escaped(name)))
        })
    })
}
