//! Consumers of the ledger: a cursor each, moved only by whoever took the consumer last.

use sqlx::{PgConnection, Postgres, Transaction};
use weir_model::Position;

use crate::transaction::begin;
use crate::{Ledger, ReadError, from_stored, in_time, to_stored};

/// The right to move a cursor, until someone else takes the consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// `index`, or that of a partition of a route: `route:<name>`, `route:<name>/<first lane>-<last lane>`.
    pub name: String,
    /// Everything below was dealt with.
    pub next: Position,
    epoch: i64,
}

impl Consumer {
    pub(crate) fn new(name: String, next: Position, epoch: i64) -> Self {
        Self { name, next, epoch }
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.epoch
    }
}

/// Why a cursor was not moved.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// Another worker took the consumer. Nothing was written.
    #[error("consumer {name} was taken over by another worker")]
    Fenced {
        /// The consumer.
        name: String,
    },
    /// The ledger cannot be read, or the orders to erase in it: nothing that may be erased was written down.
    #[error("could not read the ledger")]
    Read(#[from] ReadError),
    /// Postgres failed. The move may or may not have happened; doing the same work again is safe.
    #[error("could not move the cursor")]
    Database(#[from] sqlx::Error),
}

impl Ledger {
    /// Takes a consumer over, making it at `start` if it is new.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn claim_consumer(&self, name: &str, start: Position) -> sqlx::Result<Consumer> {
        let row = in_time::<_, sqlx::Error>(
            sqlx::query!(
                "
            insert into consumer (ledger_id, name, next_position) values ($1, $2, $3)
            on conflict (ledger_id, name) do update set epoch = consumer.epoch + 1
            returning next_position, epoch
            ",
                self.shared.id,
                name,
                to_stored(start),
            )
            .fetch_one(&self.shared.pool),
        )
        .await?;
        Ok(Consumer::new(
            name.to_owned(),
            from_stored(row.next_position),
            row.epoch,
        ))
    }

    /// Begins the transaction in which a cursor moves, together with what belongs to the move.
    pub(crate) async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        begin(&self.shared.pool).await
    }

    pub(crate) async fn move_consumer(
        &self,
        conn: &mut PgConnection,
        consumer: &Consumer,
        next: Position,
    ) -> Result<(), ConsumerError> {
        let moved = sqlx::query!(
            "
            update consumer
            set next_position = $4, moved_at = clock_timestamp()
            where ledger_id = $1 and name = $2 and epoch = $3
            ",
            self.shared.id,
            consumer.name,
            consumer.epoch,
            to_stored(next),
        )
        .execute(conn)
        .await?;
        if moved.rows_affected() == 1 {
            Ok(())
        } else {
            Err(ConsumerError::Fenced {
                name: consumer.name.clone(),
            })
        }
    }
}
