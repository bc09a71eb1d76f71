//! Where reading begins and goes on, throttles, records that come again.

use std::time::Duration;

use weir_pipeline::Start;
use weir_simulator::{Fault, FaultRule, Limits, Resharding, ThrottleCode};

use crate::{put_into_each, site};

/// streams.md 17.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_gives_empty_pages_is_read_on() {
    let mut site = site(1).await;
    site.put("o1");
    site.simulator.empty_pages("orders", None, 30).unwrap();
    site.add_worker().await;
    site.arrives().await;
    site.is_true().await;
}

/// streams.md 18: idle for longer than an iterator lives, before a first record and after one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_an_iterator_expired_is_recorded() {
    let mut site = site(1).await;
    site.settings.start = Start::Latest;
    site.add_worker().await;
    for id in ["o1", "o2", "o3"] {
        site.asked("GetRecords", 2).await;
        site.put(id);
        site.simulator.step(Duration::from_mins(20));
        site.arrives().await;
    }
    assert_eq!(site.shown().await, "o1 o2 o3");
    site.is_true().await;
}

/// streams.md 21: by either code, of reads and of listings.
#[tokio::test(flavor = "multi_thread")]
async fn throttles_delay_and_lose_nothing() {
    for code in [ThrottleCode::LimitExceeded, ThrottleCode::Throttling] {
        let mut site = site(2).await;
        site.simulator.set_limits(Limits {
            get_records_per_second: Some(3),
            reading_code: code,
            discovery_code: Some(code),
            ..Limits::documented()
        });
        site.simulator.change_some("orders", 10, 50).unwrap();
        site.simulator.reading(|reading| reading.page_records_max = 10);
        site.add_worker().await;
        site.arrives_in_time().await;
        site.is_true().await;
    }
}

/// streams.md 23.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_fail_break_off_or_come_late_are_asked_for_again() {
    let mut site = site(1).await;
    site.simulator.change_some("orders", 10, 30).unwrap();
    for fault in [
        Fault::InternalServerError,
        Fault::Reset,
        Fault::Truncated,
        Fault::Bare { status: 503 },
        Fault::Delay { milliseconds: 200 },
    ] {
        for operation in ["GetShardIterator", "GetRecords", "DescribeStream"] {
            site.simulator.queue_fault(FaultRule::next(operation, fault.clone()));
        }
    }
    site.simulator.rotate("orders", None, &Resharding::default()).unwrap();
    site.simulator.change_some("orders", 10, 30).unwrap();
    site.add_worker_in_time().await;
    site.arrives().await;
    site.is_true().await;
}

/// streams.md 32: a worker that starts again, and a source that begins again.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_come_again_are_recorded_once() {
    let mut site = site(1).await;
    site.add_worker().await;
    for id in ["o1", "o2"] {
        site.put(id);
        site.arrives().await;
        site.stop_workers().await;
        site.add_worker().await;
    }
    // The service says that something was trimmed, and gives everything from the horizon on.
    let trimmed = Fault::Error {
        status: 400,
        code: "TrimmedDataAccessException".to_owned(),
    };
    site.simulator.queue_fault(FaultRule::next("GetRecords", trimmed));
    site.asked("GetRecords", 4).await;
    site.put("o3");
    site.arrives().await;
    assert_eq!(site.shown().await, "o1 o2 gap(trimmed possible) o3");
    site.stop_workers().await;
}

/// streams.md 43: under the parent's numbers, or under numbers of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_parent_s_last_records_that_its_children_repeat_are_recorded_once() {
    for renumbered in [false, true] {
        let mut site = site(1).await;
        let how = Resharding {
            repeats: 3,
            renumbered,
            ..Resharding::default()
        };
        site.add_worker().await;
        for _ in 0..3 {
            site.simulator.change_some("orders", 5, 5).unwrap();
            site.simulator.split("orders", None, &how).unwrap();
        }
        put_into_each(&site);
        site.arrives().await;
        site.is_true().await;
    }
}

/// streams.md 43: a generation that had nothing of its own passes them on.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_repeated_over_generations_are_recorded_once() {
    let mut site = site(1).await;
    let how = Resharding {
        repeats: 3,
        renumbered: true,
        ..Resharding::default()
    };
    site.simulator.change_some("orders", 5, 5).unwrap();
    for _ in 0..3 {
        site.simulator.rotate("orders", None, &how).unwrap();
    }
    site.put("last");
    site.add_worker().await;
    site.arrives().await;
    site.is_true().await;
}

/// streams.md 43: a grandchild has them from a parent that came and went unseen.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_shard_repeats_of_a_grandparent_is_recorded_once_although_its_parent_was_never_seen() {
    let mut site = site(1).await;
    site.add_worker().await;
    for id in ["o1", "o2"] {
        site.put(id);
    }
    site.arrives().await;
    site.simulator.step(Duration::from_mins(5));
    let how = Resharding {
        repeats: 2,
        renumbered: true,
        late_ms: 1_000 * 3_600_000,
        ..Resharding::default()
    };
    let parent = site.simulator.rotate("orders", None, &how).unwrap();
    site.simulator.step(Duration::from_mins(5));
    let seen = Resharding { late_ms: 0, ..how };
    site.simulator.rotate("orders", None, &seen).unwrap();
    site.simulator.vanish("orders", &parent).unwrap();
    site.put("o3");
    site.arrives_in_time().await;
    assert_eq!(site.shown().await, "o1 o2 gap(shard-expired possible) o3");
    site.is_true().await;
}

/// streams.md 44: "latest" is a time, stored before the first read. What is older is skipped, what is newer is not, although
/// the shard was idle and a worker read nothing of it before it went.
#[tokio::test(flavor = "multi_thread")]
async fn latest_on_an_idle_shard_means_whatever_is_written_from_then_on() {
    let mut site = site(1).await;
    site.settings.start = Start::Latest;
    site.put("before");
    site.simulator.step(Duration::from_secs(10));
    site.add_worker().await;
    site.asked("GetRecords", 2).await;
    site.stop_workers().await;
    site.simulator.step(Duration::from_mins(20));
    site.put("o1");
    site.simulator.rotate("orders", None, &Resharding::default()).unwrap();
    site.put("o2");
    site.add_worker().await;
    weir_tests::eventually("what is new", async || (site.missing().await == 1).then_some(())).await;
    assert_eq!(site.shown().await, "o1 o2");
    site.stop_workers().await;
}
