//! Signed heads as they are stored.

use crate::flips::sign;
use crate::support::{World, append, name, secret};

/// Several are signed a second while records come; a year of them must not outgrow the ledger.
#[tokio::test]
async fn of_many_checkpoints_the_newest_and_the_first_of_every_minute_are_kept() {
    let world = World::new().await;
    let origin = world.ledger.signing_origin("weir/main").await.unwrap();
    let sizes = async |world: &World| -> Vec<i64> {
        let mut conn = world.conn().await;
        let sizes = sqlx::query_scalar("select size from checkpoint order by size");
        sizes.fetch_all(&mut conn).await.unwrap()
    };
    // Put into one minute that is over, whatever the time is now.
    let age = "update checkpoint set created_at = timestamp with time zone '2026-01-01 00:00:30Z' where size < 4";
    for size in 1..=3 {
        world.ledger.store_checkpoint(&origin, size, "note").await.unwrap();
        world.tamper(age).await;
    }
    world.ledger.store_checkpoint(&origin, 4, "note").await.unwrap();
    assert_eq!(sizes(&world).await, [1, 4]);
    // The same one with a cosignature is no other one.
    world
        .ledger
        .store_checkpoint(&origin, 4, "note, cosigned")
        .await
        .unwrap();
    assert_eq!(sizes(&world).await, [1, 4]);
    assert_eq!(
        world.ledger.newest_checkpoint().await.unwrap().unwrap().note,
        "note, cosigned"
    );
}

#[tokio::test]
async fn two_ledgers_of_a_database_never_sign_under_one_origin() {
    let world = World::new().await;
    world.ledger.signing_origin("weir/main").await.unwrap();
    let database = world.database.connect().await;
    let other = database.open_or_create(&name("other"), secret()).await.unwrap();
    let refused = other.signing_origin("weir/main").await.unwrap_err().to_string();
    assert!(refused.contains("set another `origin`"), "{refused}");
    other.signing_origin("weir/other").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_signed_for_the_first_time_while_it_is_verified_raises_no_alarm() {
    let world = World::new().await;
    let lease = world.lease("many").await;
    // More than what is read at once, so that the verification is in its middle.
    append(&world.ledger, &lease, 0, 1500).await.unwrap();
    let progress = |done, _| {
        if done == 1000 {
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(sign(&world.ledger)));
        }
    };
    let verification = world.process().await.verify(progress).await.unwrap();
    assert_eq!((verification.checkpoints, verification.findings), (1, vec![]));
}
