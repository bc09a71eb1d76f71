//! Reads canonical JSON and nothing else: each value has one form, and every other form is refused.

use std::borrow::Cow;

use serde_json::Value;

use super::cmp_utf16;
use crate::cursor::{nibble, special};

/// Largest integer: 2^53 - 1, what every reader of JSON can hold.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// A member of a flat object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FlatValue<'a> {
    Text(Cow<'a, str>),
    Integer(u64),
}

/// Hands over the members of an object of texts and integers, in order. `None` if `text` is not the canonical form of
/// such an object; some members may have been handed over by then.
///
/// The names of the objects that this reads are ASCII letters, so that their order is that of their bytes.
pub(crate) fn read_flat_object<'a>(text: &'a str, mut member: impl FnMut(&'a str, FlatValue<'a>)) -> Option<()> {
    let mut rest = text.strip_prefix('{')?;
    let mut last_name = "";
    loop {
        let end = rest.strip_prefix('"')?.find('"')?;
        let name = &rest[1..=end];
        if name <= last_name || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return None;
        }
        last_name = name;
        rest = rest[end + 2..].strip_prefix(':')?;
        let (value, behind) = if rest.starts_with('"') {
            let (text, behind) = read_string(rest)?;
            (FlatValue::Text(text), behind)
        } else {
            let (integer, behind) = read_integer(rest)?;
            (FlatValue::Integer(integer), behind)
        };
        member(name, value);
        if behind == "}" {
            return Some(());
        }
        rest = behind.strip_prefix(',')?;
    }
}

/// Reads exactly `2 * BYTES` lower-case hexadecimal digits.
pub(crate) fn read_hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != BYTES || !rest.is_empty() {
        return None;
    }
    let (mut bytes, mut seen) = ([0; BYTES], 0);
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair.map(nibble);
        seen |= high | low;
        *byte = high << 4 | (low & 15);
    }
    // 255 stands for what is no digit.
    (seen < 16).then_some(bytes)
}

/// Reads any canonical JSON.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut again = Vec::with_capacity(text.len());
    (write(&value, 100, &mut again).is_some() && again == text.as_bytes()).then_some(value)
}

fn read_string(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let inside = text.strip_prefix('"')?;
    let special = special(inside.as_bytes())?;
    if inside.as_bytes()[special] == b'"' {
        return Some((Cow::Borrowed(&inside[..special]), &inside[special + 1..]));
    }
    let mut whole = String::with_capacity(inside.len());
    let mut rest = inside;
    loop {
        let special = rest
            .bytes()
            .position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20)?;
        whole.push_str(&rest[..special]);
        let from_special = &rest[special..];
        if let Some(behind) = from_special.strip_prefix('"') {
            return Some((Cow::Owned(whole), behind));
        }
        let (character, behind) = read_escape(from_special.strip_prefix('\\')?)?;
        whole.push(character);
        rest = behind;
    }
}

/// The escapes of RFC 8785, section 3.2.2.2, and no others.
fn read_escape(text: &str) -> Option<(char, &str)> {
    let short = match text.as_bytes().first()? {
        b'b' => '\u{8}',
        b't' => '\t',
        b'n' => '\n',
        b'f' => '\u{c}',
        b'r' => '\r',
        b'"' => '"',
        b'\\' => '\\',
        _ => {
            let [code] = read_hex::<1>(text.strip_prefix("u00")?.get(..2)?)?;
            let is_short = matches!(code, 0x8 | 0x9 | 0xA | 0xC | 0xD);
            return (code < 0x20 && !is_short).then(|| (char::from(code), &text[5..]));
        }
    };
    Some((short, &text[1..]))
}

fn read_integer(text: &str) -> Option<(u64, &str)> {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    (value <= INTEGER_MAX).then_some((value, rest))
}

fn write(value: &Value, depth_left: u8, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(truth) => super::literal(*truth, out),
        Value::Number(number) => super::integer(number.as_u64().filter(|number| *number <= INTEGER_MAX)?, out),
        Value::String(text) => super::string(text, out),
        Value::Array(elements) => {
            let depth_left = depth_left.checked_sub(1)?;
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(element, depth_left, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let depth_left = depth_left.checked_sub(1)?;
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(left, _), (right, _)| cmp_utf16(left, right));
            out.push(b'{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                super::string(name, out);
                out.push(b':');
                write(member, depth_left, out)?;
            }
            out.push(b'}');
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn members(text: &str) -> Option<Vec<(&str, FlatValue<'_>)>> {
        let mut members = Vec::new();
        read_flat_object(text, |name, value| members.push((name, value)))?;
        Some(members)
    }

    proptest! {
        #[test]
        fn a_text_reads_back_as_it_was_written(text in "\\PC*|[\\x00-\\x7f]*") {
            let mut written = b"{\"a\":".to_vec();
            super::super::string(&text, &mut written);
            written.push(b'}');
            let written = String::from_utf8(written).unwrap();
            prop_assert_eq!(members(&written), Some(vec![("a", FlatValue::Text(text.clone().into()))]));
            prop_assert!(parse(&written).is_some());
        }

        #[test]
        fn both_readers_take_the_same_texts(text in "[{}:,\"\\\\ab0-2u .-]{0,12}") {
            let object = format!("{{\"a\":{text}}}");
            if members(&object).is_some() {
                prop_assert!(parse(&object).is_some(), "{}", object);
            }
        }
    }

    #[test]
    fn other_forms_of_the_same_value_are_refused() {
        for text in [
            "{}",
            r#"{"a":1,}"#,
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":01}"#,
            r#"{"a":-1}"#,
            r#"{"a":1e1}"#,
            r#"{"a":9007199254740992}"#,
            r#"{"a":"\u000A"}"#,
            r#"{"a":"\u000a"}"#,
            r#"{"a":"\u001F"}"#,
            r#"{"a":"\/"}"#,
            r#"{"a":"\u0041"}"#,
            r#"{"a":"}"#,
            r#"{"a":1}x"#,
            r#"{"a":[]}"#,
            r#"{"a":"\u00é"}"#,
        ] {
            assert_eq!(members(text), None, "{text}");
        }
        assert_eq!(
            members(r#"{"a":"\u001f"}"#),
            Some(vec![("a", FlatValue::Text("\u{1f}".into()))])
        );
    }
}
