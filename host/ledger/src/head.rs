//! The head of a ledger: how many entries there are, and the root over them.

use weir_evidence::Hash;

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
}

/// A stored value that the schema's constraints should not have let in.
pub(crate) fn unreadable(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("stored {what} cannot be read").into())
}
