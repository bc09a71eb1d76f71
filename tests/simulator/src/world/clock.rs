//! The clock of the world. It stands still until somebody steps it.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};

/// A clock that never runs by itself and never goes back.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    now: Timestamp,
}

impl Clock {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn step(&mut self, by: Duration) {
        self.now = later(self.now, by);
    }

    /// As the header `Date` has it (RFC 9110, section 5.6.7).
    pub(crate) fn http_date(&self) -> String {
        DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&self.now)
            .unwrap_or_default()
    }
}

/// The time so much later; the end of time if there is none.
pub(crate) fn later(time: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| time.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}
