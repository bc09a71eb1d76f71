//! Records are accounted for: `batch` entries say how many came and were recorded, each from where the one before it ended.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use sqlx::PgConnection;
use weir_evidence::{Batch, BatchAfter, Closed, ConfigurationDigest, Entry, EntryKind};
use weir_ledger::{AppendTo, Ledger, SealedRecord, ShardBatch, ShardLease};

use crate::support::{World, append, append_end, batch, end, gap, number, seal, seal_unknown, told};
use crate::tampering::verified;

const OTHER_CONFIG: ConfigurationDigest = ConfigurationDigest([6; 16]);

/// What closes a batch of a shard that stands at `after`.
pub(crate) fn close(lease: &ShardLease, after: u64, why: Closed) -> ShardBatch {
    ShardBatch {
        to: AppendTo::Close(why),
        first: None,
        read: 0,
        ..batch(lease, after, after, &[])
    }
}

/// A batch of which some records were skipped, or redacted.
fn counted(lease: &ShardLease, after: u64, to: u64, redacted: u64, records: &[SealedRecord]) -> ShardBatch {
    let mut records = records.to_vec();
    let redacted = usize::try_from(redacted).unwrap();
    for record in &mut records[..redacted] {
        record.is_redacted = true;
    }
    batch(lease, after, to, &records)
}

/// Records of a shard that stand behind a gap of it.
fn behind_gap(ledger: &Ledger, lease: &ShardLease, after: u64, records: &[SealedRecord]) -> ShardBatch {
    let sequence = |record: &SealedRecord| record.sequence.as_ref().unwrap().as_str().parse::<u64>().unwrap();
    let (first, last) = (sequence(&records[0]), sequence(records.last().unwrap()));
    let mut all = vec![gap(ledger, lease, after, first)];
    all.extend_from_slice(records);
    ShardBatch {
        first: Some(number(first)),
        read: records.len() as u64,
        records: Arc::from(all),
        ..batch(lease, after, last, records)
    }
}

async fn stored(conn: &mut PgConnection) -> Vec<Entry> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar("select entry from entry order by position")
        .fetch_all(conn)
        .await
        .unwrap();
    rows.iter().map(|bytes| Entry::decode(bytes).unwrap()).collect()
}

/// The entries as they are stored, one line each.
async fn entries(world: &World) -> String {
    let mut told = String::new();
    for entry in stored(&mut world.conn().await).await {
        match entry.kind {
            EntryKind::Change { origin, sequence, .. } => writeln!(told, "{} {sequence}", origin.shard),
            EntryKind::Unknown { origin, sequence, .. } => writeln!(told, "{} {sequence}?", origin.shard),
            EntryKind::Gap(gap) => writeln!(told, "{} gap", gap.origin.shard),
            EntryKind::Batch(batch) => writeln!(told, "{}", shown(&batch)),
            kind => panic!("{kind:?}"),
        }
        .unwrap();
    }
    told
}

fn shown(batch: &Batch) -> String {
    let after = match &batch.after {
        BatchAfter::Start => "start".to_owned(),
        BatchAfter::Gap => "gap".to_owned(),
        BatchAfter::Record(sequence) => sequence.to_string(),
    };
    let range = batch
        .range
        .as_ref()
        .map_or("nothing".to_owned(), |(first, last)| format!("{first} to {last}"));
    format!(
        "{} batch after {after}: {range}, read {}, recorded {}, redacted {}, config {}, {}",
        batch.origin.shard,
        batch.read,
        batch.recorded,
        batch.redacted,
        batch.config.0[0],
        batch.closed.as_str()
    )
}

/// Plays on a fresh shard, and tells what is stored; all of it is proved.
async fn check(play: impl AsyncFnOnce(&World, &ShardLease), expect: Expect) {
    let world = World::new().await;
    let lease = world.lease("a").await;
    play(&world, &lease).await;
    expect.assert_eq(&entries(&world).await);
    let told = verified(&world.process().await).await;
    assert!(!told.contains('\n'), "{told}");
}

#[tokio::test]
async fn the_end_of_a_shard_is_accounted_for() {
    check(
        async |world, lease| {
            append(&world.ledger, lease, 0, 2).await.unwrap();
            let last = seal(&world.ledger, lease, 3..=3).await;
            world.ledger.append(end(lease, 2, Some(3), &last)).await.unwrap();
        },
        expect![[r#"
            a 1
            a 2
            a 3
            a batch after start: 1 to 3, read 3, recorded 3, redacted 0, config 5, end
        "#]],
    )
    .await;
}

#[tokio::test]
async fn the_end_of_a_shard_without_records_is_accounted_for() {
    check(
        async |world, lease| {
            append_end(&world.ledger, lease, 0).await.unwrap();
        },
        expect![[r#"
            a batch after start: nothing, read 0, recorded 0, redacted 0, config 5, end
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_change_of_the_configuration_closes_the_batch() {
    check(
        async |world, lease| {
            append(&world.ledger, lease, 0, 2).await.unwrap();
            let records = seal(&world.ledger, lease, 3..=4).await;
            let other = ShardBatch {
                config: OTHER_CONFIG,
                ..batch(lease, 2, 4, &records)
            };
            world.ledger.append(other).await.unwrap();
            append(&world.ledger, lease, 4, 5).await.unwrap();
            append_end(&world.ledger, lease, 5).await.unwrap();
        },
        expect![[r#"
            a 1
            a 2
            a batch after start: 1 to 2, read 2, recorded 2, redacted 0, config 5, configuration
            a 3
            a 4
            a batch after 2: 3 to 4, read 2, recorded 2, redacted 0, config 6, configuration
            a 5
            a batch after 4: 5 to 5, read 1, recorded 1, redacted 0, config 5, end
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_hand_over_closes_the_batch() {
    check(
        async |world, lease| {
            append(&world.ledger, lease, 0, 2).await.unwrap();
            let process = world.process().await;
            let lease = world.claim(&process, "a").await.unwrap();
            append(&process, &lease, 2, 3).await.unwrap();
            // Taken and given up again without a record.
            world.claim(&process, "a").await.unwrap();
            let lease = world.claim(&world.ledger, "a").await.unwrap();
            append_end(&world.ledger, &lease, 3).await.unwrap();
        },
        expect![[r#"
            a 1
            a 2
            a batch after start: 1 to 2, read 2, recorded 2, redacted 0, config 5, hand-over
            a 3
            a batch after 2: 3 to 3, read 1, recorded 1, redacted 0, config 5, hand-over
            a batch after 3: nothing, read 0, recorded 0, redacted 0, config 5, end
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_gap_closes_the_batch_and_the_next_begins_behind_it() {
    check(
        async |world, lease| {
            append(&world.ledger, lease, 0, 2).await.unwrap();
            let records = seal(&world.ledger, lease, 7..=8).await;
            let batch = behind_gap(&world.ledger, lease, 2, &records);
            world.ledger.append(batch).await.unwrap();
            append_end(&world.ledger, lease, 8).await.unwrap();
        },
        expect![[r#"
            a 1
            a 2
            a batch after start: 1 to 2, read 2, recorded 2, redacted 0, config 5, interval
            a gap
            a 7
            a 8
            a batch after gap: 7 to 8, read 2, recorded 2, redacted 0, config 5, end
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_gap_at_the_begin_of_a_shard_is_where_its_first_batch_begins() {
    check(
        async |world, lease| {
            let records = seal(&world.ledger, lease, 7..=8).await;
            let batch = behind_gap(&world.ledger, lease, 0, &records);
            world.ledger.append(batch).await.unwrap();
            append_end(&world.ledger, lease, 8).await.unwrap();
        },
        expect![[r#"
            a gap
            a 7
            a 8
            a batch after gap: 7 to 8, read 2, recorded 2, redacted 0, config 5, end
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_batch_is_closed_when_it_is_asked_for() {
    check(
        async |world, lease| {
            append(&world.ledger, lease, 0, 2).await.unwrap();
            let given_back = close(lease, 2, Closed::HandOver);
            world.ledger.append(given_back.clone()).await.unwrap();
            append(&world.ledger, lease, 2, 4).await.unwrap();
            world.ledger.append(close(lease, 4, Closed::Interval)).await.unwrap();
        },
        expect![[r#"
            a 1
            a 2
            a batch after start: 1 to 2, read 2, recorded 2, redacted 0, config 5, hand-over
            a 3
            a 4
            a batch after 2: 3 to 4, read 2, recorded 2, redacted 0, config 5, interval
        "#]],
    )
    .await;
}

/// A worker that is told to close and is not heard tries again; and one that has recorded nothing has nothing to close.
#[tokio::test]
async fn what_is_closed_is_not_closed_again() {
    check(
        async |world, lease| {
            for _ in 0..2 {
                world.ledger.append(close(lease, 0, Closed::HandOver)).await.unwrap();
            }
            append(&world.ledger, lease, 0, 2).await.unwrap();
            for _ in 0..3 {
                world.ledger.append(close(lease, 2, Closed::HandOver)).await.unwrap();
            }
        },
        expect![[r#"
            a 1
            a 2
            a batch after start: 1 to 2, read 2, recorded 2, redacted 0, config 5, hand-over
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_close_is_fenced_as_any_append() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 2).await.unwrap();
    let next = world.claim(&world.ledger, "a").await.unwrap();
    expect!["fenced: 1 by 2"].assert_eq(&told(&world.ledger.append(close(&lease, 2, Closed::HandOver)).await));
    expect!["moved: stands at 2"].assert_eq(&told(&world.ledger.append(close(&next, 1, Closed::HandOver)).await));
    assert_eq!(world.ledger.head().await.unwrap().size, 2);
}

#[tokio::test]
async fn an_interval_that_is_over_closes_the_batch() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let process = world.process_with(Duration::ZERO).await;
    for after in [0, 2, 4] {
        append(&process, &lease, after, after + 2).await.unwrap();
    }
    let told = entries(&world).await;
    // No time need pass between two clock readings, so a batch may have to wait for the next append.
    let batches: Vec<&str> = told.lines().filter(|line| line.contains("batch")).collect();
    assert!(batches.len() >= 2, "{told}");
    assert!(batches.iter().all(|batch| batch.ends_with("interval")), "{told}");
    append_end(&process, &lease, 6).await.unwrap();
    let told = verified(&world.process().await).await;
    assert!(!told.contains('\n'), "{told}");
}

#[tokio::test]
async fn there_is_one_batch_a_second_and_shard_at_most() {
    let world = World::new().await;
    let leases = [world.lease("a").await, world.lease("b").await];
    let process = world.process_with(Duration::from_secs(1)).await;
    let begun = Instant::now();
    for after in 0..100 {
        for lease in &leases {
            append(&process, lease, after, after + 1).await.unwrap();
        }
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    let told = entries(&world).await;
    let batches = told.lines().filter(|line| line.contains("batch")).count();
    assert!(batches <= 2 * (seconds + 1), "{batches} in {seconds} s");
}

/// What came and was skipped (a start at "latest") is read and not recorded; `unknown` is recorded; a gap is neither.
#[tokio::test]
async fn counts_add_up_over_the_appends_of_a_batch() {
    check(
        async |world, lease| {
            let ledger = &world.ledger;
            ledger.append(counted(lease, 0, 5, 0, &[])).await.unwrap();
            let mut records = seal(ledger, lease, 8..=10).await;
            ledger.append(counted(lease, 5, 10, 2, &records)).await.unwrap();
            records = vec![seal_unknown(ledger, lease, 11).await];
            ledger.append(counted(lease, 10, 11, 0, &records)).await.unwrap();
            records = seal(ledger, lease, 12..=13).await;
            ledger.append(counted(lease, 11, 13, 1, &records)).await.unwrap();
            append_end(ledger, lease, 13).await.unwrap();
        },
        expect![[r#"
            a 8
            a 9
            a 10
            a 11?
            a 12
            a 13
            a batch after start: 1 to 13, read 13, recorded 6, redacted 3, config 5, end
        "#]],
    )
    .await;
}

/// An append that is acknowledged and not written again is not counted again either.
#[tokio::test]
async fn what_is_appended_twice_is_counted_once() {
    check(
        async |world, lease| {
            for _ in 0..3 {
                append(&world.ledger, lease, 0, 2).await.unwrap();
            }
            for _ in 0..2 {
                append_end(&world.ledger, lease, 2).await.unwrap();
            }
        },
        expect![[r#"
            a 1
            a 2
            a batch after start: 1 to 2, read 2, recorded 2, redacted 0, config 5, end
        "#]],
    )
    .await;
}

#[tokio::test]
async fn each_shard_has_its_own_chain() {
    let world = World::new().await;
    let (a, b) = (world.lease("a").await, world.lease("b").await);
    for (after, to) in [(0, 1), (1, 3), (3, 4)] {
        for lease in [&a, &b] {
            append(&world.ledger, lease, after, to).await.unwrap();
        }
        world.ledger.append(close(&a, to, Closed::Interval)).await.unwrap();
    }
    append_end(&world.ledger, &b, 4).await.unwrap();
    let told = entries(&world).await;
    let batches: Vec<&str> = told.lines().filter(|line| line.contains("batch")).collect();
    expect![[r#"
        a batch after start: 1 to 1, read 1, recorded 1, redacted 0, config 5, interval
        a batch after 1: 2 to 3, read 2, recorded 2, redacted 0, config 5, interval
        a batch after 3: 4 to 4, read 1, recorded 1, redacted 0, config 5, interval
        b batch after start: 1 to 4, read 4, recorded 4, redacted 0, config 5, end"#]]
    .assert_eq(&batches.join("\n"));
    assert!(!verified(&world.process().await).await.contains('\n'));
}
