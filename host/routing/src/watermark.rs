//! How far a cursor may go while work behind it ends in any order.

use std::collections::BTreeMap;

/// Positions that were begun and are not done, and how far was looked.
#[derive(Debug, PartialEq, Eq)]
pub struct Watermark {
    /// Everything below was looked at.
    scanned: u64,
    /// Pieces of work that are not done, by position.
    open: BTreeMap<u64, usize>,
}

impl Watermark {
    /// Everything below `next` is done.
    #[must_use]
    pub fn new(next: u64) -> Self {
        Self {
            scanned: next,
            open: BTreeMap::new(),
        }
    }

    /// Everything below `next` was looked at, and what is to be done there has begun.
    pub fn scanned(&mut self, next: u64) {
        self.scanned = self.scanned.max(next);
    }

    /// A piece of work at a position has begun. There may be several.
    pub fn begun(&mut self, position: u64) {
        *self.open.entry(position).or_default() += 1;
    }

    /// A piece of work at a position is done.
    ///
    /// # Panics
    ///
    /// None was begun there.
    pub fn done(&mut self, position: u64) {
        let open = self.open.get_mut(&position).expect("what is done was begun");
        *open -= 1;
        if *open == 0 {
            self.open.remove(&position);
        }
    }

    /// Everything below this is done.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.open.first_key_value().map_or(self.scanned, |(first, _)| *first)
    }

    /// Where to look next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.scanned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stands_before_the_first_position_that_is_not_done() {
        let mut watermark = Watermark::new(10);
        assert_eq!(watermark.cursor(), 10);
        for position in [12, 12, 15] {
            watermark.begun(position);
        }
        watermark.scanned(20);
        assert_eq!(watermark.cursor(), 12);
        watermark.done(15);
        watermark.done(12);
        assert_eq!(watermark.cursor(), 12);
        watermark.done(12);
        assert_eq!((watermark.cursor(), watermark.next()), (20, 20));
    }
}
