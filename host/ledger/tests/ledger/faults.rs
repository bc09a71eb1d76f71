//! Every write, cut at every request that it makes: before Postgres has it, while it has it, and after it took effect.

use std::collections::BTreeSet;

use expect_test::expect;
use jiff::Timestamp;
use weir_ledger::{
    ConsumerError, DeadLetterSelection, Partition, ReadError, Redriven, Replay, Replayed, RouteDefinition, Settlement,
};
use weir_model::Position;

use crate::promotions::{enter, planned};
use crate::support::{
    Fault, Strike, World, append, at_every_cut, batch, dead_letter, end, parked, seal, seal_items, told,
};

#[tokio::test]
async fn an_append_cut_anywhere_and_tried_again_is_written_once() {
    let world = World::new().await;
    world.enter("a", None).await;
    let mut outcomes = BTreeSet::new();
    let mut recorded = 0;
    at_every_cut(&world, async |case| {
        let lease = world.claim(&case.process, "a").await.unwrap();
        let (after, to) = (2 * case.number, 2 * case.number + 2);
        let records = seal(&case.process, &lease, after + 1..=to).await;
        case.arm();
        let first = case.process.append(batch(&lease, after, to, &records)).await;
        case.calm();
        if let Err(error) = &first {
            assert!(error.may_retry(), "{}", told(&first));
        }
        let again = case.process.append(batch(&lease, after, to, &records)).await;
        // Where it is written depends on the case, that it is written once does not.
        let word = |told: &str| told.split(' ').next().unwrap().to_owned();
        outcomes.insert(format!(
            "{:?}: {}, then {}",
            case.fault,
            word(&told(&first)),
            word(&told(&again))
        ));
        recorded = to;
    })
    .await;

    // Which of these there are depends on what a connection does beside its work; a fault there is not even noticed.
    let expected = [
        "Before: failed, then written",
        "During: failed, then written",
        "During: failed, then already",
        "After: failed, then written",
        "After: failed, then already",
    ];
    outcomes.retain(|outcome| !outcome.ends_with(": written, then already"));
    assert!(
        outcomes.iter().all(|outcome| expected.contains(&outcome.as_str())),
        "{outcomes:?}"
    );
    let all: Vec<String> = (1..=recorded).map(|sequence| sequence.to_string()).collect();
    assert_eq!(world.recorded().await, format!("a: {}, at {recorded}\n", all.join(" ")));
}

/// What the same batch is answered after the connection was lost at its commit.
#[tokio::test]
async fn a_lost_reply_to_a_commit_is_cured_by_appending_again() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let wire = world.wire();
    let mut answers = Vec::new();
    for (case, fault) in (0..).zip([Fault::Before, Fault::After]) {
        let process = world.process_over(&wire).await;
        let records = seal(&process, &lease, 2 * case + 1..=2 * case + 2).await;
        wire.arm(Strike::Commit, fault);
        for _ in 0..2 {
            let answer = process.append(batch(&lease, 2 * case, 2 * case + 2, &records)).await;
            answers.push(format!("{fault:?}: {}", told(&answer)));
        }
    }
    answers.push(world.recorded().await);
    expect![[r#"
        Before: failed
        Before: written at 0, the head has 2
        After: failed
        After: already there
        a: 1 2 3 4, at 4
    "#]]
    .assert_eq(&answers.join("\n"));
}

#[tokio::test]
async fn a_process_that_dies_in_an_append_leaves_the_batch_or_nothing_of_it() {
    let world = World::new().await;
    world.enter("a", None).await;
    let mut recorded = 0;
    at_every_cut(&world, async |case| {
        let lease = world.claim(&case.process, "a").await.unwrap();
        let records = seal(&case.process, &lease, recorded + 1..=recorded + 2).await;
        case.arm();
        let died = case
            .process
            .append(batch(&lease, recorded, recorded + 2, &records))
            .await;

        let successor = world.claim(&world.ledger, "a").await.unwrap();
        let stands = successor
            .position
            .map_or(0, |position| position.as_str().parse::<u64>().unwrap());
        assert!(
            stands == recorded + 2 || (died.is_err() && stands == recorded),
            "{stands} after {recorded}"
        );
        recorded = stands;
        world.recorded().await;
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_shard_cut_anywhere_and_tried_again_is_recorded_once() {
    let world = World::new().await;
    at_every_cut(&world, async |case| {
        let shard = format!("shard-{:03}", case.number);
        let lease = world.lease(&shard).await;
        let records = seal(&case.process, &lease, 1..=1).await;
        let end = || end(&lease, 0, Some(1), &records);
        case.arm();
        // A first answer of "written" is as good as an error: the second one has to be right after both.
        let _ = case.process.append(end()).await;
        case.calm();
        case.process.append(end()).await.unwrap();
    })
    .await;
    for line in world.recorded().await.lines() {
        assert!(line.ends_with(": 1, at 1, finished"), "{line}");
    }
}

#[tokio::test]
async fn body_keys_are_handed_out_once_whatever_was_cut() {
    let world = World::new().await;
    let mut numbers = BTreeSet::new();
    at_every_cut(&world, async |case| {
        case.arm();
        for _ in 0..2 {
            if let Ok(keys) = case.process.take_body_keys(3).await {
                assert_eq!(keys.len(), 3);
                for key in keys {
                    assert!(numbers.insert(key.number), "{} twice", key.number);
                }
            }
        }
    })
    .await;
    for number in numbers {
        assert!(world.ledger.body_key(number).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_cursor_moves_together_with_what_is_dead_and_what_is_parked_whatever_was_cut() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 200).await.unwrap();
    at_every_cut(&world, async |case| {
        let mut consumer = case.process.claim_consumer("route:mail", Position(0)).await.unwrap();
        let position = consumer.next;
        let settlement = Settlement {
            dead_letters: vec![dead_letter(position)],
            parked: vec![parked(position)],
            ..Settlement::default()
        };
        let next = Position(position.0 + 1);
        case.arm();
        let settled = case.process.settle(&mut consumer, next, &settlement).await;
        assert_eq!(
            settled.is_ok(),
            consumer.next > position,
            "a cursor in hand moves when it moved for sure"
        );

        // The successor finds all or nothing, and may do the same again.
        let mut consumer = world.ledger.claim_consumer("route:mail", Position(0)).await.unwrap();
        let letters = world.ledger.dead_letters(Some("mail"), 1000).await.unwrap();
        let waiting = world.ledger.parked(Some("mail"), None, 1000).await.unwrap();
        let moved = consumer.next.0;
        assert_eq!((letters.len() as u64, waiting.len() as u64), (moved, moved));
        if settled.is_ok() {
            assert_eq!(consumer.next.0, position.0 + 1);
        }
        world.ledger.settle(&mut consumer, next, &settlement).await.unwrap();
        let letters = world.ledger.dead_letters(Some("mail"), 1000).await.unwrap();
        let waiting = world.ledger.parked(Some("mail"), None, 1000).await.unwrap();
        assert_eq!((letters.len() as u64, waiting.len() as u64), (next.0, next.0));
    })
    .await;
}

#[tokio::test]
async fn a_replay_moves_together_with_what_it_parks_whatever_was_cut() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 100).await.unwrap();
    let mut consumer = world.ledger.claim_consumer("route:mail", Position(0)).await.unwrap();
    let nothing = Settlement::default();
    world
        .ledger
        .settle(&mut consumer, Position(90), &nothing)
        .await
        .unwrap();
    let replay = Replay {
        route: "mail".to_owned(),
        next: Position(0),
        until: Position(90),
        version: None,
        tokens: Vec::new(),
        as_new: None,
        ordered_at: Timestamp::UNIX_EPOCH,
    };
    world.ledger.order_replay(&replay, "their outage").await.unwrap();
    at_every_cut(&world, async |case| {
        let mut consumer = case.process.claim_consumer("route:mail", Position(0)).await.unwrap();
        let before = world
            .ledger
            .replay(&Partition::whole("mail"))
            .await
            .unwrap()
            .unwrap()
            .next;
        let settlement = Settlement {
            parked: vec![parked(before)],
            replayed: Some(Replayed {
                ordered_at: replay.ordered_at,
                next: Position(before.0 + 1),
            }),
            ..Settlement::default()
        };
        case.arm();
        let _ = case.process.settle(&mut consumer, Position(90), &settlement).await;

        // All of it or nothing, and it may be done again.
        let mut consumer = world.ledger.claim_consumer("route:mail", Position(0)).await.unwrap();
        for _ in 0..2 {
            let waiting = world.ledger.parked(Some("mail"), None, 1000).await.unwrap();
            let next = world
                .ledger
                .replay(&Partition::whole("mail"))
                .await
                .unwrap()
                .unwrap()
                .next;
            assert_eq!(waiting.len() as u64, next.0);
            world
                .ledger
                .settle(&mut consumer, Position(90), &settlement)
                .await
                .unwrap();
        }
    })
    .await;
    let all = Settlement {
        replayed: Some(Replayed {
            ordered_at: replay.ordered_at,
            next: Position(90),
        }),
        ..Settlement::default()
    };
    let mut consumer = world.ledger.claim_consumer("route:mail", Position(0)).await.unwrap();
    world.ledger.settle(&mut consumer, Position(90), &all).await.unwrap();
    assert_eq!(world.ledger.replay(&Partition::whole("mail")).await.unwrap(), None);
}

#[tokio::test]
async fn a_dead_letter_that_is_sent_again_is_parked_in_its_place_whatever_was_cut() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 10).await.unwrap();
    at_every_cut(&world, async |case| {
        let mut consumer = case.process.claim_consumer("route:mail", Position(0)).await.unwrap();
        let letter = dead_letter(Position(0));
        let dead = Settlement::of_dead_letters([letter.clone()]);
        case.process.settle(&mut consumer, Position(1), &dead).await.unwrap();
        let all = DeadLetterSelection::default();
        let ordered = world
            .ledger
            .redrive(&all, "mended", Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        assert_eq!((ordered.count, ordered.more), (1, false));
        let settlement = Settlement {
            redriven: vec![Redriven {
                letter: letter.delivery.clone(),
                parked: vec![parked(Position(0))],
            }],
            ..Settlement::default()
        };
        case.arm();
        let _ = case.process.settle(&mut consumer, Position(1), &settlement).await;

        let mut consumer = world.ledger.claim_consumer("route:mail", Position(0)).await.unwrap();
        for _ in 0..2 {
            let letters = world.ledger.dead_letters(Some("mail"), 10).await.unwrap();
            let waiting = world.ledger.parked(Some("mail"), None, 10).await.unwrap();
            assert_eq!(letters.len() + waiting.len(), 1, "it is the one or the other");
            world
                .ledger
                .settle(&mut consumer, Position(1), &settlement)
                .await
                .unwrap();
        }
        assert!(world.ledger.dead_letters(Some("mail"), 10).await.unwrap().is_empty());
        let gone = Settlement {
            unparked: vec![letter.delivery],
            ..Settlement::default()
        };
        world.ledger.settle(&mut consumer, Position(1), &gone).await.unwrap();
        // What was thrown away meanwhile is not parked.
        world
            .ledger
            .settle(&mut consumer, Position(1), &settlement)
            .await
            .unwrap();
        assert!(world.ledger.parked(None, None, 10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_route_version_cut_anywhere_and_entered_again_is_one_version() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let mut versions = 0;
    at_every_cut(&world, async |case| {
        append(&world.ledger, &lease, case.number, case.number + 1)
            .await
            .unwrap();
        let definition = RouteDefinition {
            source: "shop".to_owned(),
            pattern: None,
            plugin: None,
            plugin_config: "{}".to_owned(),
            lookups: std::collections::BTreeMap::new(),
            failure: weir_ledger::FailurePolicy::default(),
            template: None,
            projection: None,
            correlation_attribute: None,
            sinks: vec![format!("sink-{}", case.number)],
            partitions: std::num::NonZeroU8::MIN,
        };
        let configured = planned(&world.ledger, "mail", &definition, None).await;
        case.arm();
        let _ = case
            .process
            .enter_route_version("mail", &configured, Timestamp::UNIX_EPOCH)
            .await;
        let entered = enter(&world.ledger, "mail", &definition, None).await;
        versions += 1;
        assert_eq!(entered.version, versions);
        assert_eq!(
            world.ledger.route_versions("mail").await.unwrap().len() as u64,
            u64::from(versions)
        );
    })
    .await;
}

#[tokio::test]
async fn the_index_and_its_cursor_move_together_whatever_was_cut() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let items: Vec<_> = (1..=60).map(|sequence| (sequence, "milk")).collect();
    let records = seal_items(&world.ledger, &lease, &items).await;
    world.ledger.append(batch(&lease, 0, 60, &records)).await.unwrap();
    at_every_cut(&world, async |case| {
        let mut index = case.process.claim_index().await.unwrap();
        case.arm();
        let indexed = case.process.index(&mut index, 1).await;
        assert!(matches!(
            indexed,
            Ok(1) | Err(ConsumerError::Database(_) | ConsumerError::Read(ReadError::Database(_)))
        ));

        let cursor = world.ledger.claim_index().await.unwrap().next;
        let rows: i64 = sqlx::query_scalar("select count(*) from item_index")
            .fetch_one(&mut world.conn().await)
            .await
            .unwrap();
        assert_eq!(i64::try_from(cursor.0).unwrap(), rows);
    })
    .await;
}
