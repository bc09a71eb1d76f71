//! Which shards of an answer may be entered: those whose parent is known, is there, or is surely gone.
//!
//! An answer of the service may leave a shard out that is there (streams.md 5). A child that is entered without its parent
//! looks as if it had none, and is read at once: out of order, for good. So a child whose parent is missing waits, and with
//! it whoever descends from it.
//!
//! It is also here that is found out what a shard may have lost before it is read: its records from a certain time on, or all
//! of a parent that came and went unseen.
//!
//! # Invariants
//!
//! - A shard is entered together with its parent, or behind it, or once the parent is surely gone: it is older than the
//!   service keeps records, or every answer left it out for a while (streams.md 6).

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use weir_ledger::NewShard;
use weir_model::ShardId;
use weir_streams::{FoundShard, made_at};

use super::doubt::Doubt;

/// Age of a parent from which on it has been trimmed: a shard lives for hours and its records for 24 h, both counted from
/// its making at the earliest.
const TRIMMED_AFTER: SignedDuration = SignedDuration::from_hours(48);

/// What the ledger knows of a stream.
pub(super) struct KnownStream<'a> {
    /// Shards that were entered.
    pub(super) shards: &'a HashSet<ShardId>,
    /// When the stream was entered, by the service's clock.
    pub(super) entered_at: Option<Timestamp>,
    /// When its shards were told last, by the service's clock.
    pub(super) told_at: Option<Timestamp>,
}

/// What answers so far left open.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    /// Parents that every answer since then named and did not have.
    missing: HashMap<ShardId, Doubt>,
}

impl Lineage {
    /// The shards of an answer that may be entered, beside those that are known already. `answered_at` is the service's
    /// time; a parent counts as gone when answers have left it out for `sure_after`.
    pub(super) fn sure(
        &mut self,
        found: &[FoundShard],
        known: &KnownStream<'_>,
        answered_at: Timestamp,
        sure_after: SignedDuration,
    ) -> Vec<NewShard> {
        let listed: HashSet<&ShardId> = found.iter().map(|found| &found.shard).collect();
        let before = std::mem::take(&mut self.missing);
        let mut waiting: HashSet<&ShardId> = HashSet::new();
        let mut orphans: HashSet<&ShardId> = HashSet::new();
        for shard in found.iter().filter(|found| !known.shards.contains(&found.shard)) {
            let Some(parent) = &shard.parent else { continue };
            if listed.contains(parent) || known.shards.contains(parent) {
                continue;
            }
            let doubt = Doubt::more(before.get(parent).cloned(), answered_at);
            if is_trimmed(parent, answered_at) || doubt.is_settled(answered_at, sure_after) {
                if known.entered_at.is_some_and(|entered_at| {
                    // What was trimmed before the stream was entered is not missed.
                    let named_late = doubt.since().duration_since(entered_at) > sure_after;
                    made_at(&shard.shard).map_or(named_late, |made_at| made_at > entered_at)
                }) {
                    orphans.insert(&shard.shard);
                }
                continue;
            }
            if doubt.is_new() {
                tracing::info!(shard.id = %shard.shard, parent = %parent, "the parent is missing in the answer; the shard waits");
            }
            self.missing.insert(parent.clone(), doubt);
            waiting.insert(&shard.shard);
        }
        // Whoever descends from a shard that waits, waits too. Answers are in no order, so until nobody is left.
        loop {
            let descends = |found: &&FoundShard| {
                let parent_waits = found.parent.as_ref().is_some_and(|parent| waiting.contains(parent));
                parent_waits && !waiting.contains(&found.shard) && !known.shards.contains(&found.shard)
            };
            let more: Vec<&ShardId> = found.iter().filter(descends).map(|found| &found.shard).collect();
            if more.is_empty() {
                break;
            }
            waiting.extend(more);
        }
        let sure = found.iter().filter(|found| !waiting.contains(&found.shard));
        sure.map(|found| NewShard {
            shard: found.shard.clone(),
            parent: found.parent.clone(),
            owed_from: owed_from(&found.shard, known),
            is_orphan: orphans.contains(&found.shard),
        })
        .collect()
    }

    /// Whether some shard of the last answer waits.
    pub(super) fn is_in_doubt(&self) -> bool {
        !self.missing.is_empty()
    }
}

/// From when on a shard's records are to be recorded: it was made then or later. One whose id does not tell was made after
/// the last answer that did not have it.
fn owed_from(shard: &ShardId, known: &KnownStream<'_>) -> Option<Timestamp> {
    let entered_at = known.entered_at?;
    let made_at = made_at(shard).or(known.told_at).unwrap_or(entered_at);
    Some(made_at.max(entered_at))
}

/// Whether a shard is so old that the service cannot have it any more. Its id says when it was made; the form of ids is
/// not documented, and one that cannot be read says nothing.
fn is_trimmed(shard: &ShardId, now: Timestamp) -> bool {
    made_at(shard).is_some_and(|made_at| now.duration_since(made_at) > TRIMMED_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ShardId {
        ShardId::parse(text).unwrap()
    }

    /// An answer as `child<parent`, given so many seconds after noon, and the ids of those that may be entered.
    fn sure(lineage: &mut Lineage, answer: &str, known: &str, second: i64) -> String {
        let found: Vec<FoundShard> = answer
            .split_whitespace()
            .map(|text| {
                let (shard, parent) = text
                    .split_once('<')
                    .map_or((text, None), |(shard, parent)| (shard, Some(parent)));
                FoundShard {
                    shard: id(shard),
                    parent: parent.map(id),
                }
            })
            .collect();
        let shards = known.split_whitespace().map(id).collect();
        let noon: Timestamp = "2026-03-03T12:00:00Z".parse().unwrap();
        let now = noon + SignedDuration::from_secs(second);
        let known = KnownStream {
            shards: &shards,
            entered_at: Some(noon - SignedDuration::from_hours(72)),
            told_at: None,
        };
        let sure = lineage.sure(&found, &known, now, SignedDuration::from_secs(60));
        let ids: Vec<&str> = sure.iter().map(|new| new.shard.as_str()).collect();
        ids.join(" ")
    }

    #[track_caller]
    fn check(answer: &str, known: &str, expected: &str) {
        assert_eq!(sure(&mut Lineage::default(), answer, known, 1), expected);
    }

    /// streams.md 4: in whatever order they are listed. And 9: the parent may have left the stream since it was entered.
    #[test]
    fn shards_without_a_parent_or_with_one_that_is_there_are_sure() {
        check("c<b b<a a", "", "c b a");
        check("b<a", "a", "b");
    }

    /// streams.md 5 and 6.
    #[test]
    fn a_child_whose_parent_is_missing_waits_and_with_it_whoever_descends_from_it() {
        check("d<c c<b b<a e", "", "e");
        check("d<c c<b b<a e", "c", "d c e");
    }

    /// streams.md 6: or children of a trimmed parent would wait for ever.
    #[test]
    fn a_parent_that_is_older_than_what_the_service_keeps_is_gone_at_once() {
        // Made at 2026-03-01T12:00:00Z, and a second later.
        check("b<shardId-00000001772366400000-1a2b3c4d", "", "b");
        check("b<shardId-00000001772366402000-1a2b3c4d", "", "");
        check("b<shard-without-a-time", "", "");
    }

    /// streams.md 6.
    #[test]
    fn a_parent_that_every_answer_leaves_out_for_long_enough_is_gone() {
        let mut lineage = Lineage::default();
        for second in [0, 10, 20, 30, 59] {
            assert_eq!(sure(&mut lineage, "c<b b<a", "", second), "");
            assert!(lineage.is_in_doubt());
        }
        assert_eq!(sure(&mut lineage, "c<b b<a", "", 60), "c b");
        assert!(!lineage.is_in_doubt());
    }

    /// streams.md 5.
    #[test]
    fn a_parent_that_comes_back_ends_the_doubt_and_the_wait_begins_anew() {
        let mut lineage = Lineage::default();
        for second in [0, 10, 20, 30, 40] {
            sure(&mut lineage, "b<a", "", second);
        }
        assert_eq!(sure(&mut lineage, "b<a a", "", 59), "b a");
        assert!(!lineage.is_in_doubt());
        assert_eq!(sure(&mut lineage, "b<a", "", 60), "");
        assert!(lineage.is_in_doubt());
    }

    /// A shard as `id made in the second after the stream was entered`, from an answer in another one; with what it owes.
    fn entered(lineage: &mut Lineage, shard: &str, parent: &str, second: i64) -> Option<(i64, bool)> {
        let at = |second: i64| Timestamp::from_second(1_772_366_400 + second).unwrap();
        let found = [FoundShard {
            shard: id(shard),
            parent: Some(id(parent)),
        }];
        let shards = HashSet::new();
        let known = KnownStream {
            shards: &shards,
            entered_at: Some(at(0)),
            told_at: (second > 0).then(|| at(second - 10)),
        };
        let sure = lineage
            .sure(&found, &known, at(second), SignedDuration::from_secs(60))
            .pop()?;
        Some((sure.owed_from.unwrap().as_second() - at(0).as_second(), sure.is_orphan))
    }

    /// streams.md 6.
    #[test]
    fn a_shard_whose_parent_came_and_went_unseen_has_lost_what_stood_there() {
        // Made at 12:00:00, when the stream was entered, an hour before, and an hour after.
        let (then, before, after) = (
            "shardId-00000001772366400000-00000001",
            "shardId-00000001772362800000-00000001",
            "shardId-00000001772370000000-00000001",
        );
        let trimmed = "shardId-00000001700000000000-00000001";
        let check = |shard, second, expected| {
            assert_eq!(
                entered(&mut Lineage::default(), shard, trimmed, second),
                Some(expected),
                "{shard}"
            );
        };
        // What was trimmed before is not missed.
        check(before, 0, (0, false));
        check(then, 0, (0, false));
        check(after, 7200, (3600, true));
        // An id that says nothing: by when it was named first.
        check("opaque", 30, (20, false));
        check("opaque", 7200, (7190, true));
    }

    #[test]
    fn a_shard_that_waited_for_its_parent_is_no_orphan_if_it_was_named_at_the_beginning() {
        let mut lineage = Lineage::default();
        for second in [0, 10, 20, 30] {
            assert_eq!(entered(&mut lineage, "opaque", "gone", second), None);
        }
        assert_eq!(entered(&mut lineage, "opaque", "gone", 70), Some((60, false)));
    }
}
