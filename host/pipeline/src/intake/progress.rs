//! Whether data moves: shard by shard, because a process that runs says nothing about that.
//!
//! A shard moves when a page was read and all of it was recorded, also when the page was empty. What does not move for
//! [`STUCK_AFTER`] is told by name, and is told no more once it moves again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_ledger::ShardReport;
use weir_model::ShardId;

use super::figures::{ALARM_BEHIND, SourceFigures};

/// How long nothing may move before somebody should know. Take-over by another worker is well within it.
const STUCK_AFTER: Duration = Duration::from_secs(45);

/// Tells what does not move. Clones tell the same.
#[derive(Clone, Default)]
pub struct IntakeStatus {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) shards: BTreeMap<(i32, ShardId), ShardProgress>,
    /// By name.
    pub(super) sources: BTreeMap<String, SourceFigures>,
    /// Everything else that has to move, by what people call it.
    others: BTreeMap<String, Instant>,
    /// Shards that nobody reads although they may be read, and since when.
    unread: BTreeMap<(i32, ShardId), Instant>,
}

/// How one shard does that this process reads.
pub(super) struct ShardProgress {
    pub(super) source: String,
    pub(super) moved_at: Instant,
    /// Age of the last record of the last page, by the service's clock.
    pub(super) behind: Duration,
    answered_at: Instant,
    problem: Option<String>,
    record_at: Option<jiff::Timestamp>,
    records: u64,
    reads: u64,
    /// When the last report was made, and what it counted up to.
    reported: (Instant, u64, u64),
}

impl IntakeStatus {
    /// What does not move, one line each, with the shard's name. Empty is well.
    #[must_use]
    pub fn stuck(&self) -> Vec<String> {
        self.stuck_for(STUCK_AFTER)
    }

    fn stuck_for(&self, limit: Duration) -> Vec<String> {
        let state = self.lock();
        let shards = state
            .shards
            .iter()
            .filter(|(_, shard)| shard.moved_at.elapsed() >= limit);
        let shards = shards.map(|((_, shard), progress)| {
            let problem = progress.problem.as_deref().unwrap_or("nothing was read");
            format!(
                "shard {shard} has not moved for {} s: {problem}",
                progress.moved_at.elapsed().as_secs()
            )
        });
        let others = state.others.iter().filter(|(_, since)| since.elapsed() >= limit);
        let others = others.map(|(what, since)| format!("{what} (for {} s)", since.elapsed().as_secs()));
        let unread = state.unread.iter().filter(|(_, since)| since.elapsed() >= limit);
        let unread = unread.map(|((_, shard), since)| {
            format!(
                "shard {shard} is read by no worker (for {} s)",
                since.elapsed().as_secs()
            )
        });
        shards.chain(others).chain(unread).collect()
    }

    /// The shard is read from here on.
    pub(super) fn begins(&self, source: &str, stream_id: i32, shard: &ShardId) {
        let now = Instant::now();
        let progress = ShardProgress {
            source: source.to_owned(),
            moved_at: now,
            behind: Duration::ZERO,
            answered_at: now,
            problem: None,
            record_at: None,
            records: 0,
            reads: 0,
            reported: (now, 0, 0),
        };
        self.lock().shards.insert((stream_id, shard.clone()), progress);
    }

    /// The shard is read no more by this process.
    pub(super) fn ends(&self, stream_id: i32, shard: &ShardId) {
        self.lock().shards.remove(&(stream_id, shard.clone()));
    }

    /// The source answered: with so many records, the last of them from this time, which is so long ago.
    pub(super) fn answered(
        &self,
        stream_id: i32,
        shard: &ShardId,
        records: usize,
        record_at: Option<jiff::Timestamp>,
        behind: Duration,
    ) {
        let mut state = self.lock();
        let Some(progress) = state.shards.get_mut(&(stream_id, shard.clone())) else {
            return;
        };
        progress.answered_at = Instant::now();
        progress.reads += 1;
        progress.records += records as u64;
        progress.record_at = record_at.or(progress.record_at);
        if behind >= ALARM_BEHIND && progress.behind < ALARM_BEHIND {
            tracing::error!(
                shard.id = %shard,
                hours = behind.as_secs() / 3600,
                "the shard is far behind: the service trims records that are 24 hours old"
            );
        }
        progress.behind = behind;
        let source = progress.source.clone();
        let figures = state.source(&source);
        figures.reads += 1;
        figures.records += records as u64;
    }

    /// All that was read is recorded.
    pub(super) fn moved(&self, stream_id: i32, shard: &ShardId) {
        self.change(stream_id, shard, |progress| {
            progress.moved_at = Instant::now();
            progress.problem = None;
        });
    }

    /// Why it does not move.
    pub(super) fn waits(&self, stream_id: i32, shard: &ShardId, problem: &str) {
        self.change(stream_id, shard, |progress| progress.problem = Some(problem.to_owned()));
    }

    /// Something else has to move, or moves: `what` names it and says what is wrong if it goes on.
    pub(super) fn tell(&self, what: &str, is_stuck: bool) {
        let mut state = self.lock();
        if is_stuck {
            state.others.entry(what.to_owned()).or_insert_with(Instant::now);
        } else {
            state.others.remove(what);
        }
    }

    /// How long nobody has read a shard that may be read, as far as this process saw.
    pub(super) fn unread_for(&self, shard: &(i32, ShardId)) -> Duration {
        self.lock().unread.get(shard).map(Instant::elapsed).unwrap_or_default()
    }

    /// These shards may be read, and nobody reads them; of no others is that so.
    pub(super) fn unread(&self, shards: impl Iterator<Item = (i32, ShardId)>) {
        let mut state = self.lock();
        let before = std::mem::take(&mut state.unread);
        let since = |shard: &(i32, ShardId)| before.get(shard).copied().unwrap_or_else(Instant::now);
        state.unread = shards.map(|shard| (shard.clone(), since(&shard))).collect();
    }

    /// How every shard did since the last reports.
    pub(super) fn reports(&self) -> Vec<ShardReport> {
        let mut state = self.lock();
        let reports = state.shards.iter_mut().map(|((stream_id, shard), progress)| {
            let now = Instant::now();
            let (since, records, reads) =
                std::mem::replace(&mut progress.reported, (now, progress.records, progress.reads));
            let seconds = now.duration_since(since).as_secs_f32().max(0.001);
            ShardReport {
                stream_id: *stream_id,
                shard: shard.clone(),
                records_per_s: count(progress.records - records) / seconds,
                reads_per_h: count(progress.reads - reads) / seconds * 3600.0,
                read_ago: progress.answered_at.elapsed(),
                behind: progress.behind,
                record_at: progress.record_at,
            }
        });
        reports.collect()
    }

    fn change(&self, stream_id: i32, shard: &ShardId, change: impl FnOnce(&mut ShardProgress)) {
        if let Some(progress) = self.lock().shards.get_mut(&(stream_id, shard.clone())) {
            change(progress);
        }
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The figures of a source.
    pub(super) fn source(&mut self, name: &str) -> &mut SourceFigures {
        self.sources.entry(name.to_owned()).or_insert_with(|| SourceFigures {
            source: name.to_owned(),
            ..SourceFigures::default()
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
fn count(count: u64) -> f32 {
    count as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::figures::Count;

    fn shard() -> ShardId {
        ShardId::parse("shard-1").unwrap()
    }

    /// streams.md 22.
    #[test]
    fn an_answer_is_no_progress_until_it_is_recorded() {
        let status = IntakeStatus::default();
        status.begins("shop", 1, &shard());
        let moved_at = |status: &IntakeStatus| status.lock().shards[&(1, shard())].moved_at;
        let began = moved_at(&status);
        status.answered(1, &shard(), 10, None, Duration::ZERO);
        assert_eq!(moved_at(&status), began);
        status.moved(1, &shard());
        assert!(moved_at(&status) > began);
    }

    /// streams.md 22.
    #[test]
    fn a_shard_that_does_not_move_is_told_with_its_name_and_why_until_it_moves() {
        let status = IntakeStatus::default();
        status.begins("shop", 1, &shard());
        assert_eq!(status.stuck(), Vec::<String>::new());
        let stuck = status.stuck_for(Duration::ZERO);
        assert!(
            stuck[0].starts_with("shard shard-1 has not moved") && stuck[0].ends_with("nothing was read"),
            "{stuck:?}"
        );
        // An answer is no progress until it is recorded.
        status.answered(1, &shard(), 10, None, Duration::ZERO);
        status.waits(1, &shard(), "postgres is away");
        assert!(status.stuck_for(Duration::ZERO)[0].ends_with("postgres is away"));
        status.moved(1, &shard());
        assert!(!status.stuck_for(Duration::ZERO)[0].contains("postgres"));
        status.ends(1, &shard());
        assert_eq!(status.stuck_for(Duration::ZERO), Vec::<String>::new());
    }

    /// A shard that was free when a worker looked may be taken and finished before it looks again.
    #[test]
    fn a_shard_that_nobody_reads_is_told_until_it_is_read_or_gone() {
        let status = IntakeStatus::default();
        let free = |shards: &[&str]| {
            let shards: Vec<_> = shards
                .iter()
                .map(|shard| (1, ShardId::parse(*shard).unwrap()))
                .collect();
            status.unread(shards.into_iter());
        };
        free(&["a", "b"]);
        let since = status.lock().unread.clone();
        free(&["b", "c"]);
        let stuck = status.stuck_for(Duration::ZERO);
        assert!(
            stuck.iter().all(|line| !line.contains("shard a ")) && stuck.len() == 2,
            "{stuck:?}"
        );
        let b = (1, ShardId::parse("b").unwrap());
        assert_eq!(status.lock().unread[&b], since[&b]);
        assert_eq!(status.stuck(), Vec::<String>::new());
        free(&[]);
        assert_eq!(status.stuck_for(Duration::ZERO), Vec::<String>::new());
    }

    #[test]
    fn what_else_stands_still_is_told_from_its_first_time_on() {
        let status = IntakeStatus::default();
        status.tell("nobody reads shard s", true);
        status.tell("nobody reads shard s", true);
        assert_eq!(status.stuck_for(Duration::ZERO).len(), 1);
        assert_eq!(status.stuck(), Vec::<String>::new());
        status.tell("nobody reads shard s", false);
        assert_eq!(status.stuck_for(Duration::ZERO), Vec::<String>::new());
    }

    #[test]
    fn a_report_counts_what_came_since_the_last_one() {
        let status = IntakeStatus::default();
        status.begins("shop", 1, &shard());
        let time = jiff::Timestamp::UNIX_EPOCH;
        status.answered(1, &shard(), 10, Some(time), Duration::from_secs(7));
        let first = status.reports().remove(0);
        assert!(first.records_per_s > 0.0 && first.reads_per_h > 0.0);
        let second = status.reports().remove(0);
        assert_eq!((second.records_per_s, second.reads_per_h), (0.0, 0.0));
        assert_eq!((second.record_at, second.behind), (Some(time), Duration::from_secs(7)));
        status.count("shop", Count::Gap);
        let figures = status.figures();
        let expected = SourceFigures {
            source: "shop".to_owned(),
            reads: 1,
            records: 10,
            gaps: 1,
            ..SourceFigures::default()
        };
        assert_eq!(figures.sources, [expected]);
        assert_eq!(figures.shards[0].behind, Duration::from_secs(7));
    }
}
