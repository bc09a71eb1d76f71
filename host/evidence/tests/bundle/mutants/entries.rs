//! Entries with other members, or other words in them.

use super::*;

/// An entry with members that are missing, too many, or say something else, in canonical form.
pub(super) fn changed_entry(entry: &str, random: &mut Random) -> String {
    let Ok(Value::Object(mut members)) = serde_json::from_str(entry) else {
        return entry.to_owned();
    };
    for _ in 0..=random.below(2) {
        let names: Vec<String> = members.keys().cloned().collect();
        let name = if random.once_in(5) || names.is_empty() {
            random.pick(NAMES).to_owned()
        } else {
            names[random.below(names.len())].clone()
        };
        if random.once_in(5) {
            members.remove(&name);
        } else {
            members.insert(name.clone(), value_of(&name, random));
        }
    }
    Value::Object(members).to_string()
}

pub(super) const NAMES: &[&str] = &[
    "after",
    "assurance",
    "bodies",
    "cause",
    "closed",
    "commitment",
    "config",
    "detail",
    "event",
    "first",
    "id",
    "item",
    "kind",
    "last",
    "ledger",
    "loss",
    "next",
    "operation",
    "read",
    "recorded",
    "redacted",
    "scope",
    "sequence",
    "shard",
    "since",
    "stage",
    "stream",
    "table",
    "time",
    "until",
    "v",
    "what",
    "other",
    "Kind",
    "",
];

/// A value that a member of that name may have, or almost.
pub(super) fn value_of(name: &str, random: &mut Random) -> Value {
    if random.once_in(6) {
        let anything = [
            json!(null),
            json!(true),
            json!(-1),
            json!(1.5),
            json!([]),
            json!({}),
            json!({"a": [1]}),
            json!(0),
        ];
        return anything[random.below(anything.len())].clone();
    }
    let words: &[&str] = match name {
        "v" | "time" | "since" | "until" | "read" | "recorded" | "redacted" | "bodies" => {
            let numbers: [u64; 8] = [
                0,
                1,
                2,
                3,
                253_402_207_200_000,
                253_402_207_200_001,
                (1 << 53) - 1,
                1 << 53,
            ];
            return json!(numbers[random.below(numbers.len())]);
        }
        "kind" => &[
            "change",
            "unknown",
            "gap",
            "batch",
            "lifecycle",
            "erasure",
            "hold",
            "tidings",
            "",
            "Change",
        ],
        "operation" => &["insert", "modify", "remove", "replace"],
        "assurance" => &[
            "unknown",
            "system",
            "last-writer",
            "claimed",
            "signed",
            "corroborated",
            "certain",
        ],
        "cause" => &["trimmed", "shard-expired", "stream-replaced", "lost"],
        "loss" => &["certain", "possible", "none"],
        "closed" => &["interval", "configuration", "hand-over", "end", "never"],
        "scope" => &["attribute", "item", "subject", "retention", "all"],
        "stage" => &["intent", "done", "placed", "released"],
        "after" | "sequence" | "first" | "last" | "next" => {
            let digits = [
                "0", "00", "7", "007", "20", "99", "100", "101", "0101", "102", "103", "start", "gap", "", "-1", "1.0",
                "٣",
            ];
            return match random.below(12) {
                0 => json!("9".repeat(128)),
                1 => json!("9".repeat(129)),
                _ => json!(random.pick(&digits)),
            };
        }
        "commitment" => &["5c", "G", "5C"],
        "config" => &[
            "01010101010101010101010101010101",
            "0101010101010101010101010101010",
            "0101010101010101010101010101010A",
        ],
        "item" => &[
            "a1b2c3d4:07070707070707070707070707070707",
            "a1b2c3d:007070707070707070707070707070707",
            "A1b2c3d4:07070707070707070707070707070707",
            "a1b2c3d4:0707070707070707070707070707070",
            "a1b2c3d4-07070707070707070707070707070707",
        ],
        _ => {
            return match random.below(10) {
                0 => json!("x".repeat(1024)),
                1 => json!("x".repeat(1025)),
                2 => json!("é".repeat(512)),
                3 => json!("x".repeat(40_000)),
                _ => json!(random.pick(&[
                    "", "main", "other", "a", "b", "a\nb", "\u{85}", "\u{7f}", "\u{2028}", "\"\\", "é"
                ])),
            };
        }
    };
    let word = random.pick(words);
    if name == "commitment" {
        json!(word.repeat(if random.once_in(2) { 32 } else { 64 }))
    } else {
        json!(word)
    }
}

/// Every kind of entry, one of them changed.
pub(super) fn entries(random: &mut Random) -> Vec<u8> {
    let mut lie = draft(random);
    let index = random.below(lie.entries.len());
    lie.entries[index] = changed_entry(&lie.entries[index], random);
    // The optional members of a gap and the counts of a batch are where kinds differ.
    if random.once_in(3) {
        lie.disclosures[index] = "{}".to_owned();
    }
    lie.with_rows_where_possible().seal().to_bytes()
}

/// A bundle of those entries, of which nothing is shown, at that place of a ledger.
pub(super) fn bundle_of(entries: Vec<String>, before: usize) -> Vec<u8> {
    let lie = Draft {
        ledger: "main".to_owned(),
        before: vec![[3; 32]; before],
        disclosures: vec!["{}".to_owned(); entries.len()],
        entries,
        rows_json: String::new(),
        rows_csv: String::new(),
        behind: vec![],
        since: String::new(),
    };
    lie.with_rows_where_possible().seal().to_bytes()
}
