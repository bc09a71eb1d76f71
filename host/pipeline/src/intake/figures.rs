//! Figures of the intake, for whoever watches it over time.

use std::time::Duration;

use super::progress::IntakeStatus;

/// Age of an unrecorded record from which on somebody should know: the service trims it at 24 h (streams.md 22).
pub(super) const ALARM_BEHIND: Duration = Duration::from_secs(20 * 3600);

/// Figures of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntakeFigures {
    /// Of each source, by name.
    pub sources: Vec<SourceFigures>,
    /// Of each shard that this process reads.
    pub shards: Vec<ShardFigures>,
}

/// What was counted of a source since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFigures {
    /// Its name.
    pub source: String,
    /// `GetRecords` calls that were answered.
    pub reads: u64,
    /// Records that came.
    pub records: u64,
    /// Records that came again, and were dropped.
    pub repeats: u64,
    /// Calls that the service throttled.
    pub throttles: u64,
    /// Gaps that were recorded.
    pub gaps: u64,
    /// Changes that were withheld.
    pub withheld: u64,
}

/// How a shard is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardFigures {
    /// Name of its source.
    pub source: String,
    /// The shard.
    pub shard: String,
    /// Age of the last record of the last page, by the service's clock; zero when a page brought nothing.
    pub behind: Duration,
    /// How long nothing moved: no page was read and recorded, not even an empty one.
    pub still: Duration,
}

/// Something to count.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Repeats(u64),
    Throttle,
    Gap,
    Withheld,
}

impl IntakeStatus {
    /// The figures now.
    #[must_use]
    pub fn figures(&self) -> IntakeFigures {
        let state = self.lock();
        let shards = state.shards.iter().map(|((_, shard), progress)| ShardFigures {
            source: progress.source.clone(),
            shard: shard.as_str().to_owned(),
            behind: progress.behind,
            still: progress.moved_at.elapsed(),
        });
        IntakeFigures {
            sources: state.sources.values().cloned().collect(),
            shards: shards.collect(),
        }
    }

    /// Counts something of a source.
    pub(super) fn count(&self, source: &str, count: Count) {
        let mut state = self.lock();
        let figures = state.source(source);
        match count {
            Count::Repeats(repeats) => figures.repeats += repeats,
            Count::Throttle => figures.throttles += 1,
            Count::Gap => figures.gaps += 1,
            Count::Withheld => figures.withheld += 1,
        }
    }
}
