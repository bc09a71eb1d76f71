//! Which shards of an answer may be entered: those whose parent is known, is there, or is surely gone.
//!
//! An answer of the service may leave a shard out that is there (streams.md 5). A child that is entered without its parent
//! looks as if it had none, and is read at once: out of order, for good. So a child whose parent is missing waits, and with
//! it whoever descends from it.
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

/// What answers so far left open.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    /// Parents that every answer since then named and did not have.
    missing: HashMap<ShardId, Doubt>,
}

impl Lineage {
    /// The shards of an answer that may be entered, beside those that are `known` already. `answered_at` is the service's
    /// time; a parent counts as gone when answers have left it out for `sure_after`.
    pub(super) fn sure(
        &mut self,
        found: &[FoundShard],
        known: &HashSet<ShardId>,
        answered_at: Timestamp,
        sure_after: SignedDuration,
    ) -> Vec<NewShard> {
        let listed: HashSet<&ShardId> = found.iter().map(|found| &found.shard).collect();
        let before = std::mem::take(&mut self.missing);
        let mut waiting: HashSet<&ShardId> = HashSet::new();
        for shard in found.iter().filter(|found| !known.contains(&found.shard)) {
            let Some(parent) = &shard.parent else { continue };
            if listed.contains(parent) || known.contains(parent) || is_trimmed(parent, answered_at) {
                continue;
            }
            let doubt = Doubt::more(before.get(parent).cloned(), answered_at);
            if doubt.is_settled(answered_at, sure_after) {
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
                parent_waits && !waiting.contains(&found.shard) && !known.contains(&found.shard)
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
        })
        .collect()
    }

    /// Whether some shard of the last answer waits.
    pub(super) fn is_in_doubt(&self) -> bool {
        !self.missing.is_empty()
    }
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
        let known = known.split_whitespace().map(id).collect();
        let noon: Timestamp = "2026-03-03T12:00:00Z".parse().unwrap();
        let now = noon + SignedDuration::from_secs(second);
        let sure = lineage.sure(&found, &known, now, SignedDuration::from_secs(60));
        let ids: Vec<&str> = sure.iter().map(|new| new.shard.as_str()).collect();
        ids.join(" ")
    }

    #[track_caller]
    fn check(answer: &str, known: &str, expected: &str) {
        assert_eq!(sure(&mut Lineage::default(), answer, known, 1), expected);
    }

    /// streams.md 4: in whatever order they are listed.
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
}
