//! The patterns of all routes, matched in one pass for each source.
//!
//! # Invariants
//!
//! - What is said of a route's version is what its own pattern says: a version that was not there when a page was matched asks
//!   its pattern itself.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use weir_routing::{Pattern, PatternSet, Subject};

use super::RecordedChange;

/// What a version of a route takes.
#[derive(Clone)]
pub(crate) struct Subscription {
    pub(crate) route: String,
    pub(crate) version: u32,
    pub(crate) source: String,
    /// `None` takes everything of the source.
    pub(crate) pattern: Option<Pattern>,
}

/// Whatever is subscribed now.
#[derive(Default)]
pub(super) struct Patterns(Mutex<Arc<Compiled>>);

/// The subscriptions at one time.
#[derive(Default)]
struct Compiled {
    /// By route. Those without a pattern have no place.
    subscribed: BTreeMap<String, (Subscription, Option<usize>)>,
    by_source: BTreeMap<String, Sets>,
}

/// The patterns of one source, by what they are about.
#[derive(Default)]
struct Sets {
    of_event: PatternSet,
    of_record: PatternSet,
}

/// Which patterns took the changes of a page.
pub(super) struct Matched {
    compiled: Arc<Compiled>,
    /// For each change: those about events, and those about records.
    taken: Vec<[Vec<usize>; 2]>,
}

impl Patterns {
    pub(super) fn subscribe(&self, subscription: Subscription) {
        let mut compiled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = compiled.subscribed.get(&subscription.route);
        if known.is_some_and(|(known, _)| known.version >= subscription.version) {
            return;
        }
        let others = compiled
            .subscribed
            .values()
            .map(|(subscription, _)| subscription.clone());
        let all = others.filter(|other| other.route != subscription.route);
        *compiled = Arc::new(Compiled::of(all.chain([subscription.clone()])));
    }

    pub(super) fn match_all(&self, changes: &[RecordedChange]) -> Matched {
        let compiled = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let taken = changes.iter().map(|change| compiled.taken(change)).collect();
        Matched { compiled, taken }
    }
}

impl Compiled {
    fn of(subscriptions: impl Iterator<Item = Subscription>) -> Self {
        let mut patterns: BTreeMap<String, [Vec<Pattern>; 2]> = BTreeMap::new();
        let mut compiled = Self::default();
        for subscription in subscriptions {
            let place = subscription.pattern.as_ref().map(|pattern| {
                let of_source = patterns.entry(subscription.source.clone()).or_default();
                let of_subject = &mut of_source[about(pattern)];
                of_subject.push(pattern.clone());
                of_subject.len() - 1
            });
            let route = subscription.route.clone();
            compiled.subscribed.insert(route, (subscription, place));
        }
        let sets = patterns.into_iter().map(|(source, [of_event, of_record])| {
            let sets = Sets {
                of_event: PatternSet::new(of_event),
                of_record: PatternSet::new(of_record),
            };
            (source, sets)
        });
        compiled.by_source = sets.collect();
        compiled
    }

    fn taken(&self, change: &RecordedChange) -> [Vec<usize>; 2] {
        let Some(sets) = self.by_source.get(&change.source) else {
            return Default::default();
        };
        let of_event = if sets.of_event.patterns().is_empty() {
            Vec::new()
        } else {
            sets.of_event.matching(&change.event().to_json())
        };
        let of_record = if sets.of_record.patterns().is_empty() {
            Vec::new()
        } else {
            sets.of_record
                .matching(&change.change.change.to_stream_record(&change.stream))
        };
        [of_event, of_record]
    }
}

impl Matched {
    /// The changes at these places that are taken.
    pub(super) fn taken_by(
        &self,
        subscription: &Subscription,
        changes: &[Arc<RecordedChange>],
        places: Range<usize>,
    ) -> Vec<Arc<RecordedChange>> {
        let known = self.compiled.subscribed.get(&subscription.route);
        let place = known.filter(|(known, _)| known.version == subscription.version);
        let is_taken = |index: usize, change: &RecordedChange| match (&subscription.pattern, place) {
            (None, _) => true,
            (Some(pattern), Some((_, Some(place)))) => self.taken[index][about(pattern)].binary_search(place).is_ok(),
            (Some(pattern), _) => change.is_taken_by(pattern),
        };
        changes[places.clone()]
            .iter()
            .zip(places)
            .filter(|(change, index)| change.source == subscription.source && is_taken(*index, change))
            .map(|(change, _)| Arc::clone(change))
            .collect()
    }
}

/// Its place among the subjects.
fn about(pattern: &Pattern) -> usize {
    match pattern.subject() {
        Subject::Event => 0,
        Subject::Record => 1,
    }
}
