//! Records are accounted for: `batch` entries say how many came and were recorded, each from where the one before it ended.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use sqlx::PgConnection;
use weir_evidence::{
    Batch, BatchAfter, Closed, ConfigurationDigest, Entry, EntryKind, Frontier, Tile, TileEdge, leaf_hash,
};
use weir_ledger::{AppendTo, Ledger, SealedRecord, ShardBatch, ShardLease};

use crate::support::{World, append, append_end, batch, end, gap, number, seal, seal_unknown, told};
use crate::tampering::verified;

const OTHER_CONFIG: ConfigurationDigest = ConfigurationDigest([6; 16]);

/// What closes a batch of a shard that stands at `after`.
fn close(lease: &ShardLease, after: u64, why: Closed) -> ShardBatch {
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

/// An intruder moves a shard from 5 to 9, so that 6 to 9 are never recorded. `play` is what was done before and is after.
async fn check_moved(
    before: impl AsyncFnOnce(&World, &ShardLease),
    behind: impl AsyncFnOnce(&World, &ShardLease),
    expect: Expect,
) {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 5).await.unwrap();
    before(&world, &lease).await;
    world.tamper("update shard set position = '9'").await;
    behind(&world, &lease).await;
    let told = verified(&world.process().await).await;
    expect.assert_eq(
        &told
            .split_once('\n')
            .map_or(told.clone(), |(_, findings)| findings.to_owned()),
    );
}

#[tokio::test]
async fn a_shard_that_was_moved_across_records_shows() {
    check_moved(
        async |_, _| {},
        async |_, _| {},
        expect!["shard a: it stands at 9, but was recorded up to 5: what lies between was not recorded"],
    )
    .await;
    check_moved(
        async |world, lease| {
            world.ledger.append(close(lease, 5, Closed::Interval)).await.unwrap();
        },
        async |_, _| {},
        expect!["shard a: it stands at 9, but was recorded up to 5: what lies between was not recorded"],
    )
    .await;
}

#[tokio::test]
async fn records_that_a_shard_was_moved_across_show_when_recording_goes_on() {
    // Behind a batch that was closed, and with a batch that is open.
    check_moved(
        async |world, lease| {
            world.ledger.append(close(lease, 5, Closed::Interval)).await.unwrap();
        },
        async |world, lease| {
            append(&world.ledger, lease, 9, 12).await.unwrap();
        },
        expect!["shard a: its open batch begins at 9 with 3 records, but 3 were recorded since the last batch, which ended at 5"],
    )
    .await;
    check_moved(
        async |_, _| {},
        async |world, lease| {
            append(&world.ledger, lease, 9, 12).await.unwrap();
        },
        expect!["shard a: its open batch begins at 9 with 3 records, but 3 were recorded since the last batch, which ended at 5"],
    )
    .await;
}

#[tokio::test]
async fn records_that_a_shard_was_moved_across_show_when_it_was_recorded_to_its_end() {
    check_moved(
        async |world, lease| {
            world.ledger.append(close(lease, 5, Closed::Interval)).await.unwrap();
        },
        async |world, lease| {
            append(&world.ledger, lease, 9, 12).await.unwrap();
            append_end(&world.ledger, lease, 12).await.unwrap();
        },
        expect!["position 9, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch begins behind 9, but the shard goes on behind 5 (batch at position 5): what lies between is missing"],
    )
    .await;
    check_moved(
        async |_, _| {},
        async |world, lease| {
            append(&world.ledger, lease, 9, 12).await.unwrap();
            append_end(&world.ledger, lease, 12).await.unwrap();
        },
        expect!["position 9, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch begins behind 9, but the shard goes on behind 5 (batch at position 5): what lies between is missing"],
    )
    .await;
}

#[tokio::test]
async fn records_that_a_shard_was_moved_across_show_after_a_hand_over() {
    check_moved(
        async |_, _| {},
        async |world, _| {
            let lease = world.claim(&world.ledger, "a").await.unwrap();
            append(&world.ledger, &lease, 9, 12).await.unwrap();
            append_end(&world.ledger, &lease, 12).await.unwrap();
        },
        expect!["position 9, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch begins behind 9, but the shard goes on behind 5 (batch at position 5): what lies between is missing"],
    )
    .await;
}

/// An intruder who takes one entry out and computes the tree anew, tiles and all.
async fn take_out(world: &World, position: usize) {
    let mut conn = world.conn().await;
    let mut entries: Vec<Vec<u8>> = sqlx::query_scalar("select entry from entry order by position")
        .fetch_all(&mut conn)
        .await
        .unwrap();
    entries.remove(position);
    let (mut edge, mut frontier, mut tiles) = (TileEdge::default(), Frontier::default(), Vec::<Tile>::new());
    for entry in &entries {
        edge.push(leaf_hash(entry), |tile| tiles.push(tile));
        frontier.push(leaf_hash(entry));
    }
    let mut sql = format!(
        "delete from entry where position = {position};
         create temp table moved as select * from entry where position > {position};
         delete from entry where position > {position};
         insert into entry select ledger_id, position - 1, lane, body_key, entry, body from moved;
         delete from tile;
         update ledger_head set size = {}, root = '\\x{}', frontier = '\\x{}';",
        frontier.size(),
        hex::encode(frontier.root()),
        hex::encode(frontier.to_bytes())
    );
    for tile in tiles {
        write!(
            sql,
            "insert into tile select ledger_id, {}, {}, '\\x{}' from ledger;",
            tile.id.level,
            tile.id.index,
            hex::encode(tile.hashes.concat())
        )
        .unwrap();
    }
    world.tamper(&sql).await;
}

/// A ledger of a shard with batches behind every hundredth record, with full tiles.
async fn accounted() -> World {
    let world = World::new().await;
    let lease = world.lease("a").await;
    for after in [0, 100, 200, 300, 400, 500] {
        append(&world.ledger, &lease, after, after + 100).await.unwrap();
        let why = close(&lease, after + 100, Closed::Interval);
        world.ledger.append(why).await.unwrap();
    }
    let last = seal(&world.ledger, &lease, 601..=605).await;
    world.ledger.append(end(&lease, 600, Some(605), &last)).await.unwrap();
    world
}

async fn check_taken_out(position: usize, expect: Expect) {
    let world = accounted().await;
    expect!["612 of 612 checked"].assert_eq(&verified(&world.process().await).await);
    take_out(&world, position).await;
    expect.assert_eq(&verified(&world.process().await).await);
}

#[tokio::test]
async fn a_batch_that_was_taken_out_shows_though_the_tree_is_whole() {
    check_taken_out(201, expect![[r#"
        611 of 611 checked
        position 301, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch begins behind 200, but the shard goes on behind 100 (batch at position 100): what lies between is missing
        position 301, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch says that 100 records were recorded, but 200 entries stand before it
        position 301, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch goes from 201 to 300, but the entries before it, from position 101 on, from 101 to 300"#]]).await;
}

#[tokio::test]
async fn the_first_batch_that_was_taken_out_shows() {
    check_taken_out(100, expect![[r#"
        611 of 611 checked
        position 200, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch begins behind 100, but the shard goes on at the shard's start: what lies between is missing
        position 200, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch says that 100 records were recorded, but 200 entries stand before it
        position 200, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch goes from 101 to 200, but the entries before it, from position 0 on, from 1 to 200"#]]).await;
}

#[tokio::test]
async fn the_last_batch_that_was_taken_out_shows() {
    check_taken_out(611, expect![[r#"
        611 of 611 checked
        shard a: its open batch begins at nothing with 0 records, but 5 were recorded since the last batch, which ended at 600
        shard a: it is said to be finished, and its entries say otherwise"#]]).await;
}

#[tokio::test]
async fn a_record_that_was_taken_out_shows_though_the_tree_is_whole() {
    check_taken_out(150, expect![[r#"
        611 of 611 checked
        position 200, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch says that 100 records were recorded, but 99 entries stand before it"#]]).await;
    check_taken_out(0, expect![[r#"
        611 of 611 checked
        position 99, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch says that 100 records were recorded, but 99 entries stand before it"#]]).await;
    check_taken_out(610, expect![[r#"
        611 of 611 checked
        position 610, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: the batch says that 5 records were recorded, but 4 entries stand before it"#]]).await;
}

/// Of a batch that is still open the shard's row knows.
#[tokio::test]
async fn a_record_of_an_open_batch_that_was_taken_out_shows() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 5).await.unwrap();
    take_out(&world, 2).await;
    expect![[r#"
        4 of 4 checked
        shard a: its open batch begins at start with 5 records, but 4 were recorded since the last batch, of which there is none"#]].assert_eq(&verified(&world.process().await).await);
    // The last one.
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 5).await.unwrap();
    take_out(&world, 4).await;
    expect![[r#"
        4 of 4 checked
        shard a: its open batch begins at start with 5 records, but 4 were recorded since the last batch, of which there is none"#]].assert_eq(&verified(&world.process().await).await);
}
