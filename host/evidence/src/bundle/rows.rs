//! The rows: what an entry and its disclosure say, for people and programs, as a line of JSON and a line of a table.
//!
//! Writing a bundle and verifying one both come through here: a verifier makes each row again and compares bytes.
//!
//! # Invariants
//!
//! - A row is made of a disclosure that was verified, so its paths are in order and its values canonical.
//! - Nothing is in a row that is not in the entry or shown of its body.

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::cursor::{Cursor, needs_escapes};
use crate::{Disclosure, Entry, EntryKind, canonical};

/// First line of the table.
pub(super) const CSV_HEADER: &[u8] =
    b"\"position\",\"time\",\"kind\",\"operation\",\"table\",\"assurance\",\"actor\",\"keys\",\"old\",\"new\"\r\n";

/// Rows, one after the other.
#[derive(Default)]
pub(super) struct Rows {
    /// Lines of JSON.
    pub(super) json: Vec<u8>,
    /// Lines of the table, without its first.
    pub(super) csv: Vec<u8>,
    /// Memory that is used again for each row.
    shown: Shown,
}

/// What is shown of a body, by part: JSON, or nothing if nothing of the part is shown.
#[derive(Default)]
struct Shown {
    actor: Vec<u8>,
    keys: Vec<u8>,
    new: Vec<u8>,
    old: Vec<u8>,
    raw: Vec<u8>,
    reason: Vec<u8>,
    tags: Vec<u8>,
    /// The actor without its escapes.
    actor_text: String,
}

impl Rows {
    pub(super) fn clear(&mut self) {
        self.json.clear();
        self.csv.clear();
    }

    /// Adds the row of `entry`, whose encoding is `encoded`.
    pub(super) fn add(&mut self, position: u64, encoded: &[u8], entry: &Entry, disclosure: &Disclosure) {
        self.shown.read(disclosure);
        self.add_json(position, encoded, entry);
        self.add_csv(position, entry);
    }

    fn add_json(&mut self, position: u64, encoded: &[u8], entry: &Entry) {
        let (out, shown) = (&mut self.json, &self.shown);
        out.push(b'{');
        member_if_shown("\"actor\":", &shown.actor, out);
        if let EntryKind::Change {
            operation,
            table,
            time,
            assurance,
            ..
        } = &entry.kind
        {
            out.extend_from_slice(b"\"assurance\":\"");
            out.extend_from_slice(assurance.as_str().as_bytes());
            out.extend_from_slice(b"\",");
            member_if_shown("\"keys\":", &shown.keys, out);
            out.extend_from_slice(b"\"kind\":\"");
            out.extend_from_slice(entry.kind_name().as_bytes());
            out.extend_from_slice(b"\",");
            member_if_shown("\"new\":", &shown.new, out);
            member_if_shown("\"old\":", &shown.old, out);
            out.extend_from_slice(b"\"operation\":\"");
            out.extend_from_slice(operation.as_str().as_bytes());
            out.extend_from_slice(b"\",\"position\":");
            canonical::integer(position, out);
            out.push(b',');
            member_if_shown("\"reason\":", &shown.reason, out);
            out.extend_from_slice(b"\"table\":");
            string(table, out);
            out.push(b',');
            member_if_shown("\"tags\":", &shown.tags, out);
            out.extend_from_slice(b"\"time\":\"");
            write_time(*time, out);
            out.push(b'"');
        } else {
            out.extend_from_slice(b"\"entry\":");
            out.extend_from_slice(encoded);
            out.extend_from_slice(b",\"kind\":\"");
            out.extend_from_slice(entry.kind_name().as_bytes());
            out.extend_from_slice(b"\",\"position\":");
            canonical::integer(position, out);
            out.push(b',');
            member_if_shown("\"raw\":", &shown.raw, out);
            member_if_shown("\"reason\":", &shown.reason, out);
            out.pop();
        }
        out.extend_from_slice(b"}\n");
    }

    fn add_csv(&mut self, position: u64, entry: &Entry) {
        let (out, shown) = (&mut self.csv, &self.shown);
        out.push(b'"');
        canonical::integer(position, out);
        out.extend_from_slice(b"\",\"");
        if let Some(time) = entry.time() {
            write_time(time, out);
        }
        out.push(b'"');
        field(entry.kind_name().as_bytes(), out);
        let is_change = if let EntryKind::Change {
            operation,
            table,
            assurance,
            ..
        } = &entry.kind
        {
            field(operation.as_str().as_bytes(), out);
            field(table.as_bytes(), out);
            field(assurance.as_str().as_bytes(), out);
            true
        } else {
            out.extend_from_slice(b",\"\",\"\",\"\"");
            false
        };
        field(shown.actor_text.as_bytes(), out);
        for object in [&shown.keys, &shown.old, &shown.new] {
            field(if is_change { object } else { b"" }, out);
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl Shown {
    /// Sorts what a verified disclosure shows into its parts.
    fn read(&mut self, disclosure: &Disclosure) {
        for part in [
            &mut self.actor,
            &mut self.keys,
            &mut self.new,
            &mut self.old,
            &mut self.raw,
            &mut self.reason,
            &mut self.tags,
        ] {
            part.clear();
        }
        self.actor_text.clear();
        for (path, value) in disclosure.shown() {
            if let Some(name) = path.strip_prefix("/new/") {
                attribute(name, value, &mut self.new);
            } else if let Some(name) = path.strip_prefix("/old/") {
                attribute(name, value, &mut self.old);
            } else if let Some(name) = path.strip_prefix("/keys/") {
                attribute(name, value, &mut self.keys);
            } else if let Some(name) = path.strip_prefix("/tags/") {
                attribute(name, value, &mut self.tags);
            } else {
                let part = match path {
                    "/actor" => &mut self.actor,
                    "/raw" => &mut self.raw,
                    _ => &mut self.reason,
                };
                part.extend_from_slice(value.as_bytes());
                if path == "/actor" {
                    Cursor::new(value)
                        .string(&mut self.actor_text)
                        .expect("a disclosed actor is a string");
                }
            }
        }
        for object in [&mut self.keys, &mut self.new, &mut self.old, &mut self.tags] {
            if !object.is_empty() {
                object.push(b'}');
            }
        }
    }
}

/// Adds a member to an object that is not closed yet. Its name is that of a path, escaped.
fn attribute(name: &str, value: &str, object: &mut Vec<u8>) {
    object.push(if object.is_empty() { b'{' } else { b',' });
    if name.contains('~') {
        string(&name.replace("~1", "/").replace("~0", "~"), object);
    } else {
        string(name, object);
    }
    object.push(b':');
    object.extend_from_slice(value.as_bytes());
}

/// Adds a JSON string.
fn string(text: &str, out: &mut Vec<u8>) {
    if needs_escapes(text) {
        canonical::string(text, out);
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Adds a member and a comma, if there is a value.
fn member_if_shown(name: &str, value: &[u8], out: &mut Vec<u8>) {
    if !value.is_empty() {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value);
        out.push(b',');
    }
}

/// Adds a comma and a field.
fn field(text: &[u8], out: &mut Vec<u8>) {
    out.push(b',');
    // Quotation marks all over: behind one of the text, its double is there already.
    let mut at = out.len() + 1;
    out.resize(at + 2 * text.len() + 1, b'"');
    for byte in text {
        out[at] = *byte;
        at += 1 + usize::from(*byte == b'"');
    }
    out.truncate(at + 1);
}

/// Adds a time of an entry, 1970 to 9999, as `2026-03-01T12:00:00.000Z`.
fn write_time(time: Timestamp, out: &mut Vec<u8>) {
    let time = Offset::UTC.to_datetime(time);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |place: std::ops::Range<usize>, value: i16| {
        let mut rest = value.unsigned_abs();
        for digit in text[place].iter_mut().rev() {
            *digit += u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
    };
    put(0..4, time.year());
    put(5..7, time.month().into());
    put(8..10, time.day().into());
    put(11..13, time.hour().into());
    put(14..16, time.minute().into());
    put(17..19, time.second().into());
    put(20..23, time.millisecond());
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests;
