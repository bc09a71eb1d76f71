//! What holds for all patterns and events.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use weir_routing::{Explanation, Pattern};

/// Any event: an object with few names, so that patterns and events meet.
pub(super) fn any_event() -> impl Strategy<Value = Value> {
    any_object(any_value().boxed())
}

fn any_object(value: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    btree_map("[ab.]", value, 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

fn any_value() -> impl Strategy<Value = Value> {
    any_scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            any_object(inner.boxed())
        ]
    })
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..3_i64).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(19.99), Just(1e300), Just(-2.0)].prop_map(Value::from),
        "[abAB*]{0,3}".prop_map(Value::from),
    ]
}

/// Any valid pattern without `$or`, of the same names and values as the events.
pub(super) fn any_pattern() -> impl Strategy<Value = Value> {
    let leaf = vec(any_rule(), 1..3).prop_map(Value::Array);
    let node = leaf.prop_recursive(3, 12, 3, |inner| any_fields(inner.boxed()));
    any_fields(node.boxed())
}

fn any_fields(node: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    btree_map("[ab.]", node, 1..3).prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

fn any_rule() -> impl Strategy<Value = Value> {
    prop_oneof![
        any_scalar(),
        "[abAB]{1,2}".prop_flat_map(|text| prop_oneof![
            Just(json!({"prefix": text})),
            Just(json!({"suffix": text})),
            Just(json!({"equals-ignore-case": text})),
            Just(json!({"prefix": {"equals-ignore-case": text}})),
            Just(json!({"suffix": {"equals-ignore-case": text}})),
            Just(json!({"wildcard": format!("*{text}*")})),
            Just(json!({"anything-but": text})),
            Just(json!({"anything-but": {"prefix": text}})),
        ]),
        (-3..3_i64).prop_flat_map(|number| prop_oneof![
            Just(json!({"numeric": [">=", number]})),
            Just(json!({"numeric": [">", number, "<=", number + 2]})),
            Just(json!({"anything-but": [number]})),
        ]),
        any::<bool>().prop_map(|exists| json!({"exists": exists})),
    ]
}

/// An event with many arrays and few values, so that patterns meet it in every way.
pub(super) fn event_of_arrays() -> impl Strategy<Value = Value> {
    let scalar = (1..3).prop_map(Value::from);
    let value = scalar.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            btree_map("[ab]", inner, 0..3).prop_map(|fields| fields.into_iter().collect())
        ]
    });
    value.prop_map(|value| json!({"a": value}))
}

/// A pattern for [`event_of_arrays`].
pub(super) fn pattern_of_arrays() -> impl Strategy<Value = Value> {
    let rule = prop_oneof![
        Just(json!(1)),
        Just(json!({"exists": false})),
        Just(json!({"exists": true}))
    ];
    let leaf = vec(rule, 1..3).prop_map(Value::Array);
    let node = leaf.prop_recursive(3, 8, 2, |inner| {
        btree_map("[ab]", inner, 1..3).prop_map(|fields| fields.into_iter().collect())
    });
    node.prop_map(|node| json!({"a": node}))
}

pub(super) fn parse(pattern: &Value) -> Pattern {
    Pattern::parse(&pattern.to_string()).expect("a made pattern is valid")
}

/// The pattern that asks for every leaf of an event; arrays of an event are made of one element before.
fn pattern_of(event: &Map<String, Value>) -> Value {
    let ask = |(key, value): (&String, &Value)| {
        let node = match value {
            Value::Object(fields) if fields.is_empty() => json!([{"exists": false}]),
            Value::Object(fields) => pattern_of(fields),
            scalar => json!([scalar]),
        };
        (key.clone(), node)
    };
    Value::Object(event.iter().map(ask).collect())
}

/// Puts the first element in place of every array, and `null` in place of an empty one.
fn without_arrays(value: &Value) -> Value {
    match value {
        Value::Array(elements) => elements.first().map_or(Value::Null, without_arrays),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), without_arrays(value)))
            .collect::<Map<_, _>>()
            .into(),
        scalar => scalar.clone(),
    }
}

/// Puts an array around every object, and two around every other value.
fn in_arrays(value: &Value) -> Value {
    match value {
        Value::Array(elements) => elements.iter().map(in_arrays).collect(),
        Value::Object(fields) => {
            let wrapped: Map<_, _> = fields
                .iter()
                .map(|(key, value)| (key.clone(), in_arrays(value)))
                .collect();
            json!([wrapped])
        }
        scalar => json!([[scalar]]),
    }
}

/// A leaf of an event: where it is, and which element of which arrays it is in.
struct EventLeaf<'e> {
    path: Vec<&'e str>,
    elements: Elements,
    value: &'e Value,
}

/// Elements of arrays, by the arrays' numbers.
type Elements = BTreeMap<usize, usize>;

/// Lists the leaves of an event. `arrays` counts the arrays that were seen.
fn event_leaves<'e>(value: &'e Value, path: &[&'e str], elements: &Elements, arrays: &mut usize) -> Vec<EventLeaf<'e>> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| event_leaves(value, &[path, &[key]].concat(), elements, arrays))
            .collect(),
        Value::Array(values) => {
            let array = *arrays;
            *arrays += 1;
            let mut leaves = Vec::new();
            for (index, value) in values.iter().enumerate() {
                let mut elements = elements.clone();
                elements.insert(array, index);
                leaves.extend(event_leaves(value, path, &elements, arrays));
            }
            leaves
        }
        scalar => vec![EventLeaf {
            path: path.to_vec(),
            elements: elements.clone(),
            value: scalar,
        }],
    }
}

/// Lists the leaves of a pattern with their rules.
fn pattern_leaves<'p>(pattern: &'p Value, path: &[&'p str]) -> Vec<(Vec<&'p str>, &'p Vec<Value>)> {
    match pattern {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, node)| pattern_leaves(node, &[path, &[key]].concat()))
            .collect(),
        Value::Array(rules) => vec![(path.to_vec(), rules)],
        _ => unreachable!("a made pattern is valid"),
    }
}

/// The definition of a match, without any of its shape: for every leaf of the pattern choose a leaf of the event that
/// one of its rules takes, no two of them in different elements of one array; or choose that it is missing, and then no
/// leaf may be there in the elements that the other choices are in.
fn matches_by_definition(pattern: &Value, event: &Value) -> bool {
    choose(
        &pattern_leaves(pattern, &[]),
        &event_leaves(event, &[], &Elements::new(), &mut 0),
        &Elements::new(),
        &[],
    )
}

fn choose(
    wanted: &[(Vec<&str>, &Vec<Value>)],
    leaves: &[EventLeaf<'_>],
    elements: &Elements,
    missing: &[&[&str]],
) -> bool {
    let agree = |leaf: &EventLeaf<'_>| {
        leaf.elements
            .iter()
            .all(|(array, index)| elements.get(array).is_none_or(|chosen| chosen == index))
    };
    let Some(((path, rules), rest)) = wanted.split_first() else {
        return !leaves.iter().any(|leaf| missing.contains(&&*leaf.path) && agree(leaf));
    };
    let present = leaves
        .iter()
        .filter(|leaf| leaf.path == *path && agree(leaf))
        .any(|leaf| {
            let mut elements = elements.clone();
            elements.extend(&leaf.elements);
            parse(&json!({"a": rules})).matches(&json!({"a": leaf.value})) && choose(rest, leaves, &elements, missing)
        });
    let may_be_missing = rules.contains(&json!({"exists": false}));
    present || (may_be_missing && choose(rest, leaves, elements, &[missing, &[path]].concat()))
}

proptest! {
    #[test]
    fn any_text_is_a_pattern_or_an_error_within_it(text in r#"[\[\]{}":,ä\\\n 0-9a-e$.-]{0,40}"#) {
        if let Err(error) = Pattern::parse(&text) {
            let line = text.split('\n').nth(error.line - 1).expect("the line is in the text");
            prop_assert!(error.column >= 1 && error.column <= line.chars().count() + 1);
        }
    }

    #[test]
    fn a_damaged_pattern_does_no_harm(pattern in any_pattern(), at: prop::sample::Index, with in r#"[\[\]{}":,0a]?"#) {
        let mut text = pattern.to_string();
        let at = at.index(text.len());
        text.replace_range(at..=at, &with);
        let _ = Pattern::parse(&text);
    }

    #[test]
    fn explain_agrees_with_matches(pattern in any_pattern(), event in any_event()) {
        let pattern = parse(&pattern);
        prop_assert_eq!(pattern.explain(&event) == Explanation::Matched, pattern.matches(&event));
    }

    #[test]
    fn a_match_follows_the_definition(pattern in pattern_of_arrays(), event in event_of_arrays()) {
        prop_assert_eq!(parse(&pattern).matches(&event), matches_by_definition(&pattern, &event));
    }

    #[test]
    fn a_pattern_of_an_events_own_leaves_matches_it(event in any_event()) {
        let event = without_arrays(&event);
        let mut fields = event.as_object().expect("an event is an object").clone();
        fields.insert("always".into(), json!("there"));
        prop_assert!(parse(&pattern_of(&fields)).matches(&fields.into()));
    }

    #[test]
    fn arrays_of_one_element_change_nothing(pattern in any_pattern(), event in any_event()) {
        let mut wrapped = event.clone();
        for value in wrapped.as_object_mut().expect("an event is an object").values_mut() {
            *value = in_arrays(value);
        }
        let pattern = parse(&pattern);
        prop_assert_eq!(pattern.matches(&event), pattern.matches(&wrapped));
    }

    #[test]
    fn anything_but_is_the_complement_for_a_single_leaf(excluded in "[abAB]{0,2}", found in any_scalar()) {
        let event = json!({"a": found});
        let is = parse(&json!({"a": [excluded]})).matches(&event);
        let is_anything_but = parse(&json!({"a": [{"anything-but": excluded}]})).matches(&event);
        prop_assert_ne!(is, is_anything_but);
    }

    #[test]
    fn exactly_one_of_exists_and_not_exists_matches(event in any_event()) {
        let exists = parse(&json!({"a": [{"exists": true}]})).matches(&event);
        let is_missing = parse(&json!({"a": [{"exists": false}]})).matches(&event);
        prop_assert_ne!(exists, is_missing);
    }

    #[test]
    fn or_matches_if_one_of_its_objects_does(left in any_pattern(), right in any_pattern(), event in any_event()) {
        let both = parse(&json!({"$or": [left, right]}));
        let one = parse(&left).matches(&event) || parse(&right).matches(&event);
        prop_assert_eq!(both.matches(&event), one);
    }

    #[test]
    fn a_wildcard_matches_what_its_gaps_can_be(pieces in vec("[ab*\\\\]{0,2}", 1..4), gap in "[ab]{0,2}") {
        let escape = |piece: &String| piece.replace('\\', r"\\").replace('*', r"\*");
        let wildcard: Vec<String> = pieces.iter().map(escape).collect();
        // Neighbouring gaps are refused, so an empty piece in between gets a letter.
        let fill = |list: Vec<String>| list.into_iter().map(|piece| if piece.is_empty() { "c".into() } else { piece });
        let wildcard = fill(wildcard).collect::<Vec<_>>().join("*");
        let found = fill(pieces).collect::<Vec<_>>().join(&gap);
        let pattern = parse(&json!({"a": [{"wildcard": wildcard}]}));
        let event = json!({"a": found});
        prop_assert!(pattern.matches(&event));
    }
}
