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

use super::{Next, Weighed};
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
        loop {
            let (count, room) = (page.entries.len(), OPENED_BYTES_MAX.saturating_sub(page.bytes()));
            let at = Position(from.0 + count as u64);
            match self.shared.rows.next(from, count, count_max, room) {
                Next::Take { rows, appended_at } => page.add(self.handed_over(at, rows, appended_at).await?),
                Next::Read(count) => {
                    let read = self.read_now(at, count).await?;
                    let is_short = read.entries.len() < usize::from(count);
                    page.add(read);
                    if is_short {
                        return Ok(page);
                    }
                }
                Next::Nothing => return Ok(page),
            }
        }
    }

    /// As [`Self::read_on`], without what would be handed over: for who looks on beside those who read on.
    ///
    /// # Errors
    ///
    /// As for [`Self::read_from`].
    pub async fn read_now(&self, from: Position, count_max: u16) -> Result<Continued, ReadError> {
        let as_of = Instant::now();
        Ok(Continued {
            entries: self.read_from(from, count_max).await?,
            as_of,
            handed_over: 0,
        })
    }

    /// What was taken from the tail; or read, where what waited was ordered to be erased meanwhile.
    async fn handed_over(
        &self,
        first: Position,
        rows: Vec<AppendedRow>,
        appended_at: Instant,
    ) -> Result<Continued, ReadError> {
        let asked_at = Instant::now();
        let is_fresh = asked_at.duration_since(appended_at) < FRESH;
        let places = (first.0..).map(Position).take(rows.len());
        if !is_fresh && !self.ordered_now(places).await?.is_empty() {
            let count = u16::try_from(rows.len()).unwrap_or(u16::MAX);
            return self.read_now(first, count).await;
        }
        let handed_over = rows.len();
        let placed = (first.0..).map(Position).zip(rows);
        let entries = placed.map(|(position, row)| row.recorded(position));
        Ok(Continued {
            entries: entries.collect::<Result<_, _>>()?,
            as_of: if is_fresh { appended_at } else { asked_at },
            handed_over,
        })
    }
}

impl Continued {
    fn add(&mut self, following: Self) {
        self.as_of = self.as_of.min(following.as_of);
        self.handed_over += following.handed_over;
        self.entries.extend(following.entries);
    }

    fn bytes(&self) -> usize {
        self.entries
            .iter()
            .map(|entry| entry.bytes.len() + entry.body_bytes)
            .sum()
    }
}
