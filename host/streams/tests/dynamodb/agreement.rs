//! Our decoder beside the client library's own reading of the same answers: what both understand, they understand alike.

use std::collections::HashMap;

use aws_sdk_dynamodbstreams::types::{AttributeValue as SdkValue, OperationType, Record as SdkRecord};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use proptest::prelude::*;
use weir_model::{
    AttributeValue, Bytes, Change, EventId, Item, Number, Operation, Record, SequenceNumber, ServiceIdentity, ShardId,
};
use weir_streams::DynamoDbStreams;

use crate::support::{SHARD, TABLE, arn, memory};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_page_is_what_the_client_library_makes_of_it(records in prop::collection::vec(record(), 0..4), is_last: bool) {
        let next = if is_last { "null" } else { r#""i2""# };
        let page = format!(r#"{{"Records": [{}], "NextShardIterator": {next}}}"#, records.join(", "));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ours, theirs) = runtime.block_on(async {
            let config = memory::answering(&page).await;
            let shard = ShardId::parse(SHARD).unwrap();
            let mut reader = DynamoDbStreams::from_config(&config).read(&arn(), TABLE, &shard, None);
            let library = aws_sdk_dynamodbstreams::Client::new(&config);
            let theirs = library.get_records().shard_iterator("i1").send().await;
            (reader.next_page().await.unwrap(), theirs.unwrap())
        });
        prop_assert_eq!(ours.is_last, theirs.next_shard_iterator().is_none());
        prop_assert_eq!(ours.records.len(), theirs.records().len());
        for ((ours, theirs), sent) in ours.records.iter().zip(theirs.records()).zip(&records) {
            match (ours, change(theirs)) {
                (Record::Change(ours), Some(theirs)) => prop_assert_eq!(ours, &theirs),
                (Record::Unknown(ours), None) => {
                    prop_assert_eq!(&ours.sequence, &sequence(theirs));
                    prop_assert_eq!(ours.created_at, created_at(theirs).unwrap_or_default());
                    prop_assert_eq!(&ours.raw, sent);
                }
                // What neither understands, the library forgets where another attribute of the same name comes later.
                (Record::Unknown(_), Some(_)) => prop_assert!(sent.contains("NaN") || sent.contains("VECTOR")),
                (ours, theirs) => prop_assert!(false, "{:?} is not {:?}", ours, theirs),
            }
        }
    }
}

/// A record's JSON. Often something is missing or new.
fn record() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => Just(r#""INSERT""#), 4 => Just(r#""MODIFY""#), 4 => Just(r#""REMOVE""#),
        1 => Just(r#""ARCHIVE""#), 1 => Just("null")
    ];
    let version = prop_oneof![9 => Just(r#""1.1""#), 1 => Just(r#""1.0""#), 1 => Just(r#""2.0""#), 1 => Just("null")];
    let id = prop_oneof![9 => "[a-f0-9]{32}".prop_map(|id| quoted(&id)), 1 => Just(r#""""#.to_owned())];
    let identity = prop_oneof![
        4 => Just("null"),
        1 => Just(r#"{"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}"#),
        1 => Just(r#"{"type": "Service", "principalId": "dynamodb.amazonaws.com"}"#)
    ];
    (name, version, id, identity, body()).prop_map(|(name, version, id, identity, body)| {
        format!(
            r#"{{"eventID": {id}, "eventName":{name}, "eventVersion": {version}, "userIdentity": {identity},
                "awsRegion": "us-east-1", "new": [{{"member": 1}}], "dynamodb": {body}}}"#
        )
    })
}

fn body() -> impl Strategy<Value = String> {
    let time = prop_oneof![
        (0_i64..4_102_444_800).prop_map(|seconds| seconds.to_string()),
        (0.0..4_102_444_800.0_f64).prop_map(|seconds| seconds.to_string()),
        (0.0..4_102_444_800.0_f64).prop_map(|seconds| format!("{seconds:e}")),
        (-1e6..0.0_f64).prop_map(|seconds| seconds.to_string()),
        Just("1e20".to_owned()),
        Just("null".to_owned())
    ];
    let image = || prop_oneof![1 => Just("null".to_owned()), 3 => item(value())];
    ("[0-9]{21,40}", time, image(), image(), image()).prop_map(|(sequence, time, keys, old, new)| {
        format!(
            r#"{{"SequenceNumber": "{sequence}", "ApproximateCreationDateTime": {time}, "Keys": {keys},
                "OldImage": {old}, "NewImage": {new}, "SizeBytes": 12, "StreamViewType": "NEW_AND_OLD_IMAGES"}}"#
        )
    })
}

/// Attributes, of which some have the same name.
fn item(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let name = prop_oneof![4 => "[a-e]{1,2}".prop_map(|name| quoted(&name)), 1 => text()];
    prop::collection::vec((name, value), 0..6).prop_map(|attributes| {
        let members: Vec<String> = attributes
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

fn value() -> impl Strategy<Value = String> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..9).prop_map(|bytes| quoted(&BASE64.encode(bytes)));
    let list = |elements: Vec<String>| format!("[{}]", elements.join(", "));
    let set = |element: BoxedStrategy<String>| prop::collection::vec(element, 0..5).prop_map(list);
    let of = |kind: &'static str, value: BoxedStrategy<String>| {
        value.prop_map(move |value| format!(r#"{{"{kind}": {value}}}"#)).boxed()
    };
    let truth = || any::<bool>().prop_map(|truth| truth.to_string()).boxed();
    let flat = prop_oneof![
        90 => of("S", text().boxed()),
        90 => of("N", number().boxed()),
        30 => of("B", bytes().boxed()),
        30 => of("BOOL", truth()),
        30 => of("NULL", truth()),
        30 => of("SS", set(text().boxed()).boxed()),
        30 => of("NS", set(number().boxed()).boxed()),
        30 => of("BS", set(bytes().boxed()).boxed()),
        10 => Just(r#"{"__type": "com.amazonaws#Value", "N": null, "S": "s", "NEW": null}"#.to_owned()),
        1 => Just(r#"{"N": "NaN"}"#.to_owned()),
        1 => Just(r#"{"VECTOR": [{"x": 48.1}]}"#.to_owned())
    ];
    flat.prop_recursive(3, 12, 4, move |inner| {
        let elements = prop::collection::vec(inner.clone(), 0..4).prop_map(list);
        prop_oneof![of("L", elements.boxed()), of("M", item(inner).boxed())]
    })
}

/// Decimals of up to 38 digits, also in ways that the database does not write them.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,38}",
        "-?[0-9]{1,9}[.][0-9]{1,29}",
        "-?[0-9]([.][0-9]{1,37})?[eE][+-]?[0-9]{1,2}"
    ]
    .prop_map(|number| quoted(&number))
}

/// Any text, with as few escapes as JSON needs or nothing but escapes.
fn text() -> impl Strategy<Value = String> {
    let escaped = |text: String| {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        format!("\"{}\"", units.collect::<String>())
    };
    let any_text = || prop_oneof![any::<String>(), "[ -~]{0,40}"];
    prop_oneof![3 => any_text().prop_map(|text| quoted(&text)), 1 => any_text().prop_map(escaped)]
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn sequence(record: &SdkRecord) -> SequenceNumber {
    SequenceNumber::parse(record.dynamodb().unwrap().sequence_number().unwrap()).unwrap()
}

fn created_at(record: &SdkRecord) -> Option<Timestamp> {
    let time = record.dynamodb()?.approximate_creation_date_time()?;
    Timestamp::new(time.secs(), time.subsec_nanos().cast_signed()).ok()
}

/// What the library's record says, if all of it is understood.
fn change(record: &SdkRecord) -> Option<Change> {
    if record.event_version().is_some_and(|version| !version.starts_with("1.")) {
        return None;
    }
    let body = record.dynamodb()?;
    let image = |item: Option<&HashMap<String, SdkValue>>| match item {
        Some(item) => read_item(item).map(Some),
        None => Some(None),
    };
    Some(Change {
        sequence: sequence(record),
        event_id: EventId::parse(record.event_id()?).ok()?,
        table: TABLE.to_owned(),
        operation: match record.event_name()? {
            OperationType::Insert => Operation::Insert,
            OperationType::Modify => Operation::Modify,
            OperationType::Remove => Operation::Remove,
            _ => return None,
        },
        created_at: created_at(record)?,
        keys: image(body.keys())??,
        old: image(body.old_image())?,
        new: image(body.new_image())?,
        service: record.user_identity().map(|identity| ServiceIdentity {
            kind: identity.r#type().unwrap_or_default().to_owned(),
            principal: identity.principal_id().unwrap_or_default().to_owned(),
        }),
    })
}

fn read_item(item: &HashMap<String, SdkValue>) -> Option<Item> {
    item.iter()
        .map(|(name, value)| Some((name.clone(), read_value(value)?)))
        .collect()
}

fn read_value(value: &SdkValue) -> Option<AttributeValue> {
    let number = |text: &String| Number::parse(text.as_str()).ok();
    let bytes = |blob: &aws_smithy_types::Blob| Bytes(blob.as_ref().to_vec());
    Some(match value {
        SdkValue::S(text) => AttributeValue::S(text.clone()),
        SdkValue::N(text) => AttributeValue::N(number(text)?),
        SdkValue::B(blob) => AttributeValue::B(bytes(blob)),
        SdkValue::Ss(texts) => AttributeValue::Ss(sorted(texts.clone())),
        SdkValue::Ns(texts) => AttributeValue::Ns(sorted(texts.iter().map(number).collect::<Option<_>>()?)),
        SdkValue::Bs(blobs) => AttributeValue::Bs(sorted(blobs.iter().map(bytes).collect())),
        SdkValue::M(map) => AttributeValue::M(read_item(map)?),
        SdkValue::L(list) => AttributeValue::L(list.iter().map(read_value).collect::<Option<_>>()?),
        SdkValue::Bool(truth) => AttributeValue::Bool(*truth),
        SdkValue::Null(truth) => AttributeValue::Null(*truth),
        _ => return None,
    })
}

fn sorted<T: Ord>(mut elements: Vec<T>) -> Vec<T> {
    elements.sort_unstable();
    elements
}
