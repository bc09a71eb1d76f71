//! Parents and children, listings that mislead, children that come late.

use std::time::Duration;

use weir_pipeline::Start;
use weir_simulator::{ChildFilter, Fault, FaultRule, Resharding};

use crate::{put_into_each, site};

const HOUR: Duration = Duration::from_hours(1);

/// streams.md 1: also where the parent gives its records slowly, and the children are long there.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_child_is_recorded_before_the_end_of_its_parent() {
    let mut site = site(1).await;
    site.simulator.change_some("orders", 5, 20).unwrap();
    site.simulator.empty_pages("orders", None, 5).unwrap();
    let parent = site.simulator.open_shards("orders").unwrap().remove(0);
    let slow = FaultRule::next("GetRecords", Fault::InternalServerError).on_shard(&parent);
    site.simulator.queue_fault(slow.times(8));
    for _ in 0..2 {
        site.simulator.split("orders", None, &Resharding::default()).unwrap();
        site.simulator.change_some("orders", 5, 20).unwrap();
    }
    site.add_worker().await;
    site.arrives().await;
    site.is_true().await;
}

/// streams.md 2.
#[tokio::test(flavor = "multi_thread")]
async fn shards_are_found_however_often_they_rotate_while_weir_runs() {
    let mut site = site(2).await;
    site.add_worker().await;
    for _ in 0..6 {
        for shard in site.simulator.open_shards("orders").unwrap() {
            site.simulator
                .rotate("orders", Some(&shard), &Resharding::default())
                .unwrap();
        }
        put_into_each(&site);
        site.arrives().await;
        site.simulator.step(4 * HOUR);
    }
    assert!(!site.shown().await.contains("gap"));
    site.stop_workers().await;
}

/// Nobody waits for the next look at who reads what.
#[tokio::test(flavor = "multi_thread")]
async fn shards_are_read_as_soon_as_they_are_found() {
    let mut site = site(2).await;
    site.pace.round_interval = HOUR;
    // The first look comes before the answer.
    let slow = FaultRule::next("DescribeStream", Fault::Delay { milliseconds: 500 });
    site.simulator.queue_fault(slow.times(3));
    put_into_each(&site);
    site.add_worker().await;
    site.arrives().await;
    site.stop_workers().await;
}

/// streams.md 3 and 4: of pages of two, in an order that says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn shards_of_a_listing_of_many_pages_are_all_recorded() {
    let mut site = site(9).await;
    site.simulator.discovery(|discovery| discovery.page_shards_max = 2);
    put_into_each(&site);
    site.add_worker().await;
    site.arrives().await;
    site.is_true().await;
}

/// streams.md 5: empty lists, a parent that looks open, children that are not listed yet.
#[tokio::test(flavor = "multi_thread")]
async fn listings_that_contradict_each_other_lose_nothing_and_order_nothing_anew() {
    let mut site = site(2).await;
    site.add_worker().await;
    for late_ms in [0, 30_000] {
        let how = Resharding {
            late_ms,
            parent_looks_open_ms: 60_000,
            ..Resharding::default()
        };
        site.simulator.discovery(|discovery| discovery.empty_answers = 3);
        site.simulator.change_some("orders", 10, 30).unwrap();
        site.simulator.split("orders", None, &how).unwrap();
        site.simulator.change_some("orders", 10, 30).unwrap();
        site.arrives_in_time().await;
    }
    site.is_true().await;
}

/// streams.md 5 and 6: a parent that answers leave out is there, and its records come before its child's.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_waits_for_a_parent_that_answers_leave_out_for_a_while() {
    let mut site = site(1).await;
    let parent = site.simulator.open_shards("orders").unwrap().remove(0);
    site.simulator.change_some("orders", 5, 20).unwrap();
    site.simulator.rotate("orders", None, &Resharding::default()).unwrap();
    site.simulator.change_some("orders", 5, 20).unwrap();
    site.simulator.discovery(|discovery| {
        discovery.missing.insert(parent.clone());
    });
    site.add_worker().await;
    // Many answers, but all of one moment of the source's time.
    site.asked("DescribeStream", 12).await;
    assert_eq!(site.shown().await, "");
    site.simulator.discovery(|discovery| discovery.missing.clear());
    site.arrives().await;
    site.is_true().await;
}

/// streams.md 6.
#[tokio::test(flavor = "multi_thread")]
async fn the_child_of_a_parent_that_was_trimmed_does_not_wait_for_ever() {
    let mut site = site(1).await;
    let parent = site.simulator.open_shards("orders").unwrap().remove(0);
    site.simulator.rotate("orders", None, &Resharding::default()).unwrap();
    site.simulator.vanish("orders", &parent).unwrap();
    site.put("o1");
    site.add_worker().await;
    site.arrives_in_time().await;
    // It was gone before anybody asked: that is where the ledger begins, and no gap.
    assert_eq!(site.shown().await, "o1");
    site.is_true().await;
}

/// streams.md 7: found without the listing of everything, which is an hour away, or by it at once.
#[tokio::test(flavor = "multi_thread")]
async fn children_are_found_whatever_the_filter_for_children_does() {
    for (filter, empty_answers) in [
        (ChildFilter::Works, 0),
        (ChildFilter::Works, 3),
        (ChildFilter::Ignored, 0),
        (ChildFilter::AnswersParent, 0),
    ] {
        let mut site = site(2).await;
        site.pace.describe_interval = HOUR;
        site.simulator.discovery(|discovery| {
            discovery.child_filter = filter;
            discovery.child_filter_empty_answers = empty_answers;
        });
        site.add_worker().await;
        put_into_each(&site);
        site.arrives().await;
        site.simulator.split("orders", None, &Resharding::default()).unwrap();
        put_into_each(&site);
        site.arrives().await;
        site.is_true().await;
    }
}

/// streams.md 8: although only what is new was asked for, and the child is found late.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_is_found_late_is_recorded_from_its_beginning() {
    let mut site = site(1).await;
    site.settings.start = Start::Latest;
    site.add_worker().await;
    site.put("o1");
    site.arrives().await;
    let how = Resharding {
        late_ms: 60_000,
        ..Resharding::default()
    };
    site.simulator.rotate("orders", None, &how).unwrap();
    site.put("o2");
    site.asked("DescribeStream", 3).await;
    assert_eq!(site.shown().await, "o1");
    site.arrives_in_time().await;
    assert_eq!(site.shown().await, "o1 o2");
    site.is_true().await;
}

/// streams.md 9: the parent left the stream and is known all the same, also to a process that starts anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_was_recorded_is_remembered_when_it_left_the_stream() {
    let mut site = site(1).await;
    let parent = site.simulator.open_shards("orders").unwrap().remove(0);
    site.put("o1");
    site.add_worker().await;
    site.arrives().await;
    let how = Resharding {
        late_ms: 60_000,
        ..Resharding::default()
    };
    site.simulator.rotate("orders", None, &how).unwrap();
    site.finishes(&parent).await;
    site.stop_workers().await;
    site.simulator.vanish("orders", &parent).unwrap();
    site.put("o2");
    site.simulator.step(Duration::from_secs(61));
    site.add_worker().await;
    // The clock stands still: a parent in doubt would be waited for.
    site.arrives().await;
    assert_eq!(site.shown().await, "o1 o2");
    site.is_true().await;
}

/// streams.md 10: pages that came are not asked for again, or a long listing never comes to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_many_pages_that_fails_in_the_middle_goes_on_with_the_page_that_failed() {
    let mut site = site(5).await;
    site.simulator.discovery(|discovery| {
        discovery.page_shards_max = 1;
        // Nothing is found but by going through everything.
        discovery.child_filter = ChildFilter::AnswersParent;
    });
    site.add_worker().await;
    site.simulator.change_some("orders", 20, 40).unwrap();
    site.arrives().await;
    // Every third call fails, in a way that the client library does not try again by itself. (It does when it is denied access
    // by a service whose clock is not its own.)
    let refused = Fault::Error {
        status: 400,
        code: "ValidationException".to_owned(),
    };
    for number in 0..200 {
        site.simulator.queue_fault(FaultRule {
            skip: 3 * number,
            ..FaultRule::next("DescribeStream", refused.clone())
        });
    }
    for shard in site.simulator.open_shards("orders").unwrap() {
        let how = Resharding::default();
        site.simulator.rotate("orders", Some(&shard), &how).unwrap();
    }
    site.simulator.change_some("orders", 20, 40).unwrap();
    site.arrives().await;
    site.is_true().await;
}
