//! Reads entries back, each opened and checked against its body before anybody sees it.

use weir_evidence::{Entry, OpenError, SealedBody, leaf_hash};
use weir_model::Position;

use crate::{BodyKeyError, Ledger, from_stored, to_stored};

/// Stored bytes of one page of entries. One entry past it still travels, alone.
const PAGE_BYTES_MAX: i64 = 4 << 20;

/// An entry as it was recorded.
#[derive(Clone, Debug)]
pub struct RecordedEntry {
    /// Its place.
    pub position: Position,
    /// Lane of its item.
    pub lane: Option<u8>,
    /// What is permanent.
    pub entry: Entry,
    /// What was sealed; `None` once erased.
    pub body: Option<weir_evidence::Body>,
}

/// Why entries could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stored bytes are not what was recorded. Nothing of them may be shown as true.
    #[error("position {position} was tampered with: {found}; `weir verify` tells more")]
    Tampered {
        /// Where.
        position: Position,
        /// What is wrong.
        found: String,
    },
    /// The keys of bodies could not be had.
    #[error("could not read the key of a body")]
    BodyKey(#[from] BodyKeyError),
    /// Postgres failed.
    #[error("could not read the ledger")]
    Database(#[from] sqlx::Error),
}

/// The stored form of an entry.
pub(crate) struct StoredEntry {
    pub(crate) position: i64,
    pub(crate) lane: Option<i16>,
    pub(crate) body_key: i64,
    pub(crate) entry: Vec<u8>,
    pub(crate) body: Option<Vec<u8>>,
}

impl Ledger {
    /// Reads at most `count_max` entries from `from` on, in order, and at most about 4 MiB of them.
    ///
    /// Pages are stable: positions are given under the head's lock, so nothing appears later below what was returned.
    ///
    /// # Errors
    ///
    /// Postgres failed, or what is stored is not what was recorded.
    pub async fn read_from(&self, from: Position, count_max: u16) -> Result<Vec<RecordedEntry>, ReadError> {
        let stored = self.stored_from(from, count_max).await?;
        let mut entries = Vec::with_capacity(stored.len());
        for row in stored {
            entries.push(self.open_stored(row).await?);
        }
        Ok(entries)
    }

    /// Reads the entries at these positions, in their order.
    ///
    /// # Errors
    ///
    /// Postgres failed, or what is stored is not what was recorded.
    pub async fn read_at(&self, positions: &[i64]) -> Result<Vec<RecordedEntry>, ReadError> {
        let stored = sqlx::query_as!(
            StoredEntry,
            "
            select position, lane, body_key, entry, body
            from entry
            where ledger_id = $1 and position = any($2)
            order by position
            ",
            self.shared.id,
            positions,
        )
        .fetch_all(&self.shared.pool)
        .await?;
        let mut entries = Vec::with_capacity(stored.len());
        for row in stored {
            entries.push(self.open_stored(row).await?);
        }
        Ok(entries)
    }

    pub(crate) async fn stored_from(&self, from: Position, count_max: u16) -> sqlx::Result<Vec<StoredEntry>> {
        sqlx::query_as!(
            StoredEntry,
            r#"
            select position as "position!", lane, body_key as "body_key!", entry as "entry!", body
            from (
                select position, lane, body_key, entry, body,
                    sum(octet_length(entry) + coalesce(octet_length(body), 0))
                        over (order by position rows between unbounded preceding and 1 preceding) as bytes_before
                from entry
                where ledger_id = $1 and position >= $2
                order by position
                limit $3
            ) as page
            where coalesce(bytes_before, 0) < $4
            order by position
            "#,
            self.shared.id,
            to_stored(from),
            i64::from(count_max),
            PAGE_BYTES_MAX,
        )
        .fetch_all(&self.shared.pool)
        .await
    }

    async fn open_stored(&self, stored: StoredEntry) -> Result<RecordedEntry, ReadError> {
        let position = from_stored(stored.position);
        let tampered = |found: String| ReadError::Tampered { position, found };
        let entry = Entry::decode(&stored.entry).map_err(|error| tampered(error.to_string()))?;
        let body = match (stored.body, self.body_key(stored.body_key).await?) {
            (Some(sealed), Some(key)) => {
                let opened = SealedBody(sealed).open(&key, &leaf_hash(&stored.entry), &entry);
                Some(opened.map_err(|error: OpenError| tampered(error.to_string()))?)
            }
            _ => None,
        };
        let lane = stored
            .lane
            .map(|lane| u8::try_from(lane).expect("the schema keeps lanes from 0 to 255"));
        Ok(RecordedEntry {
            position,
            lane,
            entry,
            body,
        })
    }
}
