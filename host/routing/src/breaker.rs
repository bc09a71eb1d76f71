//! A circuit breaker: whether a sink is sent to.
//!
//! ```text
//! closed ──▶ open ──▶ half-open: one request ──┬──▶ closed
//!              ▲                                │
//!              └────────────────────────────────┘
//! ```
//!
//! A sink that says that it is not there opens it at once. One that answers, and takes nothing of very many different
//! deliveries in a row, opens it too: whatever is wrong there is not the fault of one item.

use std::collections::HashSet;
use std::time::Duration;

/// Different deliveries that fail in a row before the sink counts as the one that fails.
const FAILING_MAX: usize = 50;

/// Wait before the first request after the breaker opened, at most.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Longest wait, unless the sink asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Longest wait where the sink answers, and refuses one delivery after the other for what it is.
const LONGEST_WAIT_REFUSED: Duration = Duration::from_secs(1);

/// How long the answer to that one request is waited for. Longer than any request takes: whoever sent it is gone.
const ANSWER_WAIT: Duration = Duration::from_mins(2);

/// Whether a sink is sent to. Times are durations since a moment that the caller chose.
#[derive(Debug, Default)]
pub struct Breaker {
    phase: Phase,
    /// Hashes of the deliveries that failed since the last one that was accepted.
    failing: HashSet<u64>,
    /// Whether any of them may be taken another time.
    some_may_pass: bool,
    /// Requests that failed in a row while nothing else was sent.
    openings: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Closed,
    Open {
        until: Duration,
    },
    HalfOpen {
        until: Duration,
    },
}

/// What may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Anything.
    Free,
    /// One request, to see whether the sink is back.
    One,
    /// Nothing before this time.
    NotBefore(Duration),
    /// Nothing until the answer to that one request is there, or this time.
    Pending(Duration),
}

impl Breaker {
    /// What may be sent now.
    #[must_use]
    pub fn admission(&self, now: Duration) -> Admission {
        match self.phase {
            Phase::Closed => Admission::Free,
            Phase::Open { until } if now < until => Admission::NotBefore(until),
            Phase::HalfOpen { until } if now < until => Admission::Pending(until),
            Phase::Open { .. } | Phase::HalfOpen { .. } => Admission::One,
        }
    }

    /// A request is sent.
    pub fn sent(&mut self, now: Duration) {
        if self.phase != Phase::Closed {
            self.phase = Phase::HalfOpen {
                until: now + ANSWER_WAIT,
            };
        }
    }

    /// The sink accepted something.
    pub fn accepted(&mut self) {
        self.failing.clear();
        self.some_may_pass = false;
        // What was under way when the sink went away says nothing new about it.
        if !matches!(self.phase, Phase::Open { .. }) {
            self.close();
        }
    }

    /// The sink answered that it does not take a delivery: now, if `may_pass`, or ever. `delivery` tells deliveries apart.
    pub fn failed(&mut self, delivery: u64, may_pass: bool, now: Duration, random: u64) {
        self.some_may_pass |= may_pass;
        // As many as matter.
        if self.failing.len() < FAILING_MAX {
            self.failing.insert(delivery);
        }
        let longest = if self.some_may_pass {
            LONGEST_WAIT
        } else {
            LONGEST_WAIT_REFUSED
        };
        match self.phase {
            Phase::Open { .. } => {}
            _ if self.failing.len() >= FAILING_MAX => self.open(now, Duration::ZERO, longest, random),
            // It answers, so it is there.
            _ => self.close(),
        }
    }

    /// The sink cannot be asked, or asks to be left alone for `asked`. `random` is drawn evenly from all 64-bit numbers.
    pub fn unavailable(&mut self, now: Duration, asked: Duration, random: u64) {
        match &mut self.phase {
            Phase::Open { until } => *until = (*until).max(now + asked),
            Phase::Closed | Phase::HalfOpen { .. } => self.open(now, asked, LONGEST_WAIT, random),
        }
    }

    /// A request was broken off, and nobody will know what became of it. If all wait for that one, another may be sent.
    pub fn broken_off(&mut self, now: Duration) {
        if matches!(self.phase, Phase::HalfOpen { .. }) {
            self.phase = Phase::Open { until: now };
        }
    }

    /// Whether anything may be sent without asking first.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// How often in a row it opened without anything between.
    #[must_use]
    pub fn openings(&self) -> u32 {
        self.openings
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.openings = 0;
    }

    /// Waits between half and all of a bound that doubles each time, so that many do not come back at once.
    fn open(&mut self, now: Duration, asked: Duration, longest: Duration, random: u64) {
        let bound = FIRST_WAIT.saturating_mul(1 << self.openings.min(16)).min(longest);
        #[expect(clippy::cast_precision_loss, reason = "a fraction needs no more digits")]
        let fraction = random as f64 / u64::MAX as f64;
        let wait = bound / 2 + bound.mul_f64(fraction / 2.0);
        self.openings = self.openings.saturating_add(1);
        self.phase = Phase::Open {
            until: now + wait.max(asked),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest wait there is.
    const MAX: u64 = u64::MAX;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_sink_that_is_away_is_asked_by_one_request_after_a_wait_that_doubles() {
        let mut breaker = Breaker::default();
        let mut now = ms(1000);
        for wait in [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000] {
            assert!(matches!(breaker.admission(now), Admission::Free | Admission::One));
            breaker.sent(now);
            breaker.unavailable(now, Duration::ZERO, MAX);
            assert_eq!(breaker.admission(now), Admission::NotBefore(now + ms(wait)));
            now += ms(wait);
        }
        assert_eq!(breaker.admission(now), Admission::One);
        breaker.sent(now);
        assert_eq!(breaker.admission(now), Admission::Pending(now + ANSWER_WAIT));
        assert_eq!(breaker.admission(now + ANSWER_WAIT), Admission::One);
        breaker.accepted();
        assert_eq!(breaker.admission(now), Admission::Free);
        breaker.unavailable(now, Duration::ZERO, MAX);
        assert_eq!(breaker.admission(now), Admission::NotBefore(now + ms(250)));
    }

    #[test]
    fn where_the_one_request_is_broken_off_another_may_be_sent_at_once() {
        let mut breaker = Breaker::default();
        breaker.sent(ms(0));
        breaker.broken_off(ms(1));
        assert!(breaker.is_closed(), "nobody waits for one of many");
        breaker.unavailable(ms(1), Duration::ZERO, MAX);
        breaker.broken_off(ms(2));
        assert_eq!(breaker.admission(ms(2)), Admission::NotBefore(ms(251)));
        breaker.sent(ms(251));
        breaker.broken_off(ms(300));
        assert_eq!(breaker.admission(ms(300)), Admission::One);
    }

    #[test]
    fn a_sink_is_left_alone_for_as_long_as_it_asks() {
        let mut breaker = Breaker::default();
        breaker.unavailable(ms(0), ms(5000), 0);
        breaker.unavailable(ms(100), ms(60_000), 0);
        breaker.unavailable(ms(200), ms(10), 0);
        assert_eq!(breaker.admission(ms(300)), Admission::NotBefore(ms(60_100)));
    }

    #[test]
    fn answers_to_what_was_under_way_do_not_close_it() {
        let mut breaker = Breaker::default();
        breaker.unavailable(ms(0), ms(1000), 0);
        breaker.accepted();
        breaker.failed(1, true, ms(1), 0);
        assert_eq!(breaker.admission(ms(2)), Admission::NotBefore(ms(1000)));
    }

    #[test]
    fn a_few_deliveries_that_fail_however_often_do_not_open_it() {
        let mut breaker = Breaker::default();
        for attempt in 0..1000 {
            breaker.failed(attempt % 49, true, ms(attempt), MAX);
        }
        assert!(breaker.is_closed());
        breaker.accepted();
        breaker.failed(50, true, ms(1), MAX);
        assert!(breaker.is_closed(), "something was accepted in between");
    }

    #[test]
    fn a_sink_that_takes_nothing_of_very_many_deliveries_opens_it() {
        let mut breaker = Breaker::default();
        for delivery in 0..50 {
            assert!(breaker.is_closed());
            breaker.failed(delivery, true, ms(0), MAX);
        }
        assert_eq!(breaker.admission(ms(0)), Admission::NotBefore(ms(250)));
        breaker.sent(ms(250));
        breaker.failed(50, true, ms(250), MAX);
        assert_eq!(breaker.admission(ms(250)), Admission::NotBefore(ms(750)));
        breaker.sent(ms(750));
        breaker.accepted();
        assert!(breaker.is_closed());
    }

    #[test]
    fn one_that_refuses_all_for_what_they_are_is_asked_again_within_a_second() {
        let mut breaker = Breaker::default();
        let mut now = ms(0);
        for delivery in 0..60 {
            if let Admission::NotBefore(until) = breaker.admission(now) {
                assert!(until - now <= ms(1000));
                now = until;
            }
            breaker.sent(now);
            breaker.failed(delivery, false, now, MAX);
        }
        assert!(!breaker.is_closed());
    }

    #[test]
    fn a_sink_that_is_back_and_refuses_one_delivery_is_back() {
        let mut breaker = Breaker::default();
        breaker.unavailable(ms(0), Duration::ZERO, MAX);
        breaker.sent(ms(250));
        breaker.failed(1, true, ms(250), MAX);
        assert!(breaker.is_closed());
    }
}
