//! JSON text to a tree that keeps what `serde_json::Value` loses: places, repeated keys, numbers as written.
//!
//! `serde_json` does the reading, slice by slice: a `RawValue` borrowed from the text is also a place in it.
//! Each level is scanned again by the one above, which the two limits below keep cheap.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::error::PatternProblem;

/// Longest pattern text. EventBridge takes 2,048 characters, and 4,096 on request; this is far from both.
pub(super) const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Deepest nesting of a pattern. DynamoDB nests 32 levels; the event and the operators around them take a few more.
pub(super) const DEPTH_MAX: usize = 64;

/// One JSON value and where it stands.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) text: &'t str,
    pub(super) kind: Kind<'t>,
}

#[derive(Debug)]
pub(super) enum Kind<'t> {
    Null,
    Bool(bool),
    /// As written: [`Node::text`].
    Number,
    String(String),
    Array(Vec<Node<'t>>),
    Object(Vec<Entry<'t>>),
}

/// One key of an object, as often as it stands there.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    pub(super) key: String,
    pub(super) key_text: &'t str,
    pub(super) value: Node<'t>,
}

/// A problem and the slice of the text that has it.
#[derive(Debug)]
pub(super) struct Refusal<'t> {
    pub(super) text: &'t str,
    pub(super) problem: PatternProblem,
}

impl<'t> Refusal<'t> {
    pub(super) fn new(text: &'t str, problem: PatternProblem) -> Self {
        Self { text, problem }
    }
}

/// Reads the whole text, which holds one value.
pub(super) fn parse(text: &str) -> Result<Node<'_>, Refusal<'_>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refusal::new(text, PatternProblem::TooLong { bytes: text.len() }));
    }
    parse_slice(raw(text)?, 0)
}

/// Line and column, from 1, at which `slice`, a part of `text`, begins.
pub(super) fn place(text: &str, slice: &str) -> (usize, usize) {
    let offset = slice.as_ptr().addr() - text.as_ptr().addr();
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

fn parse_slice(raw: &RawValue, depth: usize) -> Result<Node<'_>, Refusal<'_>> {
    let text = raw.get();
    if depth > DEPTH_MAX {
        return Err(Refusal::new(text, PatternProblem::TooDeep));
    }
    let kind = match text.as_bytes()[0] {
        b'n' => Kind::Null,
        b't' => Kind::Bool(true),
        b'f' => Kind::Bool(false),
        b'"' => Kind::String(raw_as(text)?),
        b'[' => {
            let elements: Vec<&RawValue> = raw_as(text)?;
            Kind::Array(
                elements
                    .into_iter()
                    .map(|element| parse_slice(element, depth + 1))
                    .collect::<Result<_, _>>()?,
            )
        }
        b'{' => {
            let Entries(entries) = raw_as(text)?;
            Kind::Object(
                entries
                    .into_iter()
                    .map(|entry| parse_entry(entry, depth + 1))
                    .collect::<Result<_, _>>()?,
            )
        }
        _ => Kind::Number,
    };
    Ok(Node { text, kind })
}

fn parse_entry<'t>((key, value): (&'t RawValue, &'t RawValue), depth: usize) -> Result<Entry<'t>, Refusal<'t>> {
    Ok(Entry {
        key: raw_as(key.get())?,
        key_text: key.get(),
        value: parse_slice(value, depth)?,
    })
}

/// Reads the outermost value of `text` and checks the grammar of all that is in it.
fn raw(text: &str) -> Result<&RawValue, Refusal<'_>> {
    raw_as(text)
}

fn raw_as<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Refusal<'t>> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // The message ends in a place relative to this slice; ours is relative to the whole text.
        let reason = message
            .rsplit_once(" at line ")
            .map_or(message.as_str(), |(reason, _)| reason)
            .to_owned();
        Refusal::new(
            slice_at(text, error.line(), error.column()),
            PatternProblem::NotJson { reason },
        )
    })
}

/// What follows the place that `serde_json` names: lines from 1, columns in bytes from 1, or 0 before the first.
fn slice_at(text: &str, line: usize, column: usize) -> &str {
    let line_start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let offset = (line_start + column.saturating_sub(1)).min(text.len());
    &text[text.floor_char_boundary(offset)..]
}

/// Keys and values of an object, in order, repeated ones too.
struct Entries<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}
