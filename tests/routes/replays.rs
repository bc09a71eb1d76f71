//! A range of the ledger that a route sends once more, beside what is new.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use weir_evidence::EntryKind;
use weir_tests::eventually;

use crate::sink::Fate;
use crate::stage::{ROUTE, Stage, configured, id};

/// How often each delivery arrived.
fn times(taken: &[Value]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for event in taken {
        let id = event["detail"]["delivery"].as_str().unwrap().to_owned();
        *times.entry(id).or_default() += 1;
    }
    times
}

/// A route that has sent so many changes, of ten items.
async fn sent(count: usize) -> Stage {
    let mut stage = Stage::begin().await;
    for number in 0..count {
        stage.put(&format!("item-{}", number % 10), number);
    }
    stage.site.arrives().await;
    stage.start();
    stage.all_done().await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_sent_once_more_under_the_same_ids_while_new_changes_go_on() {
    let mut stage = sent(500).await;
    stage.replay_all().await;
    for number in 500..600 {
        stage.put(&format!("item-{}", number % 10), number);
    }
    stage.site.arrives().await;
    stage.all_done().await;
    let times = times(&stage.sink.taken());
    assert_eq!(times.len(), 600);
    assert_eq!(times.values().filter(|times| **times == 2).count(), 500);
    // Same ids, same payloads, and nothing was sent for the first time out of order.
    assert_eq!(stage.findings().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_on_after_a_kill() {
    let mut stage = sent(1500).await;
    stage.sink.takes_so_long(Duration::from_millis(5));
    stage.replay_all().await;
    let begun = stage.replaying().await.unwrap().next;
    eventually("a part of it is done", async || {
        let replay = stage.replaying().await?;
        (replay.next > begun).then_some(())
    })
    .await;
    stage.kill(0);
    let at_kill = stage.replaying().await.unwrap();
    assert!(at_kill.next < at_kill.until, "it was done before the kill");
    stage.sink.takes_so_long(Duration::ZERO);
    stage.start();
    stage.all_done().await;
    assert!(times(&stage.sink.taken()).values().all(|times| *times >= 2));
    assert_eq!(stage.findings().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_item_can_be_replayed_alone() {
    let mut stage = sent(100).await;
    let first = stage.first_change().await;
    let entries = stage.site.entries().await;
    let token = entries.iter().find_map(|entry| match &entry.entry.kind {
        EntryKind::Change { item, .. } if entry.position == first => Some(item.token),
        _ => None,
    });
    stage.replay(|replay| replay.tokens.push(token.unwrap())).await;
    stage.all_done().await;
    let taken = stage.sink.taken();
    let again = &taken[100..];
    assert_eq!(again.len(), 10);
    assert!(again.iter().all(|event| id(event) == id(&again[0])));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replay_cannot_send_is_parked_and_comes_later_in_order() {
    let mut stage = sent(100).await;
    stage.sink.does(|event| {
        if id(event) == "item-3" {
            Fate::Fails
        } else {
            Fate::Taken
        }
    });
    stage.replay_all().await;
    eventually("the replay is through", async || {
        stage.step(Duration::from_secs(1));
        stage.replaying().await.is_none().then_some(())
    })
    .await;
    assert_eq!(stage.parked().await, 10);
    assert_eq!(stage.sink.count(), 190);
    stage.sink.does(|_| Fate::Taken);
    stage.all_done().await;
    let taken = stage.sink.taken();
    let late: Vec<u64> = taken[190..]
        .iter()
        .map(|event| event["detail"]["position"].as_u64().unwrap())
        .collect();
    assert!(late.len() == 10 && late.is_sorted(), "{late:?}");
    assert_eq!(stage.findings().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_cancelled_goes_no_further() {
    let mut stage = sent(500).await;
    let mut left = 100;
    stage.sink.does(move |_| {
        left -= 1;
        if left >= 0 { Fate::Taken } else { Fate::Away }
    });
    stage.replay_all().await;
    stage.took(600).await;
    let cancelled = stage
        .site
        .ledger
        .cancel_replay(ROUTE, "as the test says", Timestamp::now());
    assert!(cancelled.await.unwrap());
    let again = stage.site.ledger.cancel_replay(ROUTE, "once more", Timestamp::now());
    assert!(!again.await.unwrap());
    // What it has in memory goes with its process.
    stage.kill(0);
    stage.sink.does(|_| Fate::Taken);
    stage.put("item-0", 500);
    stage.site.arrives().await;
    stage.start();
    stage.all_done().await;
    assert_eq!(stage.sink.count(), 601);
    assert_eq!(stage.findings().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_runs_sends_no_more_of_a_replay_that_is_cancelled() {
    let stage = sent(2000).await;
    stage.sink.takes_so_long(Duration::from_millis(300));
    stage.replay_all().await;
    stage.took(2100).await;
    let cancelled = stage
        .site
        .ledger
        .cancel_replay(ROUTE, "as the test says", Timestamp::now());
    assert!(cancelled.await.unwrap());
    let (mut last, mut since) = (0, Instant::now());
    eventually("nothing is sent any more", async || {
        if stage.sink.attempts() != last {
            (last, since) = (stage.sink.attempts(), Instant::now());
        }
        (since.elapsed() > Duration::from_secs(2)).then_some(())
    })
    .await;
    assert!(stage.sink.count() < 3500, "{} arrived", stage.sink.count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_to_a_sink_that_is_away_keeps_nothing_else_waiting() {
    let mut stage = sent(1000).await;
    // What was sent once is not taken; what is new is.
    stage
        .sink
        .does(|event| match event["detail"]["new"]["number"].as_u64() {
            Some(1000..) => Fate::Taken,
            _ => Fate::Fails,
        });
    stage.parked_max = 100;
    stage.restart();
    stage.replay_all().await;
    eventually("as much of it is parked as may be", async || {
        stage.step(Duration::from_secs(1));
        (stage.parked().await >= 40).then_some(())
    })
    .await;
    for number in 1000..1100 {
        stage.put(&format!("new-{number}"), number);
    }
    stage.site.arrives().await;
    eventually("all that is new is taken", async || {
        stage.step(Duration::from_secs(1));
        (stage.sink.count() == 1100).then_some(())
    })
    .await;
    assert!(stage.parked().await <= 50);
    stage.sink.does(|_| Fate::Taken);
    stage.all_done().await;
    assert_eq!(stage.findings().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_ones_choice_decides_about_a_range_and_what_it_makes_has_ids_of_its_own() {
    let mut stage = sent(100).await;
    let mut configured = configured("sink");
    configured.definition.pattern = Some(r#"{"detail": {"keys": {"id": ["item-7"]}}}"#.to_owned());
    configured.planned = configured.definition.clone();
    let entered = stage
        .site
        .ledger
        .enter_route_version(ROUTE, &configured, Timestamp::now());
    let version = entered.await.unwrap().unwrap().version;
    stage.replay(|replay| replay.version = Some(version)).await;
    stage.all_done().await;
    let taken = stage.sink.taken();
    assert!(taken[100..].iter().all(|event| id(event) == "item-7"));
    let times = times(&taken);
    assert_eq!((times.len(), times.values().max()), (110, Some(&1)));
}

/// What of it was sent as new, under which name.
fn as_new(taken: &[Value]) -> Vec<(&str, &Value)> {
    let named = taken.iter().filter_map(|event| {
        let name = event["detail"]["replayed_as"].as_str()?;
        Some((name, &event["detail"]))
    });
    named.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_as_new_has_ids_that_nobody_had_and_those_again_under_the_same_name() {
    let mut stage = sent(100).await;
    for name in ["backfill", "backfill", "search"] {
        stage.replay(|replay| replay.as_new = Some(name.to_owned())).await;
        stage.all_done().await;
    }
    let taken = stage.sink.taken();
    assert_eq!(as_new(&taken).len(), 300);
    let mut ids: BTreeMap<usize, usize> = BTreeMap::new();
    for count in times(&taken).values() {
        *ids.entry(*count).or_default() += 1;
    }
    // Those of before and those of `search` once, those of `backfill` twice.
    assert_eq!(ids, BTreeMap::from([(1, 200), (2, 100)]));
    let (first, again): (Vec<_>, Vec<_>) = (as_new(&taken[100..200]), as_new(&taken[200..300]));
    for (name, detail) in first {
        assert!(again.contains(&(name, detail)), "{detail} came otherwise");
    }
    assert_eq!(stage.findings().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_or_is_given_up_as_new_is_sent_under_the_same_ids_when_it_is_made_again() {
    let mut stage = sent(100).await;
    stage.sink.does(|event| match id(event) {
        "item-3" => Fate::Fails,
        "item-4" => Fate::Refused,
        _ => Fate::Taken,
    });
    // The same changes wait twice: as they were, and as new.
    stage.replay_all().await;
    eventually("as it was, item-3 waits and item-4 is given up", async || {
        stage.step(Duration::from_secs(1));
        let is_through = stage.replaying().await.is_none();
        (is_through && stage.dead_letters().await.len() == 10).then_some(())
    })
    .await;
    stage.replay(|replay| replay.as_new = Some("backfill".to_owned())).await;
    eventually("as new, it does as well", async || {
        stage.step(Duration::from_secs(1));
        let is_through = stage.replaying().await.is_none();
        (is_through && stage.dead_letters().await.len() == 20).then_some(())
    })
    .await;
    assert_eq!(stage.parked().await, 20);
    stage.kill(0);
    stage.sink.does(|_| Fate::Taken);
    stage.start();
    stage.redrive_all().await;
    stage.all_done().await;
    let taken = stage.sink.taken();
    let of_new = as_new(&taken);
    let ids: BTreeSet<&str> = of_new
        .iter()
        .map(|(_, detail)| detail["delivery"].as_str().unwrap())
        .collect();
    assert_eq!((of_new.len(), ids.len()), (100, 100));
    assert!(stage.dead_letters().await.is_empty());
    assert_eq!(stage.findings().await, [""; 0]);
}
