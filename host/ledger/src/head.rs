//! The head of a ledger: how many entries there are, and the root over them.

use sqlx::PgConnection;
use weir_evidence::{Frontier, Hash};

use crate::{Ledger, from_stored, in_time};

/// Size and root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
}

impl Ledger {
    /// The head as it is now.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn head(&self) -> sqlx::Result<Head> {
        let row = in_time::<_, sqlx::Error>(
            sqlx::query!(
                "select size, root from ledger_head where ledger_id = $1",
                self.shared.id
            )
            .fetch_one(&self.shared.pool),
        )
        .await?;
        let size = from_stored(row.size).0;
        self.saw_size(size);
        Ok(Head {
            size,
            root: row.root.try_into().map_err(|_| unreadable("root"))?,
        })
    }

    /// Locks the head until the transaction ends. Appends wait meanwhile.
    pub(crate) async fn lock_head(&self, conn: &mut PgConnection) -> sqlx::Result<Frontier> {
        let row = sqlx::query!(
            "select size, frontier from ledger_head where ledger_id = $1 for update",
            self.shared.id
        )
        .fetch_one(conn)
        .await?;
        Frontier::from_bytes(from_stored(row.size).0, &row.frontier).map_err(|error| sqlx::Error::Decode(error.into()))
    }

    pub(crate) async fn update_head(&self, conn: &mut PgConnection, frontier: &Frontier) -> sqlx::Result<()> {
        sqlx::query!(
            "update ledger_head set size = $2, root = $3, frontier = $4 where ledger_id = $1",
            self.shared.id,
            i64::try_from(frontier.size()).expect("positions are below 2^63"),
            &frontier.root()[..],
            frontier.to_bytes(),
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// A stored value that the schema's constraints should not have let in.
pub(crate) fn unreadable(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(format!("stored {what} cannot be read").into())
}
