//! Dead letters that are sent again, or thrown away.
//!
//! ```text
//! an operator ──▶ ordered, and an entry that says so ──▶ the route parks the delivery, due at once; the letter is gone
//! ```
//!
//! # Invariants
//!
//! - What operators do to dead letters are entries of the ledger.
//! - A letter goes in the transaction in which its delivery is parked, given up once more, or thrown away.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::append::OwnRecord;
use crate::{DeadLetter, Ledger, Partition, in_time};

/// Letters of one order, at most: their ids stand in its entry.
const AT_ONCE_MAX: usize = 500;

/// Others that order the same in the same moment, at most.
const RACES_MAX: usize = 10;

/// Which dead letters an operator means: those that match everything that is said here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterSelection {
    /// Ids of deliveries; none for all.
    pub deliveries: Vec<String>,
    /// Their route.
    pub route: Option<String>,
    /// What happened: `refused`, `plugin-trap`, ...
    pub code: Option<String>,
}

/// Dead letters that were ordered about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderedLetters {
    /// How many.
    pub count: usize,
    /// There may be more: order again.
    pub more: bool,
}

/// What is done to dead letters.
#[derive(Clone, Copy)]
enum Order {
    Redrive,
    Drop,
}

impl Ledger {
    /// Orders dead letters to be sent again, at most 500 of them, lowest positions first, and records that. Says how many.
    ///
    /// # Errors
    ///
    /// Postgres failed. Asking again is safe.
    pub async fn redrive(
        &self,
        selection: &DeadLetterSelection,
        reason: &str,
        now: Timestamp,
    ) -> sqlx::Result<OrderedLetters> {
        self.order_letters(Order::Redrive, selection, reason, now).await
    }

    /// Throws dead letters away, at most 500 of them, lowest positions first, and records that. Says how many.
    ///
    /// # Errors
    ///
    /// Postgres failed. Asking again is safe.
    pub async fn drop_dead_letters(
        &self,
        selection: &DeadLetterSelection,
        reason: &str,
        now: Timestamp,
    ) -> sqlx::Result<OrderedLetters> {
        self.order_letters(Order::Drop, selection, reason, now).await
    }

    async fn order_letters(
        &self,
        order: Order,
        selection: &DeadLetterSelection,
        reason: &str,
        now: Timestamp,
    ) -> sqlx::Result<OrderedLetters> {
        for _ in 0..RACES_MAX {
            let deliveries = self.select_letters(order, selection).await?;
            if deliveries.is_empty() {
                return Ok(OrderedLetters::default());
            }
            let what = match order {
                Order::Redrive => "dead-letters-redriven",
                Order::Drop => "dead-letters-dropped",
            };
            let detail: Value = json!({ "deliveries": deliveries, "reason": reason });
            let record = OwnRecord::lifecycle(&self.shared.name, what, detail.to_string(), now)?;
            let mut is_stale = false;
            let appended = self.append_own(&record, async |conn, _| {
                let done = match order {
                    Order::Redrive => {
                        sqlx::query!(
                            "
                        update dead_letter set redrive_at = clock_timestamp()
                        where ledger_id = $1 and delivery = any($2) and redrive_at is null
                        ",
                            self.shared.id,
                            &deliveries,
                        )
                        .execute(conn)
                        .await?
                    }
                    Order::Drop => {
                        sqlx::query!(
                            "delete from dead_letter where ledger_id = $1 and delivery = any($2)",
                            self.shared.id,
                            &deliveries,
                        )
                        .execute(conn)
                        .await?
                    }
                };
                is_stale = done.rows_affected() != deliveries.len() as u64;
                if is_stale {
                    return Err(races());
                }
                Ok(())
            });
            match appended.await {
                Ok(_) => {
                    return Ok(OrderedLetters {
                        count: deliveries.len(),
                        more: deliveries.len() == AT_ONCE_MAX,
                    });
                }
                Err(_) if is_stale => {}
                Err(error) => return Err(error),
            }
        }
        Err(races())
    }

    /// What is ordered to be sent again already is only thrown away: its route may be gone.
    async fn select_letters(&self, order: Order, selection: &DeadLetterSelection) -> sqlx::Result<Vec<String>> {
        let selected = sqlx::query_scalar!(
            "
            select delivery
            from dead_letter
            where ledger_id = $1 and ($6 or redrive_at is null)
                and (cardinality($2::text[]) = 0 or delivery = any($2))
                and ($3::text is null or route = $3)
                and ($4::text is null or code = $4)
            order by position, delivery
            limit $5
            ",
            self.shared.id,
            &selection.deliveries,
            selection.route,
            selection.code,
            i64::try_from(AT_ONCE_MAX).expect("it is a small number"),
            matches!(order, Order::Drop),
        )
        .fetch_all(&self.shared.pool);
        in_time(selected).await
    }

    /// Dead letters of a partition that are ordered to be sent again, lowest positions first, without what they say.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn ordered_redrives(&self, partition: &Partition, count_max: u16) -> sqlx::Result<Vec<DeadLetter>> {
        let (first_lane, last_lane) = partition.lanes();
        let rows = sqlx::query!(
            "
            select delivery, route, version, position, sink, code, attempts, as_new
            from dead_letter
            where ledger_id = $1 and route = $2 and redrive_at is not null and ($4 or (
                select lane from entry where entry.ledger_id = $1 and entry.position = dead_letter.position
            ) between $5 and $6)
            order by position, delivery
            limit $3
            ",
            self.shared.id,
            partition.route,
            i64::from(count_max),
            partition.is_whole(),
            first_lane,
            last_lane,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?.into_iter();
        let letters = rows.map(|row| DeadLetter {
            delivery: row.delivery,
            route: row.route,
            version: row.version.cast_unsigned(),
            position: crate::from_stored(row.position),
            sink: row.sink,
            code: row.code,
            reason: String::new(),
            attempts: row.attempts.cast_unsigned(),
            plugin_digest: None,
            plugin_log: None,
            payload: None,
            created_at: None,
            is_redriven: true,
            as_new: row.as_new,
        });
        Ok(letters.collect())
    }
}

fn races() -> sqlx::Error {
    sqlx::Error::Protocol("others order the same dead letters all the time".to_owned())
}
