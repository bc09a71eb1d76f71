//! What is missing from the accounts shows: records that a shard was moved across, and entries that were taken out of a tree that was
//! computed anew.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use weir_evidence::{Closed, Frontier, Tile, TileEdge, leaf_hash};
use weir_ledger::ShardLease;

use crate::accounts::close;
use crate::support::{World, append, append_end, end, seal};
use crate::tampering::verified;

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
