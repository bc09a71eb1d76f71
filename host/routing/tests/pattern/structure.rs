//! How fields, arrays and alternatives add up, and how a miss is explained.

use expect_test::{Expect, expect};
use weir_routing::{Pattern, Subject};

#[track_caller]
fn check(pattern: &str, event: &str, expect: Expect) {
    let pattern = Pattern::parse(pattern).expect("the pattern of a case is valid");
    let event = event.parse().expect("the event of a case is JSON");
    expect.assert_eq(&pattern.explain(&event).to_string());
}

#[test]
fn every_field_has_to_match() {
    let pattern = r#"{
        "source": ["weir.shop"],
        "detail": { "state": ["initializing",
                              "running"] }
    }"#;
    check(
        pattern,
        r#"{"source": "weir.shop", "detail": {"state": "running"}, "time": 1}"#,
        expect!["matched"],
    );
    check(
        pattern,
        r#"{"source": "weir.shop", "detail": {"state": "stopped"}}"#,
        expect![[r#"`detail.state` does not match ["initializing", "running"]: found "stopped""#]],
    );
    check(
        pattern,
        r#"{"source": "weir.bank", "detail": {"state": "running"}}"#,
        expect![[r#"`source` does not match ["weir.shop"]: found "weir.bank""#]],
    );
    check(
        pattern,
        r#"{"source": "weir.shop", "detail": "running"}"#,
        expect![[r#"`detail.state` does not match ["initializing", "running"]: found nothing"#]],
    );
    check(
        pattern,
        r#"{"source": "weir.shop", "detail": {"state": {"running": true}}}"#,
        expect![[
            r#"`detail.state` does not match ["initializing", "running"]: found an object, which has fields of its own but no value"#
        ]],
    );
    check(
        pattern,
        "{}",
        expect![[r#"`source` does not match ["weir.shop"]: found nothing"#]],
    );
}

#[test]
fn a_dot_in_a_name_is_no_nesting() {
    check(r#"{"a.b": [1]}"#, r#"{"a.b": 1}"#, expect!["matched"]);
    check(
        r#"{"a.b": [1]}"#,
        r#"{"a": {"b": 1}}"#,
        expect![[r#"`"a.b"` does not match [1]: found nothing"#]],
    );
    check(
        r#"{"a": {"b": [1]}}"#,
        r#"{"a.b": 1}"#,
        expect!["`a.b` does not match [1]: found nothing"],
    );
}

#[test]
fn absence_is_absence_of_the_whole_path() {
    let pattern = r#"{"n": {"m": [{"exists": false}]}}"#;
    check(pattern, "{}", expect!["matched"]);
    check(pattern, r#"{"n": 5}"#, expect!["matched"]);
    check(
        pattern,
        r#"{"n": {"m": 5}}"#,
        expect![[r#"`n.m` does not match [{"exists": false}]: found 5"#]],
    );
    check(
        r#"{"n": [{"anything-but": "a"}]}"#,
        "{}",
        expect![[r#"`n` does not match [{"anything-but": "a"}]: found nothing"#]],
    );
    check(r#"{"n": [{"exists": false}, "a"]}"#, "{}", expect!["matched"]);
    check(
        r#"{"n": [{"exists": false}, "a"]}"#,
        r#"{"n": "b"}"#,
        expect![[r#"`n` does not match [{"exists": false}, "a"]: found "b""#]],
    );
}

#[test]
fn fields_of_one_object_match_in_one_element() {
    let employees = r#"{"employees": [
        [{"first": "John", "last": "Doe"}, {"first": "Anna", "last": "Smith"}],
        [{"first": "Peter", "last": "Jones"}]
    ]}"#;
    check(r#"{"employees": {"first": ["Anna"]}}"#, employees, expect!["matched"]);
    check(
        r#"{"employees": {"first": ["Anna"], "last": ["Smith"]}}"#,
        employees,
        expect!["matched"],
    );
    check(
        r#"{"employees": {"first": ["Anna"], "last": ["Jones"]}}"#,
        employees,
        expect![[
            r#"`employees` does not match {"first": ["Anna"], "last": ["Jones"]}: found no element that does in [[{"first":"John","last":"Doe"},{"first":"Anna","last":"Smith"}],[{"first":"Peter","last":"Jones"}]]"#
        ]],
    );
}

#[test]
fn elements_of_different_arrays_are_chosen_apart() {
    let pattern = r#"{"a": {"x": [1]}, "b": {"y": [2]}}"#;
    check(
        pattern,
        r#"{"a": [{"x": 0}, {"x": 1}], "b": [{"y": 2}, {"y": 0}]}"#,
        expect!["matched"],
    );
}

#[test]
fn arrays_inside_an_element_belong_to_it() {
    let pattern = r#"{"a": {"x": [1], "y": {"z": [2]}}}"#;
    check(
        pattern,
        r#"{"a": [{"x": 1, "y": [{"z": 3}, {"z": 2}]}]}"#,
        expect!["matched"],
    );
    check(
        pattern,
        r#"{"a": [{"x": 1, "y": [{"z": 3}]}, {"x": 0, "y": [{"z": 2}]}]}"#,
        expect![[
            r#"`a` does not match {"x": [1], "y": {"z": [2]}}: found no element that does in [{"x":1,"y":[{"z":3}]},{"x":0,"y":[{"z":2}]}]"#
        ]],
    );
    check(
        pattern,
        r#"{"a": [{"x": 1, "y": [{"z": 3}]}]}"#,
        expect!["`a.y.z` does not match [2]: found 3"],
    );
}

#[test]
fn what_must_be_absent_is_absent_from_every_element() {
    let pattern = r#"{"lines": {"error": [{"exists": false}]}}"#;
    check(pattern, r#"{"lines": [{"sku": 1}, {"sku": 2}]}"#, expect!["matched"]);
    check(pattern, r#"{"lines": ["plain", []]}"#, expect!["matched"]);
    check(pattern, r#"{"lines": []}"#, expect!["matched"]);
    check(
        pattern,
        r#"{"lines": [{"sku": 1}, {"error": 2}]}"#,
        expect![[r#"`lines.error` does not match [{"exists": false}]: found 2"#]],
    );
}

#[test]
fn what_must_be_absent_beside_something_is_absent_from_the_same_element() {
    let pattern = r#"{"lines": {"error": [{"exists": false}], "sku": [1]}}"#;
    check(pattern, r#"{"lines": [{"error": 2}, {"sku": 1}]}"#, expect!["matched"]);
    check(
        pattern,
        r#"{"lines": [{"error": 2, "sku": 1}, {}]}"#,
        expect![[
            r#"`lines` does not match {"error": [{"exists": false}], "sku": [1]}: found no element that does in [{"error":2,"sku":1},{}]"#
        ]],
    );
    // The order of the names makes no difference.
    let pattern = r#"{"lines": {"wrong": [{"exists": false}], "sku": [1]}}"#;
    check(pattern, r#"{"lines": [{"wrong": 2}, {"sku": 1}]}"#, expect!["matched"]);
}

#[test]
fn or_joins_fields() {
    let pattern = r#"{
        "source": ["aws.cloudwatch"],
        "$or": [
            { "metricName": ["CPUUtilization", "ReadLatency"] },
            { "metricType": ["MetricType"], "$or": [{"id": [1]}, {"space": [2]}] }
        ]
    }"#;
    check(
        pattern,
        r#"{"source": "aws.cloudwatch", "metricName": "ReadLatency"}"#,
        expect!["matched"],
    );
    check(
        pattern,
        r#"{"source": "aws.cloudwatch", "metricType": "MetricType", "space": 2}"#,
        expect!["matched"],
    );
    check(
        pattern,
        r#"{"source": "aws.cloudwatch", "metricType": "MetricType"}"#,
        expect![[
            r#"`metricName` does not match ["CPUUtilization", "ReadLatency"]: found nothing; and `id` does not match [1]: found nothing; and `space` does not match [2]: found nothing"#
        ]],
    );
    check(
        pattern,
        r#"{"source": "aws.ec2", "metricName": "ReadLatency"}"#,
        expect![[r#"`source` does not match ["aws.cloudwatch"]: found "aws.ec2""#]],
    );
}

#[test]
fn or_inside_a_field_is_about_that_field() {
    let pattern = r#"{"detail": {"$or": [{"count": [{"numeric": [">", 0, "<=", 5]}]}, {"limit": [301.8]}]}}"#;
    check(
        pattern,
        r#"{"detail": {"count": 9, "limit": 301.8}}"#,
        expect!["matched"],
    );
    check(
        pattern,
        r#"{"count": 5}"#,
        expect![[
            r#"`detail.count` does not match [{"numeric": [">", 0, "<=", 5]}]: found nothing; and `detail.limit` does not match [301.8]: found nothing"#
        ]],
    );
}

#[test]
fn both_sides_of_or_meet_in_one_element() {
    let pattern = r#"{"a": {"x": [1]}, "$or": [{"a": {"y": [2]}}, {"b": [true]}]}"#;
    check(pattern, r#"{"a": [{"x": 1, "y": 2}]}"#, expect!["matched"]);
    check(pattern, r#"{"a": [{"x": 1}, {"y": 2}], "b": true}"#, expect!["matched"]);
    check(
        pattern,
        r#"{"a": [{"x": 1}, {"y": 2}]}"#,
        expect![[
            r#"`a` does not match {"x": [1], "y": [2]}: found no element that does in [{"x":1},{"y":2}]; and `b` does not match [true]: found nothing"#
        ]],
    );
}

#[test]
fn an_event_that_is_no_object_matches_nothing() {
    check(
        r#"{"a": [{"exists": false}]}"#,
        "5",
        expect![[r#"`event` does not match {"a": [{"exists": false}]}: found 5"#]],
    );
    check(
        r#"{"a": [1]}"#,
        r#"[{"a": 1}]"#,
        expect![[r#"`event` does not match {"a": [1]}: found [{"a":1}]"#]],
    );
}

#[test]
fn an_explanation_quotes_no_more_than_200_characters() {
    check(
        r#"{"n": [1]}"#,
        &format!(r#"{{"n": "{}"}}"#, "ä".repeat(1000)),
        expect![[
            r#"`n` does not match [1]: found "äääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää…"#
        ]],
    );
}

/// As for a Lambda event source mapping, where numbers are strings under the letter of their type.
#[test]
fn a_filter_of_raw_stream_records_runs_unchanged() {
    let pattern = r#"{
        "eventName": ["INSERT", "MODIFY"],
        "dynamodb": { "NewImage": { "status": { "S": ["paid"] }, "total": { "N": [{ "anything-but": "0" }] } } }
    }"#;
    assert_eq!(Pattern::parse(pattern).unwrap().subject(), Subject::Record);
    let record = r#"{"eventName": "MODIFY", "dynamodb": {"NewImage": {"status": {"S": "paid"}, "total": {"N": "0"}}}}"#;
    check(
        pattern,
        record,
        expect![[r#"`dynamodb.NewImage.total.N` does not match [{ "anything-but": "0" }]: found "0""#]],
    );
    check(
        pattern,
        &record.replace(r#""N": "0""#, r#""N": "12.5""#),
        expect!["matched"],
    );
}

#[test]
fn a_pattern_that_names_no_field_of_a_record_is_about_the_event() {
    for (pattern, subject) in [
        (r#"{"detail": {"dynamodb": ["a"]}}"#, Subject::Event),
        (r#"{"a": [1]}"#, Subject::Event),
        (
            r#"{"$or": [{"a": [1]}, {"userIdentity": {"type": ["Service"]}}]}"#,
            Subject::Record,
        ),
        (r#"{"eventID": [{"exists": true}]}"#, Subject::Record),
    ] {
        assert_eq!(Pattern::parse(pattern).unwrap().subject(), subject, "{pattern}");
    }
}
