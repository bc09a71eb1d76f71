//! What this process appended last, in memory, for those who read on at the ledger's end: routes and the index.
//!
//! ```text
//! append ── committed ──▶ a tail, as it was appended ──▶ taken, if it continues exactly where its taker stands
//!                         full: what comes is left out   else its taker reads the ledger, up to where the tail continues
//! ```
//!
//! A change that this process recorded need not be read from Postgres, opened and checked to be routed by this process. Where more is
//! recorded than routed, the tail keeps what is taken next, and not what came last: a taker that lags takes from it again and
//! again. Once it was full it takes nothing before half of it is free, so that what it has are long runs.
//!
//! # Invariants
//!
//! - What is here is committed, and reads exactly as the ledger would read.
//! - Nobody waits for it. It is bounded in bytes, and in time while its process beats ([`Ledger::beat`](crate::Ledger::beat));
//!   nothing is kept where nobody takes.
//! - Whoever takes from it gets every position up to where it ends, or nothing.

mod row;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use weir_model::Position;

pub use self::row::Continued;
pub(crate) use self::row::{AppendedRow, ROWS_BYTES_MAX, count_before, left_of};

/// Nothing older is handed over, and who asked within this time takes.
const AGE_MAX: Duration = Duration::from_secs(10);

/// What one taker is to have of the entries that this process appends.
pub(crate) struct Tail<R> {
    /// Bytes of all that is kept, at most.
    bytes_max: usize,
    kept: Mutex<Kept<R>>,
}

/// What is kept of one entry.
pub(crate) trait Weighed {
    /// What it takes in memory.
    fn bytes(&self) -> usize;
}

struct Kept<R> {
    /// In order of their positions, with holes: what others appended, what was left out, what this process has no text of.
    rows: VecDeque<TailRow<R>>,
    bytes: usize,
    /// Something was left out, and half of it is not free yet.
    is_full: bool,
    wanted_at: Option<Instant>,
}

struct TailRow<R> {
    position: Position,
    appended_at: Instant,
    row: R,
}

/// What a tail has for its taker.
pub(crate) enum Taken<R> {
    /// Everything from where the taker stands up to somewhere. It is here no more.
    Rows {
        /// In order.
        rows: Vec<R>,
        /// When the append of the oldest began.
        appended_at: Instant,
    },
    /// Nothing from there on; but perhaps from this position on.
    From(Option<Position>),
}

impl<R: Weighed> Tail<R> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            kept: Mutex::new(Kept {
                rows: VecDeque::new(),
                bytes: 0,
                is_full: false,
                wanted_at: None,
            }),
        }
    }

    /// Offers what was committed from `first` on, as far as there is room. Nothing is kept where nobody takes.
    pub(crate) fn offer(&self, first: Position, rows: impl Iterator<Item = R>, appended_at: Instant) {
        let Some(mut room) = self.room(first) else { return };
        // Made while nobody waits for it.
        let mut is_full = false;
        let fits = |row: &R| {
            let left = room.checked_sub(row.bytes());
            is_full = left.is_none();
            room = left.unwrap_or(0);
            !is_full
        };
        let rows: Vec<R> = rows.take_while(fits).collect();
        let mut kept = self.kept();
        kept.bytes += rows.iter().map(R::bytes).sum::<usize>();
        kept.is_full = is_full;
        let placed = (first.0..).map(Position).zip(rows);
        kept.rows.extend(placed.map(|(position, row)| TailRow {
            position,
            appended_at,
            row,
        }));
    }

    /// Bytes that are free for what begins at `first`.
    fn room(&self, first: Position) -> Option<usize> {
        let mut kept = self.kept();
        kept.drop_old();
        // The ledger was put back to an earlier state: what is here is not in it.
        if kept.rows.back().is_some_and(|last| first <= last.position) {
            kept.clear();
        }
        kept.is_full &= kept.bytes > self.bytes_max / 2;
        (kept.is_wanted() && !kept.is_full).then(|| self.bytes_max - kept.bytes)
    }

    /// Takes the rows from `from` on that follow each other: at most `count_max`, and one more than fit in `bytes_max`.
    pub(crate) fn take(&self, from: Position, count_max: u16, bytes_max: usize) -> Taken<R> {
        let mut kept = self.kept();
        kept.wanted_at = Some(Instant::now());
        kept.drop_old();
        while kept.rows.front().is_some_and(|first| first.position < from) {
            kept.drop_first();
        }
        let (mut rows, mut bytes, mut oldest) = (Vec::new(), 0, None);
        for expected in (from.0..).map(Position).take(usize::from(count_max)) {
            if bytes >= bytes_max || kept.rows.front().is_none_or(|first| first.position != expected) {
                break;
            }
            let Some(TailRow { appended_at, row, .. }) = kept.drop_first() else {
                break;
            };
            bytes += row.bytes();
            oldest = Some(oldest.map_or(appended_at, |oldest: Instant| oldest.min(appended_at)));
            rows.push(row);
        }
        match oldest {
            Some(appended_at) => Taken::Rows { rows, appended_at },
            None => Taken::From(kept.rows.front().map(|first| first.position)),
        }
    }

    /// Drops what nobody will take.
    pub(crate) fn tidy(&self) {
        self.kept().drop_old();
    }

    fn kept(&self) -> MutexGuard<'_, Kept<R>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Weighed> Kept<R> {
    fn is_wanted(&self) -> bool {
        self.wanted_at.is_some_and(|wanted_at| wanted_at.elapsed() < AGE_MAX)
    }

    fn drop_first(&mut self) -> Option<TailRow<R>> {
        let first = self.rows.pop_front()?;
        self.bytes -= first.row.bytes();
        Some(first)
    }

    fn drop_old(&mut self) {
        if !self.is_wanted() {
            self.clear();
        }
        while self
            .rows
            .front()
            .is_some_and(|first| first.appended_at.elapsed() > AGE_MAX)
        {
            self.drop_first();
        }
    }

    fn clear(&mut self) {
        self.rows = VecDeque::new();
        self.bytes = 0;
    }
}
