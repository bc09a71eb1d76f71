//! Who may record a shard: one at a time, parents before children.

use expect_test::expect;
use weir_ledger::{ClaimError, ShardLease};

use crate::support::{World, append, append_end, batch, seal, told, until_blocked};

fn claimed(result: &Result<ShardLease, ClaimError>) -> String {
    match result {
        Ok(lease) => {
            let position = lease
                .position
                .as_ref()
                .map_or("its begin", |position| position.as_str());
            format!("taken at {position}, epoch {}", lease.epoch)
        }
        Err(error) => error.to_string(),
    }
}

/// streams.md 39.
#[tokio::test]
async fn an_append_under_an_older_epoch_writes_nothing() {
    let world = World::new().await;
    let old = world.lease("a").await;
    append(&world.ledger, &old, 0, 1).await.unwrap();
    let other = world.process().await;
    let new = world.claim(&other, "a").await.unwrap();

    let mut told_all = vec![claimed(&Ok(new.clone()))];
    for (ledger, lease, after, to) in [
        (&world.ledger, &old, 1, 2),
        // Not even what is there already is acknowledged to who lost the shard.
        (&world.ledger, &old, 0, 1),
        (&other, &new, 1, 2),
        (&world.ledger, &old, 2, 3),
    ] {
        told_all.push(told(&append(ledger, lease, after, to).await));
    }
    told_all.push(told(&append_end(&world.ledger, &old, 2).await));
    told_all.push(world.recorded().await);
    expect![[r#"
        taken at 1, epoch 2
        fenced: 1 by 2
        fenced: 1 by 2
        written at 2, the head has 3
        fenced: 1 by 2
        fenced: 1 by 2
        a: 1 2, at 2
    "#]]
    .assert_eq(&told_all.join("\n"));
}

#[tokio::test]
async fn a_take_over_waits_for_an_append_in_flight() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 1).await.unwrap();
    let records = seal(&world.ledger, &lease, 2..=3).await;
    let other = world.process().await;

    // Rows can be locked, but none can be written.
    let (mut watch, mut brake) = (world.conn().await, world.conn().await);
    sqlx::raw_sql("begin; lock table entry in share mode")
        .execute(&mut brake)
        .await
        .unwrap();
    let in_flight = world.ledger.append(batch(&lease, 1, 3, &records));
    let take_over = async {
        until_blocked(&mut watch, 1).await;
        let claim = world.claim(&other, "a");
        let release = async {
            until_blocked(&mut watch, 2).await;
            sqlx::raw_sql("rollback").execute(&mut brake).await.unwrap();
        };
        tokio::join!(claim, release).0
    };
    let (appended, taken) = tokio::join!(in_flight, take_over);

    expect!["written at 1, the head has 3"].assert_eq(&told(&appended));
    expect!["taken at 3, epoch 2"].assert_eq(&claimed(&taken));
}

#[tokio::test]
async fn an_append_waits_for_a_take_over_in_flight_and_is_fenced_by_it() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let records = seal(&world.ledger, &lease, 1..=2).await;

    let (mut watch, mut other) = (world.conn().await, world.conn().await);
    sqlx::raw_sql("begin; update shard set epoch = epoch + 1")
        .execute(&mut other)
        .await
        .unwrap();
    let commit = async {
        until_blocked(&mut watch, 1).await;
        sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    };
    let (appended, ()) = tokio::join!(world.ledger.append(batch(&lease, 0, 2, &records)), commit);

    expect!["fenced: 1 by 2"].assert_eq(&told(&appended));
    expect![[r#"
        a:, at begin
    "#]]
    .assert_eq(&world.recorded().await);
}

#[tokio::test]
async fn an_append_waits_its_turn_at_the_head() {
    let world = World::new().await;
    let (a, b) = (world.lease("a").await, world.lease("b").await);
    append(&world.ledger, &a, 0, 1).await.unwrap();
    let records = seal(&world.ledger, &b, 1..=1).await;

    let (mut watch, mut first) = (world.conn().await, world.conn().await);
    sqlx::raw_sql("begin; select from ledger_head for update")
        .execute(&mut first)
        .await
        .unwrap();
    let release = async {
        until_blocked(&mut watch, 1).await;
        sqlx::raw_sql("rollback").execute(&mut first).await.unwrap();
    };
    let (appended, ()) = tokio::join!(world.ledger.append(batch(&b, 0, 1, &records)), release);
    expect!["written at 1, the head has 2"].assert_eq(&told(&appended));
}

/// streams.md 1.
#[tokio::test]
async fn a_child_is_claimed_after_its_parent_is_finished() {
    let world = World::new().await;
    let parent = world.lease("parent").await;
    world.enter("child", Some("parent")).await;
    let mut told_all = vec![claimed(&world.claim(&world.ledger, "child").await)];
    append(&world.ledger, &parent, 0, 2).await.unwrap();
    told_all.push(claimed(&world.claim(&world.ledger, "child").await));
    append_end(&world.ledger, &parent, 2).await.unwrap();
    let child = world.claim(&world.ledger, "child").await;
    told_all.push(claimed(&child));
    append(&world.ledger, &child.unwrap(), 0, 1).await.unwrap();
    told_all.push(world.recorded().await);
    expect![[r#"
        the parent of shard child is not finished
        the parent of shard child is not finished
        taken at its begin, epoch 1
        child: 1, at 1
        parent: 1 2, at 2, finished
    "#]]
    .assert_eq(&told_all.join("\n"));
}

/// A stream lists shards for a day: the parent of its oldest shards is gone.
#[tokio::test]
async fn a_child_whose_parent_was_never_known_is_claimed() {
    let world = World::new().await;
    world.enter("child", Some("forgotten")).await;
    expect!["taken at its begin, epoch 1"].assert_eq(&claimed(&world.claim(&world.ledger, "child").await));
}

#[tokio::test]
async fn a_finished_shard_is_not_claimed_again() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append_end(&world.ledger, &lease, 0).await.unwrap();
    expect!["shard a is finished"].assert_eq(&claimed(&world.claim(&world.ledger, "a").await));
}

#[tokio::test]
async fn an_unknown_shard_is_not_claimed() {
    let world = World::new().await;
    expect!["shard a is not known"].assert_eq(&claimed(&world.claim(&world.ledger, "a").await));
}

#[tokio::test]
async fn entering_a_shard_again_changes_nothing() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 2).await.unwrap();
    world.enter("a", None).await;
    assert_eq!(
        told(&append(&world.ledger, &lease, 2, 3).await),
        "written at 2, the head has 3"
    );
    expect!["taken at 3, epoch 2"].assert_eq(&claimed(&world.claim(&world.ledger, "a").await));
}
