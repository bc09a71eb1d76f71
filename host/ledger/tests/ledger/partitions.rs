//! Entries stand in partitions of 1,048,576 positions each.

use expect_test::expect;
use weir_evidence::{Frontier, Hash, leaf_hash, node_hash};

use crate::support::{World, append, batch, read, seal, told, until_blocked};

const POSITIONS_PER_PARTITION: u64 = 1 << 20;

/// The frontier of a tree in which every leaf is the same: each perfect subtree is made of two of the next smaller one.
fn uniform(size: u64, leaf: Hash) -> Frontier {
    let mut perfect = vec![leaf];
    while let Some(last) = perfect.last().filter(|_| perfect.len() < 64) {
        perfect.push(node_hash(last, last));
    }
    let largest_first = (0..64).rev().filter(|bit| size >> bit & 1 == 1);
    let roots: Vec<u8> = largest_first.flat_map(|bit| perfect[bit]).collect();
    Frontier::from_bytes(size, &roots).unwrap()
}

/// Makes the head that of a ledger whose first `size` entries are all the same. They are not stored.
async fn grow(world: &World, size: u64) -> Frontier {
    let frontier = uniform(size, leaf_hash(b"filler"));
    let tampered = format!(
        "update ledger_head set size = {size}, root = '\\x{}', frontier = '\\x{}'",
        hex::encode(frontier.root()),
        hex::encode(frontier.to_bytes())
    );
    world.tamper(&tampered).await;
    frontier
}

async fn partitions(world: &World) -> Vec<(String, Vec<i64>)> {
    sqlx::query_as(
        "select tableoid::regclass::text, array_agg(position order by position) from entry group by 1 order by 1",
    )
    .fetch_all(&mut world.conn().await)
    .await
    .unwrap()
}

async fn attached(world: &World) -> Vec<String> {
    sqlx::query_scalar(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'entry'::regclass order by 1",
    )
    .fetch_all(&mut world.conn().await)
    .await
    .unwrap()
}

#[tokio::test]
async fn an_append_crosses_into_the_next_partition() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let mut frontier = grow(&world, POSITIONS_PER_PARTITION - 2).await;
    // As the running process that grew it, this one knows nothing of the next partition yet.
    let process = world.process().await;

    let records = seal(&process, &lease, 1..=4).await;
    let answer = process.append(batch(&lease, 0, 4, &records)).await;
    expect!["written at 1048574, the head has 1048578"].assert_eq(&told(&answer));
    assert_eq!(
        partitions(&world).await,
        [
            ("entry_1_0".to_owned(), vec![1_048_574, 1_048_575]),
            ("entry_1_1".to_owned(), vec![1_048_576, 1_048_577])
        ]
    );
    for record in &records {
        frontier.push(record.leaf);
    }
    assert_eq!(process.head().await.unwrap().root, frontier.root());
    expect!["1048574:milk@1 1048575:milk@2 1048576:milk@3 1048577:milk@4"]
        .assert_eq(&read(&world.ledger, POSITIONS_PER_PARTITION - 2).await);
}

/// In units of half a partition: where the ledger stands, and the partitions that there are. None is ever missed.
#[tokio::test]
async fn a_process_that_grows_a_ledger_makes_the_next_partition_before_it_is_near() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let mut told = String::new();
    for half in 0..6 {
        grow(&world, half * POSITIONS_PER_PARTITION / 2).await;
        // With the first one the process learns the size, as if it had grown the ledger itself.
        append(&world.ledger, &lease, 2 * half, 2 * half + 1).await.unwrap();
        append(&world.ledger, &lease, 2 * half + 1, 2 * half + 2).await.unwrap();
        assert_eq!(world.ledger.append_only_faults().await.unwrap(), Vec::<String>::new());
        told += &format!("{half}: {}\n", attached(&world).await.join(" "));
    }
    expect![[r#"
        0: entry_1_0 entry_1_1
        1: entry_1_0 entry_1_1
        2: entry_1_0 entry_1_1 entry_1_2
        3: entry_1_0 entry_1_1 entry_1_2
        4: entry_1_0 entry_1_1 entry_1_2 entry_1_3
        5: entry_1_0 entry_1_1 entry_1_2 entry_1_3
    "#]]
    .assert_eq(&told);
}

#[tokio::test]
async fn a_process_that_waited_for_another_to_make_a_partition_goes_on_with_it() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let records = seal(&world.ledger, &lease, 1..=1).await;

    let (mut watch, mut other) = (world.conn().await, world.conn().await);
    sqlx::raw_sql("begin; select ensure_entry_partitions(1, 0)")
        .execute(&mut other)
        .await
        .unwrap();
    let commit = async {
        until_blocked(&mut watch, 1).await;
        sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    };
    let (appended, ()) = tokio::join!(world.ledger.append(batch(&lease, 0, 1, &records)), commit);
    appended.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_cross_a_boundary_at_once_make_each_partition_once() {
    let world = World::new().await;
    let leases = [world.lease("a").await, world.lease("b").await, world.lease("c").await];
    grow(&world, POSITIONS_PER_PARTITION - 2).await;
    let mut tasks = tokio::task::JoinSet::new();
    for lease in leases {
        let process = world.process().await;
        tasks.spawn(async move {
            append(&process, &lease, 0, 2).await.unwrap();
        });
    }
    tasks.join_all().await;
    let positions: Vec<i64> = partitions(&world)
        .await
        .into_iter()
        .flat_map(|(_, positions)| positions)
        .collect();
    assert_eq!(positions, (1_048_574..1_048_580).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_new_partition_is_append_only_from_the_begin() {
    let world = World::new().await;
    let mut conn = world.conn().await;
    sqlx::raw_sql("select ensure_entry_partitions(1, 3000000)")
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(
        attached(&world).await,
        ["entry_1_0", "entry_1_1", "entry_1_2", "entry_1_3"]
    );
    sqlx::raw_sql("insert into entry values (1, 3000000, 0, 0, 'x', 'x')")
        .execute(&mut conn)
        .await
        .unwrap();
    for refused in [
        "update entry_1_2 set lane = 1",
        "delete from entry_1_2",
        "truncate entry_1_2",
        "truncate entry_1_3",
    ] {
        assert!(sqlx::raw_sql(refused).execute(&mut conn).await.is_err(), "{refused}");
    }
}

/// A process that did not append for a while knows a smaller size, and may be the first across a border.
#[tokio::test]
async fn a_process_that_lags_behind_raises_no_alarm_when_it_crosses_a_border() {
    let world = World::new().await;
    let (ours, others) = (world.lease("a").await, world.lease("b").await);
    append(&world.ledger, &ours, 0, 1).await.unwrap();
    grow(&world, POSITIONS_PER_PARTITION - 10).await;
    append(&world.process().await, &others, 0, 1).await.unwrap();
    append(&world.ledger, &ours, 1, 15).await.unwrap();
    assert_eq!(world.ledger.append_only_faults().await.unwrap(), Vec::<String>::new());
    assert_eq!(attached(&world).await, ["entry_1_0", "entry_1_1"]);
    append(&world.ledger, &ours, 15, 16).await.unwrap();
    assert_eq!(attached(&world).await, ["entry_1_0", "entry_1_1", "entry_1_2"]);
}

/// A record is not to blame for what somebody did to the table: it waits, and is recorded whole.
#[tokio::test]
async fn a_position_that_no_partition_takes_makes_no_record_unknown() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 1).await.unwrap();
    world.tamper("alter table entry detach partition entry_1_0").await;
    let answer = append(&world.ledger, &lease, 1, 3).await;
    assert!(
        matches!(answer, Err(weir_ledger::AppendError::Database(_))),
        "{answer:?}"
    );
}
