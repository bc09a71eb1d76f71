//! What a plugin may read, and what it gets.

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use weir_model::{AttributedChange, Operation};
use weir_runtime::FaultCode;

use crate::guest::Guest;
use crate::support::{Answers, Loaded, SMALL, built, change, insert, show};

/// Answers with an output whose detail is the JSON that the host gives for `/value` of the new image.
const ECHO_JSON: &str = r"
    (call $json (i32.const 0) (i32.const 2) (i32.const 288) (i32.const 6) (i32.const 128))
    (if (result i32) (i32.load8_u (i32.const 128))
      (then
        (call $echo (i32.const 0) (i32.const 0) (i32.load (i32.const 132)) (i32.load (i32.const 136)))
        (call $decided (local.get $count) (i32.const 1) (i32.const 0)))
      (else (call $keep (local.get $count))))";

async fn guest(route: &'static str) -> Loaded {
    let guest = Guest {
        route,
        ..Guest::default()
    };
    Loaded::new(guest.build(), "{}", SMALL).await
}

async fn route(body: &'static str, changes: &[AttributedChange]) -> Answers {
    guest(body).await.route(changes).await
}

#[tokio::test]
async fn a_field_that_is_not_declared_is_a_fault_that_names_it() {
    let poison = Loaded::new(built("poison"), "{}", SMALL).await;
    let shop = Loaded::new(built("shop"), "{}", SMALL).await;
    let with_the_grants_of_another = Loaded {
        manifest: shop.manifest,
        ..poison
    };
    let answers = with_the_grants_of_another
        .route(&[insert(0, json!({})), insert(1, json!({"poison": {"S": "loop"}}))])
        .await;
    for answer in answers {
        let fault = answer.unwrap_err();
        assert_eq!(fault.code, FaultCode::Trap);
        assert!(fault.message.contains("/poison"), "{}", fault.message);
        assert!(fault.message.contains("new"), "{}", fault.message);
    }
}

/// The contract: "A path grants what lies under it, never what lies above." `/value` of the new image is declared.
#[tokio::test]
async fn a_path_grants_what_lies_under_it_and_nothing_else() {
    let cases = [
        (
            "texts of /value",
            "(call $texts (i32.const 2) (i32.const 288) (i32.const 6) (i32.const 128))",
            true,
        ),
        (
            "texts of /value/inner",
            "(call $texts (i32.const 2) (i32.const 352) (i32.const 12) (i32.const 128))",
            true,
        ),
        (
            "texts of /values",
            "(call $texts (i32.const 2) (i32.const 320) (i32.const 7) (i32.const 128))",
            false,
        ),
        (
            "texts of the old /value",
            "(call $texts (i32.const 1) (i32.const 288) (i32.const 6) (i32.const 128))",
            false,
        ),
        (
            "texts of the key /value",
            "(call $texts (i32.const 0) (i32.const 288) (i32.const 6) (i32.const 128))",
            false,
        ),
        (
            "texts of everything",
            "(call $texts (i32.const 2) (i32.const 288) (i32.const 0) (i32.const 128))",
            false,
        ),
        (
            "numbers",
            "(call $numbers (i32.const 2) (i32.const 336) (i32.const 6) (i32.const 128))",
            false,
        ),
        (
            "get",
            "(call $get (i32.const 0) (i32.const 2) (i32.const 336) (i32.const 6) (i32.const 128))",
            false,
        ),
        (
            "json",
            "(call $json (i32.const 0) (i32.const 2) (i32.const 336) (i32.const 6) (i32.const 128))",
            false,
        ),
        (
            "json of everything",
            "(call $json (i32.const 0) (i32.const 2) (i32.const 336) (i32.const 0) (i32.const 128))",
            false,
        ),
        ("actors", "(call $actors (i32.const 128))", false),
        (
            "lookup",
            "(call $lookup (i32.const 256) (i32.const 5) (i32.const 256) (i32.const 5) (i32.const 128))",
            false,
        ),
    ];
    for (what, read, granted) in cases {
        let body = Box::leak(format!("{read} (call $keep (local.get $count))").into_boxed_str());
        let answer = route(body, &[insert(0, json!({"value": {"S": "a"}}))]).await.remove(0);
        match answer {
            Ok(_) => assert!(granted, "{what} was granted"),
            Err(fault) => {
                assert!(!granted, "{what}: {}", fault.message);
                assert_eq!(fault.code, FaultCode::Trap, "{what}");
                assert!(
                    fault.message.contains("manifest does not declare"),
                    "{what}: {}",
                    fault.message
                );
            }
        }
    }
}

#[tokio::test]
async fn an_index_outside_the_batch_is_a_trap_that_says_so() {
    for read in [
        "(call $json (local.get $count) (i32.const 2) (i32.const 288) (i32.const 6) (i32.const 128))",
        "(drop (call $now_ms (i32.const -1)))",
        "(drop (call $seed (local.get $count)))",
        "(call $changed (local.get $count) (i32.const 128))",
    ] {
        let body = Box::leak(format!("{read} (call $keep (local.get $count))").into_boxed_str());
        let fault = route(body, &[insert(0, json!({}))]).await.remove(0).unwrap_err();
        assert_eq!(fault.code, FaultCode::Trap, "{read}");
        assert!(fault.message.contains("outside the batch"), "{read}: {}", fault.message);
    }
}

async fn check_json(value: Value, expect: Expect) {
    let answers = route(
        ECHO_JSON,
        &[insert(0, json!({"value": value, "other": {"S": "secret"}}))],
    )
    .await;
    expect.assert_eq(&show(&answers));
}

#[tokio::test]
async fn a_document_is_plain_json_with_sorted_keys_and_exact_numbers() {
    check_json(
        json!({"S": "Zoë \"q\"\n"}),
        expect![[r#"keep + "Zoë \"q\"\n" {"made":true}"#]],
    )
    .await;
    check_json(json!({"N": "19.99"}), expect![[r#"keep + 19.99 {"made":true}"#]]).await;
    check_json(
        json!({"N": "12345678901234567890123456789012345678"}),
        expect![[r#"keep + "12345678901234567890123456789012345678" {"made":true}"#]],
    )
    .await;
    check_json(
        json!({"M": {"b": {"L": [{"N": "1"}, {"NULL": true}]}, "a": {"M": {}}}}),
        expect![[r#"keep + {"a":{},"b":[1,null]} {"made":true}"#]],
    )
    .await;
    check_json(
        json!({"SS": ["b", "a"]}),
        expect![[r#"keep + ["a","b"] {"made":true}"#]],
    )
    .await;
    check_json(json!({"B": "AAH/"}), expect![[r#"keep + "AAH/" {"made":true}"#]]).await;
    check_json(json!({"S": ""}), expect![[r#"keep + "" {"made":true}"#]]).await;
    check_json(json!({"BOOL": false}), expect![[r#"keep + false {"made":true}"#]]).await;
}

#[tokio::test]
async fn what_is_absent_is_none() {
    let changes = change(0, Operation::Remove, Some(json!({"value": {"S": "a"}})), None);
    assert_eq!(show(&route(ECHO_JSON, &[changes]).await), "keep");
    assert_eq!(show(&route(ECHO_JSON, &[insert(0, json!({}))]).await), "keep");
}

/// A column has one value per change: text and decimal text, and none for everything else.
#[tokio::test]
async fn texts_of_a_column_stand_at_their_changes() {
    // An output for each change that has a text; its detail type is the text.
    let body = r"
        (call $texts (i32.const 2) (i32.const 288) (i32.const 6) (i32.const 128))
        (if (i32.ne (i32.load (i32.const 132)) (local.get $count)) (then (unreachable)))
        (loop $next
          (if (i32.load8_u (i32.add (i32.load (i32.const 128)) (i32.mul (local.get $i) (i32.const 12)))) (then
            (call $echo (local.get $n) (local.get $i)
              (i32.load offset=4 (i32.add (i32.load (i32.const 128)) (i32.mul (local.get $i) (i32.const 12))))
              (i32.load offset=8 (i32.add (i32.load (i32.const 128)) (i32.mul (local.get $i) (i32.const 12)))))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $i) (local.get $count))))
        (call $decided (local.get $count) (local.get $n) (i32.const 0))";
    let values = [
        json!({"value": {"S": "{}"}}),
        json!({}),
        json!({"value": {"N": "1.50"}}),
        json!({"value": {"BOOL": true}}),
        json!({"value": {"SS": ["{}"]}}),
        json!({"value": {"S": "[]"}}),
    ];
    let changes: Vec<AttributedChange> = values
        .into_iter()
        .enumerate()
        .map(|(number, new)| insert(number, new))
        .collect();
    expect![[r#"
        keep + {} {"made":true}
        keep
        keep + 1.50 {"made":true}
        keep
        keep
        keep + [] {"made":true}"#]]
    .assert_eq(&show(&route(body, &changes).await));
}

/// Invariant 6 of the design: the clock and the dice are facts of the change, not of its place or its neighbours.
#[tokio::test]
async fn clock_and_dice_come_from_the_change() {
    // The detail has one member, whose name is made of the digits of time and seed, in hexadecimal.
    let body = r"
        (loop $next
          (call $hex (i32.add (i32.const 16384) (i32.mul (local.get $i) (i32.const 64)))
            (call $now_ms (local.get $i)))
          (call $hex (i32.add (i32.const 16400) (i32.mul (local.get $i) (i32.const 64)))
            (call $seed (local.get $i)))
          ;; A brace and a quote before it; behind it a quote, a colon, a zero and a brace.
          (local.set $n (i32.add (i32.const 16382) (i32.mul (local.get $i) (i32.const 64))))
          (i32.store16 (local.get $n) (i32.const 0x227b))
          (i32.store offset=34 (local.get $n) (i32.const 0x7d303a22))
          (call $output (local.get $i) (local.get $i) (local.get $n) (i32.const 38))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $i) (local.get $count))))
        (call $decided (local.get $count) (local.get $count) (i32.const 0))";
    let module = r"
        (func $hex (param $at i32) (param $value i64) (local $i i32)
          (loop $next
            (i32.store8 (i32.sub (i32.add (local.get $at) (i32.const 15)) (local.get $i))
              (i32.add (i32.const 65) (i32.wrap_i64 (i64.and (local.get $value) (i64.const 15)))))
            (local.set $value (i64.shr_u (local.get $value) (i64.const 4)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const 16)))))";
    let guest = Guest {
        module,
        route: body,
        ..Guest::default()
    };
    let loaded = Loaded::new(guest.build(), "{}", SMALL).await;
    let changes: Vec<AttributedChange> = (0..3).map(|number| insert(number, json!({}))).collect();
    let detail = |answers: &Answers, place: usize| {
        answers[place].as_ref().unwrap().outputs[0]
            .detail
            .keys()
            .next()
            .unwrap()
            .clone()
    };

    let whole = loaded.route(&changes).await;
    // 2026-03-01T12:00:00Z is 1772366400000 ms, 0x19ca9580600.
    let first = detail(&whole, 0);
    let hex: String = first[..16]
        .bytes()
        .map(|byte| char::from_digit(u32::from(byte - b'A'), 16).unwrap())
        .collect();
    assert_eq!(u64::from_str_radix(&hex, 16).unwrap(), 1_772_366_400_000);
    assert_ne!(first, detail(&whole, 1), "seeds differ");

    let alone = loaded.route(&changes[1..2]).await;
    assert_eq!(detail(&alone, 0), detail(&whole, 1));
}
