//! Several ledgers stand in one database, and know nothing of each other.

use expect_test::expect;
use tokio::task::JoinSet;
use tokio::time::timeout;
use weir_model::Position;

use crate::support::{PATIENCE, World, append, enter_stream, name, new_shard, read, recorded, secret, told};
use crate::tampering::verified;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ledgers_of_one_database_do_not_see_each_other() {
    let world = World::new().await;
    let database = world.database.connect().await;
    let mut ledgers = Vec::new();
    for ledger in ["east", "west"] {
        let ledger = database.open_or_create(&name(ledger), secret()).await.unwrap();
        let stream_id = enter_stream(&ledger, &format!("arn:{}", ledger.name())).await;
        let worker = ledger.enter_worker("test", None, &[], None).await.unwrap();
        let mut leases = Vec::new();
        for shard in ["a", "b", "c"] {
            let shard = weir_model::ShardId::parse(shard).unwrap();
            let new = new_shard(shard.as_str(), None);
            ledger
                .enter_shards(stream_id, &[new], jiff::Timestamp::UNIX_EPOCH)
                .await
                .unwrap();
            leases.push(ledger.claim_shard(worker, stream_id, &shard).await.unwrap());
        }
        ledgers.push((ledger, leases));
    }
    let mut tasks = JoinSet::new();
    for (index, (ledger, leases)) in (1..).zip(&ledgers) {
        for lease in leases {
            let (ledger, lease) = (ledger.clone(), lease.clone());
            tasks.spawn(async move {
                for after in 0..10 * index {
                    append(&ledger, &lease, after, after + 1).await.unwrap();
                }
            });
        }
    }
    timeout(PATIENCE, tasks.join_all()).await.expect("it hangs");
    for (index, (ledger, _)) in (1..).zip(&ledgers) {
        let size = 30 * index;
        assert_eq!(ledger.head().await.unwrap().size, size);
        let entries = ledger.read_from(Position(0), 1000).await.unwrap();
        assert_eq!(entries.len() as u64, size);
        assert!(entries.iter().all(|entry| entry.entry.ledger == *ledger.name()));
        let all: Vec<String> = (1..=10 * index).map(|sequence| sequence.to_string()).collect();
        let line = |shard| format!("{shard}: {}, at {}\n", all.join(" "), 10 * index);
        assert_eq!(
            recorded(&mut world.conn().await, ledger.name().as_str()).await,
            ["a", "b", "c"].map(line).concat()
        );
        assert_eq!(verified(ledger).await, format!("{size} of {size} checked"));
    }
    assert_eq!(read(&world.ledger, 0).await, "");
    assert_eq!(world.ledger.head().await.unwrap().size, 0);
}

/// A lease is a right in the ledger that gave it, and in no other.
#[tokio::test]
async fn a_lease_of_another_ledger_is_no_right_to_append() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let database = world.database.connect().await;
    let other = database.open_or_create(&name("other"), secret()).await.unwrap();
    let answer = append(&other, &lease, 0, 1).await;
    assert!(answer.is_err(), "{}", told(&answer));
    assert_eq!(other.head().await.unwrap().size, 0);
    expect![[r#"
        a:, at begin
    "#]]
    .assert_eq(&world.recorded().await);
}
