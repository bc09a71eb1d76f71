//! Entries as this process appended them, for its routes.
//!
//! # Invariants
//!
//! - They read exactly as [`Ledger::read_from`] would read them: from the bytes that were hashed and the text that was sealed.
//! - What waited here for half a second is not handed over if it was ordered to be erased meanwhile. Routes look for that themselves, for
//!   what was in memory for longer.
//! - They are kept as bytes. As trees they would take several times as much, for as long as they wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use weir_evidence::{Body, Hash, OpenedBody, PlainBody};
use weir_model::Position;

use super::{Taken, Weighed};
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

impl Weighed for AppendedRow {
    fn bytes(&self) -> usize {
        ROW_BYTES + self.entry.len() + self.body.as_ref().map_or(0, |(_, plain)| plain.bytes())
    }
}

/// Entries that follow a position.
#[derive(Debug)]
pub struct Continued {
    /// The entries, in order; none if there are none yet.
    pub entries: Vec<RecordedEntry>,
    /// Since then they may have been ordered to be erased: when reading them began, when it was asked about them, or when the append of
    /// the oldest began.
    pub as_of: Instant,
    /// How many of them this process had appended, and were not read for it.
    pub handed_over: usize,
}

impl Ledger {
    /// The entries that follow from `from` on, at most `count_max`: what this process itself appended lately, and what the ledger
    /// has beside that ([`Self::read_from`]). There may be more however few they are.
    ///
    /// What was appended lately is handed over once: one reader in a process is meant. Who never reads on costs nothing.
    ///
    /// # Errors
    ///
    /// Postgres failed, or what is stored is not what was recorded.
    pub async fn read_on(&self, from: Position, count_max: u16) -> Result<Continued, ReadError> {
        let mut page = Continued {
            entries: Vec::new(),
            as_of: Instant::now(),
            handed_over: 0,
        };
        let mut bytes = 0;
        while let Some(left) = left_of(count_max, page.entries.len())
            && bytes < OPENED_BYTES_MAX
        {
            let next = Position(from.0 + page.entries.len() as u64);
            let (entries, as_of, is_handed_over) = match self.shared.tail.take(next, left, OPENED_BYTES_MAX - bytes) {
                Taken::Rows { rows, appended_at } => self.handed_over(next, rows, appended_at).await?,
                // The end, as far as this process knows.
                Taken::From(None) if !page.entries.is_empty() => break,
                Taken::From(continues) => self.read_dated(next, count_before(next, continues, left)).await?,
            };
            if entries.is_empty() {
                break;
            }
            bytes += entries
                .iter()
                .map(|entry| entry.bytes.len() + entry.body_bytes)
                .sum::<usize>();
            page.as_of = page.as_of.min(as_of);
            page.handed_over += if is_handed_over { entries.len() } else { 0 };
            page.entries.extend(entries);
        }
        Ok(page)
    }

    /// Entries that were taken from the tail; or read, where what waited was ordered to be erased meanwhile.
    async fn handed_over(
        &self,
        first: Position,
        rows: Vec<AppendedRow>,
        appended_at: Instant,
    ) -> Result<(Vec<RecordedEntry>, Instant, bool), ReadError> {
        let asked_at = Instant::now();
        let is_fresh = asked_at.duration_since(appended_at) < FRESH;
        let places = (first.0..).map(Position).take(rows.len());
        if !is_fresh && !self.ordered_now(places).await?.is_empty() {
            let count = u16::try_from(rows.len()).unwrap_or(u16::MAX);
            return self.read_dated(first, count).await;
        }
        let placed = (first.0..).map(Position).zip(rows);
        let entries = placed.map(|(position, row)| row.recorded(position));
        let as_of = if is_fresh { appended_at } else { asked_at };
        Ok((entries.collect::<Result<_, _>>()?, as_of, true))
    }

    async fn read_dated(&self, first: Position, count: u16) -> Result<(Vec<RecordedEntry>, Instant, bool), ReadError> {
        let as_of = Instant::now();
        Ok((self.read_from(first, count).await?, as_of, false))
    }
}

/// How many of `count_max` are left, if any are.
pub(crate) fn left_of(count_max: u16, count: usize) -> Option<u16> {
    let left = usize::from(count_max).checked_sub(count)?;
    u16::try_from(left).ok().filter(|left| *left > 0)
}

/// How many entries to read of `count_max`: none that a tail has.
pub(crate) fn count_before(from: Position, continues: Option<Position>, count_max: u16) -> u16 {
    let before = continues.map(|position| position.0.saturating_sub(from.0));
    let before = before.and_then(|count| u16::try_from(count).ok());
    before.map_or(count_max, |before| before.min(count_max))
}
