//! When a shard is read again: soon while records come, at once while pages are full, seldom while it is idle.
//!
//! Reads cost money whether they bring something or not, and the service throttles whoever asks too often (streams.md 24).

use std::time::Duration;

/// Times that the interval doubles at most while the service throttles: from four reads a second to one in four seconds.
const DOUBLINGS_MAX: u32 = 4;

/// Reads that go well before a doubling is taken back.
const READS_TO_RECOVER: u32 = 20;

/// The pace of one shard's reads.
#[derive(Debug)]
pub(super) struct Polling {
    /// Between two reads while records come.
    active: Duration,
    /// Between two reads while none come, at most.
    idle_max: Duration,
    /// The last wait while none came.
    idle: Duration,
    /// How often a throttle halved the pace, and reads that went well since.
    doublings: u32,
    good_reads: u32,
}

impl Polling {
    pub(super) fn new(active: Duration, idle_max: Duration) -> Self {
        Self {
            active,
            idle_max: idle_max.max(active),
            idle: active,
            doublings: 0,
            good_reads: 0,
        }
    }

    /// The wait after a page that had records, or had none; behind a full one more is waiting.
    pub(super) fn after_page(&mut self, has_records: bool, is_full: bool) -> Duration {
        self.good_reads += 1;
        if self.good_reads >= READS_TO_RECOVER {
            self.good_reads = 0;
            self.doublings = self.doublings.saturating_sub(1);
        }
        let active = self.active * 2_u32.pow(self.doublings);
        if is_full && self.doublings == 0 {
            self.idle = active;
            return Duration::ZERO;
        }
        self.idle = if has_records {
            active
        } else {
            (self.idle * 2).min(self.idle_max).max(active)
        };
        self.idle
    }

    /// The service throttles: half the pace from here on. The wait before the next try.
    pub(super) fn throttled(&mut self) -> Duration {
        self.good_reads = 0;
        self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
        self.active * 2_u32.pow(self.doublings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polling() -> Polling {
        Polling::new(Duration::from_millis(250), Duration::from_secs(1))
    }

    /// The waits in milliseconds after pages that were `f`ull, had `r`ecords or were `e`mpty, and after `t`hrottles.
    #[track_caller]
    fn check(polling: &mut Polling, reads: &str, expected: &[u128]) {
        let waits: Vec<u128> = reads
            .chars()
            .map(|read| match read {
                'f' => polling.after_page(true, true),
                'r' => polling.after_page(true, false),
                'e' => polling.after_page(false, false),
                _ => polling.throttled(),
            })
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(waits, expected, "{reads}");
    }

    /// streams.md 24.
    #[test]
    fn a_shard_is_read_at_once_behind_a_full_page_at_its_pace_while_records_come_and_seldom_while_it_is_idle() {
        check(&mut polling(), "ffrr", &[0, 0, 250, 250]);
        check(&mut polling(), "eeeere", &[500, 1000, 1000, 1000, 250, 500]);
    }

    /// streams.md 21 and 24.
    #[test]
    fn a_throttle_halves_the_pace_and_reads_that_go_well_bring_it_back() {
        let mut polling = polling();
        check(&mut polling, "trtrf", &[500, 500, 1000, 1000, 1000]);
        check(&mut polling, "tttte", &[2000, 4000, 4000, 4000, 4000]);
        for _ in 0..4 * READS_TO_RECOVER {
            polling.after_page(true, false);
        }
        check(&mut polling, "rf", &[250, 0]);
    }
}
