//! Which shards may be read now: parents before children.

use std::collections::HashMap;

use weir_model::ShardId;

/// A shard, as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownShard {
    /// Its id.
    pub shard: ShardId,
    /// The shard it came from.
    pub parent: Option<ShardId>,
    /// It was read to its end, and that was recorded.
    pub finished: bool,
}

/// The shards that may be read: not finished themselves, and their parent either finished or not known at all, because
/// the stream had trimmed it before we came (streams.md 1 and 6).
pub fn ready(shards: &[KnownShard]) -> impl Iterator<Item = &ShardId> {
    let finished: HashMap<&ShardId, bool> = shards.iter().map(|shard| (&shard.shard, shard.finished)).collect();
    shards.iter().filter_map(move |shard| {
        let parent_done = shard
            .parent
            .as_ref()
            .is_none_or(|parent| finished.get(parent).copied().unwrap_or(true));
        (!shard.finished && parent_done).then_some(&shard.shard)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shards are written `child<parent`, a finished one with `!` behind it.
    #[track_caller]
    fn check(shards: &str, expected: &str) {
        let id = |text: &str| ShardId::parse(text).unwrap();
        let known: Vec<KnownShard> = shards
            .split_whitespace()
            .map(|text| {
                let finished = text.ends_with('!');
                let text = text.trim_end_matches('!');
                let (shard, parent) = text
                    .split_once('<')
                    .map_or((text, None), |(shard, parent)| (shard, Some(parent)));
                KnownShard {
                    shard: id(shard),
                    parent: parent.map(id),
                    finished,
                }
            })
            .collect();
        let ready: Vec<&str> = ready(&known).map(ShardId::as_str).collect();
        assert_eq!(ready.join(" "), expected);
    }

    /// streams.md 1 and 4: lineage decides, not the order of the answer.
    #[test]
    fn a_child_waits_until_its_parent_is_finished() {
        check("c<b b<a a", "a");
        check("c<b b<a a!", "b");
        check("c<b b<a! a!", "c");
    }

    /// streams.md 1: a split gives a shard several children.
    #[test]
    fn both_children_of_a_split_are_ready_together() {
        check("a! b<a c<a d", "b c d");
    }

    /// streams.md 6: or children would wait for ever.
    #[test]
    fn a_parent_that_left_the_stream_counts_as_finished() {
        check("b<a", "b");
    }
}
