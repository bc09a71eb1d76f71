//! A worker that freezes inside an append, holding the ledger's head.

use expect_test::expect;

use crate::support::{Fault, Strike, World, append, batch, seal, told};

/// This is wrong today. The design (4.3) says that nobody may hold the head: a waiter past 3 s terminates the backend
/// that blocks it. No waiter does so yet; it fails with the lock's time-out after 5 s, again and again, until Postgres
/// notices that the frozen worker is gone.
#[tokio::test]
async fn while_a_worker_is_frozen_in_its_copy_all_others_fail_and_lose_nothing() {
    let world = World::new().await;
    let (a, b) = (world.lease("a").await, world.lease("b").await);
    append(&world.ledger, &a, 0, 1).await.unwrap();
    let wire = world.wire();
    let frozen = world.process_over(&wire).await;
    let records = seal(&frozen, &a, 2..=3).await;

    wire.arm(Strike::CopyData, Fault::Frozen);
    let others = async {
        wire.struck().await;
        let refused = told(&append(&world.ledger, &b, 0, 1).await);
        wire.thaw();
        refused
    };
    let (appended, refused) = tokio::join!(frozen.append(batch(&a, 1, 3, &records)), others);

    expect!["failed"].assert_eq(&refused);
    expect!["written at 1, the head has 3"].assert_eq(&told(&appended));
    append(&world.ledger, &b, 0, 1).await.unwrap();
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
