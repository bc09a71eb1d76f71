//! The same patterns and events for a matcher that others wrote: `quamina`, of the family of the matcher behind EventBridge.
//!
//! What is left out is where the two are meant to differ:
//!
//! - `$or`, and operators inside `anything-but` other than what both have: quamina does not know them.
//! - Absence (`exists: false`) and `anything-but` in arrays: quamina decides by leaf and not by element.
//! - IPv6 networks, in which quamina finds no address.
//! - `numeric` of what is no number: quamina compares strings and null with numbers.
//! - `exists` beside other rules of a leaf, of which quamina keeps only one.
//! - In arrays, a name that is a leaf here and an object there: to quamina `{"a": [{"a": 3}]}` has a 3 at `a`. So leaves are
//!   `x` and `y` there, and objects `a` and `b`.

use std::ops::Range;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use quamina::Quamina;
use serde_json::{Value, json};

use super::properties::parse;

/// What quamina makes of it.
fn quamina_matches(pattern: &Value, event: &Value) -> bool {
    let mut quamina = Quamina::new();
    quamina
        .add_pattern("it", &pattern.to_string())
        .unwrap_or_else(|error| panic!("quamina refuses {pattern}: {error}"));
    quamina
        .has_matches(event.to_string().as_bytes())
        .unwrap_or_else(|error| panic!("quamina cannot read {event}: {error}"))
}

fn any_text() -> impl Strategy<Value = String> {
    "[abAB*\\\\ é]{1,4}"
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any_number(),
        any_text().prop_map(Value::from),
        Just(json!("10.1.2.3")),
    ]
}

fn any_rule() -> impl Strategy<Value = Value> {
    prop_oneof![
        any_scalar(),
        "[abAB]{1,3}".prop_flat_map(|text| prop_oneof![
            Just(json!({"prefix": text})),
            Just(json!({"suffix": text})),
            Just(json!({"equals-ignore-case": text})),
            Just(json!({"wildcard": format!("{text}*")})),
            Just(json!({"wildcard": format!("*{text}")})),
            Just(json!({"wildcard": format!("a*{text}*b")})),
            Just(json!({"anything-but": [text]})),
        ]),
        Just(json!({"cidr": "10.0.0.0/8"})),
    ]
}

fn any_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-1000..1000_i64).prop_map(Value::from),
        (-4000..4000_i64).prop_map(|number| Value::from(number as f64 / 8.0)),
    ]
}

fn any_range() -> impl Strategy<Value = Value> {
    (-1000..1000_i64).prop_flat_map(|number| {
        prop_oneof![
            Just(json!({"numeric": ["=", number]})),
            Just(json!({"numeric": ["<", number as f64 / 4.0]})),
            Just(json!({"numeric": [">=", number]})),
            Just(json!({"numeric": [">", number, "<=", number + 100]})),
        ]
    })
}

/// Events of objects in objects, two names each, so that patterns meet them.
fn any_event() -> impl Strategy<Value = Value> {
    let node = any_scalar().prop_recursive(3, 12, 3, |inner| object("[ab]", inner.boxed(), 0..3));
    object("[ab]", node.boxed(), 1..3)
}

fn any_pattern() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        8 => vec(any_rule(), 1..3).prop_map(Value::Array),
        1 => Just(json!([{"exists": true}]))
    ];
    let node = leaf.prop_recursive(3, 8, 2, |inner| object("[ab]", inner.boxed(), 1..3));
    object("[ab]", node.boxed(), 1..3)
}

fn few_scalars() -> impl Strategy<Value = Value> {
    prop_oneof![(1..4_i64).prop_map(Value::from), "[ab]".prop_map(Value::from)]
}

/// Objects with leaves called `x` and `y`, and arrays of such objects called `a` and `b`.
fn event_of_arrays() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![few_scalars(), vec(few_scalars(), 1..3).prop_map(Value::Array)];
    let leaves = object("[xy]", leaf.boxed(), 1..3).boxed();
    let node = leaves.clone().prop_recursive(3, 24, 3, move |inner| {
        let below = object("[ab]", vec(inner, 1..4).prop_map(Value::Array).boxed(), 1..3);
        (leaves.clone(), below).prop_map(|(leaves, below)| joined(leaves, below))
    });
    object("[ab]", vec(node, 1..4).prop_map(Value::Array).boxed(), 1..3)
}

/// A pattern for [`event_of_arrays`].
fn pattern_of_arrays() -> impl Strategy<Value = Value> {
    let leaf = few_scalars().prop_map(|scalar| json!([scalar]));
    let leaves = object("[xy]", leaf.boxed(), 1..3).boxed();
    let node = leaves.clone().prop_recursive(2, 6, 2, move |inner| {
        let below = object("[ab]", inner.boxed(), 1..3);
        (leaves.clone(), below).prop_map(|(leaves, below)| joined(leaves, below))
    });
    object("[ab]", node.boxed(), 1..3)
}

fn object(names: &'static str, value: BoxedStrategy<Value>, size: Range<usize>) -> impl Strategy<Value = Value> {
    btree_map(names, value, size).prop_map(|fields| fields.into_iter().collect())
}

fn joined(mut left: Value, right: Value) -> Value {
    if let (Value::Object(left), Value::Object(right)) = (&mut left, right) {
        left.extend(right);
    }
    left
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_rule_takes_what_it_takes_elsewhere(pattern in any_pattern(), event in any_event()) {
        prop_assert_eq!(parse(&pattern).matches(&event), quamina_matches(&pattern, &event));
    }

    #[test]
    fn a_single_rule_takes_what_it_takes_elsewhere(rule in any_rule(), value in any_scalar()) {
        let (pattern, event) = (json!({"a": [rule]}), json!({"a": value}));
        prop_assert_eq!(parse(&pattern).matches(&event), quamina_matches(&pattern, &event));
    }

    #[test]
    fn a_range_takes_the_numbers_that_it_takes_elsewhere(rule in any_range(), value in any_number()) {
        let (pattern, event) = (json!({"a": [rule]}), json!({"a": value}));
        prop_assert_eq!(parse(&pattern).matches(&event), quamina_matches(&pattern, &event));
    }

    #[test]
    fn arrays_are_taken_as_they_are_elsewhere(pattern in pattern_of_arrays(), event in event_of_arrays()) {
        prop_assert_eq!(parse(&pattern).matches(&event), quamina_matches(&pattern, &event));
    }
}
