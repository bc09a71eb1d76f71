//! The same records make the same bytes, however they came together.

use expect_test::expect;
use sqlx::AssertSqlSafe;
use weir_evidence::{Entry, EntryKind};
use weir_ledger::{Ledger, SealedRecord, ShardLease};

use crate::support::{Shuffled, World, append_end, batch, seal};
use crate::tampering::verified;

const SHARDS: [&str; 3] = ["a", "b", "c"];
const RECORDS: u64 = 120;

/// A ledger with three shards whose body keys are those of `like`, in the same order.
async fn world_like(like: Option<&World>) -> (World, Vec<ShardLease>) {
    let world = World::new().await;
    world.make_partitions().await;
    match like {
        None => drop(world.ledger.take_body_keys(1).await.unwrap()),
        Some(like) => {
            let wrapped: Vec<u8> = sqlx::query_scalar("select wrapped from segment_key")
                .fetch_one(&mut like.conn().await)
                .await
                .unwrap();
            let wrapped = hex::encode(wrapped);
            let sql = format!("insert into segment_key select ledger_id, 0, '\\x{wrapped}' from ledger");
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut world.conn().await)
                .await
                .unwrap();
            world.ledger.take_body_keys(1).await.unwrap();
        }
    }
    let mut leases = Vec::new();
    for shard in SHARDS {
        leases.push(world.lease(shard).await);
    }
    (world, leases)
}

/// Seals the same records in the same order.
async fn seal_all(ledger: &Ledger, leases: &[ShardLease]) -> Vec<Vec<SealedRecord>> {
    let mut sealed = Vec::new();
    for lease in leases {
        sealed.push(seal(ledger, lease, 1..=RECORDS).await);
    }
    sealed
}

/// Cuts every shard into batches at random, and appends them in a random order between shards.
async fn append_shuffled(world: &World, leases: &[ShardLease], sealed: &[Vec<SealedRecord>], shuffled: &mut Shuffled) {
    let mut stands = [0_u64; SHARDS.len()];
    loop {
        let left: Vec<usize> = (0..SHARDS.len()).filter(|shard| stands[*shard] < RECORDS).collect();
        if left.is_empty() {
            return;
        }
        let shard = left[usize::try_from(shuffled.below(left.len() as u64)).unwrap()];
        let after = stands[shard];
        let to = (after + 1 + shuffled.below(40)).min(RECORDS);
        let records = &sealed[shard][usize::try_from(after).unwrap()..usize::try_from(to).unwrap()];
        world
            .ledger
            .append(batch(&leases[shard], after, to, records))
            .await
            .unwrap();
        stands[shard] = to;
    }
}

/// The stored bytes of every change, by shard and sequence number.
async fn changes(world: &World) -> Vec<(String, u64, Vec<u8>, Vec<u8>, i64, i16)> {
    let rows: Vec<(Vec<u8>, Vec<u8>, i64, i16)> =
        sqlx::query_as("select entry, body, body_key, lane from entry where body is not null order by position")
            .fetch_all(&mut world.conn().await)
            .await
            .unwrap();
    let mut changes: Vec<_> = rows
        .into_iter()
        .filter_map(|(entry, body, key, lane)| match Entry::decode(&entry).unwrap().kind {
            EntryKind::Change { origin, sequence, .. } => Some((
                origin.shard.to_string(),
                sequence.as_str().parse().unwrap(),
                entry,
                body,
                key,
                lane,
            )),
            _ => None,
        })
        .collect();
    changes.sort();
    changes
}

#[tokio::test]
async fn however_batches_are_cut_and_shards_follow_each_other_the_changes_are_the_same_bytes() {
    let mut shuffled = Shuffled::new();
    let (first, leases) = world_like(None).await;
    let sealed = seal_all(&first.ledger, &leases).await;
    append_shuffled(&first, &leases, &sealed, &mut shuffled).await;
    let expected = changes(&first).await;
    assert_eq!(expected.len() as u64, 3 * RECORDS);
    for _ in 0..3 {
        let (world, leases) = world_like(Some(&first)).await;
        let sealed = seal_all(&world.ledger, &leases).await;
        append_shuffled(&world, &leases, &sealed, &mut shuffled).await;
        assert!(changes(&world).await == expected, "other bytes");
        for lease in &leases {
            append_end(&world.ledger, lease, RECORDS).await.unwrap();
        }
        assert!(changes(&world).await == expected, "other bytes");
        expect!["363 of 363 checked"].assert_eq(&verified(&world.process().await).await);
    }
}

/// Where one entry follows the other, it does not matter in which transactions they came.
#[tokio::test]
async fn the_same_sequence_of_entries_has_the_same_root_and_tiles() {
    let mut shuffled = Shuffled::new();
    let (first, leases) = world_like(None).await;
    let sealed = seal_all(&first.ledger, &leases).await;
    let mut heads = Vec::new();
    let mut tiles = Vec::new();
    for batch_max in [1, 7, 50, 400] {
        let (world, leases) = world_like(Some(&first)).await;
        for (lease, records) in leases.iter().zip(&sealed) {
            let mut after = 0;
            while after < RECORDS {
                let to = (after + 1 + shuffled.below(batch_max)).min(RECORDS);
                let records = &records[usize::try_from(after).unwrap()..usize::try_from(to).unwrap()];
                let process = match shuffled.below(4) {
                    0 => world.process().await,
                    _ => world.ledger.clone(),
                };
                process.append(batch(lease, after, to, records)).await.unwrap();
                after = to;
            }
        }
        let head = world.ledger.head().await.unwrap();
        assert_eq!(head.size, 3 * RECORDS);
        heads.push(head);
        let stored: Vec<(i16, i64, Vec<u8>)> = sqlx::query_as("select level, index, hashes from tile order by 1, 2")
            .fetch_all(&mut world.conn().await)
            .await
            .unwrap();
        assert_eq!(stored.len(), 1);
        tiles.push(stored);
        world.recorded().await;
        expect!["360 of 360 checked"].assert_eq(&verified(&world.process().await).await);
    }
    assert!(heads.windows(2).all(|pair| pair[0] == pair[1]), "{heads:?}");
    assert!(tiles.windows(2).all(|pair| pair[0] == pair[1]), "tiles differ");
}
