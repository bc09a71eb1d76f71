//! What this process appended last, in memory, for whoever reads on at the ledger's end.
//!
//! ```text
//! append ── committed ──▶ the end, as it was appended ──▶ taken, if it continues exactly where its taker stands
//!                         full: the oldest is dropped     else its taker reads the ledger
//! ```
//!
//! A change that this process recorded need not be read from Postgres, opened and checked to be routed by this process.
//!
//! # Invariants
//!
//! - What is here is committed, and reads exactly as [`Ledger::read_from`] would read it: bodies with sets in order, entries decoded from
//!   the bytes that were hashed.
//! - Nobody waits for it. It is bounded in bytes and in time, and nothing is kept where nobody takes.
//! - Whoever takes from it gets every position up to where it ends, or nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use weir_evidence::{Body, Hash, OpenedBody};
use weir_model::Position;

use crate::append::SealedRecord;
use crate::read::{OPENED_BYTES_MAX, decoded};
use crate::{Ledger, ReadError, RecordedEntry};

/// Bytes of the bodies, at most. In memory they take several times as much.
const BYTES_MAX: usize = 4 << 20;

/// Nothing older is handed over, and who asked within this time takes.
const AGE_MAX: Duration = Duration::from_secs(10);

/// Entries that follow each other, as this process appended them.
#[derive(Debug)]
pub struct AppendedPage {
    /// The entries, in order.
    pub entries: Vec<RecordedEntry>,
    /// When their append began: what was to be erased before is not among them.
    pub appended_at: Instant,
}

#[derive(Default)]
pub(crate) struct Tail {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// In order of their positions, with holes where others appended.
    rows: VecDeque<TailRow>,
    bytes: usize,
    wanted_at: Option<Instant>,
}

struct TailRow {
    position: Position,
    appended_at: Instant,
    row: AppendedRow,
}

/// A row as it was appended.
pub(crate) struct AppendedRow {
    lane: Option<u8>,
    entry: Vec<u8>,
    leaf: Hash,
    body: Option<(i64, Arc<OpenedBody>)>,
}

impl AppendedRow {
    /// `None` if nobody knows what its body says.
    pub(crate) fn of(record: &SealedRecord) -> Option<Self> {
        let body = match &record.body {
            Some(body) => Some((body.key, Arc::clone(body.opened.as_ref()?))),
            None => None,
        };
        Some(Self {
            lane: record.lane,
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

    fn bytes(&self) -> usize {
        self.entry.len() + self.body.as_ref().map_or(0, |(_, opened)| opened.bytes)
    }
}

impl Tail {
    /// Whether anybody takes. Nothing is kept where nobody does.
    pub(crate) fn is_wanted(&self) -> bool {
        let mut kept = self.kept();
        let is_wanted = kept.wanted_at.is_some_and(|wanted_at| wanted_at.elapsed() < AGE_MAX);
        if !is_wanted {
            kept.rows = VecDeque::new();
            kept.bytes = 0;
        }
        is_wanted
    }

    /// Offers what was committed from `first` on.
    pub(crate) fn offer(&self, first: Position, rows: Vec<AppendedRow>, appended_at: Instant) {
        let mut kept = self.kept();
        kept.bytes += rows.iter().map(AppendedRow::bytes).sum::<usize>();
        let placed = (first.0..).map(Position).zip(rows);
        kept.rows.extend(placed.map(|(position, row)| TailRow {
            position,
            appended_at,
            row,
        }));
        while let Some(first) = kept.rows.front()
            && (kept.bytes > BYTES_MAX || first.appended_at.elapsed() > AGE_MAX)
        {
            kept.drop_first();
        }
    }

    /// The rows from `from` on that follow each other, at most `count_max`. They are here no more.
    fn take(&self, from: Position, count_max: u16) -> Vec<TailRow> {
        let mut kept = self.kept();
        kept.wanted_at = Some(Instant::now());
        while let Some(first) = kept.rows.front()
            && (first.position < from || first.appended_at.elapsed() > AGE_MAX)
        {
            kept.drop_first();
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        let mut expected = from;
        while taken.len() < usize::from(count_max)
            && bytes < OPENED_BYTES_MAX
            && kept.rows.front().is_some_and(|first| first.position == expected)
        {
            expected = Position(expected.0 + 1);
            let Some(row) = kept.drop_first() else { break };
            bytes += row.row.bytes();
            taken.push(row);
        }
        taken
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn drop_first(&mut self) -> Option<TailRow> {
        let first = self.rows.pop_front()?;
        self.bytes -= first.row.bytes();
        Some(first)
    }
}

impl Ledger {
    /// Takes what this process itself appended from `from` on, at most `count_max` entries, if it was the last to append and
    /// that is not long ago. `None` where it has to be read ([`Self::read_from`]).
    ///
    /// What was taken is not handed over again, to anybody: one taker in a process is meant. Who never takes costs nothing.
    ///
    /// # Errors
    ///
    /// An entry cannot be read back, which no entry was appended with.
    pub fn take_appended(&self, from: Position, count_max: u16) -> Result<Option<AppendedPage>, ReadError> {
        let rows = self.shared.tail.take(from, count_max);
        let Some(appended_at) = rows.iter().map(|row| row.appended_at).min() else {
            return Ok(None);
        };
        let entries = rows.into_iter().map(TailRow::recorded).collect::<Result<_, _>>()?;
        Ok(Some(AppendedPage { entries, appended_at }))
    }
}

impl TailRow {
    fn recorded(self) -> Result<RecordedEntry, ReadError> {
        let Self { position, row, .. } = self;
        let entry = decoded(position, &row.entry)?;
        let (body_key, opened) = row.body.unzip();
        let opened = opened.map_or_else(
            || OpenedBody {
                body: Body::default(),
                bytes: 0,
            },
            Arc::unwrap_or_clone,
        );
        Ok(RecordedEntry {
            position,
            lane: row.lane,
            entry,
            bytes: row.entry,
            leaf: row.leaf,
            body: opened.body,
            body_key,
            body_bytes: opened.bytes,
            is_erased: false,
        })
    }
}
