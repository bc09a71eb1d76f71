use super::*;
use expect_test::{Expect, expect};

const CHANGE: &str = r#"{"assurance":"claimed","commitment":"HASH","config":"01010101010101010101010101010101","event":"e","item":"a1b2c3d4:07070707070707070707070707070707","kind":"change","ledger":"main","operation":"modify","sequence":"5","shard":"s","stream":"arn","table":"the \"orders\"","time":1772366400007,"v":1}"#;
const HOLD: &str = r#"{"commitment":"HASH","id":"8","kind":"hold","ledger":"main","scope":"item","stage":"placed","time":253402207200000,"v":1}"#;
const GAP: &str =
    r#"{"cause":"trimmed","kind":"gap","ledger":"main","loss":"certain","shard":"s","since":0,"stream":"arn","v":1}"#;

/// Both rows of an entry of which these attributes are shown.
fn check(encoded: &str, attributes: &[(&str, &str)], expect: &Expect) {
    let encoded = encoded.replace("HASH", &"ab".repeat(32));
    let mut disclosure = Disclosure::with_attributes();
    for (path, value) in attributes {
        disclosure.hide([1; 32]);
        disclosure.show(path, [2; 32], value);
    }
    let mut rows = Rows::default();
    rows.add(
        41,
        encoded.as_bytes(),
        &Entry::decode(encoded.as_bytes()).unwrap(),
        &disclosure,
    );
    let text = [rows.json, rows.csv].concat();
    expect.assert_eq(&String::from_utf8(text).unwrap().replace('\r', "<CR>"));
}

#[test]
fn a_change_shows_its_item_by_part_and_name() {
    let attributes = [
        ("/actor", r#""maria \"the\" é""#),
        ("/keys/id", r#"{"S":"1"}"#),
        ("/new/a~1b", r#"{"N":"1"}"#),
        ("/new/~0Ａ\"", r#"{"S":"\""}"#),
        ("/new/\u{10000}", r#"{"NULL":true}"#),
        ("/old/a", r#"{"L":[]}"#),
        ("/raw", r#""not in the row""#),
        ("/reason", r#""a call""#),
        ("/tags/class", r#""personal""#),
    ];
    check(
        CHANGE,
        &attributes,
        &expect![[r#"
        {"actor":"maria \"the\" é","assurance":"claimed","keys":{"id":{"S":"1"}},"kind":"change","new":{"a/b":{"N":"1"},"~Ａ\"":{"S":"\""},"𐀀":{"NULL":true}},"old":{"a":{"L":[]}},"operation":"modify","position":41,"reason":"a call","table":"the \"orders\"","tags":{"class":"personal"},"time":"2026-03-01T12:00:00.007Z"}
        "41","2026-03-01T12:00:00.007Z","change","modify","the ""orders""","claimed","maria ""the"" é","{""id"":{""S"":""1""}}","{""a"":{""L"":[]}}","{""a/b"":{""N"":""1""},""~Ａ\"""":{""S"":""\""""},""𐀀"":{""NULL"":true}}"<CR>
    "#]],
    );
}

#[test]
fn what_is_not_shown_is_not_there() {
    check(
        CHANGE,
        &[("/old/a", r#"{"S":""}"#)],
        &expect![[r#"
        {"assurance":"claimed","kind":"change","old":{"a":{"S":""}},"operation":"modify","position":41,"table":"the \"orders\"","time":"2026-03-01T12:00:00.007Z"}
        "41","2026-03-01T12:00:00.007Z","change","modify","the ""orders""","claimed","","","{""a"":{""S"":""""}}",""<CR>
    "#]],
    );
}

#[test]
fn any_other_kind_shows_its_entry_and_texts() {
    let attributes = [
        ("/actor", "\"maria\""),
        ("/keys/id", r#"{"S":"1"}"#),
        ("/raw", "\"raw\""),
        ("/reason", "\"a\\nb\""),
    ];
    check(
        HOLD,
        &attributes,
        &expect![[r#"
        {"actor":"maria","entry":{"commitment":"abababababababababababababababababababababababababababababababab","id":"8","kind":"hold","ledger":"main","scope":"item","stage":"placed","time":253402207200000,"v":1},"kind":"hold","position":41,"raw":"raw","reason":"a\nb"}
        "41","9999-12-30T22:00:00.000Z","hold","","","","maria","","",""<CR>
    "#]],
    );
    check(
        GAP,
        &[],
        &expect![[r#"
        {"entry":{"cause":"trimmed","kind":"gap","ledger":"main","loss":"certain","shard":"s","since":0,"stream":"arn","v":1},"kind":"gap","position":41}
        "41","","gap","","","","","","",""<CR>
    "#]],
    );
}

#[test]
fn times_are_written_with_all_their_digits() {
    for (milliseconds, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_001, "2000-02-29T00:00:00.001Z"),
        (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        (253_402_207_200_000, "9999-12-30T22:00:00.000Z"),
    ] {
        let mut out = Vec::new();
        write_time(Timestamp::from_millisecond(milliseconds).unwrap(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}
