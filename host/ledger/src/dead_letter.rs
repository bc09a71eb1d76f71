//! Dead letters: deliveries that were given up, with all that is needed to understand and repeat them.

use std::collections::{BTreeMap, HashSet};

use jiff_sqlx::Timestamp as StoredTimestamp;
use serde::Serialize;
use sqlx::PgConnection;
use weir_model::Position;

use crate::{ConsumerError, DeadLetterSelection, Ledger, Redriven, from_stored, in_time, to_stored};

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
    /// It is ordered to be sent again, and its route has not taken it over yet.
    #[serde(rename = "redriven")]
    pub is_redriven: bool,
    /// Name of the replay that sends it as new.
    #[serde(rename = "replayed_as", skip_serializing_if = "Option::is_none")]
    pub as_new: Option<String>,
}

/// Where a dead letter stands among all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterPlace {
    /// The change.
    pub position: Position,
    /// Id of its delivery.
    pub delivery: String,
}

/// Longest text of a dead letter that a plugin may have written, in bytes. A whole event with two images fits.
const TEXT_BYTES_MAX: usize = 4 << 20;

fn of_route(route: Option<&str>) -> DeadLetterSelection {
    DeadLetterSelection {
        route: route.map(str::to_owned),
        ..DeadLetterSelection::default()
    }
}

/// Text as Postgres takes it: without NUL, and not without end. Plugins write what they like.
fn storable(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text[..end].replace('\0', "\u{fffd}")
}

/// Characters of a reason, where letters are listed in short.
const SHORT_REASON_CHARS: i32 = 2000;

/// Which dead letters are listed: those that match everything that is said.
#[derive(Default)]
struct Wanted<'a> {
    selection: DeadLetterSelection,
    position: Option<Position>,
    after: Option<&'a DeadLetterPlace>,
}

impl Ledger {
    /// Lists at most `count_max` dead letters, in order of position.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn dead_letters(&self, route: Option<&str>, count_max: u16) -> sqlx::Result<Vec<DeadLetter>> {
        let wanted = Wanted {
            selection: of_route(route),
            ..Wanted::default()
        };
        self.list_dead_letters(wanted, count_max, true).await
    }

    /// Lists at most `count_max` of the dead letters that an operator means, in order of position, from the one on that follows
    /// `after`. Payloads and what plugins logged are left out, and reasons end after 2,000 characters: each may be megabytes.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn dead_letters_in_short(
        &self,
        selection: &DeadLetterSelection,
        after: Option<&DeadLetterPlace>,
        count_max: u16,
    ) -> sqlx::Result<Vec<DeadLetter>> {
        let wanted = Wanted {
            selection: selection.clone(),
            after,
            position: None,
        };
        self.list_dead_letters(wanted, count_max, false).await
    }

    /// How many dead letters each route has; routes without any are not told.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn dead_letter_counts(&self) -> sqlx::Result<BTreeMap<String, u64>> {
        let rows = sqlx::query!(
            r#"select route, count(*) as "count!" from dead_letter where ledger_id = $1 group by route"#,
            self.shared.id,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?.into_iter();
        Ok(rows.map(|row| (row.route, row.count.cast_unsigned())).collect())
    }

    /// A dead letter by the id of its delivery.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn dead_letter(&self, delivery: &str) -> sqlx::Result<Option<DeadLetter>> {
        let wanted = Wanted {
            selection: DeadLetterSelection {
                deliveries: vec![delivery.to_owned()],
                ..DeadLetterSelection::default()
            },
            ..Wanted::default()
        };
        Ok(self.list_dead_letters(wanted, 1, true).await?.pop())
    }

    /// What a route gave up of one position, at most `count_max`, in short.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn dead_letters_at(
        &self,
        route: &str,
        position: Position,
        count_max: u16,
    ) -> sqlx::Result<Vec<DeadLetter>> {
        let wanted = Wanted {
            selection: of_route(Some(route)),
            position: Some(position),
            after: None,
        };
        self.list_dead_letters(wanted, count_max, false).await
    }

    async fn list_dead_letters(
        &self,
        wanted: Wanted<'_>,
        count_max: u16,
        in_full: bool,
    ) -> sqlx::Result<Vec<DeadLetter>> {
        let nowhere = DeadLetterPlace::default();
        let after = wanted.after.unwrap_or(&nowhere);
        let rows = sqlx::query!(
            r#"
            select delivery, route, version, position, sink, code, attempts, plugin_digest,
                case when $8 then reason else left(reason, $9) end as "reason!",
                case when $8 then plugin_log end as plugin_log, case when $8 then payload end as payload,
                created_at as "created_at: StoredTimestamp", redrive_at is not null as "is_redriven!", as_new
            from dead_letter
            where ledger_id = $1
                and (cardinality($2::text[]) = 0 or delivery = any($2))
                and ($3::text is null or route = $3)
                and ($4::text is null or code = $4)
                and ($5::bigint is null or position = $5)
                and (position, delivery) > ($6, $7)
            order by position, delivery
            limit $10
            "#,
            self.shared.id,
            &wanted.selection.deliveries,
            wanted.selection.route,
            wanted.selection.code,
            wanted.position.map(to_stored),
            to_stored(after.position),
            after.delivery,
            in_full,
            SHORT_REASON_CHARS,
            i64::from(count_max),
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
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
            is_redriven: row.is_redriven,
            as_new: row.as_new,
        });
        Ok(letters.collect())
    }

    /// `hold_erasures` goes before it.
    pub(crate) async fn insert_dead_letters(
        &self,
        conn: &mut PgConnection,
        letters: &[DeadLetter],
    ) -> Result<(), ConsumerError> {
        if letters.is_empty() {
            return Ok(());
        }
        let erased = self.ordered_now(letters.iter().map(|letter| letter.position)).await?;
        for letter in letters {
            let is_erased = erased.contains(&letter.position);
            self.insert_dead_letter(&mut *conn, letter, is_erased).await?;
        }
        Ok(())
    }

    /// Takes letters out that are sent again. What was thrown away meanwhile is not among those that it gives back.
    pub(crate) async fn delete_redriven<'a>(
        &self,
        conn: &mut PgConnection,
        redriven: &'a [Redriven],
    ) -> sqlx::Result<Vec<&'a Redriven>> {
        if redriven.is_empty() {
            return Ok(Vec::new());
        }
        let letters: Vec<String> = redriven.iter().map(|redriven| redriven.letter.clone()).collect();
        let deleted: HashSet<String> = sqlx::query_scalar!(
            "
            delete from dead_letter
            where ledger_id = $1 and delivery = any($2) and redrive_at is not null
            returning delivery
            ",
            self.shared.id,
            &letters,
        )
        .fetch_all(conn)
        .await?
        .into_iter()
        .collect();
        let is_deleted = |redriven: &&Redriven| deleted.contains(&redriven.letter);
        Ok(redriven.iter().filter(is_deleted).collect())
    }

    /// No order to erase is carried out before this transaction ends: a letter that is written now is found by whoever erases
    /// later.
    pub(crate) async fn hold_erasures(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query!(
            "select pg_advisory_xact_lock_shared(hashtext('weir/erasure'), $1)",
            self.shared.id
        )
        .fetch_one(conn)
        .await?;
        Ok(())
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
                payload, as_new)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
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
            letter.as_new,
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}
