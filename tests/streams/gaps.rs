//! What was lost before it was read, and what only looks so.

use std::time::Duration;

use weir_evidence::EntryKind;
use weir_pipeline::AtGap;
use weir_simulator::{Fault, FaultRule, Resharding};
use weir_tests::{Site, eventually};

use crate::{put_into_each, site};

const HOUR: Duration = Duration::from_hours(1);

/// Makes a shard lose a record that was never read, between two that are.
async fn lose_one(site: &mut Site, shard: &str, key: &str) {
    let deaf = FaultRule::next("GetRecords", Fault::LimitExceeded).on_shard(shard);
    site.simulator.queue_fault(deaf.times(u32::MAX));
    site.asked("GetRecords", 8).await;
    site.put(key);
    site.simulator.trim("orders", Some(shard), None).unwrap();
    site.put(key);
    site.simulator.clear_faults();
}

/// streams.md 19: and it says between which records.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_trimmed_before_they_were_read_are_a_gap() {
    let mut site = site(1).await;
    let shard = site.simulator.open_shards("orders").unwrap().remove(0);
    site.add_worker().await;
    site.put("o1");
    site.arrives().await;
    lose_one(&mut site, &shard, "o1").await;
    site.arrives().await;
    assert_eq!(site.shown().await, "o1 gap(trimmed possible) o1");
    let numbers: Vec<String> = site.simulator.truth().changes.iter().map(sequence).collect();
    let gap = site.entries().await.iter().find_map(|entry| match &entry.entry.kind {
        EntryKind::Gap(gap) => Some(gap.clone()),
        _ => None,
    });
    let gap = gap.unwrap();
    assert_eq!(gap.after.unwrap().as_str(), numbers[0]);
    assert_eq!(gap.next.unwrap().as_str(), numbers[2]);
    site.is_true().await;
}

fn sequence(change: &weir_simulator::TrueChange) -> String {
    change.record.as_ref().unwrap().sequence.as_str().to_owned()
}

/// streams.md 19: by policy, go on or stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_stops_at_a_gap_while_others_go_on_until_somebody_lets_it_go_on() {
    let mut site = site(2).await;
    site.settings.at_gap = AtGap::Stop;
    site.add_worker().await;
    let keys = put_into_each(&site);
    site.arrives().await;
    let (shard, key) = &keys[0];
    lose_one(&mut site, shard, key).await;
    // What the others have arrives; the record behind the gap does not.
    for _ in 0..3 {
        site.put(&keys[1].1);
        eventually("the other shard goes on", async || {
            (site.missing().await == 1).then_some(())
        })
        .await;
    }
    site.asked("GetRecords", 10).await;
    assert_eq!(site.missing().await, 1);
    assert!(!site.shown().await.contains("gap"));
    site.stop_workers().await;

    site.settings.at_gap = AtGap::Record;
    site.add_worker().await;
    site.arrives().await;
    let shown = site.shown().await;
    assert!(shown.ends_with(&format!("gap(trimmed possible) {key}")), "{shown}");
    site.is_true().await;
}

/// streams.md 19 and 22: what waits for somebody says so, by name and with what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_stands_at_a_gap_is_told_with_what_to_do() {
    let mut site = site(1).await;
    let shard = site.simulator.open_shards("orders").unwrap().remove(0);
    site.settings.at_gap = AtGap::Stop;
    site.add_worker().await;
    site.put("o1");
    site.arrives().await;
    lose_one(&mut site, &shard, "o1").await;
    let stuck = eventually("the shard is told", async || site.stuck().pop()).await;
    for part in [
        shard.as_str(),
        "`at_gap = \"stop\"`",
        "set `at_gap = \"record\"` and restart",
    ] {
        assert!(stuck.contains(part), "{part} is not in {stuck}");
    }
    site.stop_workers().await;
}

/// streams.md 20: one answer is not believed while the stream still lists the shard.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_denied_and_listed_is_read_on() {
    let mut site = site(1).await;
    site.add_worker().await;
    site.put("o1");
    site.arrives().await;
    let denied = Fault::Error {
        status: 400,
        code: "ResourceNotFoundException".to_owned(),
    };
    site.simulator
        .queue_fault(FaultRule::next("GetRecords", denied).times(3));
    site.asked("GetRecords", 4).await;
    site.put("o2");
    site.arrives().await;
    assert_eq!(site.shown().await, "o1 o2");
    site.is_true().await;
}

/// streams.md 20: it is over, its children go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_left_the_stream_unread_ends_with_a_gap() {
    let mut site = site(1).await;
    let shard = site.simulator.open_shards("orders").unwrap().remove(0);
    site.add_worker().await;
    site.put("o1");
    site.arrives().await;
    site.stop_workers().await;
    site.put("lost");
    site.simulator.rotate("orders", None, &Resharding::default()).unwrap();
    site.simulator.vanish("orders", &shard).unwrap();
    site.put("o2");
    site.add_worker().await;
    site.arrives().await;
    assert_eq!(site.shown().await, "o1 gap(shard-expired possible) o2");
    site.is_true().await;
}

/// streams.md 22: what is a day old is trimmed at any moment, and no error tells whoever reads a shard for the first time.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_first_read_more_than_a_day_after_its_making_begins_with_a_gap() {
    let mut site = site(1).await;
    let parent = site.simulator.open_shards("orders").unwrap().remove(0);
    site.add_worker().await;
    site.put("o1");
    site.arrives().await;
    let how = Resharding {
        late_ms: 26 * 3_600_000,
        ..Resharding::default()
    };
    site.simulator.rotate("orders", None, &how).unwrap();
    site.finishes(&parent).await;
    site.put("lost");
    site.simulator.step(30 * HOUR);
    site.put("o2");
    site.arrives().await;
    assert_eq!(site.shown().await, "o1 gap(trimmed possible) o2");
    site.is_true().await;
}

/// streams.md 22: nothing was there to lose, and that was seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_was_idle_and_read_for_longer_than_a_day_has_no_gap_after_a_restart() {
    let mut site = site(1).await;
    site.add_worker().await;
    for _ in 0..4 {
        site.asked("GetRecords", 2).await;
        site.simulator.step(9 * HOUR);
    }
    site.asked("GetRecords", 2).await;
    // The worker has told that it read.
    eventually("a report of the shard", async || {
        site.ledger.shard_states().await.unwrap()[0].read_at
    })
    .await;
    site.stop_workers().await;
    site.add_worker().await;
    site.put("o1");
    site.arrives().await;
    assert_eq!(site.shown().await, "o1");
    site.is_true().await;
}

/// streams.md 6: nobody ever saw the shard between them, and what it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_whose_parent_came_and_went_unseen_begins_with_a_gap() {
    let mut site = site(1).await;
    site.add_worker().await;
    site.put("o1");
    site.arrives().await;
    site.simulator.step(HOUR);
    let unseen = Resharding {
        late_ms: 1_000 * 3_600_000,
        ..Resharding::default()
    };
    let parent = site.simulator.rotate("orders", None, &unseen).unwrap();
    site.put("lost");
    site.simulator.step(HOUR);
    site.simulator.rotate("orders", None, &Resharding::default()).unwrap();
    site.simulator.vanish("orders", &parent).unwrap();
    site.put("o2");
    site.arrives_in_time().await;
    assert_eq!(site.shown().await, "o1 gap(shard-expired possible) o2");
    site.is_true().await;
}

/// streams.md 45: the service raises the same error, so nobody can be certain.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_record_that_was_trimmed_after_it_was_recorded_makes_a_gap_of_possible_loss() {
    let mut site = site(1).await;
    site.add_worker().await;
    site.put("o1");
    site.arrives().await;
    site.stop_workers().await;
    site.simulator.trim("orders", None, None).unwrap();
    site.add_worker().await;
    site.put("o2");
    site.arrives().await;
    assert_eq!(site.shown().await, "o1 gap(trimmed possible) o2");
    site.is_true().await;
}
