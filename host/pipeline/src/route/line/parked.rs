//! What is parked at a sink, by item, and when it is made again.
//!
//! ```text
//! unwritten ──▶ written ──▶ listed by when it is due ──▶ asked for ──▶ in memory ──▶ gone, or listed again
//! ```
//!
//! # Invariants
//!
//! - An item stands in the list once, and only while none of its deliveries is in memory or on its way there, and none that is not
//!   written down yet stands before those that are.
//! - Counts are those of the rows that are known to be there.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use weir_ledger::TokenBytes;

use crate::route::reader::PARKED_OF_ITEM_MAX;

/// Items that are asked for at a time, at most.
const ITEMS_AT_A_TIME: usize = 25;

/// The items of which something is parked.
#[derive(Default)]
pub(super) struct ParkedItems {
    queues: HashMap<TokenBytes, Queue>,
    /// Items whose first delivery is neither in memory nor on its way there, by when it is due.
    due: BTreeSet<(Duration, TokenBytes)>,
    /// Deliveries that are in memory, and beyond how many no more are asked for.
    in_memory: usize,
    in_memory_max: usize,
    /// So many items are asked for one at a time.
    doubted: usize,
}

/// What is parked of one item.
#[derive(Default)]
struct Queue {
    /// Deliveries that are written down.
    written: usize,
    /// Deliveries that are not yet.
    unwritten: usize,
    /// Deliveries, of those that are written down, that are in memory.
    in_memory: usize,
    /// Before all of them one is under way that is not parked.
    is_behind: bool,
    /// So many have to be written down before any is asked for: one of them stands before all that were.
    to_write: usize,
    /// How much the sink had accepted when it asked to be left alone with the first of them.
    away_at: Option<u64>,
    /// Whether some are on their way into memory, and how many were written down when they were asked for.
    is_asked_for: bool,
    written_then: usize,
    /// When the first of them may be sent.
    due: Duration,
    /// When that is, as it stands in the list.
    listed: Option<Duration>,
}

impl ParkedItems {
    /// No more are asked for while so many are in memory.
    pub(super) fn new(in_memory_max: usize) -> Self {
        Self {
            in_memory_max,
            ..Self::default()
        }
    }

    /// So many deliveries of an item were written down before.
    pub(super) fn know(&mut self, token: TokenBytes, count: usize, due: Duration) {
        let queue = self.queues.entry(token).or_default();
        queue.written = count;
        queue.due = due;
        self.look_after(token);
    }

    /// Whether anything is parked of an item.
    pub(super) fn holds(&self, token: &TokenBytes) -> bool {
        self.queues.contains_key(token)
    }

    /// One more of an item that has something parked.
    pub(super) fn follow(&mut self, token: TokenBytes) {
        self.queues.entry(token).or_default().unwritten += 1;
    }

    /// So many of an item, of which the first is due then.
    pub(super) fn park(&mut self, token: TokenBytes, count: usize, due: Duration) {
        let queue = self.queues.entry(token).or_default();
        queue.unwritten += count;
        queue.due = due;
        self.look_after(token);
    }

    /// One is under way that is not parked, before all that is of its item. Nothing of that comes into memory until it is done.
    pub(super) fn stand_behind(&mut self, token: TokenBytes) {
        if let Some(queue) = self.queues.get_mut(&token) {
            // Where something is in memory, it is that.
            queue.is_behind = queue.in_memory == 0;
            self.look_after(token);
        }
    }

    /// What was under way before all of its item is parked now, and comes first once it is written down.
    pub(super) fn first_is_parked(&mut self, token: TokenBytes) {
        if let Some(queue) = self.queues.get_mut(&token)
            && std::mem::take(&mut queue.is_behind)
        {
            queue.to_write = queue.unwritten;
            self.look_after(token);
        }
    }

    /// What was under way and not parked is done.
    pub(super) fn first_is_done(&mut self, token: TokenBytes) {
        if let Some(queue) = self.queues.get_mut(&token) {
            queue.is_behind = false;
            self.look_after(token);
        }
    }

    /// One that was parked is written down now.
    pub(super) fn written(&mut self, token: TokenBytes) {
        if let Some(queue) = self.queues.get_mut(&token) {
            queue.unwritten -= 1;
            queue.written += 1;
            queue.to_write = queue.to_write.saturating_sub(1);
            self.look_after(token);
        }
    }

    /// One more, due at once, and written down already.
    pub(super) fn redriven(&mut self, token: TokenBytes) {
        let queue = self.queues.entry(token).or_default();
        queue.written += 1;
        queue.due = Duration::ZERO;
        self.look_after(token);
    }

    /// When the first is due, if any may be asked for.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let first = self.due.first().map(|(due, _)| *due);
        first.filter(|_| self.in_memory < self.in_memory_max)
    }

    /// Items whose first delivery is due, as many as there is room for. They are on their way into memory.
    pub(super) fn ask(&mut self, now: Duration) -> Vec<TokenBytes> {
        let mut asked = Vec::new();
        let at_a_time = if self.doubted > 0 { 1 } else { ITEMS_AT_A_TIME };
        let mut room = self.in_memory_max.saturating_sub(self.in_memory);
        while asked.len() < at_a_time
            && room > 0
            && self.next_due().is_some_and(|due| due <= now)
            && let Some((_, token)) = self.due.pop_first()
        {
            if let Some(queue) = self.queues.get_mut(&token) {
                queue.listed = None;
                queue.is_asked_for = true;
                queue.written_then = queue.written;
                room = room.saturating_sub(queue.written.min(PARKED_OF_ITEM_MAX.into()));
                asked.push(token);
            }
        }
        self.doubted = self.doubted.saturating_sub(asked.len());
        asked
    }

    /// Items that were asked for could not be had. They are asked for one at a time, from `due` on.
    pub(super) fn doubt(&mut self, items: &[TokenBytes], due: Duration) {
        self.doubted = self.doubted.max(items.len());
        for token in items {
            self.answered(*token, due);
        }
    }

    /// So many deliveries of an item that was asked for were found. Says how many are known to be written down, and how many
    /// were thought to be and are not: that is corrected.
    pub(super) fn found(&mut self, token: TokenBytes, count: usize) -> (usize, usize) {
        let Some(queue) = self.queues.get_mut(&token) else {
            return (0, 0);
        };
        let is_short = count < queue.written_then.min(usize::from(PARKED_OF_ITEM_MAX));
        let missing = if is_short { queue.written_then - count } else { 0 };
        queue.written = queue.written.saturating_sub(missing);
        let written = queue.written;
        self.remove_if_empty(token);
        (written, missing)
    }

    /// One came into memory.
    pub(super) fn enters_memory(&mut self, token: TokenBytes) {
        if let Some(queue) = self.queues.get_mut(&token) {
            queue.in_memory += 1;
            self.in_memory += 1;
        }
    }

    /// Whatever was asked for of an item is in memory, or not to be had before `due`.
    pub(super) fn answered(&mut self, token: TokenBytes, due: Duration) {
        if let Some(queue) = self.queues.get_mut(&token) {
            queue.is_asked_for = false;
            queue.due = queue.due.max(due);
            self.look_after(token);
        }
    }

    /// So many left memory, and are parked still.
    pub(super) fn leave_memory(&mut self, token: TokenBytes, count: usize) {
        if let Some(queue) = self.queues.get_mut(&token) {
            queue.in_memory -= count;
            self.in_memory -= count;
            self.look_after(token);
        }
    }

    /// The first of an item is due then.
    pub(super) fn wait(&mut self, token: TokenBytes, due: Duration) {
        if let Some(queue) = self.queues.get_mut(&token) {
            queue.due = due;
            self.look_after(token);
        }
    }

    /// The sink, which had accepted so much, asked to be left alone with the first of an item.
    pub(super) fn was_away(&mut self, token: TokenBytes, accepted: u64) {
        if let Some(queue) = self.queues.get_mut(&token) {
            queue.away_at = Some(accepted);
        }
    }

    /// How much the sink had accepted when it did. Only the first that comes into memory is the one that it asked about.
    pub(super) fn take_away_at(&mut self, token: TokenBytes) -> Option<u64> {
        self.queues.get_mut(&token)?.away_at.take()
    }

    /// One of an item that is in memory is parked no more. Whatever stands behind it may go at once.
    pub(super) fn done_in_memory(&mut self, token: TokenBytes) {
        if let Some(queue) = self.queues.get_mut(&token) {
            queue.in_memory -= 1;
            self.in_memory -= 1;
        }
        self.done(token);
    }

    /// One of an item is parked no more. Whatever stands behind it may go at once.
    pub(super) fn done(&mut self, token: TokenBytes) {
        if let Some(queue) = self.queues.get_mut(&token) {
            queue.written -= 1;
            queue.due = Duration::ZERO;
            queue.away_at = None;
            self.remove_if_empty(token);
            self.look_after(token);
        }
    }

    fn remove_if_empty(&mut self, token: TokenBytes) {
        let is_empty = |queue: &Queue| queue.written + queue.unwritten == 0;
        if self.queues.get(&token).is_some_and(is_empty)
            && let Some(listed) = self.queues.remove(&token).and_then(|queue| queue.listed)
        {
            self.due.remove(&(listed, token));
        }
    }

    /// Lists an item by when it is due, unless it is under way.
    fn look_after(&mut self, token: TokenBytes) {
        let Some(queue) = self.queues.get_mut(&token) else {
            return;
        };
        let is_held = queue.in_memory > 0 || queue.is_asked_for || queue.is_behind || queue.to_write > 0;
        let waits = queue.written > 0 && !is_held;
        let due = waits.then_some(queue.due);
        if queue.listed == due {
            return;
        }
        if let Some(listed) = queue.listed {
            self.due.remove(&(listed, token));
        }
        if let Some(due) = due {
            self.due.insert((due, token));
        }
        queue.listed = due;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TokenBytes = [1; 16];
    const B: TokenBytes = [2; 16];

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_item_is_asked_for_once_when_it_is_due_and_again_when_what_came_is_done() {
        let mut items = ParkedItems::new(500);
        items.know(A, 3, at(10));
        assert!(items.ask(at(9)).is_empty());
        assert_eq!(items.ask(at(10)), [A]);
        assert!(items.ask(at(99)).is_empty(), "it is on its way");
        assert_eq!(items.found(A, 2), (2, 1), "one of them was not there");
        items.enters_memory(A);
        items.enters_memory(A);
        items.answered(A, at(0));
        items.done_in_memory(A);
        assert!(items.ask(at(99)).is_empty(), "one is in memory");
        items.done_in_memory(A);
        assert!(!items.holds(&A));
    }

    #[test]
    fn what_becomes_due_earlier_is_listed_once() {
        let mut items = ParkedItems::new(500);
        items.know(A, 1, at(100));
        items.redriven(A);
        assert_eq!(items.ask(at(200)), [A]);
        assert_eq!(items.found(A, 2), (2, 0));
    }

    #[test]
    fn what_is_not_written_down_is_not_asked_for() {
        let mut items = ParkedItems::new(500);
        items.park(A, 2, at(5));
        items.follow(A);
        items.know(B, 1, at(7));
        assert_eq!(items.ask(at(9)), [B]);
        items.written(A);
        assert_eq!(items.ask(at(9)), [A]);
        // Another was written down meanwhile: it may have been found or not.
        items.written(A);
        assert_eq!(items.found(A, 1), (2, 0));
        items.enters_memory(A);
        items.leave_memory(A, 1);
        items.wait(A, at(20));
        items.answered(A, at(0));
        assert_eq!(items.next_due(), Some(at(20)));
    }

    #[test]
    fn what_stands_behind_one_under_way_is_asked_for_when_that_is_done() {
        let mut items = ParkedItems::new(500);
        items.park(A, 1, at(0));
        items.written(A);
        items.stand_behind(A);
        items.redriven(A);
        assert!(items.ask(at(9)).is_empty());
        items.first_is_done(A);
        assert_eq!(items.ask(at(9)), [A]);
        items.enters_memory(A);
        items.answered(A, at(0));
        items.stand_behind(A);
        items.leave_memory(A, 1);
        assert_eq!(items.ask(at(9)), [A], "what was before it was one of them");
    }

    #[test]
    fn what_was_under_way_and_is_parked_comes_first_once_it_is_written_down() {
        let mut items = ParkedItems::new(500);
        items.park(A, 1, at(0));
        items.written(A);
        items.stand_behind(A);
        items.park(A, 1, at(0));
        items.first_is_parked(A);
        items.follow(A);
        assert!(items.ask(at(9)).is_empty());
        items.written(A);
        assert_eq!(items.ask(at(9)), [A]);
    }

    #[test]
    fn no_more_are_asked_for_than_there_is_room_for() {
        let mut items = ParkedItems::new(25);
        items.know(A, 100, at(0));
        items.know(B, 3, at(1));
        items.know([3; 16], 9, at(2));
        items.know([4; 16], 9, at(3));
        assert_eq!(items.ask(at(9)), [A, B, [3; 16]]);
    }

    #[test]
    fn what_cannot_be_had_is_asked_for_later_and_one_at_a_time() {
        const C: TokenBytes = [3; 16];
        let mut items = ParkedItems::new(500);
        items.know(A, 1, at(0));
        items.know(B, 1, at(0));
        items.know(C, 1, at(1));
        assert_eq!(items.ask(at(0)), [A, B]);
        items.doubt(&[A, B], at(30));
        assert_eq!(items.ask(at(29)), [C]);
        assert_eq!(items.ask(at(30)), [A]);
        items.doubt(&[A], at(60));
        assert_eq!(items.ask(at(60)), [B]);
        assert_eq!(items.ask(at(60)), [A]);
    }
}
