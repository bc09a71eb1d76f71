//! How often may be asked.

use std::time::Duration;

use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use weir_simulator::{CallCount, Fault, FaultRule, Limits, ThrottleCode};

use crate::support::{TABLE, start};

/// Line 10.
#[tokio::test]
async fn describing_and_listing_are_throttled_with_an_error_that_the_model_lacks() {
    let (simulator, streams) = start().await;
    simulator.set_limits(Limits::documented());
    for _ in 0..10 {
        streams.describe().await;
    }
    let call = streams.client.describe_stream().stream_arn(streams.arn());
    let error = call.clone().send().await.unwrap_err();
    assert_eq!(error.code(), Some("ThrottlingException"));
    assert!(format!("{:?}", error.into_service_error()).starts_with("Unhandled"));
    for _ in 0..5 {
        streams.client.list_streams().send().await.unwrap();
    }
    let error = streams.client.list_streams().send().await.unwrap_err();
    assert_eq!(error.code(), Some("ThrottlingException"));
    simulator.step(Duration::from_secs(1));
    assert!(call.send().await.is_ok());
}

/// Line 21.
#[tokio::test]
async fn a_third_reader_of_a_shard_is_throttled_until_another_stops() {
    let (simulator, streams) = start().await;
    simulator.set_limits(Limits::documented());
    let shard = streams.shard();
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(streams.horizon(&shard).await);
    }
    let next = streams.page(&readers[0]).await.unwrap().next_shard_iterator.unwrap();
    streams.page(&readers[1]).await.unwrap();
    assert_eq!(streams.page(&readers[2]).await.unwrap_err(), "LimitExceededException");
    assert!(streams.page(&next).await.is_ok(), "a successor is the same reader");
    simulator.step(Duration::from_secs(5));
    assert!(streams.page(&readers[2]).await.is_ok());
}

/// Line 21.
#[tokio::test]
async fn too_many_reads_of_a_shard_in_a_second_are_throttled() {
    let (simulator, streams) = start().await;
    simulator.set_limits(Limits {
        get_records_per_second: Some(4),
        reading_code: ThrottleCode::Throttling,
        ..Limits::default()
    });
    let iterator = streams.horizon(&streams.shard()).await;
    for _ in 0..4 {
        streams.page(&iterator).await.unwrap();
    }
    assert_eq!(streams.page(&iterator).await.unwrap_err(), "ThrottlingException");
    simulator.step(Duration::from_secs(1));
    assert!(streams.page(&iterator).await.is_ok());
    assert_eq!(simulator.truth().recorded().count(), 0, "{TABLE} has no changes");
}

#[tokio::test]
async fn calls_are_counted_by_operation_second_and_shard_also_those_that_fail() {
    let (simulator, streams) = start().await;
    let iterator = streams.horizon(&streams.shard()).await;
    simulator.queue_fault(FaultRule::next("GetRecords", Fault::Throttling));
    for _ in 0..3 {
        let _ = streams.page(&iterator).await;
    }
    simulator.step(Duration::from_secs(1));
    streams.page(&iterator).await.unwrap();
    streams.describe().await;
    let count = |calls, per_second_max, per_second_and_shard_max| CallCount {
        calls,
        per_second_max,
        per_second_and_shard_max,
    };
    let expected = [
        ("DescribeStream", count(1, 1, 0)),
        ("GetRecords", count(4, 3, 3)),
        ("GetShardIterator", count(1, 1, 1)),
    ];
    let expected = expected.map(|(operation, count)| (operation.to_owned(), count));
    assert_eq!(simulator.calls(), expected.into());
}
