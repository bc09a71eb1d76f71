//! What it costs a route to say whether it takes an event, rule by rule.
//!
//! The event is decoded once for all routes; each route then asks its pattern. The floor is therefore what the event
//! cost already: `serde_json::from_str` of its text, about 700 bytes. The design sets no number; the goal is that matching
//! is small beside that: below 0.1 for any one pattern, so that ten routes cost less than the one decoding.
//!
//! Every pattern here takes the event, so each one reads all that it asks about; `pattern/miss` fails at its first
//! field. Machines are noisy, so the floor runs in turns with the path (`beside`): compare the ratios, not the times.

#[path = "../../evidence/benches/beside/mod.rs"]
mod beside;

use std::hint::black_box;

use criterion::Criterion;
use serde_json::Value;
use weir_routing::Pattern;

use beside::{Beside, beside};

/// A change of an order, as routes see it.
const EVENT: &str = include_str!("rules/event.json");

/// Rules, each in a pattern as people write them: deep in the event, with its neighbours untouched.
const PATTERNS: [(&str, &str); 8] = [
    (
        "pattern/exact",
        r#"{"detail": {"new": {"status": ["shipped", "paid"]}}}"#,
    ),
    (
        "pattern/prefix",
        r#"{"detail": {"new": {"customer": [{"prefix": "customer-9"}]}}}"#,
    ),
    (
        "pattern/suffix",
        r#"{"detail": {"actor": [{"suffix": "@example.com"}]}}"#,
    ),
    (
        "pattern/numeric",
        r#"{"detail": {"new": {"total": [{"numeric": [">", 20, "<=", 100]}]}}}"#,
    ),
    (
        "pattern/anything-but",
        r#"{"detail": {"old": {"status": [{"anything-but": ["paid", "cancelled"]}]}}}"#,
    ),
    (
        "pattern/wildcard",
        r#"{"detail": {"new": {"order_id": [{"wildcard": "order-*47*1"}]}}}"#,
    ),
    (
        "pattern/all",
        r#"{
            "source": ["weir.shop"],
            "detail": {
                "operation": ["insert", "modify"],
                "changed": ["status"],
                "actor": [{"suffix": "@example.com"}],
                "old": {"status": [{"anything-but": ["paid"]}]},
                "new": {
                    "status": ["paid"],
                    "customer": [{"prefix": "customer-"}],
                    "total": [{"numeric": [">", 20]}],
                    "order_id": [{"wildcard": "order-*47*1"}]
                }
            }
        }"#,
    ),
    ("pattern/miss", r#"{"source": ["weir.warehouse"]}"#),
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let event: Value = serde_json::from_str(EVENT).expect("the event above is JSON");
    for (path, pattern) in PATTERNS {
        let pattern = Pattern::parse(pattern).expect("the patterns above are patterns");
        assert_eq!(pattern.matches(&event), path != "pattern/miss", "{path}");
        beside(
            &mut criterion,
            Beside {
                path,
                floor: &format!("parsing {} bytes of JSON", EVENT.len()),
                count: 1,
            },
            || pattern.matches(black_box(&event)),
            || serde_json::from_str::<Value>(black_box(EVENT)),
        );
    }
    criterion.final_summary();
}
