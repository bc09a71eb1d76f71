//! How often a worker asks: the source for records and shards, Postgres for its share.

use std::time::Duration;

use jiff::SignedDuration;

/// How often a worker asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntakePace {
    /// Between two looks at who reads what.
    pub round_interval: Duration,
    /// How long others have to take a free shard before a worker takes more than its share.
    pub left_after: Duration,
    /// Between two reports of how shards do.
    pub report_interval: Duration,
    /// Between two questions for a stream's shards while nothing happens. A shard that ends has its stream asked at once.
    pub describe_interval: Duration,
    /// How soon is asked again when an answer cannot be right.
    pub doubt_interval: Duration,
    /// How long every answer has to leave a parent out before it counts as gone, and how long a stream that is off has to look
    /// drained, by the service's clock: an answer that leaves a shard out is followed by one that has it, sooner or later (streams.md 5, 6). A child
    /// that is read too early is out of order for good, and a shard of a stream that was given up is lost.
    pub sure_after: SignedDuration,
    /// Between two reads of a shard while none come, at most.
    pub idle_interval_max: Duration,
    /// Before the first repeat of a question that failed; every further one waits twice as long.
    pub retry_first: Duration,
    /// Between two repeats at most.
    pub retry_max: Duration,
}

impl Default for IntakePace {
    fn default() -> Self {
        Self {
            round_interval: Duration::from_secs(2),
            left_after: Duration::from_secs(10),
            report_interval: Duration::from_secs(10),
            describe_interval: Duration::from_secs(10),
            doubt_interval: Duration::from_secs(1),
            sure_after: SignedDuration::from_secs(60),
            idle_interval_max: Duration::from_secs(1),
            retry_first: Duration::from_millis(200),
            retry_max: Duration::from_secs(15),
        }
    }
}
