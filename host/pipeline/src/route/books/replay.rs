//! How far a replay has come: a range that the route runs through once more, beside what is new.

use weir_ledger::{Replay, Replayed};
use weir_model::Position;
use weir_routing::Watermark;

/// Keeps account of one replay.
pub(super) struct ReplayBooks {
    pub(super) order: Replay,
    watermark: Watermark,
    /// Deliveries of it in memory.
    pub(super) open: usize,
    /// As far as it is written down.
    written: Position,
}

impl ReplayBooks {
    pub(super) fn new(order: Replay) -> Self {
        Self {
            watermark: Watermark::new(order.next.0),
            open: 0,
            written: order.next,
            order,
        }
    }

    /// Everything below `next` was decided about.
    pub(super) fn scanned(&mut self, next: Position) {
        self.watermark.scanned(next.0);
    }

    pub(super) fn begun(&mut self, position: Position) {
        self.open += 1;
        self.watermark.begun(position.0);
    }

    pub(super) fn done(&mut self, position: Position) {
        self.open -= 1;
        self.watermark.done(position.0);
    }

    /// Where to read on; `None` at its end.
    pub(super) fn next(&self) -> Option<Position> {
        Some(Position(self.watermark.next())).filter(|next| *next < self.order.until)
    }

    /// Positions that were read and are not done.
    pub(super) fn ahead(&self) -> u64 {
        self.watermark.next().saturating_sub(self.watermark.cursor())
    }

    /// What has to be written down of it.
    pub(super) fn moved(&self) -> Option<Replayed> {
        let next = Position(self.watermark.cursor());
        (next > self.written).then_some(Replayed {
            ordered_at: self.order.ordered_at,
            next,
        })
    }

    /// So much is written down. Says whether that was all.
    pub(super) fn written(&mut self, replayed: Replayed) -> bool {
        self.written = replayed.next;
        self.written >= self.order.until
    }
}
