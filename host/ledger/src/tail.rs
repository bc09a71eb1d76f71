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
pub(crate) use self::row::{AppendedRow, ROWS_BYTES_MAX};

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

/// What a taker does next.
pub(crate) enum Next<R> {
    /// These follow. They are here no more.
    Take {
        /// In order.
        rows: Vec<R>,
        /// When the append of the oldest began.
        appended_at: Instant,
    },
    /// So many entries are read: what follows is not here, or begins behind them.
    Read(u16),
    /// It has what it wants, or all that there is as far as this process knows.
    Nothing,
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

    /// What follows for a taker that wants `count_max` entries from `from` on and has `count` of them. What it takes now is one more
    /// than fits in `bytes_max`, at most.
    pub(crate) fn next(&self, from: Position, count: usize, count_max: u16, bytes_max: usize) -> Next<R> {
        let at = Position(from.0 + count as u64);
        let left = usize::from(count_max).saturating_sub(count);
        let mut kept = self.kept();
        kept.wanted_at = Some(Instant::now());
        kept.drop_old();
        while kept.rows.front().is_some_and(|first| first.position < at) {
            kept.drop_first();
        }
        if left == 0 || bytes_max == 0 {
            return Next::Nothing;
        }
        let Some(first) = kept.rows.front() else {
            return if count > 0 {
                Next::Nothing
            } else {
                Next::Read(count_max)
            };
        };
        let hole = usize::try_from(first.position.0 - at.0).unwrap_or(usize::MAX);
        if hole > 0 {
            return Next::Read(u16::try_from(hole.min(left)).unwrap_or(count_max));
        }
        let (rows, appended_at) = kept.take(at, left, bytes_max);
        Next::Take { rows, appended_at }
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

    /// The rows from `at` on, and when the append of the oldest began.
    fn take(&mut self, at: Position, count_max: usize, bytes_max: usize) -> (Vec<R>, Instant) {
        let (mut rows, mut bytes, mut oldest) = (Vec::new(), 0, Instant::now());
        for expected in (at.0..).take(count_max) {
            if bytes >= bytes_max || self.rows.front().is_none_or(|first| first.position.0 != expected) {
                break;
            }
            let Some(TailRow { appended_at, row, .. }) = self.drop_first() else {
                break;
            };
            bytes += row.bytes();
            oldest = oldest.min(appended_at);
            rows.push(row);
        }
        (rows, oldest)
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
