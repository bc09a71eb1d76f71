//! A table's stream and its shards.

use serde_json::{Value, json};
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_model::{ShardId, StreamArn};
use weir_streams::{FindError, ViewType};

use crate::support::http::{BEHIND, Reply};
use crate::support::{ARN, SHARD, Scripted, TABLE, arn, error, streams};

/// An answer of `DescribeStream`, with shards written `child<parent`.
fn description(status: &str, shards: &[&str], last: Option<&str>) -> Reply {
    let shard = |text: &&str| match text.split_once('<') {
        Some((id, parent)) => json!({"ShardId": id, "ParentShardId": parent, "SequenceNumberRange": {}}),
        None => json!({"ShardId": text, "SequenceNumberRange": {"StartingSequenceNumber": "1"}}),
    };
    let mut description = json!({
        "StreamArn": ARN,
        "StreamLabel": "2026-03-01T00:00:00.000",
        "StreamStatus": status,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
        "TableName": TABLE,
        "KeySchema": [{"AttributeName": "line", "KeyType": "RANGE"}, {"AttributeName": "order", "KeyType": "HASH"}],
        "Shards": shards.iter().map(shard).collect::<Vec<Value>>(),
    });
    if let Some(last) = last {
        description["LastEvaluatedShardId"] = json!(last);
    }
    Reply::Json(200, json!({"StreamDescription": description}))
}

fn list(arns: &[&str], last: Option<&str>) -> Reply {
    let streams: Vec<Value> = arns
        .iter()
        .map(|arn| json!({"StreamArn": arn, "TableName": TABLE}))
        .collect();
    let mut body = json!({"Streams": streams});
    if let Some(last) = last {
        body["LastEvaluatedStreamArn"] = json!(last);
    }
    Reply::Json(200, body)
}

fn shown(shards: &[weir_streams::FoundShard]) -> Vec<String> {
    let one = |found: &weir_streams::FoundShard| match &found.parent {
        Some(parent) => format!("{}<{parent}", found.shard),
        None => found.shard.to_string(),
    };
    shards.iter().map(one).collect()
}

/// The local DynamoDB leaves out the key schema; `every_page_of_shards_is_read` has it.
#[tokio::test]
async fn a_table_is_found_with_its_view_and_shards() {
    let database = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    let stream = database.ensure_table(TABLE, "order_id").await.unwrap();
    let found = streams(&database.endpoint()).await.find(TABLE).await.unwrap();
    assert_eq!(found.arn.as_str(), stream);
    assert_eq!(found.table, TABLE);
    assert_eq!(found.view, ViewType::NewAndOldImages);
    assert!(found.enabled);
    assert_eq!(shown(&found.shards), [format!("shardId-00000001-{TABLE}")]);
    database.stop().await;
}

#[tokio::test]
async fn a_table_that_is_not_there_and_one_whose_stream_is_off_have_no_stream() {
    let database = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    let streams = streams(&database.endpoint()).await;
    let error = streams.find("not-a-table-here").await.unwrap_err();
    assert!(
        matches!(&error, FindError::NoStream { table } if table == "not-a-table-here"),
        "{error}"
    );

    database.ensure_table(TABLE, "order_id").await.unwrap();
    let off = aws_sdk_dynamodb::types::StreamSpecification::builder().stream_enabled(false);
    let update = database.client().update_table().table_name(TABLE);
    update.stream_specification(off.build().unwrap()).send().await.unwrap();
    let error = streams.find(TABLE).await.unwrap_err();
    assert!(
        matches!(&error, FindError::NoStream { table } if table == TABLE),
        "{error}"
    );
    assert!(error.to_string().contains(TABLE));
    database.stop().await;
}

/// streams.md 3.
#[tokio::test]
async fn every_page_of_shards_is_read() {
    let service = Scripted::start([
        description("ENABLED", &["s3<s1", "s1"], Some("s1")),
        description("ENABLED", &["s4<s2"], Some("s4")),
        description("ENABLED", &[], Some("s4-again")),
        description("ENABLED", &["s2<trimmed"], None),
    ])
    .await;
    let described = service.streams().await.describe(&arn()).await.unwrap();
    assert_eq!(shown(&described.shards), ["s3<s1", "s1", "s4<s2", "s2<trimmed"]);
    assert_eq!(described.key_names, ["order", "line"], "partition key first");

    let starts: Vec<Value> = service
        .calls()
        .iter()
        .map(|(_, body)| body["ExclusiveStartShardId"].clone())
        .collect();
    assert_eq!(starts, [Value::Null, json!("s1"), json!("s4"), json!("s4-again")]);
    assert!(
        service
            .calls()
            .iter()
            .all(|(operation, body)| operation == "DescribeStream" && body["StreamArn"] == ARN)
    );
}

/// streams.md 5: the list may be empty for a while.
#[tokio::test]
async fn a_stream_without_shards_is_a_stream() {
    let service = Scripted::start([description("ENABLING", &[], None)]).await;
    let described = service.streams().await.describe(&arn()).await.unwrap();
    assert_eq!((shown(&described.shards), described.enabled), (vec![], true));
}

/// streams.md 14: its shards can be read for another 24 hours.
#[tokio::test]
async fn a_stream_that_was_switched_off_is_still_described() {
    for status in ["DISABLED", "DISABLING"] {
        let service = Scripted::start([description(status, &[SHARD], None)]).await;
        let described = service.streams().await.describe(&arn()).await.unwrap();
        assert_eq!(
            (shown(&described.shards), described.enabled),
            (vec![SHARD.to_owned()], false)
        );
    }
}

/// streams.md 15: a new stream has a new ARN, and the old one stays for a day. Also over several pages of streams.
#[tokio::test]
async fn of_several_streams_of_a_table_the_one_that_is_switched_on_is_found() {
    let stream = |label: &str| format!("arn:aws:dynamodb:us-east-1:000000000000:table/{TABLE}/stream/{label}");
    let (on, off, gone) = (stream("2026-01-01"), stream("2026-02-01"), stream("2026-03-01"));
    let (first, second, third) = (off.clone(), on.clone(), gone.clone());
    let service = Scripted::start_with(move |operation, body| match operation {
        "ListStreams" if body["ExclusiveStartStreamArn"].is_null() => list(&[&first, &third], Some(&third)),
        "ListStreams" => list(&[&second], None),
        _ if body["StreamArn"] == first => description("DISABLED", &["s1"], None),
        _ if body["StreamArn"] == second => description("ENABLED", &["s2"], None),
        _ => error("ResourceNotFoundException"),
    })
    .await;
    let found = service.streams().await.find(TABLE).await.unwrap();
    assert_eq!(
        (found.arn.as_str(), shown(&found.shards)),
        (on.as_str(), vec!["s2".to_owned()])
    );
    let (operation, list) = &service.calls()[0];
    assert_eq!((operation.as_str(), &list["TableName"]), ("ListStreams", &json!(TABLE)));
}

/// streams.md 14: such a stream can still be read, but nothing is written to it.
#[tokio::test]
async fn a_table_whose_only_stream_was_switched_off_has_none() {
    let service = Scripted::start([list(&[ARN], None), description("DISABLED", &[SHARD], None)]).await;
    let error = service.streams().await.find(TABLE).await.unwrap_err();
    assert!(
        matches!(&error, FindError::NoStream { table } if table == TABLE),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_told_from_what_cannot_be_asked() {
    let service = Scripted::start([error("ResourceNotFoundException"), error("AccessDeniedException")]).await;
    let streams = service.streams().await;
    let missing = streams.describe(&arn()).await.unwrap_err();
    assert!(
        matches!(&missing, FindError::Missing { arn, .. } if arn.as_str() == ARN),
        "{missing}"
    );
    let refused = streams.describe(&arn()).await.unwrap_err();
    assert!(
        matches!(&refused, FindError::Service(why) if why.contains("AccessDeniedException")),
        "{refused}"
    );

    let service = Scripted::start([
        list(&[], None),
        error("AccessDeniedException"),
        error("ResourceNotFoundException"),
    ])
    .await;
    let streams = service.streams().await;
    let none = streams.find(TABLE).await.unwrap_err();
    assert!(matches!(none, FindError::NoStream { .. }), "{none}");
    let refused = streams.find(TABLE).await.unwrap_err();
    assert!(matches!(refused, FindError::Service(_)), "{refused}");
    let none = streams.find(TABLE).await.unwrap_err();
    assert!(matches!(none, FindError::NoStream { .. }), "{none}");
}

/// streams.md 44: records carry the service's time, so "from now on" is a time of the service too.
#[tokio::test]
async fn a_description_says_what_time_it_is_for_the_service() {
    let service = Scripted::start([description("ENABLED", &["s1"], None)]).await;
    let described = service.streams().await.describe(&arn()).await.unwrap();
    let behind = jiff::Timestamp::now().duration_since(described.answered_at);
    assert!(behind >= BEHIND, "{behind}");
    assert_eq!(described.answered_at.subsec_nanosecond(), 0);
}

/// A proxy's time is not the service's: by the one, records of the other may look as if they were long trimmed.
#[tokio::test]
async fn what_stands_in_between_does_not_say_what_time_it_is_for_the_service() {
    let in_between = || Reply::Text(400, "who are you?");
    let service = Scripted::start([in_between(), description("ENABLED", &["s1"], None), in_between()]).await;
    let streams = service.streams().await;
    streams.describe(&arn()).await.unwrap_err();
    streams.describe(&arn()).await.unwrap();
    streams.describe(&arn()).await.unwrap_err();
    let behind = jiff::Timestamp::now().duration_since(streams.service_time());
    assert!(behind >= BEHIND, "{behind}");
}

/// streams.md 10: the throttle arrives as an unmodelled `ThrottlingException`.
#[tokio::test]
async fn a_throttle_is_waited_for_and_one_that_stays_is_an_error() {
    let throttle = || error("ThrottlingException");
    let service = Scripted::start([
        description("ENABLED", &["s1"], Some("s1")),
        throttle(),
        throttle(),
        description("ENABLED", &["s2"], None),
    ])
    .await;
    let described = service.streams().await.describe(&arn()).await.unwrap();
    assert_eq!(
        shown(&described.shards),
        ["s1", "s2"],
        "the pages before the throttle are kept"
    );

    let service = Scripted::start_with(move |_, _| throttle()).await;
    let error = service.streams().await.describe(&arn()).await.unwrap_err();
    assert!(
        matches!(&error, FindError::Service(why) if why.contains("ThrottlingException")),
        "{error}"
    );
}

/// streams.md 10: partial progress is kept.
#[tokio::test]
async fn a_description_that_failed_half_way_goes_on_with_the_page_that_failed() {
    let service = Scripted::start([
        description("ENABLED", &["s1"], Some("s1")),
        error("AccessDeniedException"),
        error("AccessDeniedException"),
        description("ENABLED", &["s2"], Some("s2")),
        description("ENABLED", &["s3"], None),
    ])
    .await;
    let mut describing = service.streams().await.describing(&arn());
    for _ in 0..2 {
        let error = describing.finish().await.unwrap_err();
        assert!(matches!(error, FindError::Service(_)), "{error}");
    }
    let described = describing.finish().await.unwrap();
    assert_eq!(shown(&described.shards), ["s1", "s2", "s3"]);
    let starts: Vec<Value> = service
        .calls()
        .iter()
        .map(|(_, body)| body["ExclusiveStartShardId"].clone())
        .collect();
    let expected = [Value::Null, json!("s1"), json!("s1"), json!("s1"), json!("s2")];
    assert_eq!(starts, expected);
}

/// streams.md 7: the filter may answer nothing, be ignored, or answer the parent itself.
#[tokio::test]
async fn only_children_of_the_shard_that_was_asked_for_are_its_children() {
    for (answer, children) in [
        (vec!["s2<s1", "s3<s1"], vec!["s2<s1", "s3<s1"]),
        (vec![], vec![]),
        (vec!["s1"], vec![]),
        (vec!["s1<s0"], vec![]),
        (vec!["s4<s0", "s2<s1", "s1<s0", "s5<s2"], vec!["s2<s1"]),
    ] {
        let service = Scripted::start([description("ENABLED", &answer, None)]).await;
        let parent = ShardId::parse("s1").unwrap();
        let found = service.streams().await.children(&arn(), &parent).await.unwrap();
        assert_eq!(shown(&found), children, "{answer:?}");
        let (_, asked) = &service.calls()[0];
        assert_eq!(asked["ShardFilter"], json!({"Type": "CHILD_SHARDS", "ShardId": "s1"}));
    }
}

#[tokio::test]
async fn a_description_that_cannot_be_one_is_malformed() {
    for (part, value) in [
        ("StreamViewType", json!("SOMETHING_NEW")),
        ("StreamViewType", Value::Null),
        ("TableName", Value::Null),
        ("Shards", json!([{"ParentShardId": "s1"}])),
    ] {
        let Reply::Json(status, mut body) = description("ENABLED", &["s1"], None) else {
            panic!("not JSON")
        };
        body["StreamDescription"][part] = value;
        let service = Scripted::start([Reply::Json(status, body)]).await;
        let error = service.streams().await.describe(&arn()).await.unwrap_err();
        assert!(matches!(error, FindError::Malformed(_)), "{part}: {error}");
    }
    let service = Scripted::start([Reply::Json(200, json!({}))]).await;
    let error = service.streams().await.describe(&arn()).await.unwrap_err();
    assert!(matches!(error, FindError::Malformed(_)), "{error}");
}

#[tokio::test]
async fn each_view_type_says_which_images_there_are() {
    for (name, has_old, has_new) in [
        ("KEYS_ONLY", false, false),
        ("NEW_IMAGE", false, true),
        ("OLD_IMAGE", true, false),
        ("NEW_AND_OLD_IMAGES", true, true),
    ] {
        let Reply::Json(status, mut body) = description("ENABLED", &[], None) else {
            panic!("not JSON")
        };
        body["StreamDescription"]["StreamViewType"] = json!(name);
        let service = Scripted::start([Reply::Json(status, body)]).await;
        let view = service.streams().await.describe(&arn()).await.unwrap().view;
        assert_eq!(
            (view.as_str(), view.has_old(), view.has_new()),
            (name, has_old, has_new)
        );
    }
}

/// A stream in another region looks as if it did not exist.
#[tokio::test]
async fn a_stream_of_another_region_is_told_from_one_that_is_gone() {
    let access = weir_streams::AwsAccess {
        region: Some("eu-central-1".to_owned()),
        endpoint: None,
        test_credentials: true,
    };
    let streams = weir_streams::DynamoDbStreams::new(&access).await;
    assert!(!streams.is_region_of(&arn()));
    assert!(streams.is_region_of(&StreamArn::parse(ARN.replace("us-east-1", "eu-central-1")).unwrap()));
}
