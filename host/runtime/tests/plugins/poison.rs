//! Poison is what fails alone: of a failed batch exactly those records are left.

use std::collections::BTreeMap;

use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::json;
use weir_model::AttributedChange;
use weir_runtime::{Batch, FaultCode, Limits};

use crate::guest::Guest;
use crate::support::{Answers, Loaded, SMALL, built, insert};

/// What a record can ask `poison.wasm` for, and what must come of it.
const KINDS: [(&str, &str); 5] = [
    ("loop", "plugin-fuel"),
    ("memory", "plugin-memory"),
    ("trap", "plugin-trap"),
    ("error", "plugin-error"),
    ("reject", "asked-for"),
];

/// Kinds by place in the batch.
type Poison = BTreeMap<usize, usize>;

fn any_poison(places_max: usize) -> impl Strategy<Value = (usize, Poison)> {
    (1..=1000_usize).prop_flat_map(move |count| {
        let poison = btree_map(0..count, 0..KINDS.len(), 0..=places_max.min(count));
        (Just(count), poison)
    })
}

fn changes(count: usize, poison: &Poison) -> Vec<AttributedChange> {
    (0..count)
        .map(|place| match poison.get(&place) {
            Some(kind) => insert(place, json!({"poison": {"S": KINDS[*kind].0}})),
            None => insert(place, json!({"total": {"N": "19.99"}})),
        })
        .collect()
}

/// The faults among the answers: place and code. Everything else must be kept as it is.
fn faults(answers: &Answers) -> Result<BTreeMap<usize, &str>, TestCaseError> {
    let mut faults = BTreeMap::new();
    for (place, answer) in answers.iter().enumerate() {
        match answer {
            Ok(decision) => prop_assert!(decision.keep && decision.outputs.is_empty(), "{place}: {decision:?}"),
            Err(fault) => {
                prop_assert!(!fault.message.is_empty(), "{place}: {fault:?}");
                faults.insert(place, fault.code.as_str());
            }
        }
    }
    Ok(faults)
}

fn few_cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

#[test]
fn exactly_the_poison_is_a_fault_and_each_kind_has_its_code() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let poisoned = tokio.block_on(Loaded::new(built("poison"), "{}", SMALL));
    proptest!(few_cases(12), |((count, poison) in any_poison(6))| {
        let answers = tokio.block_on(poisoned.route(&changes(count, &poison)));
        prop_assert_eq!(answers.len(), count);
        let expected: BTreeMap<usize, &str> =
            poison.iter().map(|(place, kind)| (*place, KINDS[*kind].1)).collect();
        prop_assert_eq!(faults(&answers)?, expected);
    });
}

/// Invariant 6 of the design: a decision does not depend on how batches were cut, nor on neighbours.
#[test]
fn a_batch_that_is_split_or_permuted_is_decided_as_the_whole() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let poisoned = tokio.block_on(Loaded::new(built("poison"), "{}", SMALL));
    let cases = any_poison(4).prop_flat_map(|(count, poison)| {
        let order = Just((0..count).collect::<Vec<usize>>()).prop_shuffle();
        (Just(count), Just(poison), 0..=count, order)
    });
    proptest!(few_cases(8), |((count, poison, cut, order) in cases)| {
        let batch = changes(count, &poison);
        let whole = tokio.block_on(poisoned.route(&batch));

        let mut split = tokio.block_on(poisoned.route(&batch[..cut]));
        split.extend(tokio.block_on(poisoned.route(&batch[cut..])));
        prop_assert_eq!(&split, &whole);

        let permuted: Vec<AttributedChange> = order.iter().map(|place| batch[*place].clone()).collect();
        let permuted = tokio.block_on(poisoned.route(&permuted));
        for (answer, place) in permuted.iter().zip(&order) {
            prop_assert_eq!(answer, &whole[*place], "change {}", place);
        }
    });
}

/// What a promotion refuses: an answer that depends on how many changes there are, or on the place among them.
#[tokio::test]
async fn a_plugin_that_looks_at_its_batch_is_found_out() {
    let drops_when = |condition: &str| {
        let route = format!(
            r"(loop $next
                (if {condition} (then (i32.store8 (i32.add (i32.const 4096) (local.get $i)) (i32.const 2))))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (local.get $count))))
              (call $keep (local.get $count))"
        );
        Guest {
            route: Box::leak(route.into_boxed_str()),
            ..Guest::default()
        }
    };
    let cases = [
        ("(i32.const 0)", None),
        ("(i32.gt_u (local.get $count) (i32.const 7))", Some(0)),
        // The same in every batch of more than one.
        ("(i32.gt_u (local.get $count) (i32.const 1))", Some(0)),
        ("(i32.eqz (local.get $i))", Some(0)),
        ("(i32.eq (local.get $i) (i32.const 7))", Some(2)),
    ];
    for (condition, unsteady) in cases {
        let loaded = Loaded::new(drops_when(condition).build(), "{}", SMALL).await;
        let batch = Batch::new((0..10).map(|place| insert(place, json!({}))));
        let probed = loaded.plugin.probe(&batch, "{}", &loaded.manifest).await.unwrap();
        assert_eq!(probed.unsteady, unsteady, "{condition}");
    }
}

#[tokio::test]
async fn a_batch_of_nothing_but_poison_has_a_fault_for_each() {
    let poisoned = Loaded::new(built("poison"), "{}", SMALL).await;
    let poison: Poison = (0..40).map(|place| (place, place % KINDS.len())).collect();
    let answers = poisoned.route(&changes(40, &poison)).await;
    for (place, answer) in answers.iter().enumerate() {
        let fault = answer.as_ref().unwrap_err();
        assert_eq!(fault.code.as_str(), KINDS[place % KINDS.len()].1, "{place}");
    }
}

/// The default limits, and the places where halving is most likely to be off by one.
#[tokio::test]
async fn under_the_default_limits_the_first_and_the_last_of_1000_are_found() {
    let poisoned = Loaded::new(built("poison"), "{}", Limits::default()).await;
    let poison = Poison::from([(0, 1), (499, 0), (500, 2), (999, 3)]);
    let answers = poisoned.route(&changes(1000, &poison)).await;
    let expected = BTreeMap::from([
        (0, "plugin-memory"),
        (499, "plugin-fuel"),
        (500, "plugin-trap"),
        (999, "plugin-error"),
    ]);
    assert_eq!(faults(&answers).unwrap(), expected);
}

#[tokio::test]
async fn a_rejection_carries_the_plugins_own_code_and_message_and_an_error_its_text() {
    let poisoned = Loaded::new(built("poison"), "{}", SMALL).await;
    let answers = poisoned.route(&changes(3, &Poison::from([(0, 4), (2, 3)]))).await;
    let rejected = answers[0].as_ref().unwrap_err();
    assert_eq!(rejected.code, FaultCode::Rejected("asked-for".to_owned()));
    assert_eq!(rejected.message, "the record asked for a rejection");
    assert!(answers[1].is_ok());
    let failed = answers[2].as_ref().unwrap_err();
    assert_eq!(failed.code, FaultCode::Error);
    assert_eq!(failed.message, "the record asked for an error");
}
