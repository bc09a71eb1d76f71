//! All routes of a source at once, beside a matcher that others wrote.
//!
//! Five rules of each kind, and 1,000 and 100,000 exact ones, on one thread, on the event of `rules/event.json` (700 bytes):
//!
//! - `decoded/…`: the event is decoded, as it is for every route of Weir. The goal is twice the rate at which AWS's own
//!   matcher (`event-ruler`, on Java) goes from text on two shared cores: 960,000 events a second for exact, prefix and suffix,
//!   710,000 wildcard, 730,000 anything-but, 146,000 numeric, 456,000 with 100,000 exact rules.
//! - `text/…`: decoding it is part of the path.
//!
//! Both stand beside `quamina`, which goes from text and reads no more of it than its patterns ask for. Before anything is
//! measured, both have to take the same events.

#[path = "../../evidence/benches/beside/mod.rs"]
mod beside;

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::Criterion;
use quamina::QuaminaBuilder;
use serde_json::{Value, json};
use weir_routing::{Pattern, PatternSet};

use beside::{Beside, beside};

const EVENT: &str = include_str!("rules/event.json");
const RULES: &str = include_str!("rules/rules.json");

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let kinds: BTreeMap<String, Vec<Value>> = serde_json::from_str(RULES).expect("the rules are JSON");
    for (kind, patterns) in kinds {
        measure(&mut criterion, &format!("5 {kind}"), &patterns);
    }
    for count in [1_000, 100_000] {
        measure(&mut criterion, &format!("{count} exact"), &orders(count));
    }
    criterion.final_summary();
}

/// As many rules, each for one order; one is that of the event.
fn orders(count: usize) -> Vec<Value> {
    let rule = |number| json!({"detail": {"new": {"order_id": [format!("order-{number:09}")]}}});
    let first = 4711 - count / 1000;
    (first..first + count).map(rule).collect()
}

fn measure(criterion: &mut Criterion, rules: &str, patterns: &[Value]) {
    let set = PatternSet::new(patterns.iter().map(|pattern| {
        let pattern = Pattern::parse(&pattern.to_string());
        pattern.expect("the rules are patterns")
    }));
    // Its limits are meant for patterns of strangers.
    let mut quamina = QuaminaBuilder::new()
        .with_arena_byte_budget(1 << 30)
        .build()
        .expect("the limits are in range");
    for (place, pattern) in patterns.iter().enumerate() {
        let added = quamina.add_pattern(place, &pattern.to_string());
        added.expect("the rules are patterns of quamina");
    }
    let read = |text: &str| serde_json::from_str::<Value>(text).expect("the event is JSON");
    let asked = |text: &str| quamina.matches_for_event(text.as_bytes()).expect("the event is JSON");
    let event = read(EVENT);
    assert_eq!(set.matching(&event), asked(EVENT), "{rules}");
    assert_eq!(set.matching(&event).len(), 1, "{rules}");
    let (decoded, text) = (
        format!("pattern-set/decoded/{rules}"),
        format!("pattern-set/text/{rules}"),
    );
    beside(
        criterion,
        beside_quamina(&decoded),
        || set.matching(black_box(&event)),
        || asked(black_box(EVENT)),
    );
    beside(
        criterion,
        beside_quamina(&text),
        || set.matching(&read(black_box(EVENT))),
        || asked(black_box(EVENT)),
    );
}

fn beside_quamina(path: &str) -> Beside<'_> {
    Beside {
        path,
        floor: "quamina, from text",
        count: 1,
    }
}
