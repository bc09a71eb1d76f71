//! A delivery that fails waits with all that comes of its item, while everything else goes on.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use weir_ledger::Pausable;
use weir_tests::eventually;

use crate::sink::Fate;
use crate::stage::{Stage, id};

/// Items beside the one that fails.
const ITEMS: usize = 10_000;

const SICK: &str = "sick";

/// Fails for one item until it is healed.
fn sick(stage: &Stage) -> Arc<AtomicBool> {
    let healed = Arc::new(AtomicBool::new(false));
    let is_healed = Arc::clone(&healed);
    stage.sink.does(move |event| {
        if id(event) == SICK && !is_healed.load(Ordering::SeqCst) {
            Fate::Fails
        } else {
            Fate::Taken
        }
    });
    healed
}

fn numbers(taken: &[Value], item: &str) -> Vec<u64> {
    let of_item = taken.iter().filter(|event| id(event) == item);
    of_item
        .map(|event| event["detail"]["new"]["number"].as_u64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_fails_for_an_hour_among_ten_thousand_delays_no_other_and_comes_in_order_afterwards() {
    let mut stage = Stage::begin().await;
    let healed = sick(&stage);
    for number in 0..ITEMS {
        stage.put(&format!("item-{number}"), 0);
        if number % 1000 == 0 {
            stage.put(SICK, number / 1000);
        }
    }
    stage.site.arrives().await;
    stage.start();
    stage.took(ITEMS).await;

    // An hour, minute by minute: others are delivered while it fails, and their clock does not move meanwhile.
    let mut slowest = Duration::ZERO;
    for minute in 1..=60 {
        stage.step(Duration::from_secs(60));
        let begun = Instant::now();
        stage.put(SICK, 9 + minute);
        stage.put("well", minute);
        stage.took(ITEMS + minute).await;
        slowest = slowest.max(begun.elapsed());
    }
    eventually("all of the item is parked", async || {
        (stage.parked().await == 70).then_some(())
    })
    .await;
    let end = stage.site.ledger.head().await.unwrap().size;
    eventually("the cursor has passed them", async || {
        (stage.cursor().await.0 == end).then_some(())
    })
    .await;
    assert_eq!(numbers(&stage.sink.taken(), SICK), [0; 0]);

    healed.store(true, Ordering::SeqCst);
    stage.all_done().await;
    assert_eq!(numbers(&stage.sink.taken(), SICK), (0..70).collect::<Vec<u64>>());
    assert_eq!(stage.sink.count(), ITEMS + 60 + 70, "nothing was sent twice");
    assert_eq!(stage.findings().await, [""; 0]);
    eprintln!("slowest of the others, from write to sink: {slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_outlives_its_process_and_is_not_overtaken_by_what_comes_later() {
    let mut stage = Stage::begin().await;
    let healed = sick(&stage);
    for number in 0..5 {
        stage.put(SICK, number);
    }
    stage.site.arrives().await;
    stage.start();
    eventually("it is parked", async || {
        stage.step(Duration::from_secs(1));
        (stage.parked().await == 5).then_some(())
    })
    .await;
    stage.kill(0);
    for number in 5..10 {
        stage.put(SICK, number);
    }
    stage.site.arrives().await;
    healed.store(true, Ordering::SeqCst);
    stage.start();
    stage.all_done().await;
    assert_eq!(numbers(&stage.sink.taken(), SICK), (0..10).collect::<Vec<u64>>());
}

/// streams.md 42.
#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_a_parked_delivery_are_counted_across_restarts_and_then_it_is_a_dead_letter_and_its_item_goes_on() {
    let mut stage = Stage::begin().await;
    stage.retry = serde_json::from_str(r#"{"first": "30s", "attempts_max": 6}"#).unwrap();
    stage.sink.does(|event| {
        if event["detail"]["new"]["number"] == 0 {
            Fate::Fails
        } else {
            Fate::Taken
        }
    });
    for number in 0..3 {
        stage.put(SICK, number);
    }
    stage.site.arrives().await;
    for attempts in 1..=6 {
        stage.start();
        eventually("an attempt", async || {
            stage.step(Duration::from_secs(1));
            (stage.sink.attempts() >= attempts).then_some(())
        })
        .await;
        stage.stop().await;
        if stage.sink.attempts() > 6 {
            break;
        }
    }
    stage.start();
    stage.all_done().await;
    let dead = stage.dead_letters().await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!((dead[0].code.as_str(), dead[0].attempts), ("attempts-exhausted", 6));
    assert!(dead[0].payload.as_ref().unwrap().contains("sick"));
    assert_eq!(numbers(&stage.sink.taken(), SICK), [1, 2]);
    assert_eq!(stage.findings().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_parked_than_the_budget_allows_and_then_the_cursor_waits() {
    let mut stage = Stage::begin().await;
    stage.parked_max = 30;
    let healed = Arc::new(AtomicBool::new(false));
    let is_healed = Arc::clone(&healed);
    // A few work, so that the sink counts as one that works.
    stage.sink.does(move |event| {
        let is_well = id(event).starts_with("well") || is_healed.load(Ordering::SeqCst);
        if is_well { Fate::Taken } else { Fate::Fails }
    });
    for number in 0..400 {
        stage.put(&format!("item-{}", number % 100), number);
        stage.put(&format!("well-{number}"), number);
    }
    stage.site.arrives().await;
    let end = stage.site.ledger.head().await.unwrap().size;
    stage.start();
    let mut most = 0;
    for _ in 0..100 {
        stage.step(Duration::from_secs(5));
        most = most.max(stage.parked().await);
        tokio::task::yield_now().await;
    }
    eventually("some is parked", async || {
        stage.step(Duration::from_secs(5));
        most = most.max(stage.parked().await);
        (most > 0).then_some(())
    })
    .await;
    assert!(most <= 30, "{most} are parked");
    assert!(stage.cursor().await.0 < end, "the cursor waits");
    healed.store(true, Ordering::SeqCst);
    stage.all_done().await;
    assert_eq!(stage.findings().await, [""; 0]);
    let ids: HashSet<String> = stage
        .sink
        .taken()
        .iter()
        .map(|event| event["detail"]["delivery"].to_string())
        .collect();
    assert_eq!(ids.len(), 800);
}

/// A budget of one, and a position with more than one delivery that fails, has to come to an end all the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_budget_parks_one_item_after_the_other() {
    let mut stage = Stage::begin().await;
    stage.parked_max = 1;
    let healed = sick(&stage);
    for number in 0..5 {
        stage.put(SICK, number);
        stage.put("well", number);
    }
    stage.site.arrives().await;
    stage.start();
    eventually("one is parked", async || {
        stage.step(Duration::from_secs(1));
        (stage.parked().await == 1).then_some(())
    })
    .await;
    healed.store(true, Ordering::SeqCst);
    stage.all_done().await;
    assert_eq!(numbers(&stage.sink.taken(), SICK), [0, 1, 2, 3, 4]);
    assert_eq!(stage.findings().await, [""; 0]);
}

/// What is sent again of an item goes before what is parked of it, also when both became due while the sink was paused.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_of_an_item_that_is_parked_goes_first_and_nothing_is_counted_twice() {
    let mut stage = Stage::begin().await;
    stage
        .sink
        .does(|event| match event["detail"]["new"]["number"].as_u64() {
            Some(0) => Fate::Refused,
            _ => Fate::Fails,
        });
    for number in 0..3 {
        stage.put(SICK, number);
    }
    stage.site.arrives().await;
    stage.start();
    eventually("one is dead and two are parked", async || {
        stage.step(Duration::from_secs(1));
        (stage.parked().await == 2 && stage.dead_letters().await.len() == 1).then_some(())
    })
    .await;
    let ledger = stage.site.ledger.clone();
    ledger
        .pause(Pausable::Sink, "sink", "test", Timestamp::now())
        .await
        .unwrap();
    // Within a second the route knows.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stage.step(Duration::from_secs(1000));
    stage.redrive_all().await;
    eventually("it is parked", async || (stage.parked().await == 3).then_some(())).await;
    stage.sink.does(|_| Fate::Taken);
    ledger
        .resume(Pausable::Sink, "sink", "test", Timestamp::now())
        .await
        .unwrap();
    stage.all_done().await;
    assert_eq!(numbers(&stage.sink.taken(), SICK), [0, 1, 2]);
    assert!(stage.dead_letters().await.is_empty());
    stage.put(SICK, 3);
    stage.site.arrives().await;
    stage.took(4).await;
    assert_eq!(numbers(&stage.sink.taken(), SICK), [0, 1, 2, 3]);
}
