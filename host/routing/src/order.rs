//! Order by key: which deliveries may be attempted now.
//!
//! Deliveries of one key go one after the other, each only once the one before it is settled. Keys do not wait for each
//! other: a delivery that is waiting for its next attempt holds back its own key and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// The deliveries to one sink that are in memory: pushed in order, settled in any.
///
/// Times are durations since a moment that the caller chose.
#[derive(Debug)]
pub struct Outbox<Key, Delivery> {
    queued: BTreeMap<Ticket, Queued<Key, Delivery>>,
    /// Unsettled deliveries by key, in order. Only the first of each may be attempted.
    by_key: HashMap<Key, VecDeque<Ticket>>,
    /// Firsts of their key that may be attempted at once, by turn: one that failed goes behind all that was there then.
    ready: BTreeSet<(u64, Ticket)>,
    /// Firsts of their key that wait for their next attempt.
    waiting: BTreeSet<(Duration, Ticket)>,
    pushed: u64,
    bytes: usize,
}

/// A delivery's place in an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Queued<Key, Delivery> {
    key: Key,
    bytes: usize,
    delivery: Delivery,
}

/// What one request to a sink may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Deliveries.
    pub deliveries_max: usize,
    /// Bytes of them together. A single larger delivery travels alone, and the sink says what it thinks of it.
    pub bytes_max: usize,
}

impl<Key: Clone + Eq + Hash, Delivery> Outbox<Key, Delivery> {
    /// Nothing is to be sent.
    #[must_use]
    pub fn new() -> Self {
        Self {
            queued: BTreeMap::new(),
            by_key: HashMap::new(),
            ready: BTreeSet::new(),
            waiting: BTreeSet::new(),
            pushed: 0,
            bytes: 0,
        }
    }

    /// Puts a delivery behind everything of its key.
    pub fn push(&mut self, key: Key, bytes: usize, delivery: Delivery) {
        let ticket = Ticket(self.pushed);
        self.pushed += 1;
        self.bytes += bytes;
        let queue = self.by_key.entry(key.clone()).or_default();
        if queue.is_empty() {
            self.ready.insert((ticket.0, ticket));
        }
        queue.push_back(ticket);
        self.queued.insert(ticket, Queued { key, bytes, delivery });
    }

    /// Takes deliveries for one request, at most one of each key. Empty if none may go now.
    pub fn take(&mut self, now: Duration, limits: RequestLimits) -> Vec<Ticket> {
        self.wake(now);
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some((_, ticket)) = self.ready.first().copied() {
            let size = self.queued[&ticket].bytes;
            if taken.len() >= limits.deliveries_max || (!taken.is_empty() && bytes + size > limits.bytes_max) {
                break;
            }
            self.ready.pop_first();
            bytes += size;
            taken.push(ticket);
        }
        taken
    }

    /// How many deliveries could be taken now.
    pub fn ready(&mut self, now: Duration) -> usize {
        self.wake(now);
        self.ready.len()
    }

    /// How many deliveries [`Outbox::take`] would take now.
    pub fn fitting(&mut self, now: Duration, limits: RequestLimits) -> usize {
        self.wake(now);
        let mut bytes = 0;
        let sizes = self.ready.iter().map(|(_, ticket)| self.queued[ticket].bytes);
        let fits = sizes.take(limits.deliveries_max).take_while(|size| {
            bytes += size;
            bytes == *size || bytes <= limits.bytes_max
        });
        fits.count()
    }

    /// What is known of a delivery.
    ///
    /// # Panics
    ///
    /// It was settled or withdrawn.
    pub fn get_mut(&mut self, ticket: Ticket) -> &mut Delivery {
        let queued = self.queued.get_mut(&ticket);
        &mut queued.expect("a ticket is of a delivery that is not settled").delivery
    }

    /// A delivery that was taken is done: accepted, or given up. The next of its key may go.
    ///
    /// # Panics
    ///
    /// It was settled or withdrawn.
    pub fn settle(&mut self, ticket: Ticket) -> Delivery {
        let settled = self.remove(ticket);
        let queue = self
            .by_key
            .get_mut(&settled.key)
            .expect("an unsettled delivery is in the queue of its key");
        assert_eq!(queue.pop_front(), Some(ticket), "only the first of a key is ever taken");
        match queue.front() {
            Some(next) => {
                self.ready.insert((next.0, *next));
            }
            None => {
                self.by_key.remove(&settled.key);
            }
        }
        settled.delivery
    }

    /// A delivery that was taken failed, and may be attempted again at `due`.
    pub fn retry_at(&mut self, ticket: Ticket, due: Duration) {
        self.waiting.insert((due, ticket));
    }

    /// A delivery that was taken failed: it goes out of here, and with it all that stands behind it. The order is kept.
    ///
    /// # Panics
    ///
    /// It was settled or withdrawn.
    pub fn withdraw(&mut self, ticket: Ticket) -> Vec<Delivery> {
        let key = self.queued[&ticket].key.clone();
        let queue = self.by_key.remove(&key);
        let queue = queue.expect("an unsettled delivery is in the queue of its key");
        assert_eq!(queue.front(), Some(&ticket), "only the first of a key is ever taken");
        queue.into_iter().map(|ticket| self.remove(ticket).delivery).collect()
    }

    /// Everything of a key goes out of here, but its first if that is under way. The order is kept.
    pub fn withdraw_idle(&mut self, key: &Key) -> Vec<Delivery> {
        let Some(first) = self.by_key.get(key).and_then(|queue| queue.front()).copied() else {
            return Vec::new();
        };
        let idle = self.ready.len() + self.waiting.len();
        self.ready.retain(|(_, ready)| *ready != first);
        self.waiting.retain(|(_, waiting)| *waiting != first);
        if self.ready.len() + self.waiting.len() < idle {
            return self.withdraw(first);
        }
        let queue = self.by_key.get_mut(key);
        let behind = queue.map(|queue| queue.split_off(1)).unwrap_or_default();
        behind.into_iter().map(|ticket| self.remove(ticket).delivery).collect()
    }

    /// Whether anything of a key is not settled.
    pub fn holds(&self, key: &Key) -> bool {
        self.by_key.contains_key(key)
    }

    /// Everything that is not settled, in order.
    pub fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.queued.values().map(|queued| &queued.delivery)
    }

    /// When the next waiting delivery is due, if any waits.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// Deliveries that are not settled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queued.len()
    }

    /// Whether everything is settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// Bytes of the deliveries that are not settled.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn wake(&mut self, now: Duration) {
        while let Some((due, ticket)) = self.waiting.first().copied()
            && due <= now
        {
            self.waiting.pop_first();
            self.ready.insert((self.pushed, ticket));
        }
    }

    fn remove(&mut self, ticket: Ticket) -> Queued<Key, Delivery> {
        let removed = self.queued.remove(&ticket);
        let removed = removed.expect("a ticket is of a delivery that is not settled");
        self.bytes -= removed.bytes;
        removed
    }
}

impl<Key: Clone + Eq + Hash, Delivery> Default for Outbox<Key, Delivery> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        deliveries_max: 3,
        bytes_max: 100,
    };

    /// A delivery of ten bytes for each letter; the letter is its key, its place its name.
    fn outbox(keys: &str) -> Outbox<char, usize> {
        let mut outbox = Outbox::new();
        for (place, key) in keys.chars().enumerate() {
            outbox.push(key, 10, place);
        }
        outbox
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Places of what is taken at a time.
    fn take(outbox: &mut Outbox<char, usize>, seconds: u64) -> Vec<usize> {
        let taken = outbox.take(at(seconds), LIMITS);
        taken.into_iter().map(|ticket| *outbox.get_mut(ticket)).collect()
    }

    #[test]
    fn a_request_holds_each_key_once_and_no_more_than_the_sink_takes() {
        let mut outbox = outbox("aabcd");
        assert_eq!(take(&mut outbox, 0), [0, 2, 3]);
        assert_eq!(take(&mut outbox, 0), [4]);
        assert!(take(&mut outbox, 0).is_empty());
    }

    #[test]
    fn the_next_of_a_key_goes_once_the_one_before_is_settled() {
        let mut outbox = outbox("aa");
        let first = outbox.take(at(0), LIMITS)[0];
        assert!(take(&mut outbox, 0).is_empty());
        assert_eq!(outbox.settle(first), 0);
        let second = outbox.take(at(0), LIMITS)[0];
        assert_eq!(outbox.settle(second), 1);
        assert!(outbox.is_empty());
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn a_delivery_that_waits_holds_back_its_own_key_and_no_other() {
        let mut outbox = outbox("abab");
        let taken = outbox.take(at(0), LIMITS);
        outbox.retry_at(taken[0], at(60));
        outbox.settle(taken[1]);
        let other = outbox.take(at(1), LIMITS);
        assert_eq!(other.len(), 1);
        assert_eq!(outbox.settle(other[0]), 3);
        assert!(take(&mut outbox, 59).is_empty());
        assert_eq!(outbox.next_due(), Some(at(60)));
        let again = outbox.take(at(60), LIMITS);
        assert_eq!(outbox.settle(again[0]), 0);
        assert_eq!(take(&mut outbox, 60), [2]);
    }

    #[test]
    fn what_is_withdrawn_goes_with_all_that_stands_behind_it_and_what_comes_later_begins_anew() {
        let mut outbox = outbox("abaa");
        let taken = outbox.take(at(0), LIMITS);
        assert_eq!(outbox.withdraw(taken[0]), [0, 2, 3]);
        assert_eq!((outbox.len(), outbox.bytes()), (1, 10));
        outbox.push('a', 10, 7);
        assert_eq!(take(&mut outbox, 0), [7]);
    }

    #[test]
    fn one_that_failed_goes_behind_what_is_there() {
        let mut outbox = outbox("abcdef");
        let taken = outbox.take(at(0), LIMITS);
        outbox.retry_at(taken[0], at(0));
        assert_eq!(take(&mut outbox, 0), [3, 4, 5]);
        assert_eq!(take(&mut outbox, 0), [0]);
    }

    #[test]
    fn a_key_can_be_taken_out_but_for_what_is_under_way() {
        let mut outbox = outbox("abcaab");
        let one = RequestLimits {
            deliveries_max: 1,
            ..LIMITS
        };
        let under_way = outbox.take(at(0), one)[0];
        assert_eq!(outbox.withdraw_idle(&'a'), [3, 4]);
        assert!(outbox.holds(&'a') && outbox.withdraw_idle(&'a').is_empty());
        assert_eq!(outbox.withdraw_idle(&'b'), [1, 5]);
        assert!(outbox.withdraw_idle(&'x').is_empty() && !outbox.holds(&'b'));
        outbox.push('a', 10, 6);
        outbox.retry_at(under_way, at(60));
        assert_eq!(outbox.withdraw_idle(&'a'), [0, 6]);
        assert_eq!(outbox.next_due(), None);
        assert_eq!(take(&mut outbox, 0), [2]);
    }

    #[test]
    fn a_request_stays_within_the_bytes_but_one_large_delivery_travels_alone() {
        let mut outbox = Outbox::new();
        for (place, (key, bytes)) in [('a', 60), ('b', 60), ('c', 500), ('d', 1)].into_iter().enumerate() {
            outbox.push(key, bytes, place);
        }
        assert_eq!(outbox.ready(at(0)), 4);
        for place in 0..4 {
            assert_eq!(outbox.fitting(at(0), LIMITS), 1);
            assert_eq!(take(&mut outbox, 0), [place]);
        }
    }
}
