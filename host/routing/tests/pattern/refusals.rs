//! What is not an event pattern: each refusal, where it points, and what it tells the user to do.

use expect_test::{Expect, expect};
use weir_routing::Pattern;

#[track_caller]
fn check(pattern: &str, expect: Expect) {
    let error = Pattern::parse(pattern).expect_err("the pattern of a case is refused");
    expect.assert_eq(&error.to_string());
}

/// Checks the element of a leaf.
#[track_caller]
fn check_rule(rule: &str, expect: Expect) {
    check(&format!(r#"{{"n": [{rule}]}}"#), expect);
}

#[test]
fn text_that_is_not_json() {
    check(
        "",
        expect!["line 1, column 1: this is not JSON: EOF while parsing a value"],
    );
    check(
        "source: weir",
        expect!["line 1, column 1: this is not JSON: expected value"],
    );
    check(
        "{\n  \"source\": [\"weir\",\n}",
        expect!["line 3, column 1: this is not JSON: expected value"],
    );
    check(
        r#"{"a": [1]} {"b": [2]}"#,
        expect!["line 1, column 12: this is not JSON: trailing characters"],
    );
    check(
        r#"{"a": ["ä", tru]}"#,
        expect!["line 1, column 16: this is not JSON: expected ident"],
    );
    check(
        r#"{"a": ["\ud800"]}"#,
        expect!["line 1, column 15: this is not JSON: unexpected end of hex escape"],
    );
    check(
        r#"{"a": [01]}"#,
        expect!["line 1, column 9: this is not JSON: invalid number"],
    );
}

#[test]
fn json_that_is_no_object_of_arrays() {
    check(
        "[]",
        expect![[
            r#"line 1, column 1: an event pattern is a JSON object, such as {"detail": {"operation": ["insert"]}}"#
        ]],
    );
    check(
        r#""weir""#,
        expect![[
            r#"line 1, column 1: an event pattern is a JSON object, such as {"detail": {"operation": ["insert"]}}"#
        ]],
    );
    check(
        "{}",
        expect!["line 1, column 1: an empty object asks for nothing; name a field in it, or remove it"],
    );
    check(
        "{\n  \"detail\": {}\n}",
        expect!["line 2, column 13, `detail`: an empty object asks for nothing; name a field in it, or remove it"],
    );
    check(
        r#"{"detail": {"state": "running"}}"#,
        expect![[
            r#"line 1, column 22, `detail.state`: a field is an array of rules, or an object of fields; write ["running"]"#
        ]],
    );
    check(
        r#"{"detail": {"old": null}}"#,
        expect!["line 1, column 20, `detail.old`: a field is an array of rules, or an object of fields; write [null]"],
    );
    check(
        r#"{"detail": {"state": []}}"#,
        expect![[
            r#"line 1, column 22, `detail.state`: an empty array matches nothing; put a rule into it, such as {"exists": true}, or remove the field"#
        ]],
    );
    check(
        r#"{"detail": {"state": [["running"]]}}"#,
        expect![
            "line 1, column 23, `detail.state`: a rule is a string, a number, true, false, null or an operator; take the inner array's values out of it"
        ],
    );
}

#[test]
fn a_key_that_stands_there_twice() {
    check(
        "{\n  \"state\": [\"a\"],\n  \"state\": [\"b\"]\n}",
        expect![
            "line 3, column 3, `state`: this key stands here twice (first in line 2, column 3); JSON keeps one of them, so make the two one"
        ],
    );
    check(
        r#"{"detail": {"a.b": [1], "ä": [2], "a.b": [3]}}"#,
        expect![[
            r#"line 1, column 35, `detail."a.b"`: this key stands here twice (first in line 1, column 13); JSON keeps one of them, so make the two one"#
        ]],
    );
    check(
        r#"{"n": [{"prefix": "a", "prefix": "b"}]}"#,
        expect![
            "line 1, column 8, `n`: an operator is an object with exactly one key; write several as several rules of the array"
        ],
    );
    check(
        "{\"a\": [1], \"\\u0061\": [2]}",
        expect![
            "line 1, column 12, `a`: this key stands here twice (first in line 1, column 2); JSON keeps one of them, so make the two one"
        ],
    );
}

#[test]
fn operators_that_are_none() {
    check_rule(
        r#"{"prefixes": "a"}"#,
        expect![
            "line 1, column 9, `n`: no operator is called `prefixes`; there are `anything-but`, `cidr`, `equals-ignore-case`, `exists`, `numeric`, `prefix`, `suffix`, `wildcard`"
        ],
    );
    check_rule(
        "{}",
        expect![
            "line 1, column 8, `n`: an operator is an object with exactly one key; write several as several rules of the array"
        ],
    );
    check_rule(
        r#"{"prefix": "a", "suffix": "b"}"#,
        expect![
            "line 1, column 8, `n`: an operator is an object with exactly one key; write several as several rules of the array"
        ],
    );
}

#[test]
fn operands_of_the_wrong_type() {
    check_rule(
        r#"{"prefix": 5}"#,
        expect![[r#"line 1, column 19, `n`: `prefix` takes a string, or {"equals-ignore-case": a string}"#]],
    );
    check_rule(
        r#"{"suffix": {"prefix": "a"}}"#,
        expect![[r#"line 1, column 19, `n`: `suffix` takes a string, or {"equals-ignore-case": a string}"#]],
    );
    check_rule(
        r#"{"prefix": {"equals-ignore-case": 5}}"#,
        expect!["line 1, column 42, `n`: `equals-ignore-case` takes a string"],
    );
    check_rule(
        r#"{"equals-ignore-case": ["a"]}"#,
        expect!["line 1, column 31, `n`: `equals-ignore-case` takes a string"],
    );
    check_rule(
        r#"{"wildcard": null}"#,
        expect!["line 1, column 21, `n`: `wildcard` takes a string"],
    );
    check_rule(
        r#"{"exists": "true"}"#,
        expect!["line 1, column 19, `n`: `exists` takes true or false"],
    );
    check_rule(
        r#"{"cidr": 10}"#,
        expect![[r#"line 1, column 17, `n`: `cidr` takes a string such as "10.0.0.0/8""#]],
    );
}

#[test]
fn numbers_that_events_carry_as_strings() {
    check_rule(
        "12345678901234567890",
        expect![[
            r#"line 1, column 8, `n`: 12345678901234567890 is more than a JSON number holds exactly, so events carry it as a string; write "12345678901234567890""#
        ]],
    );
    check_rule(
        "9007199254740993",
        expect![[
            r#"line 1, column 8, `n`: 9007199254740993 is more than a JSON number holds exactly, so events carry it as a string; write "9007199254740993""#
        ]],
    );
    check_rule(
        r#"{"anything-but": [1, 0.1000000000000000055]}"#,
        expect![[
            r#"line 1, column 29, `n`: 0.1000000000000000055 is more than a JSON number holds exactly, so events carry it as a string; write "0.1000000000000000055""#
        ]],
    );
    check_rule(
        "1e400",
        expect![[
            r#"line 1, column 8, `n`: 1e400 is more than a JSON number holds exactly, so events carry it as a string; write "1e400""#
        ]],
    );
}

#[test]
fn comparisons_that_are_none() {
    check_rule(
        r#"{"numeric": 5}"#,
        expect![[
            r#"line 1, column 20, `n`: `numeric` takes a comparison and a number, such as [">", 0], or a lower and an upper bound, such as [">", 0, "<=", 5]"#
        ]],
    );
    check_rule(
        r#"{"numeric": []}"#,
        expect![[
            r#"line 1, column 20, `n`: `numeric` takes a comparison and a number, such as [">", 0], or a lower and an upper bound, such as [">", 0, "<=", 5]"#
        ]],
    );
    check_rule(
        r#"{"numeric": [">"]}"#,
        expect![[
            r#"line 1, column 20, `n`: `numeric` takes a comparison and a number, such as [">", 0], or a lower and an upper bound, such as [">", 0, "<=", 5]"#
        ]],
    );
    check_rule(
        r#"{"numeric": [">", "5"]}"#,
        expect![[
            r#"line 1, column 26, `n`: `numeric` takes a comparison and a number, such as [">", 0], or a lower and an upper bound, such as [">", 0, "<=", 5]"#
        ]],
    );
    check_rule(
        r#"{"numeric": ["!=", 5]}"#,
        expect![
            "line 1, column 21, `n`: `!=` is no comparison here; write one of =, <, <=, >, >= and a number, or > or >=, a number, < or <=, a number"
        ],
    );
    check_rule(
        r#"{"numeric": ["<", 5, ">", 0]}"#,
        expect![[
            r#"line 1, column 21, `n`: `numeric` takes a comparison and a number, such as [">", 0], or a lower and an upper bound, such as [">", 0, "<=", 5]"#
        ]],
    );
    check_rule(
        r#"{"numeric": [">", 0, "=", 5]}"#,
        expect![[
            r#"line 1, column 29, `n`: `numeric` takes a comparison and a number, such as [">", 0], or a lower and an upper bound, such as [">", 0, "<=", 5]"#
        ]],
    );
    check_rule(
        r#"{"numeric": [">", 5, "<", 5]}"#,
        expect!["line 1, column 20, `n`: no number lies between these bounds; write the lower bound first"],
    );
    check_rule(
        r#"{"numeric": [">", 5e9, "<", 5000000001]}"#,
        expect![
            "line 1, column 36, `n`: `numeric` compares numbers from -5e9 to 5e9; for one value write the number itself as the rule"
        ],
    );
}

#[test]
fn comparisons_with_too_many_digits() {
    check_rule(
        r#"{"numeric": [">", 0.1000000000000000055]}"#,
        expect![
            "line 1, column 26, `n`: 0.1000000000000000055 is more than a comparison holds exactly; write fewer digits"
        ],
    );
}

#[test]
fn exclusions_that_are_none() {
    check_rule(
        r#"{"anything-but": null}"#,
        expect![
            "line 1, column 25, `n`: `anything-but` takes a string, a number, an array of strings or of numbers, or one of `prefix`, `suffix`, `equals-ignore-case` and `wildcard` with a string or an array of strings"
        ],
    );
    check_rule(
        r#"{"anything-but": []}"#,
        expect![
            "line 1, column 25, `n`: `anything-but` takes a string, a number, an array of strings or of numbers, or one of `prefix`, `suffix`, `equals-ignore-case` and `wildcard` with a string or an array of strings"
        ],
    );
    check_rule(
        r#"{"anything-but": ["a", true]}"#,
        expect![
            "line 1, column 31, `n`: `anything-but` takes a string, a number, an array of strings or of numbers, or one of `prefix`, `suffix`, `equals-ignore-case` and `wildcard` with a string or an array of strings"
        ],
    );
    check_rule(
        r#"{"anything-but": ["a", 5]}"#,
        expect![
            "line 1, column 31, `n`: `anything-but` takes only strings or only numbers; leave out those of the type that the field never has"
        ],
    );
    check_rule(
        r#"{"anything-but": {"numeric": ["=", 5]}}"#,
        expect![
            "line 1, column 26, `n`: `anything-but` takes a string, a number, an array of strings or of numbers, or one of `prefix`, `suffix`, `equals-ignore-case` and `wildcard` with a string or an array of strings"
        ],
    );
    check_rule(
        r#"{"anything-but": {"prefix": ""}}"#,
        expect![
            "line 1, column 36, `n`: `prefix` of an empty string is every string, so this matches none; write more of the string"
        ],
    );
    check_rule(
        r#"{"anything-but": {"suffix": []}}"#,
        expect![
            "line 1, column 36, `n`: `anything-but` takes a string, a number, an array of strings or of numbers, or one of `prefix`, `suffix`, `equals-ignore-case` and `wildcard` with a string or an array of strings"
        ],
    );
    check_rule(
        r#"{"anything-but": {"prefix": {"equals-ignore-case": "a"}}}"#,
        expect!["line 1, column 36, `n`: `prefix` takes a string or an array of strings here"],
    );
}

#[test]
fn wildcards_and_networks_that_are_none() {
    check_rule(
        r#"{"wildcard": "a**b"}"#,
        expect![[
            r#"line 1, column 21, `n`: `**` says no more than `*`; write one, or `\\*` for the character itself"#
        ]],
    );
    check_rule(
        r#"{"wildcard": "a\\b"}"#,
        expect![[
            r#"line 1, column 21, `n`: in a wildcard a backslash stands before `*` or a backslash; write `\\\\` for one backslash"#
        ]],
    );
    check_rule(
        r#"{"wildcard": "a\\"}"#,
        expect![[
            r#"line 1, column 21, `n`: in a wildcard a backslash stands before `*` or a backslash; write `\\\\` for one backslash"#
        ]],
    );
    for network in [
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0.0/+8",
        "10.0.0/8",
        "2001:db8::/129",
        "example.org/8",
    ] {
        assert!(
            Pattern::parse(&format!(r#"{{"n": [{{"cidr": "{network}"}}]}}"#)).is_err(),
            "{network}"
        );
    }
    check_rule(
        r#"{"cidr": "10.0.0.0"}"#,
        expect![
            "line 1, column 17, `n`: this is no network; write an address and the length of its prefix, such as 10.0.0.0/8 or 2001:db8::/32"
        ],
    );
}

#[test]
fn alternatives_that_are_none() {
    check(
        r#"{"$or": {"a": [1]}}"#,
        expect![
            "line 1, column 9: `$or` is an array of two or more objects; with a single one, write its fields without `$or`"
        ],
    );
    check(
        r#"{"detail": {"$or": [{"a": [1]}]}}"#,
        expect![
            "line 1, column 20, `detail`: `$or` is an array of two or more objects; with a single one, write its fields without `$or`"
        ],
    );
    check(
        r#"{"$or": [{"a": [1]}, [2]]}"#,
        expect![
            "line 1, column 22: `$or` is an array of two or more objects; with a single one, write its fields without `$or`"
        ],
    );
    check(
        r#"{"$or": [{"a": [1]}, {}]}"#,
        expect!["line 1, column 22: an empty object asks for nothing; name a field in it, or remove it"],
    );
    check(
        r#"{"n": [{"$or": [{"prefix": "a"}, {"suffix": "b"}]}]}"#,
        expect![
            "line 1, column 9, `n`: no operator is called `$or`; there are `anything-but`, `cidr`, `equals-ignore-case`, `exists`, `numeric`, `prefix`, `suffix`, `wildcard`"
        ],
    );
    check(
        r#"{"n": {"$or": [{"prefix": ["a"]}, {"suffix": ["b"]}]}}"#,
        expect![
            "line 1, column 17, `n.prefix`: inside `$or` no field may be called `prefix`, because that is an operator; did you leave out its field?"
        ],
    );
    check(
        r#"{"d": {"a": [1], "$or": [{"a": [2]}, {"b": [3]}]}}"#,
        expect!["line 1, column 18, `d`: `d.a` has rules on both sides of `$or`; keep one of the two"],
    );
    check(
        r#"{"$or": [{"a": {"b": [2]}}, {"b": [3]}], "a": [1]}"#,
        expect!["line 1, column 42: `a` has rules on both sides of `$or`; keep one of the two"],
    );
}

#[test]
fn what_is_out_of_bounds() {
    check(
        &format!(r#"{{"a": ["{}"]}}"#, "a".repeat(70_000)),
        expect!["line 1, column 1: the text is 70011 bytes, limit is 65536; split the pattern into several routes"],
    );
    check(
        &format!(r#"{}["x"]{}"#, r#"{"a": "#.repeat(70), "}".repeat(70)),
        expect!["line 1, column 391: objects and arrays are nested deeper than 64; no event is, so nothing can match"],
    );
    let three = r#""$or": [{"a": [1]}, {"b": [1]}, {"c": [1]}]"#;
    let nested = (0..7).fold(format!("{{{three}}}"), |inner, level| {
        format!(r#"{{"$or": [{{"x{level}": [1]}}, {{"y{level}": [1]}}, {{"z{level}": [1]}}], "f{level}": {inner}}}"#)
    });
    check(
        &nested,
        expect![
            "line 1, column 105, `f6`: `$or` makes more than 1000 combinations; split the pattern into several routes"
        ],
    );
}

#[test]
fn an_error_names_its_parts() {
    let error = Pattern::parse("{\n  \"détail\": { \"état\": \"x\" }\n}").unwrap_err();
    assert_eq!((error.line, error.column, error.path.as_str()), (2, 23, "détail.état"));
}

#[test]
fn patterns_about_two_things() {
    check(
        r#"{"source": ["weir.shop"], "dynamodb": {"Keys": {"id": {"S": ["a"]}}}}"#,
        expect![
            "line 1, column 27, `dynamodb`: this is a field of a stream's record, and `source` is one of Weir's event; a pattern is about one of the two"
        ],
    );
    check(
        r#"{"$or": [{"eventName": ["INSERT"]}, {"detail": {"operation": ["insert"]}}]}"#,
        expect![
            "line 1, column 38, `detail`: this is a field of Weir's event, and `eventName` is one of a stream's record; a pattern is about one of the two"
        ],
    );
    check(
        r#"{"dynamodb": {"SizeBytes": [{"numeric": [">", 100]}]}}"#,
        expect![
            "line 1, column 15, `dynamodb.SizeBytes`: the ledger does not keep this of a record, so nothing could match"
        ],
    );
    check(
        r#"{"dynamodb": {"StreamViewType": ["KEYS_ONLY"]}}"#,
        expect![
            "line 1, column 15, `dynamodb.StreamViewType`: the ledger does not keep this of a record, so nothing could match"
        ],
    );
}
