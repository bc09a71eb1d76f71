//! Batches and gaps that account for the records of two shards, now and then wrongly.

use super::*;

/// Where a shard stands while its entries are made up.
pub(super) struct Shard {
    name: &'static str,
    next: usize,
    waiting: Vec<usize>,
    end: String,
    has_gap: bool,
}

/// Two shards that are accounted for, but for a value here and there.
pub(super) fn accounts(random: &mut Random) -> Vec<u8> {
    let shard = |name| Shard {
        name,
        next: 5,
        waiting: vec![],
        end: "start".to_owned(),
        has_gap: false,
    };
    let mut shards = [shard("a"), shard("b")];
    let slips = [4, 12, 40, 1000][random.below(4)];
    let count = 2 + random.below(14);
    let entries = (0..count)
        .map(|_| {
            let shard = random.below(2);
            account(&mut shards[shard], random, slips).to_string()
        })
        .collect();
    bundle_of(entries, if random.once_in(2) { 0 } else { 1 + random.below(4) })
}

pub(super) fn account(shard: &mut Shard, random: &mut Random, slips: usize) -> Value {
    let mut entry = Map::from_iter([
        ("ledger".to_owned(), json!("main")),
        ("shard".to_owned(), json!(shard.name)),
        ("stream".to_owned(), json!("stream")),
        ("v".to_owned(), json!(1)),
    ]);
    let members = match random.below(7) {
        0..=2 => {
            shard.next += 1 + random.below(3);
            let sequence = slipped(shard.next, random, slips);
            shard.waiting.push(sequence);
            json!({
                "commitment": "00".repeat(32), "kind": "unknown", "time": 7,
                "sequence": if random.once_in(8) { format!("00{sequence}") } else { sequence.to_string() },
            })
        }
        3 => {
            let after = shard.next;
            shard.has_gap = true;
            shard.next += 5;
            let mut gap = json!({"cause": "trimmed", "kind": "gap", "loss": "certain"});
            if !random.once_in(3) {
                gap["after"] = json!(slipped(after, random, slips).to_string());
            }
            gap
        }
        _ => batch(shard, random, slips),
    };
    if let Value::Object(members) = members {
        entry.extend(members);
    }
    Value::Object(entry)
}

pub(super) fn batch(shard: &mut Shard, random: &mut Random, slips: usize) -> Value {
    let recorded = shard.waiting.len();
    let read = if recorded == 0 && random.once_in(2) {
        0
    } else {
        recorded.max(1) + random.below(2)
    };
    let after = if shard.has_gap { "gap" } else { &shard.end };
    let after = match random.below(slips) {
        0 => ["start", "gap", "0", &shard.next.to_string()][random.below(4)].to_owned(),
        _ => after.to_owned(),
    };
    let mut batch = json!({
        "after": after, "config": "01".repeat(16), "kind": "batch",
        "closed": if random.once_in(slips) { "end" } else { "interval" },
        "read": slipped(read, random, slips), "recorded": slipped(recorded, random, slips),
        "redacted": slipped(0, random, slips),
    });
    if read > 0 {
        shard.next += usize::from(recorded == 0);
        let first = shard.waiting.first().copied().unwrap_or(shard.next);
        batch["first"] = json!(slipped(first, random, slips).to_string());
        batch["last"] = json!(slipped(shard.next, random, slips).to_string());
        shard.end = shard.next.to_string();
    } else if shard.has_gap {
        shard.end = "gap".to_owned();
    }
    if random.once_in(slips * 4) {
        batch.as_object_mut().unwrap().remove(random.pick(&["first", "last"]));
    }
    shard.waiting.clear();
    shard.has_gap = false;
    batch
}

/// The number, or now and then another.
pub(super) fn slipped(number: usize, random: &mut Random, slips: usize) -> usize {
    if random.once_in(slips) {
        (number + random.below(3)).saturating_sub(1)
    } else {
        number
    }
}
