//! Many patterns matched together say what each of them says alone.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use weir_routing::{Pattern, PatternSet};

use super::properties::{any_event, any_pattern, event_of_arrays, parse, pattern_of_arrays};

fn set_of(patterns: &[Value]) -> PatternSet {
    PatternSet::new(patterns.iter().map(parse))
}

#[test]
fn patterns_are_known_by_their_place_in_the_order_that_they_were_given() {
    let set = set_of(&[
        json!({"status": ["paid"]}),
        json!({"status": ["shipped"]}),
        json!({"status": [{"prefix": "pa"}]}),
        json!({"total": [{"numeric": [">", 10]}]}),
        json!({"status": [{"exists": false}]}),
    ]);
    assert_eq!(set.matching(&json!({"status": "paid", "total": 12})), [0, 2, 3]);
    assert_eq!(set.matching(&json!({"status": "shipped", "total": 3})), [1]);
    assert_eq!(set.matching(&json!({"customer": "maria"})), [4]);
}

#[test]
fn a_set_of_none_takes_nothing() {
    assert_eq!(PatternSet::default().matching(&json!({"a": 1})), [0_usize; 0]);
}

#[test]
fn what_is_not_an_object_is_no_event() {
    let set = set_of(&[json!({"a": [1]}), json!({"a": [{"exists": false}]})]);
    for other in [json!([{"a": 1}]), json!("a"), Value::Null] {
        assert_eq!(set.matching(&other), [0_usize; 0]);
    }
}

#[test]
fn a_pattern_that_matches_in_several_ways_is_named_once() {
    let set = set_of(&[json!({"$or": [{"tags": ["a", "b"]}, {"tags": [{"prefix": "a"}]}]})]);
    assert_eq!(set.matching(&json!({"tags": ["a", "b", "ab"]})), [0]);
}

#[test]
fn a_hundred_thousand_patterns_find_the_one() {
    let set = PatternSet::new((0..100_000).map(|number| {
        let pattern = json!({"table": ["orders"], "keys": {"id": [format!("order-{number}")]}});
        parse(&pattern)
    }));
    assert_eq!(
        set.matching(&json!({"table": "orders", "keys": {"id": "order-77"}})),
        [77]
    );
    assert_eq!(
        set.matching(&json!({"table": "customers", "keys": {"id": "order-77"}})),
        [0_usize; 0]
    );
}

#[test]
fn a_wildcard_with_very_many_gaps_reads_a_string_once() {
    // Trying every way to fill the gaps would not end.
    let pattern = json!({"a": [{"wildcard": "*a".repeat(10_000) + "*b"}]});
    let (pattern, set) = (parse(&pattern), set_of(&[pattern]));
    let event = json!({"a": "a".repeat(1_000_000)});
    assert!(!pattern.matches(&event));
    assert_eq!(set.matching(&event), [0_usize; 0]);
}

#[test]
fn an_array_that_leads_to_a_pattern_very_many_times_has_it_asked_once() {
    // Once for each element would not end.
    let element = json!({"kind": "a", "sku": "b"});
    let event = json!({"items": vec![element; 20_000]});
    let both = json!({"items": {"kind": ["a"], "sku": ["c"]}});
    let many = (0..50).map(|number| json!({"items": {"kind": ["a", format!("{number}")]}}));
    let set = set_of(&many.chain([both]).collect::<Vec<_>>());
    assert_eq!(set.matching(&event).len(), 50);
}

/// Patterns that share fields and values, with alternatives of `$or` among them.
fn any_patterns() -> impl Strategy<Value = Vec<Value>> {
    let or = (any_pattern(), any_pattern()).prop_map(|(left, right)| json!({"$or": [left, right]}));
    vec(prop_oneof![3 => any_pattern(), 1 => or], 0..12)
}

fn one_by_one(patterns: &[Value], event: &Value) -> Vec<usize> {
    let patterns: Vec<Pattern> = patterns.iter().map(parse).collect();
    (0..patterns.len())
        .filter(|place| patterns[*place].matches(event))
        .collect()
}

proptest! {
    #[test]
    fn a_set_takes_what_its_patterns_take(patterns in any_patterns(), event in any_event()) {
        prop_assert_eq!(set_of(&patterns).matching(&event), one_by_one(&patterns, &event));
    }

    #[test]
    fn a_set_takes_what_its_patterns_take_of_arrays(patterns in vec(pattern_of_arrays(), 0..8), event in event_of_arrays()) {
        prop_assert_eq!(set_of(&patterns).matching(&event), one_by_one(&patterns, &event));
    }
}
