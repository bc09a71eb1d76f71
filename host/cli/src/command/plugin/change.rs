//! A change as people write it: in plain JSON, or copied from a stream.
//!
//! ```text
//! {"new": {"status": "paid", "total": 19.99}, "old": {"status": "placed"}, "key": {"id": "o1"}}     plain
//! {"eventName": "MODIFY", "dynamodb": {"Keys": {...}, "OldImage": {...}, "NewImage": {...}}}           a stream's record
//! ```
//!
//! Plain JSON has texts, numbers, truths, nulls, maps and lists. Sets and binaries are written as a stream has them.

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use weir_model::{
    Assurance, AttributeValue, AttributedChange, Change, EventId, Item, Number, Operation, SequenceNumber,
    ServiceIdentity, Who,
};

/// Where a change that names no table is from.
const TABLE: &str = "table";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainChange {
    operation: Option<Operation>,
    table: Option<String>,
    #[serde(default)]
    key: Map<String, Value>,
    old: Option<Map<String, Value>>,
    new: Option<Map<String, Value>>,
    actor: Option<String>,
    time: Option<Timestamp>,
    event_id: Option<EventId>,
}

/// As `GetRecords` and Lambda have it, and as `weir tap` writes it, with `actor` and `assurance`; what else they have is not read.
#[derive(Deserialize)]
struct StreamRecord {
    #[serde(rename = "eventSourceARN")]
    stream: Option<String>,
    actor: Option<String>,
    assurance: Option<Assurance>,
    #[serde(rename = "userIdentity")]
    service: Option<ServiceOfRecord>,
    #[serde(rename = "eventName")]
    operation: Option<String>,
    #[serde(rename = "eventID")]
    event_id: Option<EventId>,
    dynamodb: StreamImages,
}

#[derive(Deserialize)]
struct ServiceOfRecord {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "principalId")]
    principal: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamImages {
    #[serde(default)]
    keys: Item,
    old_image: Option<Item>,
    new_image: Option<Item>,
    sequence_number: Option<SequenceNumber>,
    #[serde(rename = "ApproximateCreationDateTime")]
    created_at_s: Option<f64>,
}

/// Reads a change. What it does not say is made up, the same every time.
pub(in crate::command) fn read(document: &Value) -> anyhow::Result<AttributedChange> {
    let change = if document.get("dynamodb").is_some() {
        from_stream(document)
    } else {
        from_plain(document)
    };
    change.context(
        "this is no change. It is written like {\"old\": {...}, \"new\": {\"status\": \"paid\"}, \"key\": {\"id\": \"1\"}}, or as a \
         stream has it, with \"dynamodb\"",
    )
}

fn from_plain(document: &Value) -> anyhow::Result<AttributedChange> {
    let plain = PlainChange::deserialize(document)?;
    let (old, new) = (plain.old.map(item).transpose()?, plain.new.map(item).transpose()?);
    let operation = operation(plain.operation, &old, &new)?;
    let change = Change {
        sequence: made_up_sequence(document)?,
        event_id: plain.event_id.map_or_else(|| made_up_event(document), Ok)?,
        table: plain.table.unwrap_or_else(|| TABLE.to_owned()),
        operation,
        created_at: plain.time.unwrap_or(Timestamp::UNIX_EPOCH),
        keys: item(plain.key)?,
        old,
        new,
        service: None,
    };
    Ok(by(change, plain.actor))
}

fn from_stream(document: &Value) -> anyhow::Result<AttributedChange> {
    let record = StreamRecord::deserialize(document)?;
    let images = record.dynamodb;
    let said = match record.operation.as_deref() {
        None => None,
        Some("INSERT") => Some(Operation::Insert),
        Some("MODIFY") => Some(Operation::Modify),
        Some("REMOVE") => Some(Operation::Remove),
        Some(other) => bail!("the eventName {other:?} is none of INSERT, MODIFY and REMOVE"),
    };
    let operation = operation(said, &images.old_image, &images.new_image)?;
    // arn:partition:dynamodb:region:account:table/NAME/stream/LABEL
    let table = record.stream.as_deref().and_then(|arn| arn.split('/').nth(1));
    let change = Change {
        sequence: images.sequence_number.map_or_else(|| made_up_sequence(document), Ok)?,
        event_id: record.event_id.map_or_else(|| made_up_event(document), Ok)?,
        table: table.unwrap_or(TABLE).to_owned(),
        operation,
        created_at: Timestamp::UNIX_EPOCH.checked_add(SignedDuration::try_from_secs_f64(
            images.created_at_s.unwrap_or_default(),
        )?)?,
        keys: images.keys,
        old: images.old_image,
        new: images.new_image,
        service: record.service.map(|service| ServiceIdentity {
            kind: service.kind,
            principal: service.principal,
        }),
    };
    let who = by(change, record.actor);
    Ok(match record.assurance {
        Some(assurance) => AttributedChange {
            who: Who { assurance, ..who.who },
            ..who
        },
        None => who,
    })
}

fn by(change: Change, actor: Option<String>) -> AttributedChange {
    let who = match actor {
        Some(actor) => Who {
            actor: Some(actor),
            assurance: Assurance::Claimed,
        },
        None => Who::without_rule(&change),
    };
    AttributedChange { change, who }
}

/// The images say what happened, unless it is said.
fn operation(said: Option<Operation>, old: &Option<Item>, new: &Option<Item>) -> anyhow::Result<Operation> {
    match (said, old, new) {
        (Some(said), _, _) => Ok(said),
        (None, Some(_), Some(_)) => Ok(Operation::Modify),
        (None, None, Some(_)) => Ok(Operation::Insert),
        (None, Some(_), None) => Ok(Operation::Remove),
        (None, None, None) => bail!("without images, it has to say its operation: insert, modify or remove"),
    }
}

fn item(plain: Map<String, Value>) -> anyhow::Result<Item> {
    plain
        .into_iter()
        .map(|(name, value)| {
            let value = attribute(value).with_context(|| format!("attribute {name:?}"))?;
            Ok((name, value))
        })
        .collect()
}

fn attribute(value: Value) -> anyhow::Result<AttributeValue> {
    Ok(match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(truth) => AttributeValue::Bool(truth),
        Value::Number(number) => AttributeValue::N(Number::parse(number.to_string())?),
        Value::String(text) => AttributeValue::S(text),
        Value::Array(values) => AttributeValue::L(values.into_iter().map(attribute).collect::<anyhow::Result<_>>()?),
        Value::Object(members) => AttributeValue::M(item(members)?),
    })
}

/// An event id that is the same for the same change, as the source's is.
fn made_up_event(document: &Value) -> anyhow::Result<EventId> {
    let digest = Sha256::digest(document.to_string());
    Ok(EventId::parse(hex::encode(&digest[..16]))?)
}

fn made_up_sequence(document: &Value) -> anyhow::Result<SequenceNumber> {
    let digest = Sha256::digest(document.to_string());
    let number = digest[..8]
        .iter()
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    Ok(SequenceNumber::parse(format!("{number:021}"))?)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(document: Value, expect: Expect) {
        let shown = match read(&document) {
            Ok(AttributedChange { change, who }) => format!(
                "{} key {} old {} new {} by {}",
                change.operation.as_str(),
                serde_json::to_value(&change.keys).unwrap(),
                serde_json::to_value(&change.old).unwrap(),
                serde_json::to_value(&change.new).unwrap(),
                who.actor.unwrap_or_else(|| "nobody known".to_owned()),
            ),
            Err(error) => format!("{:#}", error.root_cause()),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn a_plain_change_says_by_its_images_what_happened() {
        check(
            json!({"new": {"total": 19.99, "tags": ["a", null], "is_new": true}, "key": {"id": "o1"}, "actor": "maria"}),
            expect![[
                r#"insert key {"id":{"S":"o1"}} old null new {"is_new":{"BOOL":true},"tags":{"L":[{"S":"a"},{"NULL":true}]},"total":{"N":"19.99"}} by maria"#
            ]],
        );
        check(
            json!({"old": {"status": "paid"}}),
            expect![[r#"remove key {} old {"status":{"S":"paid"}} new null by nobody known"#]],
        );
        check(
            json!({"old": {}, "new": {}, "operation": "remove"}),
            expect!["remove key {} old {} new {} by nobody known"],
        );
    }

    #[test]
    fn a_record_of_a_stream_is_taken_as_it_is() {
        check(
            json!({"eventName": "MODIFY", "eventID": "e1", "awsRegion": "eu-west-1", "dynamodb": {
                "Keys": {"id": {"S": "o1"}}, "OldImage": {"tags": {"SS": ["a"]}}, "NewImage": {"tags": {"SS": ["a", "b"]}},
                "SequenceNumber": "111", "SizeBytes": 26, "StreamViewType": "NEW_AND_OLD_IMAGES"
            }}),
            expect![[
                r#"modify key {"id":{"S":"o1"}} old {"tags":{"SS":["a"]}} new {"tags":{"SS":["a","b"]}} by nobody known"#
            ]],
        );
    }

    #[test]
    fn what_a_tap_recorded_says_who_where_and_when() {
        let read = read(&json!({
            "eventName": "REMOVE", "eventID": "e1", "actor": "maria", "assurance": "system",
            "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/orders/stream/2026-03-01",
            "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
            "dynamodb": {"Keys": {"id": {"S": "o1"}}, "ApproximateCreationDateTime": 1_772_366_400.0},
        }));
        let AttributedChange { change, who } = read.unwrap();
        assert_eq!(change.table, "orders");
        assert_eq!(change.created_at.to_string(), "2026-03-01T12:00:00Z");
        assert_eq!(change.service.unwrap().principal, "dynamodb.amazonaws.com");
        assert_eq!(
            (who.actor.as_deref(), who.assurance),
            (Some("maria"), Assurance::System)
        );
    }

    #[test]
    fn what_is_no_change_is_refused() {
        check(
            json!({}),
            expect!["without images, it has to say its operation: insert, modify or remove"],
        );
        check(
            json!({"before": {}}),
            expect![
                "unknown field `before`, expected one of `operation`, `table`, `key`, `old`, `new`, `actor`, `time`, `event_id`"
            ],
        );
        check(
            json!({"eventName": "TOUCH", "dynamodb": {}}),
            expect![[r#"the eventName "TOUCH" is none of INSERT, MODIFY and REMOVE"#]],
        );
    }
}
