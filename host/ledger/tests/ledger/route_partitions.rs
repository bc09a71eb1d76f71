//! Partitions of routes: who has them, and how others come in their place.

use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinSet;
use weir_ledger::{
    Consumer, ConsumerError, DeadLetterSelection, Ledger, Parked, Partition, Replay, Replayed, RouteDefinition,
    Settlement, WorkerId,
};
use weir_model::Position;

use crate::promotions::{configured, enter};
use crate::support::{PATIENCE, World, append, batch, dead_letter, parked, seal_items};

/// Enters a version of the route in so many partitions: from where on.
async fn partitioned(ledger: &Ledger, partitions: u8) -> Position {
    let definition = RouteDefinition {
        partitions: NonZeroU8::new(partitions).unwrap(),
        ..configured(None, "{}", "postbox")
    };
    enter(ledger, "mail", &definition, None).await.from_position
}

/// The partitions, as `mail/0-127 at 4 of 1`; `over` are those that make way for others.
async fn told(ledger: &Ledger) -> String {
    let states = ledger.partitions().await.unwrap();
    let told = states.iter().map(|state| {
        let worker = state.worker.map_or("nobody".to_owned(), |worker| worker.to_string());
        let is_over = if state.is_over { ", over" } else { "" };
        format!("{} at {} of {worker}{is_over}", state.partition, state.next)
    });
    told.collect::<Vec<_>>().join("; ")
}

async fn worker(ledger: &Ledger) -> WorkerId {
    let worker = ledger.enter_worker("test", None, &[], None).await.unwrap();
    ledger.beat(worker).await.unwrap();
    worker
}

/// Takes all partitions that there are.
async fn take_all(ledger: &Ledger, worker: WorkerId) -> Vec<Consumer> {
    let mut taken = Vec::new();
    for state in ledger.partitions().await.unwrap() {
        taken.push(ledger.claim_partition(worker, &state.partition).await.unwrap().unwrap());
    }
    taken
}

async fn settle(ledger: &Ledger, consumer: &mut Consumer, next: Position) {
    ledger.settle(consumer, next, &Settlement::default()).await.unwrap();
}

#[tokio::test]
async fn a_route_has_the_partitions_that_its_first_version_wants_all_where_that_begins() {
    let world = World::new().await;
    world.ledger.partition_route("mail").await.unwrap();
    assert_eq!(told(&world.ledger).await, "", "a route without a version has none");
    partitioned(&world.ledger, 2).await;
    for _ in 0..2 {
        world.ledger.partition_route("mail").await.unwrap();
        assert_eq!(
            told(&world.ledger).await,
            "mail/0-127 at 0 of nobody; mail/128-255 at 0 of nobody"
        );
    }
    // What is called nearly so is another route.
    enter(&world.ledger, "mail-2", &configured(None, "{}", "postbox"), None).await;
    world.ledger.partition_route("mail-2").await.unwrap();
    assert_eq!(
        told(&world.ledger).await,
        "mail/0-127 at 0 of nobody; mail/128-255 at 0 of nobody; mail-2 at 1 of nobody"
    );
}

#[tokio::test]
async fn who_is_alive_keeps_a_partition_until_it_lets_go_and_who_had_it_settles_nothing_more() {
    let world = World::new().await;
    partitioned(&world.ledger, 1).await;
    world.ledger.partition_route("mail").await.unwrap();
    let whole = Partition::whole("mail");
    let (first, second) = (worker(&world.ledger).await, worker(&world.ledger).await);
    let mut of_first = world.ledger.claim_partition(first, &whole).await.unwrap().unwrap();
    assert_eq!(world.ledger.claim_partition(second, &whole).await.unwrap(), None);
    world.ledger.ask_for_partition(second, &whole).await.unwrap();
    assert_eq!(world.ledger.partitions().await.unwrap()[0].wanted_by, Some(second));
    settle(&world.ledger, &mut of_first, Position(1)).await;
    world.ledger.release_partition(&of_first).await.unwrap();
    let mut of_second = world.ledger.claim_partition(second, &whole).await.unwrap().unwrap();
    assert_eq!(of_second.next, Position(1));
    assert_eq!(world.ledger.partitions().await.unwrap()[0].wanted_by, None);
    let fenced = world
        .ledger
        .settle(&mut of_first, Position(1), &Settlement::default())
        .await;
    assert!(matches!(fenced, Err(ConsumerError::Fenced { .. })), "{fenced:?}");
    // Nor does it take from another what is not its own any more.
    world.ledger.release_partition(&of_first).await.unwrap();
    settle(&world.ledger, &mut of_second, Position(1)).await;
    // A worker that leaves lets go of everything.
    world.ledger.leave_worker(second).await.unwrap();
    assert_eq!(told(&world.ledger).await, "mail at 1 of nobody");
}

#[tokio::test]
async fn others_come_once_all_stand_where_they_begin_and_nobody_has_any() {
    let world = World::new().await;
    let ledger = &world.ledger;
    partitioned(ledger, 2).await;
    ledger.partition_route("mail").await.unwrap();
    let worker = worker(ledger).await;
    let mut taken = take_all(ledger, worker).await;
    let begins = partitioned(ledger, 3).await;
    let stays = async |what: &str| {
        ledger.partition_route("mail").await.unwrap();
        assert_eq!(ledger.partitions().await.unwrap().len(), 2, "{what}");
    };
    stays("none has come so far").await;
    settle(ledger, &mut taken[0], begins).await;
    stays("the other has not").await;
    settle(ledger, &mut taken[1], begins).await;
    stays("somebody has them").await;
    assert_eq!(
        told(ledger).await,
        format!("mail/0-127 at {begins} of {worker}, over; mail/128-255 at {begins} of {worker}, over")
    );
    ledger.release_partition(&taken[0]).await.unwrap();
    stays("somebody has one").await;
    ledger.release_partition(&taken[1]).await.unwrap();
    ledger.partition_route("mail").await.unwrap();
    assert_eq!(
        told(ledger).await,
        "mail/0-84 at 1 of nobody; mail/85-169 at 1 of nobody; mail/170-255 at 1 of nobody"
    );
}

/// Also where partitions of the same lanes come back that it once had.
#[tokio::test]
async fn who_had_a_partition_has_none_of_those_that_come_later() {
    let world = World::new().await;
    let ledger = &world.ledger;
    partitioned(ledger, 2).await;
    ledger.partition_route("mail").await.unwrap();
    let worker = worker(ledger).await;
    let early = take_all(ledger, worker).await;
    for count in [3, 2] {
        let mut taken = take_all(ledger, worker).await;
        let begins = partitioned(ledger, count).await;
        for consumer in &mut taken {
            settle(ledger, consumer, begins).await;
            ledger.release_partition(consumer).await.unwrap();
        }
        ledger.partition_route("mail").await.unwrap();
    }
    let now = ledger.partitions().await.unwrap();
    for mut consumer in early {
        assert!(
            now.iter()
                .any(|state| format!("route:{}", state.partition) == consumer.name)
        );
        let fenced = ledger.settle(&mut consumer, Position(0), &Settlement::default()).await;
        assert!(matches!(fenced, Err(ConsumerError::Fenced { .. })), "{fenced:?}");
    }
    assert_eq!(ledger.partitions().await.unwrap(), now);
}

/// Processes that see at once that others are to come make them once, and none begins anew where the route began.
#[tokio::test]
async fn processes_that_put_others_in_their_place_at_once_agree() {
    let world = World::new().await;
    partitioned(&world.ledger, 1).await;
    let worker = worker(&world.ledger).await;
    for round in 0..10 {
        let mut racing = JoinSet::new();
        for _ in 0..6 {
            let process = world.process().await;
            racing.spawn(async move { process.partition_route("mail").await.unwrap() });
        }
        racing.join_all().await;
        let states = world.ledger.partitions().await.unwrap();
        assert_eq!(states.len(), 1 + round % 2);
        assert!(states.iter().all(|state| state.next.0 == round as u64), "{states:?}");
        let mut taken = take_all(&world.ledger, worker).await;
        let next = partitioned(&world.ledger, if round % 2 == 0 { 2 } else { 1 }).await;
        for consumer in &mut taken {
            settle(&world.ledger, consumer, next).await;
            world.ledger.release_partition(consumer).await.unwrap();
        }
    }
}

/// What hangs in one partition, because its process is frozen or its machine gone, keeps nobody waiting, and not for long.
#[tokio::test]
async fn whoever_is_silent_with_a_cursor_in_hand_keeps_no_other_waiting_and_is_disconnected() {
    let world = World::new().await;
    let ledger = &world.ledger;
    partitioned(ledger, 2).await;
    ledger.partition_route("mail").await.unwrap();
    let halves = Partition::of("mail", NonZeroU8::new(2).unwrap());
    let worker = worker(ledger).await;
    let mut silent = world.conn().await;
    let hold =
        "set application_name = 'weir'; begin; update consumer set moved_at = moved_at where name = 'route:mail/0-127'";
    sqlx::raw_sql(hold).execute(&mut silent).await.unwrap();

    let begun = Instant::now();
    assert_eq!(ledger.claim_partition(worker, &halves[0]).await.unwrap(), None);
    ledger.ask_for_partition(worker, &halves[0]).await.unwrap();
    ledger.partition_route("mail").await.unwrap();
    assert!(ledger.claim_partition(worker, &halves[1]).await.unwrap().is_some());
    assert!(begun.elapsed() < Duration::from_secs(2), "somebody waited");
    while ledger.claim_partition(worker, &halves[0]).await.unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "it is never free");
        tokio::task::yield_now().await;
    }
    let gone = sqlx::raw_sql("select 1").execute(&mut silent).await;
    assert!(gone.is_err(), "it was not disconnected");
}

/// A delivery of an item of its own.
fn waiting(position: Position) -> Parked {
    Parked {
        token: u128::from(position.0).to_be_bytes(),
        ..parked(position)
    }
}

/// A route of 40 changes that all wait and all are dead letters that are ordered to be sent again: its partitions.
async fn with_forty_changes(world: &World) -> Vec<Partition> {
    partitioned(&world.ledger, 1).await;
    let lease = world.lease("a").await;
    let items: Vec<(u64, String)> = (1..=40).map(|number| (number, format!("item-{number}"))).collect();
    let items: Vec<(u64, &str)> = items.iter().map(|(number, item)| (*number, item.as_str())).collect();
    let records = seal_items(&world.ledger, &lease, &items).await;
    world.ledger.append(batch(&lease, 0, 40, &records)).await.unwrap();
    world.ledger.partition_route("mail").await.unwrap();
    let worker = worker(&world.ledger).await;
    let mut taken = take_all(&world.ledger, worker).await;
    let positions = || (1..=40).map(Position);
    let settlement = Settlement {
        parked: positions().map(waiting).collect(),
        dead_letters: positions().map(dead_letter).collect(),
        ..Settlement::default()
    };
    world
        .ledger
        .settle(&mut taken[0], Position(41), &settlement)
        .await
        .unwrap();
    let all = DeadLetterSelection::default();
    let ordered = world
        .ledger
        .redrive(&all, "mended", Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    assert_eq!(ordered.count, 40);
    Partition::of("mail", NonZeroU8::new(3).unwrap())
}

#[tokio::test]
async fn what_is_parked_or_sent_again_is_that_of_the_partition_that_has_its_lane() {
    let world = World::new().await;
    let partitions = with_forty_changes(&world).await;
    let entries = world.ledger.read_from(Position(0), 100).await.unwrap();
    let (mut items, mut letters) = (0, 0);
    for partition in &partitions {
        let is_here = |position: u64| {
            entries[usize::try_from(position).unwrap()]
                .lane
                .is_some_and(|lane| partition.holds(lane))
        };
        let parked = world.ledger.parked_items(partition).await.unwrap();
        assert!(!parked.is_empty(), "{partition}");
        for item in &parked {
            assert!(
                is_here(u64::try_from(u128::from_be_bytes(item.token)).unwrap()),
                "{partition}"
            );
        }
        let ordered = world.ledger.ordered_redrives(partition, 100).await.unwrap();
        assert!(ordered.iter().all(|letter| is_here(letter.position.0)), "{partition}");
        items += parked.len();
        letters += ordered.len();
    }
    assert_eq!((items, letters), (40, 40));
    let whole = Partition::whole("mail");
    assert_eq!(world.ledger.parked_items(&whole).await.unwrap().len(), 40);
    assert_eq!(world.ledger.ordered_redrives(&whole, 100).await.unwrap().len(), 40);
}

#[tokio::test]
async fn a_replay_ends_when_the_last_partition_is_through_it_and_others_go_on_where_the_slowest_was() {
    let world = World::new().await;
    let ledger = &world.ledger;
    partitioned(ledger, 2).await;
    let lease = world.lease("a").await;
    append(ledger, &lease, 0, 40).await.unwrap();
    ledger.partition_route("mail").await.unwrap();
    let worker = worker(ledger).await;
    let mut taken = take_all(ledger, worker).await;
    for consumer in &mut taken {
        settle(ledger, consumer, Position(41)).await;
    }
    let replay = Replay {
        route: "mail".to_owned(),
        next: Position(1),
        until: Position(31),
        version: None,
        tokens: Vec::new(),
        as_new: None,
        ordered_at: Timestamp::UNIX_EPOCH,
    };
    ledger.order_replay(&replay, "their outage").await.unwrap();
    let through = |next| Settlement {
        replayed: Some(Replayed {
            ordered_at: replay.ordered_at,
            next: Position(next),
        }),
        ..Settlement::default()
    };
    let next_of = async |partition: &Partition| Some(ledger.replay(partition).await.unwrap()?.next.0);
    let (halves, whole) = (
        Partition::of("mail", NonZeroU8::new(2).unwrap()),
        Partition::whole("mail"),
    );
    ledger.settle(&mut taken[0], Position(41), &through(31)).await.unwrap();
    ledger.settle(&mut taken[1], Position(41), &through(12)).await.unwrap();
    assert_eq!(
        (next_of(&halves[0]).await, next_of(&halves[1]).await),
        (Some(31), Some(12))
    );
    assert_eq!(next_of(&whole).await, Some(12));
    let thirds = Partition::of("mail", NonZeroU8::new(3).unwrap());
    assert_eq!(
        (next_of(&thirds[0]).await, next_of(&thirds[1]).await),
        (Some(31), Some(12))
    );
    ledger.settle(&mut taken[1], Position(41), &through(31)).await.unwrap();
    assert_eq!(next_of(&whole).await, None);
}
