//! `vectors/`: examples of the formats, for whoever writes another implementation.
//!
//! The files are compared with what this crate makes of the inputs below. `WEIR_REFRESH_VECTORS=1 cargo test -p
//! weir-evidence vectors` writes them again; a difference that git then shows is a change of the format.
//! `tests/verifier/test_verify.py` computes the same from the pages.

use std::path::Path;

use serde_json::{Value, json};
use weir_model::Item;
use zeroize::Zeroizing;

use crate::commitment::{Committed, for_each_attribute};
use crate::entry::tests::{entry, every_kind};
use crate::{Body, BodyKey, Commitment, SegmentKey, canonical, leaf_hash};

#[track_caller]
fn check(file: &str, made: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let made = format!("{made:#}\n");
    if std::env::var_os("WEIR_REFRESH_VECTORS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), made, "{}", path.display());
}

/// What it is an example of, and DynamoDB-JSON in any order.
const ITEMS: &[(&str, &str)] = &[
    ("an item without attributes", "{}"),
    (
        "two numbers of 38 digits that are the same as floating-point numbers",
        r#"{"b":{"N":"12345678901234567890123456789012345678"},"a":{"N":"12345678901234567890123456789012345679"}}"#,
    ),
    (
        "numbers stay the text that the database wrote",
        r#"{"zero":{"N":"0"},"price":{"N":"12.50"},"small":{"N":"1E-130"},"large":{"N":"-9.9999999999999999999999999999999999999E+125"}}"#,
    ),
    ("a set of texts", r#"{"set":{"SS":["b","a","aa","","Z","é","~"]}}"#),
    (
        "a set of texts sorts by UTF-8 bytes, unlike names",
        "{\"set\":{\"SS\":[\"\u{1f600}\",\"\u{fb33}\"]}}",
    ),
    (
        "a set of numbers sorts by the bytes of their text",
        r#"{"set":{"NS":["10","9","-1","1.5","100"]}}"#,
    ),
    (
        "a set of binaries sorts by bytes, not by base64",
        r#"{"set":{"BS":["AQ==","+w==","AAE=","AA==","/w=="]}}"#,
    ),
    (
        "names sort by UTF-16 code units: U+1F600 is before U+FB33",
        "{\"\u{fb33}\":{\"S\":\"hebrew\"},\"\u{1f600}\":{\"S\":\"smile\"},\"é\":{\"S\":\"\"},\"z\":{\"S\":\"\"},\"Z\":{\"S\":\"\"},\"\u{e000}\":{\"S\":\"\"}}",
    ),
    (
        "empty texts and binaries",
        r#"{"text":{"S":""},"binary":{"B":""},"list":{"L":[]},"map":{"M":{}}}"#,
    ),
    (
        "maps and lists inside each other",
        r#"{"order":{"M":{"lines":{"L":[{"M":{"sku":{"S":"mug"},"count":{"N":"2"}}},{"L":[{"L":[]},{"NULL":true}]}]},"at":{"M":{"b":{"BOOL":false},"a":{"BOOL":true}}}}}}"#,
    ),
    (
        "escapes: \\b \\t \\n \\f \\r \\\" \\\\ and the other control characters, nothing else",
        r#"{"s":{"S":"\u0000\u0001\u0008\u0009\u000A\u000c\u000d\u001F \u0022\u005c\/\u007f\u0080\u2028\u00e9\ud83d\ude00"},"\n":{"S":"a name"}}"#,
    ),
    (
        "a set inside a map inside a list",
        r#"{"l":{"L":[{"M":{"z":{"NS":["2","1"]},"a":{"BS":["Ag==","AQ=="]}}}]}}"#,
    ),
];

#[test]
fn vectors_of_the_canonical_form() {
    let example = |(name, dynamodb): &(&str, &str)| {
        let item: Item = serde_json::from_str(dynamodb).unwrap();
        let mut canonical = Vec::new();
        canonical::item(&item, &mut canonical);
        let canonical = String::from_utf8(canonical).unwrap();
        assert!(canonical::parse(&canonical).is_some(), "{name}");
        json!({ "name": name, "dynamodb": dynamodb, "canonical": canonical })
    };
    check("canonical.json", &ITEMS.iter().map(example).collect());
}

#[test]
fn vectors_of_the_commitment() {
    let bodies = [
        ("nothing", "{}"),
        ("an actor", r#"{"actor":"maria"}"#),
        (
            "a change",
            r#"{"actor":"maria","keys":{"id":{"S":"1"}},"old":{"status":{"S":"paid"}},"new":{"status":{"S":"shipped"},"tags":{"SS":["b","a"]}}}"#,
        ),
        (
            "names that need escapes, and whose escaped forms sort otherwise",
            "{\"new\":{\"a/b\":{\"N\":\"1\"},\"a~\":{\"N\":\"2\"},\"a0\":{\"N\":\"3\"},\"\":{\"NULL\":true},\"\u{fb33}\":{\"S\":\"\"},\"\u{1f600}\":{\"S\":\"\"}}}",
        ),
        (
            "a record that was not understood",
            r#"{"raw":"{\"no\": record}","reason":"it has no keys\n"}"#,
        ),
        (
            "an annotated change",
            r#"{"keys":{"id":{"S":"1"}},"reason":"a call","tags":{"class":"personal","a/b":""}}"#,
        ),
    ];
    let example = |(number, (name, body)): (u8, (&str, &str))| {
        let parsed: Body = serde_json::from_str(body).unwrap();
        let key = BodyKey {
            seal: Zeroizing::new([0; 32]),
            salt: Zeroizing::new([number; 32]),
        };
        let mut attributes = Vec::new();
        for_each_attribute(&parsed, &key, |attribute| {
            let digest = hex::encode(attribute.digest());
            if let Committed::Kept { path, salt, value } = attribute {
                let (salt, value) = (hex::encode(salt), std::str::from_utf8(value).unwrap());
                attributes.push(json!({ "path": path, "salt": salt, "value": value, "digest": digest }));
            }
        });
        json!({
            "name": name,
            "body": body,
            "salt_key": hex::encode(*key.salt),
            "attributes": attributes,
            "commitment": hex::encode(Commitment::of(&parsed, &key).0),
        })
    };
    check("commitment.json", &(1..).zip(bodies).map(example).collect());
}

#[test]
fn vectors_of_the_entry() {
    let example = |kind| {
        let entry = entry(kind);
        let encoded = entry.encode().unwrap();
        let leaf = hex::encode(leaf_hash(&encoded));
        json!({ "kind": entry.kind_name(), "entry": String::from_utf8(encoded).unwrap(), "leaf": leaf })
    };
    let made: Vec<Value> = every_kind().into_iter().map(example).collect();
    for kind in [
        "change",
        "amendment",
        "withheld",
        "unknown",
        "gap",
        "batch",
        "lifecycle",
        "erasure",
        "hold",
    ] {
        assert!(made.iter().any(|example| example["kind"] == kind), "{kind}");
    }
    check("entry.json", &made.into());
}

#[test]
fn vectors_of_body_keys() {
    let root = [9; 32];
    let whole = SegmentKey::new(root);
    let keys = [0, 1, 4711, 32_767, 32_768, 65_535].map(|index| {
        let key = whole.body_key(index).unwrap();
        json!({ "index": index, "seal": hex::encode(*key.seal), "salt": hex::encode(*key.salt) })
    });
    let destroyed = [4711, 4710, 0, 65_535];
    let mut left = SegmentKey::new(root);
    assert!(destroyed.iter().all(|index| left.destroy(*index)));
    let nodes = left.to_bytes();
    let nodes = nodes.chunks(35).map(|node| {
        json!({
            "depth": node[0],
            "way": u16::from_be_bytes([node[1], node[2]]),
            "secret": hex::encode(&node[3..]),
        })
    });
    let nodes: Vec<Value> = nodes.collect();
    check(
        "body_key.json",
        &json!({ "root": hex::encode(root), "keys": keys, "destroyed": destroyed, "nodes": nodes }),
    );
}
