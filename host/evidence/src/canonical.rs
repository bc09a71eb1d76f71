//! The canonical JSON that gets hashed: RFC 8785, restricted to what Weir writes.
//!
//! No floats: the database's numbers are strings. Integers stay below 2^53. Names are unique and sorted by UTF-16 code
//! units. Sets are sorted by their stored form, because in the database they have no order.

mod read;

pub(crate) use read::{FlatValue, parse, read_flat_object, read_hex};

use std::cmp::Ordering;

use weir_model::{AttributeValue, Item};

use crate::cursor::needs_escapes;

/// Appends `text` as a JSON string. RFC 8785 section 3.2.2.2 is what `serde_json` writes.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    if needs_escapes(text) {
        serde_json::to_writer(out, text).expect("a string is JSON and a vector takes it");
    } else {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// Appends an integer.
pub(crate) fn integer(value: u64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &value).expect("an integer is JSON and a vector takes it");
}

/// Appends bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let pair = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    out.extend(bytes.iter().flat_map(pair));
}

/// Appends a value in DynamoDB-JSON.
pub(crate) fn attribute_value(value: &AttributeValue, out: &mut Vec<u8>) {
    match value {
        AttributeValue::S(text) => typed("S", out, |out| string(text, out)),
        AttributeValue::N(number) => typed("N", out, |out| string(number.as_str(), out)),
        AttributeValue::B(bytes) => typed("B", out, |out| string(&bytes.to_base64(), out)),
        AttributeValue::Ss(texts) => typed("SS", out, |out| set(texts, out, |text, out| string(text, out))),
        AttributeValue::Ns(numbers) => {
            typed("NS", out, |out| {
                set(numbers, out, |number, out| string(number.as_str(), out))
            });
        }
        AttributeValue::Bs(binaries) => {
            typed("BS", out, |out| {
                set(binaries, out, |bytes, out| string(&bytes.to_base64(), out))
            });
        }
        AttributeValue::M(map) => typed("M", out, |out| item(map, out)),
        AttributeValue::L(list) => typed("L", out, |out| array(list, out, attribute_value)),
        AttributeValue::Bool(truth) => typed("BOOL", out, |out| literal(*truth, out)),
        AttributeValue::Null(truth) => typed("NULL", out, |out| literal(*truth, out)),
    }
}

/// Appends an item, or a map inside one.
pub(crate) fn item(item: &Item, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut is_first = true;
    for_each_by_utf16(item, |name, value| {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        attribute_value(value, out);
    });
    out.push(b'}');
}

fn typed(tag: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(tag.as_bytes());
    out.extend_from_slice(b"\":");
    value(out);
    out.push(b'}');
}

fn literal(truth: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if truth { b"true" } else { b"false" });
}

fn set<T: Ord>(elements: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    let mut sorted: Vec<&T> = elements.iter().collect();
    sorted.sort();
    array(&sorted, out, |element, out| write(element, out));
}

fn array<T>(elements: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(element, out);
    }
    out.push(b']');
}

fn for_each_by_utf16(item: &Item, mut visit: impl FnMut(&String, &AttributeValue)) {
    // The map is in code point order, which differs only where U+E000 and above meet what lies beyond the BMP.
    if item.keys().any(|name| name.bytes().any(|byte| byte >= 0xEE)) {
        let mut members: Vec<_> = item.iter().collect();
        members.sort_by(|(left, _), (right, _)| cmp_utf16(left, right));
        members.into_iter().for_each(|(name, value)| visit(name, value));
    } else {
        item.iter().for_each(|(name, value)| visit(name, value));
    }
}

fn cmp_utf16(left: &str, right: &str) -> Ordering {
    left.encode_utf16().cmp(right.encode_utf16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dynamodb_json: &str, canonical: &str) {
        let parsed: Item = serde_json::from_str(dynamodb_json).unwrap();
        let mut out = Vec::new();
        item(&parsed, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), canonical);
    }

    #[test]
    fn sets_in_other_orders_are_the_same_bytes() {
        check(r#"{"a":{"SS":["b","a"]}}"#, r#"{"a":{"SS":["a","b"]}}"#);
        check(r#"{"a":{"NS":["10","2"]}}"#, r#"{"a":{"NS":["10","2"]}}"#);
        check(r#"{"a":{"BS":["AQ==","AA=="]}}"#, r#"{"a":{"BS":["AA==","AQ=="]}}"#);
    }

    #[test]
    fn numbers_stay_the_text_that_the_database_wrote() {
        check(
            r#"{"n":{"N":"12345678901234567890123456789012345678"}}"#,
            r#"{"n":{"N":"12345678901234567890123456789012345678"}}"#,
        );
    }

    #[test]
    fn names_sort_by_utf16_code_units() {
        check(
            "{\"\u{fb33}\":{\"S\":\"\"},\"\u{1f600}\":{\"S\":\"\"},\"a\":{\"S\":\"\"}}",
            "{\"a\":{\"S\":\"\"},\"\u{1f600}\":{\"S\":\"\"},\"\u{fb33}\":{\"S\":\"\"}}",
        );
    }

    #[test]
    fn control_characters_are_escaped_as_rfc_8785_says() {
        check(
            r#"{"a":{"S":"\u000f\n\u20ac\/\""}}"#,
            "{\"a\":{\"S\":\"\\u000f\\n\u{20ac}/\\\"\"}}",
        );
    }
}
