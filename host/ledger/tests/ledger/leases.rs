//! Workers share shards: each has one worker that is alive, and a worker that is gone keeps nothing.

use std::time::Duration;

use weir_ledger::{ClaimError, Ledger, LedgerSettings, ShardLease, ShardReport, WorkerId};
use weir_model::ShardId;

use crate::support::{World, append, told};

fn id(shard: &str) -> ShardId {
    ShardId::parse(shard).unwrap()
}

/// A worker that is alive for as long as this says, in seconds ago, whatever the time is.
async fn silence(world: &World, worker: WorkerId, seconds: i64) {
    let sql = format!(
        "update worker set heartbeat_at = clock_timestamp() - make_interval(secs => {seconds}) where worker_id = {worker}"
    );
    world.tamper(&sql).await;
}

async fn claim(world: &World, worker: WorkerId, shard: &str) -> Result<ShardLease, ClaimError> {
    world.ledger.claim_shard(worker, world.stream_id, &id(shard)).await
}

/// Each open shard as `shard:worker>asker`, workers as letters; `!` where it may not be read yet.
async fn open(ledger: &Ledger, names: &[WorkerId]) -> String {
    let name = |worker: Option<WorkerId>| {
        let index = worker.and_then(|worker| names.iter().position(|known| *known == worker));
        index.map_or("-", |index| ["A", "B", "C"][index])
    };
    let shards = ledger.open_shards().await.unwrap();
    let told = shards.iter().map(|open| {
        let (worker, asker) = (name(open.worker), name(open.wanted_by));
        let ready = if open.is_ready { "" } else { "!" };
        match open.wanted_by {
            None => format!("{}{ready}:{worker}", open.shard),
            Some(_) => format!("{}{ready}:{worker}>{asker}", open.shard),
        }
    });
    told.collect::<Vec<_>>().join(" ")
}

async fn two() -> (World, [WorkerId; 2]) {
    let world = World::new().await;
    let workers = [
        world.ledger.enter_worker("a", None, &[], None).await.unwrap(),
        world.ledger.enter_worker("b", None, &[], None).await.unwrap(),
    ];
    (world, workers)
}

#[tokio::test]
async fn a_shard_is_taken_by_one_worker_that_is_alive() {
    let (world, [a, b]) = two().await;
    world.enter("s", None).await;
    world.enter("t", Some("s")).await;
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:- t!:-");
    let lease = claim(&world, a, "s").await.unwrap();
    assert!(matches!(claim(&world, b, "s").await, Err(ClaimError::Held(_))));
    assert!(matches!(claim(&world, b, "t").await, Err(ClaimError::ParentOpen(_))));
    assert!(matches!(claim(&world, b, "u").await, Err(ClaimError::Unknown(_))));
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:A t!:-");
    assert!(append(&world.ledger, &lease, 0, 1).await.is_ok());
    // Its own shard it may take again, as after a lost answer.
    assert_eq!(claim(&world, a, "s").await.unwrap().epoch, lease.epoch + 1);
}

#[tokio::test]
async fn a_silent_worker_s_shards_are_free_and_it_records_nothing_more_when_it_wakes() {
    let (world, [a, b]) = two().await;
    world.enter("s", None).await;
    let frozen = claim(&world, a, "s").await.unwrap();
    append(&world.ledger, &frozen, 0, 1).await.unwrap();
    silence(&world, a, 5).await;
    assert!(matches!(claim(&world, b, "s").await, Err(ClaimError::Held(_))));
    silence(&world, a, 7).await;
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:-");
    let taken = claim(&world, b, "s").await.unwrap();
    assert_eq!(taken.position.as_ref().unwrap().as_str(), "1");
    let late = append(&world.ledger, &frozen, 1, 2).await;
    assert!(told(&late).contains("fenced"), "{}", told(&late));
    assert!(append(&world.ledger, &taken, 1, 2).await.is_ok());
    // Awake again, it is alive, and has nothing.
    let alive = world.ledger.beat(a).await.unwrap();
    assert_eq!(alive.len(), 3);
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:B");
    // What it gives back late is not its to give.
    world.ledger.release_shard(&frozen).await.unwrap();
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:B");
}

#[tokio::test]
async fn a_worker_that_leaves_or_lets_go_frees_its_shards_at_once() {
    let (world, [a, b]) = two().await;
    for shard in ["s", "t"] {
        world.enter(shard, None).await;
        claim(&world, a, shard).await.unwrap();
    }
    let again = claim(&world, a, "s").await.unwrap();
    world.ledger.release_shard(&again).await.unwrap();
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:- t:A");
    world.ledger.leave_worker(a).await.unwrap();
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:- t:-");
    // A worker whose row is gone is told so by its absence.
    assert!(world.ledger.beat(a).await.unwrap().iter().all(|worker| worker.id != a));
}

/// streams.md 40: a hand-over whose asker died is no hand-over.
#[tokio::test]
async fn a_worker_that_asks_for_a_shard_and_dies_asks_for_nothing() {
    let (world, [a, b]) = two().await;
    world.enter("s", None).await;
    let lease = claim(&world, a, "s").await.unwrap();
    world.ledger.ask_for_shard(b, world.stream_id, &id("s")).await.unwrap();
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:A>B");
    silence(&world, b, 7).await;
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:A");
    world.ledger.beat(b).await.unwrap();
    world.ledger.release_shard(&lease).await.unwrap();
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:-");
    assert!(claim(&world, b, "s").await.is_ok());
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:B");
    // Nobody asks for what he has.
    world.ledger.ask_for_shard(b, world.stream_id, &id("s")).await.unwrap();
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:B");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_workers_that_want_a_shard_at_once_one_gets_it() {
    let world = World::new().await;
    world.enter("s", None).await;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..8 {
        let (process, stream_id) = (world.process().await, world.stream_id);
        tasks.spawn(async move {
            let worker = process.enter_worker(&index.to_string(), None, &[], None).await.unwrap();
            process.claim_shard(worker, stream_id, &id("s")).await.is_ok()
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|got| *got).count(), 1);
}

#[tokio::test]
async fn an_operator_s_drain_is_told_to_every_worker_until_it_is_taken_back() {
    let (world, [a, _]) = two().await;
    let is_draining = async || {
        let alive = world.ledger.live_workers().await.unwrap();
        alive.iter().find(|worker| worker.id == a).unwrap().is_draining
    };
    assert!(world.ledger.drain_worker(a, true).await.unwrap());
    assert!(is_draining().await);
    assert!(world.ledger.drain_worker(a, false).await.unwrap());
    assert!(!is_draining().await);
    assert!(!world.ledger.drain_worker(WorkerId(9999), true).await.unwrap());
}

#[tokio::test]
async fn what_a_worker_tells_of_a_shard_is_told_to_all() {
    let (world, [a, _]) = two().await;
    world.enter("s", None).await;
    claim(&world, a, "s").await.unwrap();
    for records_per_s in [7.5, 8.5] {
        let report = ShardReport {
            stream_id: world.stream_id,
            shard: id("s"),
            records_per_s,
            reads_per_h: 3600.0,
            read_ago: Duration::from_millis(300),
            record_at: None,
            behind: Duration::from_secs(90),
        };
        world.ledger.report_shards(&[report]).await.unwrap();
        let open = world.process().await.open_shards().await.unwrap();
        assert!((open[0].records_per_s - records_per_s).abs() < 0.01);
    }
}

/// streams.md 10: ten calls a second are all there are for a stream, however many workers look at it.
#[tokio::test]
async fn one_of_many_workers_has_the_turn_to_describe_a_stream() {
    let world = World::new().await;
    let interval = Duration::from_secs(3600);
    assert!(
        world
            .ledger
            .take_describe_turn(world.stream_id, interval)
            .await
            .unwrap()
    );
    let other = world.process().await;
    assert!(!other.take_describe_turn(world.stream_id, interval).await.unwrap());
    // Who has a reason does not wait.
    assert!(other.take_describe_turn(world.stream_id, Duration::ZERO).await.unwrap());
}

#[tokio::test]
async fn a_shorter_expiry_is_a_setting_of_whoever_looks() {
    let (world, [a, b]) = two().await;
    world.enter("s", None).await;
    claim(&world, a, "s").await.unwrap();
    silence(&world, a, 2).await;
    let hasty = world.database.connect().await.with_settings(LedgerSettings {
        lease_expiry: Duration::from_secs(1),
        ..LedgerSettings::default()
    });
    let hasty = hasty.open(world.ledger.name(), crate::support::secret()).await.unwrap();
    assert_eq!(open(&hasty, &[a, b]).await, "s:-");
    assert_eq!(open(&world.ledger, &[a, b]).await, "s:A");
}
