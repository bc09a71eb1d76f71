//! What this process appended last, in memory, for those who read on at the ledger's end: routes and the index.
//!
//! ```text
//! append ── committed ──▶ a tail, as it was appended ──▶ taken, if it continues exactly where its taker stands
//!                         full: what comes is left out   else its taker reads the ledger, up to where the tail continues
//! ```
//!
//! A change that this process recorded need not be read from Postgres, opened and checked to be routed by this process. Where more is
//! recorded than routed, the tail keeps what is taken next, and not what came last: a taker that lags takes from it again and
//! again.
//!
//! # Invariants
//!
//! - What is here is committed, and reads exactly as the ledger would read.
//! - Nobody waits for it. It is bounded in bytes and in time, and nothing is kept where nobody takes.
//! - Whoever takes from it gets every position up to where it ends, or nothing.

mod row;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use weir_model::Position;

pub use self::row::Continued;
pub(crate) use self::row::{AppendedRow, ROWS_BYTES_MAX, count_before};

/// Nothing older is handed over, and who asked within this time takes.
const AGE_MAX: Duration = Duration::from_secs(10);

/// What one taker is to have of the entries that this process appends.
pub(crate) struct Tail<R> {
    /// Bytes of all that is kept, at most.
    bytes_max: usize,
    kept: Mutex<Kept<R>>,
}

/// What is kept of one entry.
pub(crate) trait Kind {
    /// What it takes in memory.
    fn bytes(&self) -> usize;
}

struct Kept<R> {
    /// In order of their positions, with holes where others appended and where it was full.
    rows: VecDeque<TailRow<R>>,
    bytes: usize,
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

impl<R: Kind> Tail<R> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            kept: Mutex::new(Kept {
                rows: VecDeque::new(),
                bytes: 0,
                wanted_at: None,
            }),
        }
    }

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

    /// Offers what was committed from `first` on, as far as there is room.
    pub(crate) fn offer(&self, first: Position, rows: impl Iterator<Item = R>, appended_at: Instant) {
        let mut kept = self.kept();
        kept.drop_old();
        for (position, row) in (first.0..).map(Position).zip(rows) {
            let bytes = kept.bytes + row.bytes();
            if bytes > self.bytes_max {
                break;
            }
            kept.bytes = bytes;
            kept.rows.push_back(TailRow {
                position,
                appended_at,
                row,
            });
        }
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

    fn kept(&self) -> MutexGuard<'_, Kept<R>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Kind> Kept<R> {
    fn drop_first(&mut self) -> Option<TailRow<R>> {
        let first = self.rows.pop_front()?;
        self.bytes -= first.row.bytes();
        Some(first)
    }

    fn drop_old(&mut self) {
        while let Some(first) = self.rows.front()
            && first.appended_at.elapsed() > AGE_MAX
        {
            self.drop_first();
        }
    }
}
