//! Entries as this process appended them, for its routes.
//!
//! # Invariants
//!
//! - They read exactly as [`Ledger::read_from`] would read them: from the bytes that were hashed and the text that was sealed.
//! - What waited here is not handed over if it was ordered to be erased meanwhile.
//! - They are kept as bytes. As trees they would take several times as much, for as long as they wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use weir_evidence::{Body, Hash, OpenedBody, PlainBody};
use weir_model::Position;

use super::{Kind, Taken};
use crate::append::SealedRecord;
use crate::read::{OPENED_BYTES_MAX, decoded};
use crate::{Ledger, ReadError, RecordedEntry};

/// Bytes of what waits for routes, at most.
pub(crate) const ROWS_BYTES_MAX: usize = 12 << 20;

/// How old a row is for which nobody asks whether it was ordered to be erased.
const FRESH: Duration = Duration::from_millis(500);

/// What a row takes beside its texts.
const ROW_BYTES: usize = 200;

/// A row as it was appended.
pub(crate) struct AppendedRow {
    lane: Option<u8>,
    entry: Vec<u8>,
    leaf: Hash,
    body: Option<(i64, Arc<PlainBody>)>,
}

impl AppendedRow {
    /// `None` if nobody knows what its body says.
    pub(crate) fn of(record: &SealedRecord) -> Option<Self> {
        let body = match &record.body {
            Some(body) => Some((body.key, Arc::clone(body.plain.as_ref()?))),
            None => None,
        };
        Some(Self {
            lane: record.lane(),
            entry: record.entry.clone(),
            leaf: record.leaf,
            body,
        })
    }

    /// Of an entry that has no body and is about no item.
    pub(crate) fn bare(entry: &[u8], leaf: Hash) -> Self {
        Self {
            lane: None,
            entry: entry.to_vec(),
            leaf,
            body: None,
        }
    }

    fn recorded(self, position: Position) -> Result<RecordedEntry, ReadError> {
        let entry = decoded(position, &self.entry)?;
        let (body_key, plain) = self.body.unzip();
        let opened = plain.map(|plain| plain.read()).transpose();
        let opened = opened.map_err(|error| ReadError::Tampered {
            position,
            found: error.to_string(),
        })?;
        let OpenedBody { body, bytes } = opened.unwrap_or_else(|| OpenedBody {
            body: Body::default(),
            bytes: 0,
        });
        Ok(RecordedEntry {
            position,
            lane: self.lane,
            entry,
            bytes: self.entry,
            leaf: self.leaf,
            body,
            body_key,
            body_bytes: bytes,
            is_erased: false,
        })
    }
}

impl Kind for AppendedRow {
    fn bytes(&self) -> usize {
        ROW_BYTES + self.entry.len() + self.body.as_ref().map_or(0, |(_, plain)| plain.bytes())
    }
}

/// Entries that follow a position.
#[derive(Debug)]
pub struct Continued {
    /// The entries, in order; none if there are none yet.
    pub entries: Vec<RecordedEntry>,
    /// Since then they may have been erased: reading them began then, or the append of the oldest.
    pub as_of: Instant,
    /// This process had appended them, and they were not read for it.
    pub is_handed_over: bool,
}

impl Ledger {
    /// The entries that follow from `from` on, at most `count_max`: what this process itself appended lately, or else what the ledger
    /// has there ([`Self::read_from`]).
    ///
    /// What was appended lately is handed over once: one reader in a process is meant. Who never reads on costs nothing.
    ///
    /// # Errors
    ///
    /// Postgres failed, or what is stored is not what was recorded.
    pub async fn read_on(&self, from: Position, count_max: u16) -> Result<Continued, ReadError> {
        match self.shared.tail.take(from, count_max, OPENED_BYTES_MAX) {
            Taken::Rows { rows, appended_at } => {
                let asked_at = Instant::now();
                let is_fresh = asked_at.duration_since(appended_at) < FRESH;
                let places = (from.0..).map(Position).take(rows.len());
                if !is_fresh && !self.ordered_now(places).await?.is_empty() {
                    let count = u16::try_from(rows.len()).unwrap_or(count_max);
                    return self.read_and_say_so(from, count).await;
                }
                let placed = (from.0..).map(Position).zip(rows);
                let entries = placed.map(|(position, row)| row.recorded(position));
                Ok(Continued {
                    entries: entries.collect::<Result<_, _>>()?,
                    as_of: if is_fresh { appended_at } else { asked_at },
                    is_handed_over: true,
                })
            }
            Taken::From(continues) => {
                self.read_and_say_so(from, count_before(from, continues, count_max))
                    .await
            }
        }
    }

    async fn read_and_say_so(&self, from: Position, count_max: u16) -> Result<Continued, ReadError> {
        let as_of = Instant::now();
        Ok(Continued {
            entries: self.read_from(from, count_max).await?,
            as_of,
            is_handed_over: false,
        })
    }
}

/// How many entries to read of `count_max`: none that a tail has.
pub(crate) fn count_before(from: Position, continues: Option<Position>, count_max: u16) -> u16 {
    let before = continues.map(|position| position.0.saturating_sub(from.0));
    let before = before.and_then(|count| u16::try_from(count).ok());
    before.map_or(count_max, |before| before.min(count_max))
}
