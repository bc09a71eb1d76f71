//! Order by key: which deliveries may be attempted now.
//!
//! Deliveries of one key go one after the other, each only once the one before it is settled. Keys do not wait for each
//! other: a delivery that is waiting for its next attempt holds back its own key and nothing else.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// The deliveries of one window to one sink, by their index in it.
///
/// Times are durations since a moment that the caller chose.
#[derive(Debug)]
pub struct Outbox<Key> {
    deliveries: Vec<Delivery<Key>>,
    /// Unsettled deliveries by key, in order. Only the first of each may be attempted.
    by_key: HashMap<Key, VecDeque<usize>>,
    /// Firsts of their key that may be attempted at once, in order.
    ready: BTreeSet<usize>,
    /// Firsts of their key that wait for their next attempt.
    waiting: BinaryHeap<Reverse<(Duration, usize)>>,
    unsettled: usize,
}

#[derive(Debug)]
struct Delivery<Key> {
    key: Key,
    bytes: usize,
    attempts: u32,
}

/// What one request to a sink may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Deliveries.
    pub deliveries_max: usize,
    /// Bytes of them together. A single larger delivery travels alone, and the sink says what it thinks of it.
    pub bytes_max: usize,
}

impl<Key: Clone + Eq + Hash> Outbox<Key> {
    /// Takes deliveries in order, each with its key and its size in bytes.
    #[must_use]
    pub fn new(deliveries: impl IntoIterator<Item = (Key, usize)>) -> Self {
        let deliveries: Vec<Delivery<Key>> = deliveries
            .into_iter()
            .map(|(key, bytes)| Delivery {
                key,
                bytes,
                attempts: 0,
            })
            .collect();
        let mut by_key: HashMap<Key, VecDeque<usize>> = HashMap::new();
        let mut ready = BTreeSet::new();
        for (index, delivery) in deliveries.iter().enumerate() {
            let queue = by_key.entry(delivery.key.clone()).or_default();
            if queue.is_empty() {
                ready.insert(index);
            }
            queue.push_back(index);
        }
        Self {
            unsettled: deliveries.len(),
            deliveries,
            by_key,
            ready,
            waiting: BinaryHeap::new(),
        }
    }

    /// Takes deliveries for one request, at most one of each key, and counts the attempt. Empty if none may go now.
    pub fn take(&mut self, now: Duration, limits: RequestLimits) -> Vec<usize> {
        while let Some(Reverse((due, index))) = self.waiting.peek().copied().filter(|Reverse((due, _))| *due <= now) {
            debug_assert!(due <= now);
            self.waiting.pop();
            self.ready.insert(index);
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(index) = self.ready.first().copied() {
            let size = self.deliveries[index].bytes;
            if taken.len() == limits.deliveries_max || (!taken.is_empty() && bytes + size > limits.bytes_max) {
                break;
            }
            self.ready.pop_first();
            self.deliveries[index].attempts += 1;
            bytes += size;
            taken.push(index);
        }
        taken
    }

    /// A delivery that was taken is done: accepted, or given up. The next of its key may go.
    pub fn settle(&mut self, index: usize) {
        let key = &self.deliveries[index].key;
        let queue = self
            .by_key
            .get_mut(key)
            .expect("an unsettled delivery is in the queue of its key");
        assert_eq!(queue.pop_front(), Some(index), "only the first of a key is ever taken");
        self.unsettled -= 1;
        match queue.front() {
            Some(next) => {
                self.ready.insert(*next);
            }
            None => {
                self.by_key.remove(key);
            }
        }
    }

    /// A delivery that was taken failed, and may be attempted again at `due`.
    pub fn retry_at(&mut self, index: usize, due: Duration) {
        self.waiting.push(Reverse((due, index)));
    }

    /// Attempts made of a delivery.
    #[must_use]
    pub fn attempts(&self, index: usize) -> u32 {
        self.deliveries[index].attempts
    }

    /// When the next waiting delivery is due, if any waits.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.waiting.peek().map(|Reverse((due, _))| *due)
    }

    /// Whether everything is settled.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.unsettled == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        deliveries_max: 3,
        bytes_max: 100,
    };

    fn outbox(keys: &str) -> Outbox<char> {
        Outbox::new(keys.chars().map(|key| (key, 10)))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_request_holds_each_key_once_and_no_more_than_the_sink_takes() {
        let mut outbox = outbox("aabcd");
        assert_eq!(outbox.take(at(0), LIMITS), [0, 2, 3]);
        assert_eq!(outbox.take(at(0), LIMITS), [4]);
        assert!(outbox.take(at(0), LIMITS).is_empty());
    }

    #[test]
    fn the_next_of_a_key_goes_once_the_one_before_is_settled() {
        let mut outbox = outbox("aa");
        assert_eq!(outbox.take(at(0), LIMITS), [0]);
        outbox.settle(0);
        assert_eq!(outbox.take(at(0), LIMITS), [1]);
        outbox.settle(1);
        assert!(outbox.is_done());
    }

    /// streams.md 42: an attempt is counted when it is taken, whatever becomes of it.
    #[test]
    fn a_delivery_that_waits_holds_back_its_own_key_and_no_other() {
        let mut outbox = outbox("abab");
        assert_eq!(outbox.take(at(0), LIMITS), [0, 1]);
        outbox.retry_at(0, at(60));
        outbox.settle(1);
        assert_eq!(outbox.take(at(1), LIMITS), [3]);
        outbox.settle(3);
        assert!(outbox.take(at(59), LIMITS).is_empty());
        assert_eq!(outbox.next_due(), Some(at(60)));
        assert_eq!(outbox.take(at(60), LIMITS), [0]);
        assert_eq!(outbox.attempts(0), 2);
        outbox.settle(0);
        assert_eq!(outbox.take(at(60), LIMITS), [2]);
    }

    #[test]
    fn a_request_stays_within_the_bytes_but_one_large_delivery_travels_alone() {
        let mut outbox = Outbox::new([('a', 60), ('b', 60), ('c', 500), ('d', 1)]);
        assert_eq!(outbox.take(at(0), LIMITS), [0]);
        assert_eq!(outbox.take(at(0), LIMITS), [1]);
        assert_eq!(outbox.take(at(0), LIMITS), [2]);
        assert_eq!(outbox.take(at(0), LIMITS), [3]);
    }
}
