//! Calls that go wrong.

use std::time::Duration;

use weir_simulator::{Fault, FaultRule};

use crate::support::{Streams, TABLE, put, start, start_with_shards};

/// Line 23.
#[tokio::test]
async fn each_fault_strikes_once_and_the_read_can_be_repeated() {
    for (fault, code) in [
        (Fault::InternalServerError, "InternalServerError"),
        (Fault::LimitExceeded, "LimitExceededException"),
        (Fault::Throttling, "ThrottlingException"),
        (
            Fault::Error {
                status: 400,
                code: "ProvisionedThroughputExceededException".to_owned(),
            },
            "ProvisionedThroughputExceededException",
        ),
        (Fault::Bare { status: 503 }, ""),
        (Fault::Reset, ""),
        (Fault::Truncated, ""),
    ] {
        let (simulator, streams) = start().await;
        put(&simulator, "o1");
        let iterator = streams.horizon(&streams.shard()).await;
        for after_effect in [false, true] {
            let mut rule = FaultRule::next("GetRecords", fault.clone());
            rule.after_effect = after_effect;
            simulator.queue_fault(rule);
            assert_eq!(streams.page(&iterator).await.unwrap_err(), code, "{fault:?}");
            assert_eq!(
                simulator.truth().changes[0].read_at,
                None,
                "{fault:?}: it did not arrive"
            );
        }
        assert_eq!(streams.page(&iterator).await.unwrap().records().len(), 1);
        assert!(simulator.truth().changes[0].read_at.is_some());
    }
}

/// Line 23.
#[tokio::test]
async fn a_call_that_hangs_goes_on_until_the_caller_gives_up() {
    let (simulator, streams) = start().await;
    let hasty = Streams::new(&simulator, Duration::from_millis(50));
    simulator.queue_fault(FaultRule::next("ListStreams", Fault::Hang));
    assert!(hasty.client.list_streams().send().await.is_err());
    assert!(streams.client.list_streams().send().await.is_ok());
}

#[tokio::test]
async fn a_call_that_is_delayed_comes_through() {
    let (simulator, streams) = start().await;
    simulator.queue_fault(FaultRule::next("ListStreams", Fault::Delay { milliseconds: 1 }));
    assert!(streams.client.list_streams().send().await.is_ok());
    assert!(simulator.waiting_faults().is_empty());
}

#[tokio::test]
async fn a_fault_waits_for_the_call_and_the_shard_that_it_is_for() {
    let (simulator, streams) = start_with_shards(2).await;
    let shards = simulator.open_shards(TABLE).unwrap();
    let first = streams.horizon(&shards[0]).await;
    let second = streams.horizon(&shards[1]).await;
    let rule = FaultRule::next("GetRecords", Fault::LimitExceeded).on_shard(&shards[1]);
    simulator.queue_fault(rule.skip(1).times(2));
    let mut failed = Vec::new();
    for _ in 0..4 {
        assert!(streams.page(&first).await.is_ok());
        failed.push(streams.page(&second).await.is_err());
    }
    assert_eq!(failed, [false, true, true, false]);
}

#[tokio::test]
async fn faults_drawn_by_chance_strike_some_calls_until_they_are_cleared() {
    let (simulator, streams) = start().await;
    simulator.queue_fault(FaultRule::random(0.3, Fault::InternalServerError));
    let iterator = async || streams.client.list_streams().send().await.is_err();
    let mut failed = 0;
    for _ in 0..100 {
        failed += u32::from(iterator().await);
    }
    assert!((10..60).contains(&failed), "{failed}");
    simulator.clear_faults();
    assert!(!iterator().await);
}
