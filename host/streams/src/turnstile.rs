//! Lets calls through at a rate, some at once if there were none before.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets calls through at a rate. Whoever comes first passes first.
#[derive(Debug)]
pub(crate) struct Turnstile {
    interval: Duration,
    /// How far ahead of the rate calls may be.
    ahead_max: Duration,
    /// When the next call would pass if all came at the rate.
    next: Mutex<Instant>,
}

impl Turnstile {
    /// One call each `interval`, and `at_once` of them at once.
    pub(crate) fn new(interval: Duration, at_once: u32) -> Self {
        Self {
            interval,
            ahead_max: interval * at_once.saturating_sub(1),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for its turn. Given up while it waits, it has had its turn.
    pub(crate) async fn pass(&self) {
        tokio::time::sleep_until(self.turn(Instant::now())).await;
    }

    /// When a call may pass that comes now.
    fn turn(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(now);
        *next = turn + self.interval;
        turn - self.ahead_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// streams.md 10.
    #[test]
    fn some_pass_at_once_and_all_others_at_the_rate() {
        let turnstile = Turnstile::new(Duration::from_millis(100), 2);
        let began = Instant::now();
        let mut waits_ms = |at_ms: u64| {
            let now = began + Duration::from_millis(at_ms);
            let turn = turnstile.turn(now);
            turn.saturating_duration_since(now).as_millis()
        };
        assert_eq!([0, 0, 0, 0].map(&mut waits_ms), [0, 0, 100, 200]);
        // What was not used for a while is not saved up.
        assert_eq!([5000, 5000, 5000].map(&mut waits_ms), [0, 0, 100]);
    }
}
