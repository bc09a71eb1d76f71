//! What each rule of a leaf takes, and what it leaves.

use expect_test::{Expect, expect};
use serde_json::value::RawValue;
use weir_routing::Pattern;

/// Tries one rule, or several with commas between, on each value of an array.
#[track_caller]
fn check(rules: &str, values: &str, expect: Expect) {
    let pattern = Pattern::parse(&format!(r#"{{"n": [{rules}]}}"#)).expect("the rules of a case are valid");
    let values: Vec<&RawValue> = serde_json::from_str(values).expect("the values of a case are a JSON array");
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for value in values {
        let event = format!(r#"{{"n": {value}}}"#)
            .parse()
            .expect("a value of a case is JSON");
        if pattern.matches(&event) {
            taken.push(value.get())
        } else {
            left.push(value.get())
        }
    }
    let list = |values: Vec<&str>| {
        if values.is_empty() {
            "nothing".to_owned()
        } else {
            values.join(" ")
        }
    };
    expect.assert_eq(&format!("takes {}; leaves {}", list(taken), list(left)));
}

#[test]
fn a_literal_takes_the_same_value_of_the_same_type() {
    let values = r#"["on", "On", "", "null", "true", "5", 5, 0, null, true, false]"#;
    check(
        r#""on""#,
        values,
        expect![[r#"takes "on"; leaves "On" "" "null" "true" "5" 5 0 null true false"#]],
    );
    check(
        r#""""#,
        values,
        expect![[r#"takes ""; leaves "on" "On" "null" "true" "5" 5 0 null true false"#]],
    );
    check(
        "null",
        values,
        expect![[r#"takes null; leaves "on" "On" "" "null" "true" "5" 5 0 true false"#]],
    );
    check(
        "true",
        values,
        expect![[r#"takes true; leaves "on" "On" "" "null" "true" "5" 5 0 null false"#]],
    );
    check(
        "false",
        values,
        expect![[r#"takes false; leaves "on" "On" "" "null" "true" "5" 5 0 null true"#]],
    );
    check(
        "5",
        values,
        expect![[r#"takes 5; leaves "on" "On" "" "null" "true" "5" 0 null true false"#]],
    );
    check(
        r#""5""#,
        values,
        expect![[r#"takes "5"; leaves "on" "On" "" "null" "true" 5 0 null true false"#]],
    );
}

#[test]
fn several_rules_are_alternatives() {
    check(
        r#""a", 1, null, {"prefix": "b"}"#,
        r#"["a", "bc", 1, null, "c", 2, true]"#,
        expect![[r#"takes "a" "bc" 1 null; leaves "c" 2 true"#]],
    );
}

#[test]
fn a_number_matches_however_it_is_written() {
    for rule in ["300", "300.0", "3.0e2", "3000E-1", r#"{"numeric": ["=", 3e2]}"#] {
        let values = "[300, 300.0, 3.0e2, 3000e-1, 300.1, -300]";
        check(
            rule,
            values,
            expect!["takes 300 300.0 3.0e2 3000e-1; leaves 300.1 -300"],
        );
    }
    check(
        "0",
        "[0, -0, 0.0, -0.0e5, 1e-300]",
        expect!["takes 0 -0 0.0 -0.0e5; leaves 1e-300"],
    );
    check(
        "19.99",
        "[19.99, 1999e-2, 19.990000000000002]",
        expect!["takes 19.99 1999e-2; leaves 19.990000000000002"],
    );
}

#[test]
fn integers_past_53_bits_keep_their_last_digit() {
    check(
        "9007199254740992",
        "[9007199254740992, 9007199254740993]",
        expect!["takes 9007199254740992; leaves 9007199254740993"],
    );
    check(
        r#"{"anything-but": 9007199254740992}"#,
        "[9007199254740992, 9007199254740993]",
        expect!["takes 9007199254740993; leaves 9007199254740992"],
    );
    check(
        "1e19",
        "[10000000000000000000, 10000000000000000001]",
        expect!["takes 10000000000000000000; leaves 10000000000000000001"],
    );
    check(
        "-1e18",
        "[-1000000000000000000, -1000000000000000001]",
        expect!["takes -1000000000000000000; leaves -1000000000000000001"],
    );
}

#[test]
fn prefix_and_suffix_take_strings_only() {
    check(
        r#"{"prefix": "2017"}"#,
        r#"["2017-10-02", "2017", "x2017", 2017]"#,
        expect![[r#"takes "2017-10-02" "2017"; leaves "x2017" 2017"#]],
    );
    check(
        r#"{"prefix": ""}"#,
        r#"["", "a", 1, null]"#,
        expect![[r#"takes "" "a"; leaves 1 null"#]],
    );
    check(
        r#"{"suffix": ".png"}"#,
        r#"["a.png", ".png", "a.PNG", "a.png "]"#,
        expect![[r#"takes "a.png" ".png"; leaves "a.PNG" "a.png ""#]],
    );
}

#[test]
fn case_is_ignored_on_request() {
    check(
        r#"{"equals-ignore-case": "aLice"}"#,
        r#"["alice", "ALICE", "alices", "lice", 5]"#,
        expect![[r#"takes "alice" "ALICE"; leaves "alices" "lice" 5"#]],
    );
    check(
        r#"{"prefix": {"equals-ignore-case": "EventB"}}"#,
        r#"["eventbridge", "EVENTB", "events"]"#,
        expect![[r#"takes "eventbridge" "EVENTB"; leaves "events""#]],
    );
    check(
        r#"{"suffix": {"equals-ignore-case": ".PNG"}}"#,
        r#"["a.pNg", ".png", "png"]"#,
        expect![[r#"takes "a.pNg" ".png"; leaves "png""#]],
    );
}

#[test]
fn case_is_a_matter_of_single_characters() {
    check(
        r#"{"equals-ignore-case": "ÄPFEL"}"#,
        r#"["äpfel", "Äpfel", "apfel"]"#,
        expect![[r#"takes "äpfel" "Äpfel"; leaves "apfel""#]],
    );
    check(
        r#"{"equals-ignore-case": "straße"}"#,
        r#"["STRASSE", "Straße", "strasse"]"#,
        expect![[r#"takes "STRASSE" "Straße"; leaves "strasse""#]],
    );
    check(
        r#"{"equals-ignore-case": "strasse"}"#,
        r#"["STRASSE", "straße"]"#,
        expect![[r#"takes "STRASSE"; leaves "straße""#]],
    );
    check(
        r#"{"suffix": {"equals-ignore-case": "ße"}}"#,
        r#"["STRASSE", "SE"]"#,
        expect![[r#"takes "STRASSE"; leaves "SE""#]],
    );
    // The Kelvin sign has the lowercase form k, but is no form of k.
    check(
        r#"{"equals-ignore-case": "k"}"#,
        r#"["K", "\u212a"]"#,
        expect![[r#"takes "K"; leaves "\u212a""#]],
    );
}

#[test]
fn a_wildcard_stands_for_any_characters() {
    check(
        r#"{"wildcard": "dir/*.png"}"#,
        r#"["dir/a/b.png", "dir/.png", "dir.png", "dir/a.jpg", 5]"#,
        expect![[r#"takes "dir/a/b.png" "dir/.png"; leaves "dir.png" "dir/a.jpg" 5"#]],
    );
    check(
        r#"{"wildcard": "*"}"#,
        r#"["", "a", 5]"#,
        expect![[r#"takes "" "a"; leaves 5"#]],
    );
    check(
        r#"{"wildcard": "*a*b*"}"#,
        r#"["ab", "xaxbx", "bab", "ba"]"#,
        expect![[r#"takes "ab" "xaxbx" "bab"; leaves "ba""#]],
    );
    check(
        r#"{"wildcard": "ab*ba"}"#,
        r#"["abba", "abxba", "aba"]"#,
        expect![[r#"takes "abba" "abxba"; leaves "aba""#]],
    );
    check(
        r#"{"wildcard": "*ab"}"#,
        r#"["ab", "abab", "aba"]"#,
        expect![[r#"takes "ab" "abab"; leaves "aba""#]],
    );
    check(
        r#"{"wildcard": "ab"}"#,
        r#"["ab", "abb"]"#,
        expect![[r#"takes "ab"; leaves "abb""#]],
    );
    check(
        r#"{"wildcard": "2\\*3\\\\"}"#,
        r#"["2*3\\", "2x3\\", "2\\*3\\"]"#,
        expect![[r#"takes "2*3\\"; leaves "2x3\\" "2\\*3\\""#]],
    );
}

#[test]
fn anything_but_takes_every_other_value_of_every_type() {
    let values = r#"["a", "b", "c", "A", "", 5, 5.0, 6, true, null]"#;
    check(
        r#"{"anything-but": "a"}"#,
        values,
        expect![[r#"takes "b" "c" "A" "" 5 5.0 6 true null; leaves "a""#]],
    );
    check(
        r#"{"anything-but": ["a", "b"]}"#,
        values,
        expect![[r#"takes "c" "A" "" 5 5.0 6 true null; leaves "a" "b""#]],
    );
    check(
        r#"{"anything-but": 5}"#,
        values,
        expect![[r#"takes "a" "b" "c" "A" "" 6 true null; leaves 5 5.0"#]],
    );
    check(
        r#"{"anything-but": [5, 6]}"#,
        values,
        expect![[r#"takes "a" "b" "c" "A" "" true null; leaves 5 5.0 6"#]],
    );
}

#[test]
fn anything_but_leaves_forms_of_strings() {
    let values = r#"["us-east", "eu-west", "EU-WEST", "a/lib/b", 5, null]"#;
    check(
        r#"{"anything-but": {"prefix": "us-"}}"#,
        values,
        expect![[r#"takes "eu-west" "EU-WEST" "a/lib/b" 5 null; leaves "us-east""#]],
    );
    check(
        r#"{"anything-but": {"prefix": ["us-", "eu-"]}}"#,
        values,
        expect![[r#"takes "EU-WEST" "a/lib/b" 5 null; leaves "us-east" "eu-west""#]],
    );
    check(
        r#"{"anything-but": {"suffix": "-west"}}"#,
        values,
        expect![[r#"takes "us-east" "EU-WEST" "a/lib/b" 5 null; leaves "eu-west""#]],
    );
    check(
        r#"{"anything-but": {"suffix": ["-west", "b"]}}"#,
        values,
        expect![[r#"takes "us-east" "EU-WEST" 5 null; leaves "eu-west" "a/lib/b""#]],
    );
    check(
        r#"{"anything-but": {"equals-ignore-case": "Eu-West"}}"#,
        values,
        expect![[r#"takes "us-east" "a/lib/b" 5 null; leaves "eu-west" "EU-WEST""#]],
    );
    check(
        r#"{"anything-but": {"equals-ignore-case": ["Eu-West", "US-East"]}}"#,
        values,
        expect![[r#"takes "a/lib/b" 5 null; leaves "us-east" "eu-west" "EU-WEST""#]],
    );
    check(
        r#"{"anything-but": {"wildcard": "*/lib/*"}}"#,
        values,
        expect![[r#"takes "us-east" "eu-west" "EU-WEST" 5 null; leaves "a/lib/b""#]],
    );
    check(
        r#"{"anything-but": {"wildcard": ["*/lib/*", "*-west"]}}"#,
        values,
        expect![[r#"takes "us-east" "EU-WEST" 5 null; leaves "eu-west" "a/lib/b""#]],
    );
}

#[test]
fn numeric_compares_numbers() {
    let values = r#"[-1, 0, 1e-6, 4.999999, 5, 5.000001, 1753100000000, "3", null]"#;
    check(
        r#"{"numeric": ["=", 5]}"#,
        values,
        expect![[r#"takes 5; leaves -1 0 1e-6 4.999999 5.000001 1753100000000 "3" null"#]],
    );
    check(
        r#"{"numeric": ["<", 5]}"#,
        values,
        expect![[r#"takes -1 0 1e-6 4.999999; leaves 5 5.000001 1753100000000 "3" null"#]],
    );
    check(
        r#"{"numeric": ["<=", 5]}"#,
        values,
        expect![[r#"takes -1 0 1e-6 4.999999 5; leaves 5.000001 1753100000000 "3" null"#]],
    );
    check(
        r#"{"numeric": [">", 5]}"#,
        values,
        expect![[r#"takes 5.000001 1753100000000; leaves -1 0 1e-6 4.999999 5 "3" null"#]],
    );
    check(
        r#"{"numeric": [">=", 5]}"#,
        values,
        expect![[r#"takes 5 5.000001 1753100000000; leaves -1 0 1e-6 4.999999 "3" null"#]],
    );
    check(
        r#"{"numeric": [">", 0, "<=", 5]}"#,
        values,
        expect![[r#"takes 1e-6 4.999999 5; leaves -1 0 5.000001 1753100000000 "3" null"#]],
    );
    check(
        r#"{"numeric": [">=", 0, "<", 5]}"#,
        values,
        expect![[r#"takes 0 1e-6 4.999999; leaves -1 5 5.000001 1753100000000 "3" null"#]],
    );
    check(
        r#"{"numeric": [">=", -5e9, "<=", 5e9]}"#,
        values,
        expect![[r#"takes -1 0 1e-6 4.999999 5 5.000001; leaves 1753100000000 "3" null"#]],
    );
}

#[test]
fn cidr_takes_addresses() {
    let values = r#"["10.0.0.0", "10.0.0.255", "10.0.1.0", "2001:DB8::1", "2001:db9::1", "::1", "example.org", 10]"#;
    check(
        r#"{"cidr": "10.0.0.0/24"}"#,
        values,
        expect![[
            r#"takes "10.0.0.0" "10.0.0.255"; leaves "10.0.1.0" "2001:DB8::1" "2001:db9::1" "::1" "example.org" 10"#
        ]],
    );
    check(
        r#"{"cidr": "10.0.0.77/24"}"#,
        values,
        expect![[
            r#"takes "10.0.0.0" "10.0.0.255"; leaves "10.0.1.0" "2001:DB8::1" "2001:db9::1" "::1" "example.org" 10"#
        ]],
    );
    check(
        r#"{"cidr": "10.0.0.255/32"}"#,
        values,
        expect![[
            r#"takes "10.0.0.255"; leaves "10.0.0.0" "10.0.1.0" "2001:DB8::1" "2001:db9::1" "::1" "example.org" 10"#
        ]],
    );
    check(
        r#"{"cidr": "0.0.0.0/0"}"#,
        values,
        expect![[
            r#"takes "10.0.0.0" "10.0.0.255" "10.0.1.0"; leaves "2001:DB8::1" "2001:db9::1" "::1" "example.org" 10"#
        ]],
    );
    check(
        r#"{"cidr": "2001:db8::/32"}"#,
        values,
        expect![[
            r#"takes "2001:DB8::1"; leaves "10.0.0.0" "10.0.0.255" "10.0.1.0" "2001:db9::1" "::1" "example.org" 10"#
        ]],
    );
    check(
        r#"{"cidr": "::/0"}"#,
        values,
        expect![[
            r#"takes "2001:DB8::1" "2001:db9::1" "::1"; leaves "10.0.0.0" "10.0.0.255" "10.0.1.0" "example.org" 10"#
        ]],
    );
}

#[test]
fn exists_looks_at_leaves_only() {
    let values = r#"[0, "", null, [null], [[0]], [], [[]], {}, {"c1": 100}, [{"c1": 100}]]"#;
    check(
        r#"{"exists": true}"#,
        values,
        expect![[r#"takes 0 "" null [null] [[0]]; leaves [] [[]] {} {"c1": 100} [{"c1": 100}]"#]],
    );
    check(
        r#"{"exists": false}"#,
        values,
        expect![[r#"takes [] [[]] {} {"c1": 100} [{"c1": 100}]; leaves 0 "" null [null] [[0]]"#]],
    );
    check(
        r#"{"exists": false}, 0"#,
        values,
        expect![[r#"takes 0 [[0]] [] [[]] {} {"c1": 100} [{"c1": 100}]; leaves "" null [null]"#]],
    );
}

#[test]
fn an_array_matches_if_one_element_does() {
    let values = r#"[["a"], ["b", "a"], [["b"], ["c", ["a"]]], ["b"], ["a", "a"], [], [{"n": "a"}]]"#;
    check(
        r#""a""#,
        values,
        expect![[r#"takes ["a"] ["b", "a"] [["b"], ["c", ["a"]]] ["a", "a"]; leaves ["b"] [] [{"n": "a"}]"#]],
    );
    check(
        r#"{"anything-but": "a"}"#,
        values,
        expect![[r#"takes ["b", "a"] [["b"], ["c", ["a"]]] ["b"]; leaves ["a"] ["a", "a"] [] [{"n": "a"}]"#]],
    );
}
