//! Decisions that a plugin returned: what makes sense is taken, anything else is a fault of exactly those changes.

use serde_json::json;
use weir_runtime::{Fault, FaultCode};

use crate::guest::Guest;
use crate::support::{Answers, Loaded, SMALL, insert, show};

async fn route(route: &'static str, count: usize) -> Answers {
    let guest = Guest {
        route,
        ..Guest::default()
    };
    let loaded = Loaded::new(guest.build(), "{}", SMALL).await;
    let changes: Vec<_> = (0..count).map(|number| insert(number, json!({}))).collect();
    loaded.route(&changes).await
}

async fn fault(route_body: &'static str) -> Fault {
    let mut answers = route(route_body, 1).await;
    match answers.pop() {
        Some(Err(fault)) if answers.is_empty() => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_output_belongs_to_its_change_and_keeps_its_order() {
    let two_outputs_of_the_second = r"
        (call $output (i32.const 0) (i32.const 1) (i32.const 384) (i32.const 13))
        (call $output (i32.const 1) (i32.const 1) (i32.const 384) (i32.const 2))
        (i32.store8 (i32.const 4097) (i32.const 1))
        (i32.store8 (i32.const 386) (i32.const 125))
        (i32.store8 (i32.const 385) (i32.const 125))
        (i32.store offset=24 (i32.const 8192) (i32.const 400))
        (i32.store offset=28 (i32.const 8192) (i32.const 4))
        (i64.store (i32.const 400) (i64.const 0x7d20207b))
        (call $decided (local.get $count) (i32.const 2) (i32.const 0))";
    let answers = route(two_outputs_of_the_second, 3).await;
    assert_eq!(show(&answers), "keep\nguest {} + guest {}\nkeep");
}

#[tokio::test]
async fn decisions_that_make_no_sense_are_faults() {
    let cases = [
        (
            "no verdict",
            "(call $decided (i32.const 0) (i32.const 0) (i32.const 0))",
        ),
        (
            "too many verdicts",
            "(call $decided (i32.const 1000) (i32.const 0) (i32.const 0))",
        ),
        (
            "an output outside the batch",
            r"(call $output (i32.const 0) (i32.const 1) (i32.const 384) (i32.const 13))
              (call $decided (local.get $count) (i32.const 1) (i32.const 0))",
        ),
        (
            "an output of a dropped change",
            r"(i32.store8 (i32.const 4096) (i32.const 2))
              (call $output (i32.const 0) (i32.const 0) (i32.const 384) (i32.const 13))
              (call $decided (local.get $count) (i32.const 1) (i32.const 0))",
        ),
        (
            "a rejected change without a rejection",
            "(i32.store8 (i32.const 4096) (i32.const 3)) (call $keep (local.get $count))",
        ),
        (
            "a rejection of a kept change",
            r"(call $rejection (i32.const 0) (i32.const 0))
              (call $decided (local.get $count) (i32.const 0) (i32.const 1))",
        ),
        (
            "two rejections of one change",
            r"(i32.store8 (i32.const 4096) (i32.const 3))
              (call $rejection (i32.const 0) (i32.const 0))
              (call $rejection (i32.const 1) (i32.const 0))
              (call $decided (local.get $count) (i32.const 0) (i32.const 2))",
        ),
        (
            "a sink that the manifest does not name",
            r"(call $output (i32.const 0) (i32.const 0) (i32.const 384) (i32.const 13))
              (i32.store offset=4 (i32.const 8192) (i32.const 1))
              (i32.store offset=8 (i32.const 8192) (i32.const 304))
              (i32.store offset=12 (i32.const 8192) (i32.const 5))
              (call $decided (local.get $count) (i32.const 1) (i32.const 0))",
        ),
    ];
    for (what, route) in cases {
        let fault = fault(route).await;
        assert_eq!(fault.code, FaultCode::Invalid, "{what}: {}", fault.message);
        assert!(!fault.message.is_empty(), "{what}");
    }
}

/// The contract: outputs are "sorted by index". Alone, each of these changes is decided.
#[tokio::test]
async fn outputs_out_of_order_are_found_out_and_changes_that_make_sense_alone_are_decided() {
    let backwards = r"
        (local.set $i (local.get $count))
        (loop $next
          (local.set $i (i32.sub (local.get $i) (i32.const 1)))
          (call $output (local.get $n) (local.get $i) (i32.const 384) (i32.const 13))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $next (local.get $i)))
        (call $decided (local.get $count) (local.get $count) (i32.const 0))";
    let answers = route(backwards, 3).await;
    let one = "keep + guest {\"made\":true}";
    assert_eq!(show(&answers), format!("{one}\n{one}\n{one}"));
}

#[tokio::test]
async fn what_the_component_model_cannot_read_is_a_trap() {
    let cases = [
        (
            "a verdict that there is not",
            "(i32.store8 (i32.const 4096) (i32.const 9)) (call $keep (local.get $count))",
        ),
        (
            "text that is not UTF-8",
            r"(i32.store8 (i32.const 384) (i32.const 255))
              (call $output (i32.const 0) (i32.const 0) (i32.const 384) (i32.const 13))
              (call $decided (local.get $count) (i32.const 1) (i32.const 0))",
        ),
        (
            "a list past the end of memory",
            "(call $decided (i32.const 1) (i32.const 100000000) (i32.const 0))",
        ),
        ("an answer that is nowhere", "(i32.const 0x7ffffff0)"),
        (
            "an answer that is not aligned",
            "(drop (call $keep (local.get $count))) (i32.const 65)",
        ),
    ];
    for (what, route) in cases {
        let fault = fault(route).await;
        assert_eq!(fault.code, FaultCode::Trap, "{what}: {}", fault.message);
        assert!(!fault.message.is_empty(), "{what}");
    }
}
