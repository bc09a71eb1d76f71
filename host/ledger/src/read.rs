//! Reads entries back, each opened and checked against its body before anybody sees it.

use weir_evidence::{Body, Disclosure, Entry, Hash, OpenError, SealedBody, leaf_hash};
use weir_model::Position;

use crate::{BodyKeyError, Ledger, from_stored, in_time, to_stored};

/// Stored bytes of one page of entries. One entry past it still travels, alone.
const PAGE_BYTES_MAX: i64 = 4 << 20;

/// Opened bytes of one page. Stored bodies are packed, and may unpack to many times their size.
pub(crate) const OPENED_BYTES_MAX: usize = 8 << 20;

/// An entry as it was recorded.
#[derive(Clone, Debug)]
pub struct RecordedEntry {
    /// Its place.
    pub position: Position,
    /// Lane of its item.
    pub lane: Option<u8>,
    /// What is permanent.
    pub entry: Entry,
    /// The bytes of the entry, which were hashed.
    pub bytes: Vec<u8>,
    /// Their leaf hash.
    pub leaf: Hash,
    /// What was sealed; empty where nothing was, or where it was erased.
    pub body: weir_evidence::Body,
    /// Number of the key that seals the body. Another one seals what is left of it after a part was erased.
    pub body_key: Option<i64>,
    /// Bytes of the opened body.
    pub body_bytes: usize,
    /// The body was erased.
    pub is_erased: bool,
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
    pub(crate) body_key: Option<i64>,
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
        let stored = in_time(self.stored_from(from, count_max)).await?;
        check_none_missing(from, stored.iter().map(|row| row.position))?;
        self.open_page(stored).await
    }

    /// Reads at most `count_max` entries from `from` on, in order, without their bodies.
    pub(crate) async fn bare_entries_from(
        &self,
        from: Position,
        count_max: u16,
    ) -> Result<Vec<(Position, Entry)>, ReadError> {
        let rows = sqlx::query!(
            "select position, entry from entry where ledger_id = $1 and position >= $2 order by position limit $3",
            self.shared.id,
            to_stored(from),
            i64::from(count_max),
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
        check_none_missing(from, rows.iter().map(|row| row.position))?;
        let decoded = rows.into_iter().map(|row| {
            let position = from_stored(row.position);
            Ok((position, decoded(position, &row.entry)?))
        });
        decoded.collect()
    }

    /// Reads entries from `from` on, each with what `shows` picks of its body by path, as read by [`Self::read_from`].
    ///
    /// # Errors
    ///
    /// Postgres failed, or what is stored is not what was recorded.
    pub async fn disclose_from(
        &self,
        from: Position,
        count_max: u16,
        shows: impl Fn(&str) -> bool,
    ) -> Result<Vec<(RecordedEntry, Disclosure)>, ReadError> {
        let stored = in_time(self.stored_from(from, count_max)).await?;
        let keys: Vec<Option<i64>> = stored.iter().map(|row| row.body_key).collect();
        let page = self.open_page(stored).await?;
        let mut disclosed = Vec::with_capacity(page.len());
        for ((expected, recorded), number) in (from.0..).zip(page).zip(keys) {
            if recorded.position.0 != expected {
                return Err(ReadError::Tampered {
                    position: Position(expected),
                    found: "the entry is missing".to_owned(),
                });
            }
            let key = match number {
                Some(number) if recorded.entry.commitment().is_some() && !recorded.is_erased => {
                    self.body_key(number).await?
                }
                _ => None,
            };
            let disclosure = key.map_or_else(Disclosure::nothing, |key| Disclosure::of(&recorded.body, &key, &shows));
            // A list that shows nothing says no more than showing nothing.
            let disclosure = if disclosure.shown().next().is_none() {
                Disclosure::nothing()
            } else {
                disclosure
            };
            disclosed.push((recorded, disclosure));
        }
        Ok(disclosed)
    }

    /// Reads the entries at these positions, highest first: all of them, or as many as make a page of about 8 MiB.
    ///
    /// # Errors
    ///
    /// Postgres failed, or what is stored is not what was recorded.
    pub async fn read_at(&self, positions: &[i64]) -> Result<Vec<RecordedEntry>, ReadError> {
        let stored = self.stored_at(positions).await?;
        if let Some(missing) = positions
            .iter()
            .find(|position| !stored.iter().any(|row| row.position == **position))
        {
            return Err(ReadError::Tampered {
                position: Position(missing.cast_unsigned()),
                found: "the entry is missing".to_owned(),
            });
        }
        self.open_page(stored).await
    }

    /// Reads the entries at these positions, lowest first: all of them, however many pages they are.
    ///
    /// # Errors
    ///
    /// As for [`Ledger::read_at`].
    pub async fn read_all_at(&self, positions: &[i64]) -> Result<Vec<RecordedEntry>, ReadError> {
        let mut read = Vec::with_capacity(positions.len());
        let mut left = positions.to_vec();
        while !left.is_empty() {
            let page = self.read_at(&left).await?;
            let lowest = page.last().map(|recorded| to_stored(recorded.position));
            left.retain(|position| Some(*position) < lowest);
            read.extend(page);
        }
        read.sort_by_key(|recorded| recorded.position);
        Ok(read)
    }

    /// The rows at these positions that are there, highest first.
    pub(crate) async fn stored_at(&self, positions: &[i64]) -> sqlx::Result<Vec<StoredEntry>> {
        let rows = sqlx::query_as!(
            StoredEntry,
            "
            select position, lane, body_key, entry, body
            from entry
            where ledger_id = $1 and position = any($2)
            order by position desc
            ",
            self.shared.id,
            positions,
        )
        .fetch_all(&self.shared.pool);
        in_time(rows).await
    }

    pub(crate) async fn stored_from(&self, from: Position, count_max: u16) -> sqlx::Result<Vec<StoredEntry>> {
        sqlx::query_as!(
            StoredEntry,
            r#"
            select position as "position!", lane, body_key, entry as "entry!", body
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

    /// Opens entries until they make a page.
    async fn open_page(&self, stored: Vec<StoredEntry>) -> Result<Vec<RecordedEntry>, ReadError> {
        let mut entries = Vec::with_capacity(stored.len());
        let mut bytes = 0;
        for row in stored {
            let (entry, opened_bytes) = self.open_stored(row).await?;
            entries.push(entry);
            bytes += opened_bytes;
            if bytes >= OPENED_BYTES_MAX {
                break;
            }
        }
        Ok(entries)
    }

    /// Opens an entry, and says how many bytes its body has.
    async fn open_stored(&self, stored: StoredEntry) -> Result<(RecordedEntry, usize), ReadError> {
        let (position, had_body) = (stored.position, stored.body.is_some());
        let (mut recorded, mut bytes) = self.try_open(stored).await?;
        // Read right before an erasure of attributes destroyed its key: another body stands there now.
        if bytes.is_none()
            && had_body
            && let Some(again) = self.stored_at(&[position]).await?.pop()
        {
            (recorded, bytes) = self.try_open(again).await?;
        }
        if let Some(bytes) = bytes {
            return Ok((recorded, bytes));
        }
        // Who took a body away without an order to erase it has tampered.
        if !self.is_erased_by_order(recorded.position).await? {
            return Err(ReadError::Tampered {
                position: recorded.position,
                found: "the body is missing, and no erasure covers it".to_owned(),
            });
        }
        recorded.is_erased = true;
        Ok((recorded, 0))
    }

    /// Opens an entry, and says how many bytes its body has; `None` if the body or its key is gone.
    pub(crate) async fn try_open(&self, stored: StoredEntry) -> Result<(RecordedEntry, Option<usize>), ReadError> {
        let position = from_stored(stored.position);
        let tampered = |found: String| ReadError::Tampered { position, found };
        let entry = decoded(position, &stored.entry)?;
        let lane = stored
            .lane
            .map(|lane| u8::try_from(lane).expect("the schema keeps lanes from 0 to 255"));
        let mut recorded = RecordedEntry {
            position,
            lane,
            entry,
            leaf: leaf_hash(&stored.entry),
            bytes: stored.entry,
            body: Body::default(),
            body_key: stored.body_key,
            body_bytes: 0,
            is_erased: false,
        };
        if recorded.entry.commitment().is_none() {
            return match stored.body {
                None => Ok((recorded, Some(0))),
                Some(_) => Err(tampered("a body stands where none was recorded".to_owned())),
            };
        }
        let key = match stored.body_key {
            Some(number) => self.body_key(number).await?,
            None => None,
        };
        let (Some(sealed), Some(key)) = (stored.body, key) else {
            return Ok((recorded, None));
        };
        let opened = SealedBody(sealed).open(&key, &recorded.leaf, &recorded.entry);
        let opened = opened.map_err(|error: OpenError| tampered(error.to_string()))?;
        recorded.body = opened.body;
        recorded.body_bytes = opened.bytes;
        Ok((recorded, Some(opened.bytes)))
    }
}

/// Reads the bytes of an entry.
pub(crate) fn decoded(position: Position, bytes: &[u8]) -> Result<Entry, ReadError> {
    Entry::decode(bytes).map_err(|error| ReadError::Tampered {
        position,
        found: error.to_string(),
    })
}

/// Whether these are the positions from `from` on.
fn check_none_missing(from: Position, positions: impl Iterator<Item = i64>) -> Result<(), ReadError> {
    let mut expected = (from.0..).map(Position).zip(positions);
    match expected.find(|(expected, position)| from_stored(*position) != *expected) {
        Some((missing, _)) => Err(ReadError::Tampered {
            position: missing,
            found: "the entry is missing".to_owned(),
        }),
        None => Ok(()),
    }
}
