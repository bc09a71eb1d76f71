//! How long to wait: after a failure, and between reads.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Waits that double from failure to failure and begin anew after a success.
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            failures: 0,
        }
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Whether the last thing that happened was a failure.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether a failure now is worth a line in the log: the first after a success, and some of those that follow.
    pub(crate) fn is_news(&self) -> bool {
        self.failures.is_multiple_of(8)
    }

    /// The wait after one more failure: between half and all of the bound, so that many do not come back at once.
    pub(crate) fn next(&mut self) -> Duration {
        let bound = self.first.saturating_mul(1 << self.failures.min(16)).min(self.max);
        self.failures += 1;
        bound / 2 + bound.mul_f64(random_fraction() / 2.0)
    }
}

/// A number from 0 to 1.
fn random_fraction() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a fraction needs no more digits")]
    let fraction = random() as f64 / u64::MAX as f64;
    fraction
}

/// Randomness for jitter. Without any, everything waits the same, and that is no reason to fail.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX / 2)
}

/// Waits, unless it is time to stop. Returns whether to go on.
pub(crate) async fn pause(stop: &CancellationToken, wait: Duration) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some()
}
