//! A worker that freezes inside an append, holding the ledger's head.

use std::time::{Duration, Instant};

use expect_test::expect;

use crate::support::{Fault, Strike, World, append, batch, seal, told};

/// Nobody may hold the head (design 4.3): a waiter past 3 s disconnects the one that does. The frozen worker appends
/// again when it thaws, and finds out that nothing of its batch was there.
#[tokio::test]
async fn a_worker_that_is_frozen_in_its_copy_keeps_nobody_from_recording_for_five_seconds() {
    let world = World::new().await;
    let (a, b) = (world.lease("a").await, world.lease("b").await);
    append(&world.ledger, &a, 0, 1).await.unwrap();
    let wire = world.wire();
    let frozen = world.process_over(&wire).await;
    let records = seal(&frozen, &a, 2..=3).await;

    wire.arm(Strike::CopyData, Fault::Frozen);
    let others = async {
        wire.struck().await;
        let begun = Instant::now();
        let recorded = told(&append(&world.ledger, &b, 0, 1).await);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        wire.thaw();
        recorded
    };
    let (appended, recorded) = tokio::join!(frozen.append(batch(&a, 1, 3, &records)), others);

    expect!["written at 1, the head has 2"].assert_eq(&recorded);
    expect!["failed"].assert_eq(&told(&appended));
    let again = frozen.append(batch(&a, 1, 3, &records)).await;
    expect!["written at 2, the head has 4"].assert_eq(&told(&again));
    expect![[r#"
        a: 1 2 3, at 3
        b: 1, at 1
    "#]]
    .assert_eq(&world.recorded().await);
}

/// The connection of a worker that is gone for good is closed by its machine, and Postgres takes the append back.
#[tokio::test]
async fn a_worker_that_is_given_up_in_its_copy_leaves_nothing() {
    let world = World::new().await;
    let a = world.lease("a").await;
    append(&world.ledger, &a, 0, 1).await.unwrap();
    let wire = world.wire();
    let frozen = world.process_over(&wire).await;
    let records = seal(&frozen, &a, 2..=3).await;

    wire.arm(Strike::CopyData, Fault::Frozen);
    tokio::select! {
        _ = frozen.append(batch(&a, 1, 3, &records)) => panic!("it is frozen"),
        () = wire.struck() => {}
    }
    // The task was dropped in the middle; its half of the line goes with it, once it can.
    wire.thaw();
    drop(frozen);
    assert_eq!(
        told(&append(&world.ledger, &a, 1, 3).await),
        "written at 1, the head has 3"
    );
    expect![[r#"
        a: 1 2 3, at 3
    "#]]
    .assert_eq(&world.recorded().await);
}
