//! Dead letters: deliveries that were given up, with all that is needed to understand and repeat them.

use jiff_sqlx::Timestamp as StoredTimestamp;
use serde::Serialize;
use sqlx::PgConnection;
use weir_model::Position;

use crate::{Consumer, ConsumerError, Ledger, from_stored, in_time, to_stored};

/// One delivery that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Id of the delivery.
    pub delivery: String,
    /// Route that it was on.
    pub route: String,
    /// Version of that route.
    pub version: u32,
    /// The change.
    pub position: Position,
    /// Sink that did not take it; `None` where the plugin failed before there was anything to send.
    pub sink: Option<String>,
    /// What happened, for machines: `plugin-trap`, `plugin-fuel`, `refused`, ...
    pub code: String,
    /// What happened, for people.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// SHA-256 of the plugin, as hexadecimal digits.
    pub plugin_digest: Option<String>,
    /// What the plugin logged about this change.
    pub plugin_log: Option<String>,
    /// The event, as JSON text.
    pub payload: Option<String>,
    /// When it was given up; set by Postgres.
    pub created_at: Option<jiff::Timestamp>,
}

/// Longest text of a dead letter that a plugin may have written, in bytes. A whole event with two images fits.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// Text as Postgres takes it: without NUL, and not without end. Plugins write what they like.
fn storable(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text[..end].replace('\0', "\u{fffd}")
}

impl Ledger {
    /// Moves a route's cursor, together with the dead letters of what it moves across.
    ///
    /// # Errors
    ///
    /// The route was taken over, or Postgres failed. Then neither cursor nor dead letters were written, or both.
    pub async fn settle(
        &self,
        consumer: &mut Consumer,
        next: Position,
        dead_letters: &[DeadLetter],
    ) -> Result<(), ConsumerError> {
        in_time(async {
            let mut tx = self.begin().await?;
            if !dead_letters.is_empty() {
                let erased = self.erased_while_held(&mut tx, dead_letters).await?;
                for letter in dead_letters {
                    let is_erased = erased.contains(&letter.position);
                    self.insert_dead_letter(&mut tx, letter, is_erased).await?;
                }
            }
            self.move_consumer(&mut tx, consumer, next).await?;
            Ok::<_, ConsumerError>(tx.commit().await?)
        })
        .await?;
        consumer.next = next;
        Ok(())
    }

    /// Lists at most `count_max` dead letters, in order of position.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn dead_letters(&self, route: Option<&str>, count_max: u16) -> sqlx::Result<Vec<DeadLetter>> {
        let rows = sqlx::query!(
            r#"
            select delivery, route, version, position, sink, code, reason, attempts, plugin_digest, plugin_log, payload,
                created_at as "created_at: StoredTimestamp"
            from dead_letter
            where ledger_id = $1 and ($2::text is null or route = $2)
            order by position, delivery
            limit $3
            "#,
            self.shared.id,
            route,
            i64::from(count_max),
        )
        .fetch_all(&self.shared.pool)
        .await?;
        let letters = rows.into_iter().map(|row| DeadLetter {
            delivery: row.delivery,
            route: row.route,
            version: row.version.cast_unsigned(),
            position: from_stored(row.position),
            sink: row.sink,
            code: row.code,
            reason: row.reason,
            attempts: row.attempts.cast_unsigned(),
            plugin_digest: row.plugin_digest.map(hex::encode),
            plugin_log: row.plugin_log,
            payload: row.payload,
            created_at: Some(row.created_at.to_jiff()),
        });
        Ok(letters.collect())
    }

    /// Those of the letters' positions that are ordered to be erased. None is carried out before this transaction ends: a
    /// letter that is written now is found by whoever erases later.
    async fn erased_while_held(
        &self,
        conn: &mut PgConnection,
        letters: &[DeadLetter],
    ) -> Result<Vec<Position>, ConsumerError> {
        sqlx::query!(
            "select pg_advisory_xact_lock_shared(hashtext('weir/erasure'), $1)",
            self.shared.id
        )
        .fetch_one(conn)
        .await?;
        Ok(self.ordered_now(letters.iter().map(|letter| letter.position)).await?)
    }

    async fn insert_dead_letter(
        &self,
        conn: &mut PgConnection,
        letter: &DeadLetter,
        is_erased: bool,
    ) -> sqlx::Result<()> {
        let said = |text: Option<&str>| text.filter(|_| !is_erased).map(storable);
        let digest = letter.plugin_digest.as_ref().map(hex::decode).transpose();
        sqlx::query!(
            "
            insert into dead_letter
                (ledger_id, delivery, route, version, position, sink, code, reason, attempts, plugin_digest, plugin_log,
                payload)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            on conflict do nothing
            ",
            self.shared.id,
            letter.delivery,
            letter.route,
            letter.version.cast_signed(),
            to_stored(letter.position),
            letter.sink,
            storable(&letter.code),
            said(Some(&letter.reason)).unwrap_or_else(|| "(erased)".to_owned()),
            letter.attempts.cast_signed(),
            digest.map_err(|_| crate::head::unreadable("plugin digest"))?,
            said(letter.plugin_log.as_deref()),
            said(letter.payload.as_deref()),
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}
