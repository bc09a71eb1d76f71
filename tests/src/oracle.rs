//! Holds what a ledger has against the truth of a simulated source.
//!
//! # What has to hold
//!
//! - Each change that had a record is in the ledger exactly once, or was trimmed and lies inside a recorded gap. A shard that
//!   was trimmed before anybody read of it is begun behind that, and nothing in the protocol tells; the service keeps
//!   records for a day, so that needs a worker that is a day late.
//! - A gap stands only where records were trimmed, or where a stream was not the first of its table.
//! - The changes of an item stand in the order in which they were made.
//! - Nothing of a shard stands before the last of its parent, and positions in a shard only rise.

mod delivered;

use std::collections::{BTreeMap, HashMap, HashSet};

use weir_evidence::{EntryKind, Gap, GapCause, Loss};
use weir_ledger::RecordedEntry;
use weir_model::SequenceNumber;
use weir_simulator::{TrueChange, TrueRecord, Truth};

pub use delivered::delivered;

/// A shard, by its stream and its id.
type Shard = (String, String);

/// What stands in a ledger about a source.
struct Told {
    /// Records by shard, in order of position.
    records: BTreeMap<Shard, Vec<(u64, SequenceNumber)>>,
    /// Positions of a change, by event id.
    events: HashMap<String, Vec<u64>>,
    gaps: BTreeMap<Shard, Vec<Gap>>,
}

/// Everything that is wrong, one line each. Empty is well.
#[must_use]
pub fn findings(truth: &Truth, entries: &[RecordedEntry]) -> Vec<String> {
    let told = Told::of(entries);
    let mut findings = Vec::new();
    told.check_changes(truth, &mut findings);
    told.check_gaps(truth, &mut findings);
    told.check_items(truth, &mut findings);
    told.check_lineage(truth, &mut findings);
    findings
}

/// Changes that are still to be had and are not in the ledger.
#[must_use]
pub fn missing(truth: &Truth, entries: &[RecordedEntry]) -> usize {
    let told = Told::of(entries);
    let is_missing = |change: &&TrueChange| change.trimmed_at.is_none() && told.positions(change).is_empty();
    truth.recorded().filter(is_missing).count()
}

impl Told {
    fn of(entries: &[RecordedEntry]) -> Self {
        let mut told = Self {
            records: BTreeMap::new(),
            events: HashMap::new(),
            gaps: BTreeMap::new(),
        };
        for entry in entries {
            let position = entry.position.0;
            let shard =
                |origin: &weir_evidence::Origin| (origin.stream.as_str().to_owned(), origin.shard.as_str().to_owned());
            match &entry.entry.kind {
                EntryKind::Change {
                    origin,
                    sequence,
                    event,
                    ..
                } => {
                    told.events.entry(event.as_str().to_owned()).or_default().push(position);
                    told.records
                        .entry(shard(origin))
                        .or_default()
                        .push((position, sequence.clone()));
                }
                EntryKind::Unknown { origin, sequence, .. } => {
                    told.records
                        .entry(shard(origin))
                        .or_default()
                        .push((position, sequence.clone()));
                }
                EntryKind::Gap(gap) => told.gaps.entry(shard(&gap.origin)).or_default().push(gap.clone()),
                _ => {}
            }
        }
        told
    }

    /// Where a change stands: under its event id, or, where its record was not understood, under one of its places.
    fn positions(&self, change: &TrueChange) -> Vec<u64> {
        let mut positions: Vec<u64> = Vec::new();
        for record in change.record.iter().chain(&change.repeats) {
            positions.extend(self.events.get(&record.event_id).into_iter().flatten());
            let here = self.records.get(&(record.stream.clone(), record.shard.clone()));
            let sequence = sequence(record);
            positions.extend(
                here.into_iter()
                    .flatten()
                    .filter(|(_, known)| *known == sequence)
                    .map(|(position, _)| position),
            );
        }
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    fn check_changes(&self, truth: &Truth, findings: &mut Vec<String>) {
        let mut odd = 0;
        for change in truth.recorded() {
            let number = change.number;
            match self.positions(change)[..] {
                [_] => {}
                // What is not understood has no event id in the ledger: a child that has it again under another sequence
                // number has another record.
                [_, ..] if !["INSERT", "MODIFY", "REMOVE"].contains(&change.operation.as_str()) => odd += 1,
                [] if change.trimmed_at.is_none() => {
                    findings.push(format!(
                        "change {number} is missing, and was never trimmed: {:?}",
                        change.record
                    ));
                }
                [] if !change
                    .record
                    .iter()
                    .any(|record| self.is_in_gap(record) || self.is_before_first(record)) =>
                {
                    findings.push(format!(
                        "change {number} was trimmed and lies in no gap: {:?}",
                        change.record
                    ));
                }
                [] => {}
                ref positions => findings.push(format!(
                    "change {number} stands at {positions:?}: {:?} {:?}",
                    change.record, change.repeats
                )),
            }
        }
        let known: usize = truth
            .recorded()
            .filter(|change| !self.positions(change).is_empty())
            .count();
        let stands: usize = self.records.values().map(Vec::len).sum();
        if findings.is_empty() && odd == 0 && known != stands {
            findings.push(format!(
                "{stands} records stand in the ledger, but {known} changes are known"
            ));
        }
    }

    /// Nothing of the shard before this place is in the ledger.
    fn is_before_first(&self, record: &TrueRecord) -> bool {
        let records = self.records.get(&(record.stream.clone(), record.shard.clone()));
        let first = records.and_then(|records| records.first());
        first.is_none_or(|(_, first)| sequence(record) < *first)
    }

    fn is_in_gap(&self, record: &TrueRecord) -> bool {
        let gaps = self.gaps.get(&(record.stream.clone(), record.shard.clone()));
        gaps.into_iter().flatten().any(|gap| spans(gap, &sequence(record)))
    }

    /// A gap of trimmed records has some, between its bounds; its bounds are what stands around it.
    fn check_gaps(&self, truth: &Truth, findings: &mut Vec<String>) {
        let mut trimmed: HashMap<Shard, Vec<SequenceNumber>> = HashMap::new();
        for change in &truth.changes {
            for record in change.record.iter().chain(&change.repeats) {
                if change.trimmed_at.is_some() {
                    trimmed
                        .entry((record.stream.clone(), record.shard.clone()))
                        .or_default()
                        .push(sequence(record));
                }
            }
        }
        let first_streams: HashSet<&str> = first_streams(truth);
        for (shard, gaps) in &self.gaps {
            let stream = truth.streams.iter().find(|stream| stream.arn == shard.0);
            let find = |id: &str| stream.and_then(|stream| stream.shards.iter().find(|known| known.shard == id));
            let there = find(&shard.1);
            let parent = there.and_then(|shard| find(shard.parent.as_deref()?));
            let lost = trimmed.get(shard).map(Vec::as_slice).unwrap_or_default();
            for gap in gaps {
                let spanned = lost.iter().any(|sequence| spans(gap, sequence));
                // The last record before it may be all that was trimmed (streams.md 45).
                let at_its_edge =
                    gap.loss == Loss::Possible && gap.after.as_ref().is_some_and(|after| lost.contains(after));
                let why = match gap.cause {
                    GapCause::StreamReplaced => !first_streams.contains(shard.0.as_str()),
                    // Or its parent left before anybody saw it.
                    GapCause::ShardExpired => {
                        there.is_none_or(|shard| shard.gone) || parent.is_some_and(|parent| parent.gone)
                    }
                    _ => spanned || at_its_edge || there.is_some_and(|shard| shard.trimmed > 0),
                };
                if !why {
                    findings.push(format!("a gap without a reason: {gap:?}"));
                }
                let records = self.records.get(shard).map(Vec::as_slice).unwrap_or_default();
                if let Some((_, inside)) = records.iter().find(|(_, sequence)| spans(gap, sequence)) {
                    findings.push(format!("{inside} stands in the ledger and inside of a gap: {gap:?}"));
                }
            }
        }
    }

    fn check_items(&self, truth: &Truth, findings: &mut Vec<String>) {
        let mut last: HashMap<(&str, &str), (u64, u64)> = HashMap::new();
        for change in truth.recorded() {
            let Some(position) = self.positions(change).first().copied() else {
                continue;
            };
            let key = (change.table.as_str(), change.item.as_str());
            if let Some((before, number)) = last.insert(key, (position, change.number))
                && before >= position
            {
                findings.push(format!(
                    "change {} of {key:?} stands at {position}, before change {number}, which stands at {before}: {:?}",
                    change.number, change.record
                ));
            }
        }
    }

    fn check_lineage(&self, truth: &Truth, findings: &mut Vec<String>) {
        for stream in &truth.streams {
            for shard in &stream.shards {
                let of = |shard: &str| self.records.get(&(stream.arn.clone(), shard.to_owned()));
                let Some(records) = of(&shard.shard) else { continue };
                if !records.is_sorted_by(|left, right| left.1 < right.1) {
                    findings.push(format!("positions of shard {} do not only rise", shard.shard));
                }
                let parent_end = shard.parent.as_deref().and_then(of).and_then(|parent| parent.last());
                if let (Some((end, _)), Some((begin, _))) = (parent_end, records.first())
                    && begin < end
                {
                    findings.push(format!(
                        "shard {} begins at {begin}, before the end of its parent at {end}",
                        shard.shard
                    ));
                }
            }
        }
    }
}

/// Whether a place lies between the bounds of a gap.
fn spans(gap: &Gap, sequence: &SequenceNumber) -> bool {
    gap.after.as_ref().is_none_or(|after| after < sequence) && gap.next.as_ref().is_none_or(|next| sequence < next)
}

/// The first stream of each table: only behind it lie others.
fn first_streams(truth: &Truth) -> HashSet<&str> {
    let mut tables = HashSet::new();
    let firsts = truth
        .streams
        .iter()
        .filter(|stream| tables.insert(stream.table.as_str()));
    firsts.map(|stream| stream.arn.as_str()).collect()
}

fn sequence(record: &TrueRecord) -> SequenceNumber {
    SequenceNumber::parse(record.sequence.as_str()).expect("the simulator writes sequence numbers")
}
