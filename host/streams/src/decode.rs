//! A page of `GetRecords`, from the bytes of the answer to records.
//!
//! ```text
//! page ──▶ every record a change? ── yes ───────────────────────────────▶ changes
//!                                 └─ no ──▶ record by record ── change ──▶ changes
//!                                                            └─ else ────▶ unknown records, with their own JSON
//! ```
//!
//! Almost always the answer is yes, so the page is parsed once, without looking for where a record begins and ends.
//!
//! # Invariants
//!
//! - A page comes out whole or not at all.
//! - A record that is not understood takes nothing but itself away from the page, and comes out as it was sent.
//! - What is deeper than 127 levels of JSON is not understood. The database nests 32 levels at most (Developer Guide,
//!   "Quotas"), each of which is two of JSON.
//! - No error says what was read: errors go to logs.

mod value;

use aws_smithy_types::DateTime;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use weir_model::{Change, EventId, IdError, Item, Operation, Record, SequenceNumber, ServiceIdentity, UnknownRecord};

/// The records of a page, and how to read on.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) records: Vec<Record>,
    /// None at the end of the shard (streams.md 11).
    pub(crate) next_iterator: Option<String>,
}

/// Why an answer is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// It is not text.
    #[error("the answer is not UTF-8")]
    Text,
    /// It is not JSON, or not of this form.
    #[error("the answer is not a page of records: line {line}, column {column}")]
    Json { line: usize, column: usize },
    /// A record without a sequence number cannot be recorded anywhere.
    #[error("a record has no place: it has no sequence number")]
    Placeless,
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Reads the records of `table`, which they do not name themselves. What a record says beyond its place may be anything:
/// then it comes out as unknown.
///
/// # Errors
///
/// See [`DecodeError`].
pub(crate) fn decode(page: &[u8], table: &str) -> Result<Decoded, DecodeError> {
    let page = std::str::from_utf8(page).map_err(|_| DecodeError::Text)?;
    if let Ok(decoded) = decode_changes(page, table) {
        return Ok(decoded);
    }
    let page: WirePage<&RawValue> = serde_json::from_str(page)?;
    let records = page.records.unwrap_or_default().into_iter();
    Ok(Decoded {
        records: records
            .map(|record| decode_record(record.get(), table))
            .collect::<Result<_, _>>()?,
        next_iterator: page.next_iterator,
    })
}

/// Reads a page of which every record is a change.
fn decode_changes(page: &str, table: &str) -> Result<Decoded, String> {
    let page: WirePage<WireRecord> = serde_json::from_str(page).map_err(|error| error.to_string())?;
    let records = page.records.unwrap_or_default().into_iter();
    Ok(Decoded {
        records: records
            .map(|record| Ok(Record::Change(record.into_change(table)?)))
            .collect::<Result<_, String>>()?,
        next_iterator: page.next_iterator,
    })
}

fn decode_record(record: &str, table: &str) -> Result<Record, DecodeError> {
    let change = serde_json::from_str(record)
        .map_err(|error| error.to_string())
        .and_then(|record: WireRecord| record.into_change(table));
    Ok(match change {
        Ok(change) => Record::Change(change),
        Err(reason) => {
            let place: Option<WirePlace<'_>> = serde_json::from_str(record).ok();
            let place = place.and_then(|place| place.body).unwrap_or_default();
            let seconds = place.created_at.and_then(|time| serde_json::from_str(time.get()).ok());
            Record::Unknown(UnknownRecord {
                sequence: SequenceNumber::parse(place.sequence.unwrap_or_default())
                    .map_err(|_| DecodeError::Placeless)?,
                created_at: seconds.and_then(read_time).unwrap_or_default(),
                reason,
                raw: record.to_owned(),
            })
        }
    })
}

#[derive(Deserialize)]
struct WirePage<R> {
    #[serde(rename = "Records")]
    records: Option<Vec<R>>,
    #[serde(rename = "NextShardIterator")]
    next_iterator: Option<String>,
}

/// A record, as far as a change needs it.
#[derive(Deserialize)]
struct WireRecord {
    #[serde(rename = "eventID")]
    event_id: Option<String>,
    #[serde(rename = "eventName")]
    event_name: Option<EventName>,
    #[serde(rename = "eventVersion")]
    event_version: Option<String>,
    #[serde(rename = "dynamodb")]
    body: Option<WireBody>,
    #[serde(rename = "userIdentity")]
    identity: Option<WireIdentity>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "UPPERCASE")]
enum EventName {
    Insert,
    Modify,
    Remove,
    New(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireBody {
    sequence_number: Option<String>,
    approximate_creation_date_time: Option<f64>,
    #[serde(default, deserialize_with = "value::item")]
    keys: Option<Item>,
    #[serde(default, deserialize_with = "value::item")]
    old_image: Option<Item>,
    #[serde(default, deserialize_with = "value::item")]
    new_image: Option<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireIdentity {
    #[serde(rename = "Type")]
    kind: Option<String>,
    principal_id: Option<String>,
}

impl WireRecord {
    fn into_change(self, table: &str) -> Result<Change, String> {
        if let Some(version) = self.event_version.filter(|version| !version.starts_with("1.")) {
            return Err(format!("the event version {version:?} is new"));
        }
        let body = self.body.ok_or("the record has no body")?;
        let operation = match self.event_name.ok_or("the record has no event name")? {
            EventName::Insert => Operation::Insert,
            EventName::Modify => Operation::Modify,
            EventName::Remove => Operation::Remove,
            EventName::New(name) => return Err(format!("the event name {name:?} is new")),
        };
        let id = |error: IdError| error.to_string();
        Ok(Change {
            sequence: SequenceNumber::parse(body.sequence_number.unwrap_or_default()).map_err(id)?,
            event_id: EventId::parse(self.event_id.unwrap_or_default()).map_err(id)?,
            table: table.to_owned(),
            operation,
            created_at: body
                .approximate_creation_date_time
                .and_then(read_time)
                .ok_or("the record has no time")?,
            keys: body.keys.ok_or("the record has no keys")?,
            old: body.old_image,
            new: body.new_image,
            service: self.identity.map(|identity| ServiceIdentity {
                kind: identity.kind.unwrap_or_default(),
                principal: identity.principal_id.unwrap_or_default(),
            }),
        })
    }
}

/// Where a record belongs, whatever else it says.
#[derive(Deserialize)]
struct WirePlace<'a> {
    #[serde(rename = "dynamodb", borrow)]
    body: Option<WirePlaceBody<'a>>,
}

#[derive(Deserialize, Default)]
struct WirePlaceBody<'a> {
    #[serde(rename = "SequenceNumber")]
    sequence: Option<String>,
    #[serde(rename = "ApproximateCreationDateTime", borrow)]
    created_at: Option<&'a RawValue>,
}

/// Seconds since 1970, with or without a fraction: the form of times in this protocol.
fn read_time(seconds: f64) -> Option<Timestamp> {
    let time = DateTime::from_secs_f64(seconds);
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"eventID": "e1", "eventName": "MODIFY", "dynamodb": {"SequenceNumber": "7",
        "ApproximateCreationDateTime": 1772366400.5, "Keys": {"id": {"S": "o1"}}, "NewImage": {"total": {"N": "12"}}}}"#;

    fn decode_one(record: &str) -> Record {
        let page = format!(r#"{{"Records": [{RECORD}, {record}, {RECORD}]}}"#);
        let mut records = decode(page.as_bytes(), "orders").unwrap().records;
        assert!(matches!(
            (&records[0], &records[2]),
            (Record::Change(_), Record::Change(_))
        ));
        records.remove(1)
    }

    #[track_caller]
    fn check_unknown(record: &str, reason: &str) {
        match decode_one(record) {
            Record::Unknown(unknown) => {
                assert!(unknown.reason.starts_with(reason), "{}", unknown.reason);
                assert_eq!((unknown.raw.as_str(), unknown.sequence.as_str()), (record, "7"));
                assert_eq!(unknown.created_at, "2026-03-01T12:00:00.5Z".parse().unwrap());
            }
            Record::Change(change) => panic!("{change:?}"),
        }
    }

    #[track_caller]
    fn check_no_page(page: &str) {
        let error = decode(page.as_bytes(), "orders").unwrap_err();
        assert!(
            !error.to_string().contains("o1"),
            "what was read is not for logs: {error}"
        );
    }

    /// streams.md 31.
    #[test]
    fn what_is_not_understood_leaves_the_rest_of_the_page_and_is_kept_as_it_was_sent() {
        let other_total = |value: &str| RECORD.replace(r#"{"N": "12"}"#, value);
        check_unknown(
            &RECORD.replace("MODIFY", "ARCHIVE"),
            r#"the event name "ARCHIVE" is new"#,
        );
        check_unknown(
            &other_total(r#"{"VECTOR": [1.50]}"#),
            r#"the attribute type "VECTOR" is new"#,
        );
        check_unknown(&other_total(r#"{"S": "a", "N": "1"}"#), "an attribute has two values");
        check_unknown(&other_total("{}"), "an attribute has no value");
        check_unknown(&other_total(r#"{"S": null}"#), "an attribute has no value");
        check_unknown(
            &other_total("null"),
            "invalid type: null, expected a value under its type",
        );
        check_unknown(
            &other_total(r#"{"N": 12}"#),
            "invalid type: integer `12`, expected a string",
        );
        check_unknown(&other_total(r#"{"B": "not base64"}"#), "Invalid");
        check_unknown(&other_total(r#"{"S": "\ud800"}"#), "");
        check_unknown(
            &RECORD.replace(r#""e1""#, r#""e1", "eventID": "e2""#),
            "duplicate field `eventID`",
        );
    }

    #[test]
    fn nesting_without_end_is_not_understood_and_hurts_nobody() {
        let nested = |levels: usize| {
            let value = format!(
                "{}{{\"S\": \"deep\"}}{}",
                r#"{"L": ["#.repeat(levels),
                "]}".repeat(levels)
            );
            RECORD.replace(r#"{"N": "12"}"#, &value)
        };
        assert!(matches!(decode_one(&nested(32)), Record::Change(_)));
        for levels in [100, 100_000] {
            check_unknown(&nested(levels), "recursion limit exceeded");
        }
    }

    #[test]
    fn what_is_no_page_is_an_error_that_does_not_tell_what_was_read() {
        let page = format!(r#"{{"Records": [{RECORD}], "NextShardIterator": "i2"}}"#);
        assert!(decode(page.as_bytes(), "orders").is_ok());
        for end in 0..page.len() {
            check_no_page(&page[..end]);
        }
        check_no_page(&page.replace('}', "]"));
        check_no_page(&page.replace(r#""i2""#, r#"{"o1": 1}"#));
        check_no_page(&format!("{page}{page}"));
        check_no_page(r#"{"Records": ["o1"]}"#);
        check_no_page(r#"{"Records": [null]}"#);
        check_no_page(&page.replace(r#""7""#, r#"{"o1": "7"}"#));
        assert!(decode(b"{\"Records\": [\"\xff\"]}", "orders").is_err());
    }
}
