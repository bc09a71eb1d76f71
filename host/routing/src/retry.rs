//! When a delivery that failed is tried again, and when it is given up.
//!
//! Waits grow by a factor up to a longest wait, and each is drawn anew between nothing and that bound ("full jitter":
//! of the usual schemes the one that sends the fewest requests for the same result, because deliveries that failed
//! together do not come back together).
//!
//! # Invariants
//!
//! - Every schedule ends: there is a last attempt, whatever the configuration says.
//! - No attempt starts after `age_max`.
//! - Nothing here reads a clock or draws a random number: both come from the caller, so the same answers come again.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long and how often a delivery is tried again before it becomes a dead letter.
///
/// While a delivery waits, later ones of the same key wait behind it; other keys go on.
/// Durations are written as `30s`, `15m` or `1d 12h`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySchedule {
    /// Longest wait after the first failure. `0s` retries at once, every time. Default: `1s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub first: Duration,

    /// By what the longest wait is multiplied after each further failure. `1` keeps it the same. Default: `2`.
    pub factor: NonZeroU32,

    /// What the longest wait never exceeds. Default: `15m`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub max: Duration,

    /// Most attempts altogether, the first one included. `1` gives a delivery up when it fails. Default: `186`.
    pub attempts_max: NonZeroU32,

    /// Longest time since the first attempt after which another one may start. Default: `24h`.
    ///
    /// The last wait is cut so that it ends here.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub age_max: Duration,
}

/// Shortest wait where the sink asked to be left alone.
const PUT_OFF_MIN: Duration = Duration::from_secs(1);

impl Default for RetrySchedule {
    /// Attempts and age are those of an EventBridge target (API reference, `RetryPolicy`: 185 retries, 86,400 seconds).
    /// The longest wait is chosen so that both end at about the same time.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            factor: NonZeroU32::new(2).expect("not zero"),
            max: Duration::from_mins(15),
            attempts_max: NonZeroU32::new(186).expect("not zero"),
            age_max: Duration::from_hours(24),
        }
    }
}

impl RetrySchedule {
    /// How long to wait after the failure of attempt number `attempt`, or `None` to give the delivery up.
    ///
    /// Attempts count from 1. `age` is the time since the first of them began. `random` is drawn evenly from all 64-bit
    /// numbers, anew for each call; the wait grows with it. It is at least `asked`, if that leaves time for another attempt.
    #[must_use]
    pub fn delay(&self, attempt: u32, age: Duration, asked: Duration, random: u64) -> Option<Duration> {
        if attempt >= self.attempts_max.get() || age >= self.age_max {
            return None;
        }
        let ceiling_nanos = u128::from(self.ceiling_nanos(attempt));
        let wait_nanos = (ceiling_nanos * u128::from(random)) >> u64::BITS;
        let wait = Duration::from_nanos(wait_nanos.try_into().expect("a product of two u64, halved in width"));
        Some(wait.max(asked).min(self.age_max - age))
    }

    /// How long to wait where the sink asked to be left alone with this delivery, which counts as no attempt, or `None` to give it
    /// up for its age.
    #[must_use]
    pub fn put_off(&self, age: Duration, asked: Duration) -> Option<Duration> {
        let left = self.age_max.checked_sub(age).filter(|left| !left.is_zero())?;
        Some(asked.max(PUT_OFF_MIN).min(left))
    }

    /// Longest wait after attempt number `attempt`, in nanoseconds, at most some 584 years.
    fn ceiling_nanos(&self, attempt: u32) -> u64 {
        let growth = u128::from(self.factor.get()).saturating_pow(attempt.saturating_sub(1));
        let nanos = self.first.as_nanos().saturating_mul(growth).min(self.max.as_nanos());
        nanos.try_into().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_sink_asks_to_be_left_alone_with_waits_as_long_as_it_asks_and_is_given_up_for_its_age_alone() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_hours(1));
        let schedule = RetrySchedule {
            attempts_max: NonZeroU32::MIN,
            age_max: hour,
            ..RetrySchedule::default()
        };
        assert_eq!(schedule.put_off(Duration::ZERO, second * 30), Some(second * 30));
        assert_eq!(
            schedule.put_off(Duration::ZERO, Duration::ZERO),
            Some(second),
            "not at once"
        );
        assert_eq!(
            schedule.put_off(hour - second, hour),
            Some(second),
            "once more at the end"
        );
        assert_eq!(schedule.put_off(hour, second), None);
    }

    /// Waits of a schedule when every draw is the same and attempts take no time; then the age at the end.
    #[track_caller]
    fn check(configuration: &str, random: u64, expect: Expect) {
        let schedule: RetrySchedule = match serde_json::from_str(configuration) {
            Ok(schedule) => schedule,
            Err(error) => return expect.assert_eq(&error.to_string()),
        };
        let mut age = Duration::ZERO;
        let mut waits = Vec::new();
        for attempt in 1.. {
            let Some(wait) = schedule.delay(attempt, age, Duration::ZERO, random) else {
                break;
            };
            age += wait;
            waits.push(format!("{wait:.1?}"));
        }
        let shown = waits.len().min(8);
        let more = if waits.len() > shown {
            format!(" and {} more", waits.len() - shown)
        } else {
            String::new()
        };
        expect.assert_eq(&format!("{}{more}; given up after {age:.1?}", waits[..shown].join(" ")));
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        check(
            r#"{"first": "1s", "factor": 2, "max": "10s", "attempts_max": 7}"#,
            u64::MAX,
            expect!["1000.0ms 2.0s 4.0s 8.0s 10.0s 10.0s; given up after 35.0s"],
        );
    }

    #[test]
    fn a_wait_is_drawn_from_all_of_the_range() {
        let configuration = r#"{"first": "8s", "max": "1m", "attempts_max": 3}"#;
        check(configuration, 0, expect!["0.0ns 0.0ns; given up after 0.0ns"]);
        check(configuration, u64::MAX / 4, expect!["2.0s 4.0s; given up after 6.0s"]);
        check(configuration, u64::MAX, expect!["8.0s 16.0s; given up after 24.0s"]);
    }

    #[test]
    fn the_last_wait_ends_at_the_highest_age() {
        check(
            r#"{"first": "4s", "age_max": "10s"}"#,
            u64::MAX,
            expect!["4.0s 6.0s; given up after 10.0s"],
        );
    }

    #[test]
    fn one_attempt_is_not_repeated() {
        check(r#"{"attempts_max": 1}"#, 0, expect!["; given up after 0.0ns"]);
    }

    #[test]
    fn retrying_at_once_ends_too() {
        check(
            r#"{"first": "0s", "attempts_max": 10}"#,
            u64::MAX,
            expect!["0.0ns 0.0ns 0.0ns 0.0ns 0.0ns 0.0ns 0.0ns 0.0ns and 1 more; given up after 0.0ns"],
        );
    }

    #[test]
    fn by_default_a_delivery_is_given_up_after_about_a_day() {
        check(
            "{}",
            u64::MAX / 2,
            expect!["500.0ms 1000.0ms 2.0s 4.0s 8.0s 16.0s 32.0s 64.0s and 177 more; given up after 79261.5s"],
        );
    }

    #[test]
    fn configuration_errors_name_the_key() {
        check(
            r#"{"atempts_max": 3}"#,
            0,
            expect![
                "unknown field `atempts_max`, expected one of `first`, `factor`, `max`, `attempts_max`, `age_max` at line 1 column 14"
            ],
        );
        check(
            r#"{"attempts_max": 0}"#,
            0,
            expect!["invalid value: integer `0`, expected a nonzero u32 at line 1 column 18"],
        );
        check(
            r#"{"first": "soon"}"#,
            0,
            expect![[
                r#"failed to parse input in the "friendly" duration format: expected duration to start with a unit value (a decimal integer) after an optional sign, but no integer was found at line 1 column 16"#
            ]],
        );
        check(
            r#"{"first": "-1s"}"#,
            0,
            expect![[
                r#"failed to parse input in the "friendly" duration format: cannot parse negative duration into unsigned `std::time::Duration` at line 1 column 15"#
            ]],
        );
    }

    #[test]
    fn a_schedule_is_written_as_it_is_read() {
        let text = serde_json::to_string(&RetrySchedule::default()).expect("a schedule is plain data");
        expect![[r#"{"first":"1s","factor":2,"max":"15m","attempts_max":186,"age_max":"24h"}"#]].assert_eq(&text);
        assert_eq!(
            serde_json::from_str::<RetrySchedule>(&text).expect("what was written can be read"),
            RetrySchedule::default()
        );
    }

    proptest! {
        #[test]
        fn a_wait_keeps_every_bound(
            first: Duration, factor: NonZeroU32, max: Duration, attempts_max: NonZeroU32, age_max: Duration,
            attempt: u32, age: Duration, asked: Duration, random: u64,
        ) {
            let schedule = RetrySchedule { first, factor, max, attempts_max, age_max };
            match schedule.delay(attempt, age, asked, random) {
                Some(wait) => {
                    prop_assert!(attempt < attempts_max.get());
                    prop_assert!(wait <= max.max(asked));
                    prop_assert!(wait >= asked || age + wait == age_max);
                    prop_assert!(age + wait <= age_max);
                }
                None => prop_assert!(attempt >= attempts_max.get() || age >= age_max),
            }
        }
    }
}
