//! Stream records as the AWS client library has them, into changes.

use std::collections::HashMap;

use aws_sdk_dynamodbstreams::types::{AttributeValue as SdkValue, OperationType, Record as SdkRecord, StreamRecord};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use weir_model::{
    AttributeValue, Bytes, Change, EventId, IdError, Item, Number, Operation, Record, SequenceNumber, ServiceIdentity,
    UnknownRecord,
};

/// Reads a record of `table`, which the record itself does not name. What it says beyond its place may be anything: then it comes out as unknown.
///
/// # Errors
///
/// It has no sequence number, so there is no place to record it at.
pub(crate) fn decode(record: &SdkRecord, table: &str) -> Result<Record, IdError> {
    let body = record.dynamodb();
    let sequence = SequenceNumber::parse(body.and_then(StreamRecord::sequence_number).unwrap_or_default())?;
    let created_at = body
        .and_then(StreamRecord::approximate_creation_date_time)
        .and_then(read_time);
    Ok(match decode_change(record, table, sequence.clone(), created_at) {
        Ok(change) => Record::Change(change),
        Err(reason) => Record::Unknown(UnknownRecord {
            sequence,
            created_at: created_at.unwrap_or_default(),
            reason,
            raw: format!("{record:?}"),
        }),
    })
}

fn decode_change(
    record: &SdkRecord,
    table: &str,
    sequence: SequenceNumber,
    created_at: Option<Timestamp>,
) -> Result<Change, String> {
    if let Some(version) = record.event_version().filter(|version| !version.starts_with("1.")) {
        return Err(format!("the event version {version:?} is new"));
    }
    let body = record.dynamodb().ok_or("the record has no body")?;
    let operation = match record.event_name() {
        Some(OperationType::Insert) => Operation::Insert,
        Some(OperationType::Modify) => Operation::Modify,
        Some(OperationType::Remove) => Operation::Remove,
        Some(other) => return Err(format!("the event name {:?} is new", other.as_str())),
        None => return Err("the record has no event name".to_owned()),
    };
    let image = |item: Option<&HashMap<String, SdkValue>>| item.map(read_item).transpose();
    Ok(Change {
        sequence,
        event_id: EventId::parse(record.event_id().unwrap_or_default()).map_err(|error| error.to_string())?,
        table: table.to_owned(),
        operation,
        created_at: created_at.ok_or("the record has no time")?,
        keys: image(body.keys())?.ok_or("the record has no keys")?,
        old: image(body.old_image())?,
        new: image(body.new_image())?,
        service: record.user_identity().map(|identity| ServiceIdentity {
            kind: identity.r#type().unwrap_or_default().to_owned(),
            principal: identity.principal_id().unwrap_or_default().to_owned(),
        }),
    })
}

fn read_time(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

fn read_item(item: &HashMap<String, SdkValue>) -> Result<Item, String> {
    item.iter()
        .map(|(name, value)| Ok((name.clone(), read_value(value)?)))
        .collect()
}

fn read_value(value: &SdkValue) -> Result<AttributeValue, String> {
    let number = |text: &String| Number::parse(text.as_str()).map_err(|error| error.to_string());
    let bytes = |blob: &aws_smithy_types::Blob| Bytes(blob.as_ref().to_vec());
    Ok(match value {
        SdkValue::S(text) => AttributeValue::S(text.clone()),
        SdkValue::N(text) => AttributeValue::N(number(text)?),
        SdkValue::B(blob) => AttributeValue::B(bytes(blob)),
        SdkValue::Ss(texts) => AttributeValue::Ss(sorted(texts.clone())),
        SdkValue::Ns(texts) => AttributeValue::Ns(sorted(texts.iter().map(number).collect::<Result<_, _>>()?)),
        SdkValue::Bs(blobs) => AttributeValue::Bs(sorted(blobs.iter().map(bytes).collect())),
        SdkValue::M(map) => AttributeValue::M(read_item(map)?),
        SdkValue::L(list) => AttributeValue::L(list.iter().map(read_value).collect::<Result<_, _>>()?),
        SdkValue::Bool(truth) => AttributeValue::Bool(*truth),
        SdkValue::Null(truth) => AttributeValue::Null(*truth),
        _ => return Err("an attribute has a type that is new".to_owned()),
    })
}

/// A set has no order in the database, and may arrive in another one each time. Here it has one, so that a set that did
/// not change is equal to itself.
fn sorted<T: Ord>(mut elements: Vec<T>) -> Vec<T> {
    elements.sort_unstable();
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(event_name: &str) -> SdkRecord {
        let body = StreamRecord::builder()
            .sequence_number("1111111111111111111111111111111111111111")
            .approximate_creation_date_time(DateTime::from_secs(1_772_366_400))
            .keys("id", SdkValue::S("o1".to_owned()))
            .new_image("n", SdkValue::N("12345678901234567890123456789012345678".to_owned()))
            .build();
        SdkRecord::builder()
            .event_id("e1")
            .event_name(OperationType::from(event_name))
            .dynamodb(body)
            .build()
    }

    #[test]
    fn a_change_keeps_every_digit() {
        let Record::Change(change) = decode(&record("MODIFY"), "orders").unwrap() else {
            panic!("not a change")
        };
        assert_eq!(change.operation, Operation::Modify);
        assert_eq!(change.sequence.as_str(), "1111111111111111111111111111111111111111");
        assert_eq!(
            change.new.unwrap()["n"],
            AttributeValue::N(Number::parse("12345678901234567890123456789012345678").unwrap())
        );
    }

    /// streams.md 31.
    #[test]
    fn an_event_name_that_is_new_comes_out_as_unknown_and_whole() {
        let Record::Unknown(unknown) = decode(&record("ARCHIVE"), "orders").unwrap() else {
            panic!("not unknown")
        };
        assert_eq!(unknown.reason, "the event name \"ARCHIVE\" is new");
        assert!(unknown.raw.contains("12345678901234567890123456789012345678"));
    }

    #[test]
    fn a_record_that_has_no_sequence_number_has_no_place() {
        assert!(decode(&SdkRecord::builder().build(), "orders").is_err());
    }
}
