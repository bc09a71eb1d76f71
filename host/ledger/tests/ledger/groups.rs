//! Appends of one process are gathered: many shards go in one transaction, and each is answered for itself.

use std::collections::BTreeSet;
use std::time::Duration;

use expect_test::expect;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use weir_ledger::{AppendError, Appended, Ledger, ShardBatch, ShardLease};

use crate::support::{
    Fault, PATIENCE, Shuffled, Strike, World, append, append_end, batch, end, head_locked, in_one_group, seal, told,
    transactions,
};
use crate::tampering::verified;

/// Leases of as many shards: `s00`, `s01`, ...
async fn leases(world: &World, count: usize) -> Vec<ShardLease> {
    let mut leases = Vec::new();
    for shard in 0..count {
        leases.push(world.lease(&format!("s{shard:02}")).await);
    }
    leases
}

async fn sealed(ledger: &Ledger, lease: &ShardLease, after: u64, to: u64) -> ShardBatch {
    batch(lease, after, to, &seal(ledger, lease, after + 1..=to).await)
}

#[tokio::test]
async fn shards_that_wait_at_once_are_written_in_one_transaction() {
    let world = World::new().await;
    let mut batches = Vec::new();
    for lease in leases(&world, 40).await {
        batches.push(sealed(&world.ledger, &lease, 0, 3).await);
    }
    let answers = in_one_group(&world, &world.ledger, batches).await;
    assert!(
        answers.iter().all(|answer| answer.starts_with("written")),
        "{answers:?}"
    );
    assert_eq!(transactions(&mut world.conn().await).await, 1);
    let expected: String = (0..40).map(|shard| format!("s{shard:02}: 1 2 3, at 3\n")).collect();
    assert_eq!(world.recorded().await, expected);
    expect!["120 of 120 checked"].assert_eq(&verified(&world.process().await).await);
}

#[tokio::test]
async fn shards_that_are_appended_again_and_again_share_their_transactions() {
    let world = World::new().await;
    world.make_partitions().await;
    let mut tasks = JoinSet::new();
    for lease in leases(&world, 40).await {
        let ledger = world.ledger.clone();
        tasks.spawn(async move {
            for after in [0, 2, 4, 6, 8] {
                append(&ledger, &lease, after, after + 2).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let transactions = transactions(&mut world.conn().await).await;
    assert!(transactions <= 50, "{transactions} transactions for 200 batches");
    let expected: String = (0..40)
        .map(|shard| format!("s{shard:02}: 1 2 3 4 5 6 7 8 9 10, at 10\n"))
        .collect();
    assert_eq!(world.recorded().await, expected);
    expect!["400 of 400 checked"].assert_eq(&verified(&world.process().await).await);
}

#[tokio::test]
async fn batches_of_one_shard_in_one_group_are_written_in_their_order() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let mut batches = Vec::new();
    for (after, to) in [(0, 2), (2, 3), (3, 6), (3, 6), (7, 8), (6, 7)] {
        batches.push(sealed(&world.ledger, &lease, after, to).await);
    }
    let answers = in_one_group(&world, &world.ledger, batches).await;
    assert!(
        answers[..3].iter().all(|answer| answer.starts_with("written"))
            && answers[3] == "already there"
            && answers[4] == "moved: stands at 6"
            && answers[5].starts_with("written"),
        "{answers:?}"
    );
    expect![[r#"
        a: 1 2 3 4 5 6 7, at 7
    "#]]
    .assert_eq(&world.recorded().await);
}

/// Each is answered for itself: who was fenced, who stands elsewhere, whose parent is open, and who may go on.
#[tokio::test]
async fn who_may_not_append_keeps_nobody_else_of_the_group_from_it() {
    let world = World::new().await;
    world.enter("child", Some("parent")).await;
    let child = world.claim(&world.ledger, "child").await.unwrap();
    world.lease("parent").await;
    let [fenced, moved, well] = [world.lease("a").await, world.lease("b").await, world.lease("c").await];
    world.claim(&world.ledger, "a").await.unwrap();
    let batches = vec![
        sealed(&world.ledger, &fenced, 0, 1).await,
        sealed(&world.ledger, &moved, 5, 6).await,
        sealed(&world.ledger, &child, 0, 1).await,
        sealed(&world.ledger, &well, 0, 2).await,
    ];
    expect![[r#"
        fenced: 1 by 2
        moved: stands at its begin
        its parent is open
        written at 0, the head has 2"#]]
    .assert_eq(&in_one_group(&world, &world.ledger, batches).await.join("\n"));
    expect![[r#"
        a:, at begin
        b:, at begin
        c: 1 2, at 2
        child:, at begin
        parent:, at begin
    "#]]
    .assert_eq(&world.recorded().await);
}

/// A child that was taken before its parent was known, and the parent.
async fn parent_and_child(world: &World) -> (ShardLease, ShardLease) {
    world.enter("child", Some("parent")).await;
    let child = world.claim(&world.ledger, "child").await.unwrap();
    let parent = world.lease("parent").await;
    append(&world.ledger, &parent, 0, 2).await.unwrap();
    (parent, child)
}

#[tokio::test]
async fn a_child_begins_in_the_group_in_which_its_parent_ends() {
    let world = World::new().await;
    let (parent, child) = parent_and_child(&world).await;
    let last = seal(&world.ledger, &parent, 3..=3).await;
    let batches = vec![
        end(&parent, 2, Some(3), &last),
        sealed(&world.ledger, &child, 0, 2).await,
    ];
    let answers = in_one_group(&world, &world.ledger, batches).await;
    assert!(
        answers.iter().all(|answer| answer.starts_with("written")),
        "{answers:?}"
    );
    // The first two records of the parent are of another one.
    assert_eq!(transactions(&mut world.conn().await).await, 2);
    expect![[r#"
        child: 1 2, at 2
        parent: 1 2 3, at 3, finished
    "#]]
    .assert_eq(&world.recorded().await);
    let first_of_child: i64 = sqlx::query_scalar(
        r#"select min(position) from entry where convert_from(entry, 'UTF8') like '%"shard":"child"%'"#,
    )
    .fetch_one(&mut world.conn().await)
    .await
    .unwrap();
    let last_of_parent: i64 = sqlx::query_scalar(
        r#"select max(position) from entry where convert_from(entry, 'UTF8') like '%"shard":"parent"%'"#,
    )
    .fetch_one(&mut world.conn().await)
    .await
    .unwrap();
    assert!(last_of_parent < first_of_child, "{last_of_parent} {first_of_child}");
    assert!(!verified(&world.process().await).await.contains('\n'));
}

#[tokio::test]
async fn a_child_does_not_begin_in_a_group_in_which_its_parent_goes_on() {
    let world = World::new().await;
    let (parent, child) = parent_and_child(&world).await;
    let batches = vec![
        sealed(&world.ledger, &parent, 2, 4).await,
        sealed(&world.ledger, &child, 0, 2).await,
    ];
    expect![[r#"
        written at 2, the head has 4
        its parent is open"#]]
    .assert_eq(&in_one_group(&world, &world.ledger, batches).await.join("\n"));
    expect![[r#"
        child:, at begin
        parent: 1 2 3 4, at 4
    "#]]
    .assert_eq(&world.recorded().await);
}

/// Where the child comes first, its parent is open still. Tried again, it is recorded.
#[tokio::test]
async fn a_child_that_stands_before_the_end_of_its_parent_is_told_to_come_again() {
    let world = World::new().await;
    let (parent, child) = parent_and_child(&world).await;
    let first = sealed(&world.ledger, &child, 0, 2).await;
    let batches = vec![first.clone(), end(&parent, 2, None, &[])];
    let answers = in_one_group(&world, &world.ledger, batches).await;
    assert!(answers[1].starts_with("written"), "{answers:?}");
    if answers[0] == "its parent is open" {
        world.ledger.append(first).await.unwrap();
    }
    expect![[r#"
        child: 1 2, at 2
        parent: 1 2, at 2, finished
    "#]]
    .assert_eq(&world.recorded().await);
    assert!(!verified(&world.process().await).await.contains('\n'));
}

#[tokio::test]
async fn a_group_whose_commit_was_cut_and_that_is_appended_again_is_written_once() {
    for fault in Fault::CUTS {
        let world = World::new().await;
        let wire = world.wire();
        let process = world.process_over(&wire).await;
        let mut batches = Vec::new();
        for lease in leases(&world, 5).await {
            batches.push(sealed(&process, &lease, 0, 2).await);
        }
        wire.arm(Strike::Commit, fault);
        let first = in_one_group(&world, &process, batches.clone()).await;
        assert!(wire.calm(), "a group ends with a commit");
        assert_eq!(first, vec!["failed"; 5], "{fault:?}");
        let again = in_one_group(&world, &process, batches).await;
        let expected = match fault {
            Fault::Before => "written",
            _ => "already there",
        };
        assert!(
            fault == Fault::During || again.iter().all(|answer| answer.starts_with(expected)),
            "{fault:?}: {again:?}"
        );
        assert_eq!(transactions(&mut world.conn().await).await, 1, "{fault:?}");
        let expected: String = (0..5).map(|shard| format!("s{shard:02}: 1 2, at 2\n")).collect();
        assert_eq!(world.recorded().await, expected, "{fault:?}");
        expect!["10 of 10 checked"].assert_eq(&verified(&world.process().await).await);
    }
}

/// Who leads is cancelled at each of its requests: nobody waits for it, and what it had in hand may be appended again.
#[tokio::test]
async fn who_leads_a_group_may_be_dropped_at_any_request() {
    let world = World::new().await;
    world.make_partitions().await;
    let leases = leases(&world, 4).await;
    for request in 0.. {
        let wire = world.wire();
        let process = world.process_over(&wire).await;
        let mut batches = Vec::new();
        for lease in &leases {
            batches.push(sealed(&process, lease, request, request + 1).await);
        }
        let leader = batches.remove(0);
        wire.arm(Strike::After(usize::try_from(request).unwrap()), Fault::Frozen);
        let leads = tokio::spawn({
            let (process, leader) = (process.clone(), leader.clone());
            async move { process.append(leader).await }
        });
        let others: Vec<_> = batches
            .iter()
            .cloned()
            .map(|batch| {
                let process = process.clone();
                tokio::spawn(async move { process.append(batch).await })
            })
            .collect();
        let was_struck = tokio::select! {
            () = wire.struck() => true,
            () = finished(&others) => false,
        };
        leads.abort();
        let _ = leads.await;
        wire.thaw();
        for (other, batch) in others.into_iter().zip(batches) {
            answered(&process, other, batch).await;
        }
        wire.calm();
        append_again(&process, leader).await;
        if !was_struck {
            assert!(request > 2, "a write is a few requests, not {request}");
            break;
        }
    }
    let told = world.recorded().await;
    let shards: BTreeSet<&str> = told.lines().map(|line| &line[3..]).collect();
    assert_eq!(shards.len(), 1, "{told}");
    assert!(!verified(&world.process().await).await.contains('\n'));
}

/// Waits for an answer. Whose group was dropped may be told that nobody knows what became of it, and may try again.
async fn answered(ledger: &Ledger, answer: JoinHandle<Result<Appended, AppendError>>, batch: ShardBatch) {
    let answer = timeout(PATIENCE, answer).await.expect("it hangs").unwrap();
    match answer {
        Ok(_) => {}
        Err(error) if error.may_retry() => append_again(ledger, batch).await,
        answer => panic!("{}", told(&answer)),
    }
}

/// A connection that a dropped append left in the middle of something fails once.
async fn append_again(ledger: &Ledger, batch: ShardBatch) {
    for _ in 0..3 {
        match timeout(PATIENCE, ledger.append(batch.clone())).await.expect("it hangs") {
            Ok(_) => return,
            Err(error) if error.may_retry() => {}
            answer => panic!("{}", told(&answer)),
        }
    }
    panic!("it fails again and again");
}

async fn finished<T>(tasks: &[JoinHandle<T>]) {
    while !tasks.iter().all(JoinHandle::is_finished) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_waits_in_a_group_may_be_dropped() {
    let world = World::new().await;
    let leases = leases(&world, 6).await;
    for dropped in 0..6 {
        let after = 2 * dropped as u64;
        let mut batches = Vec::new();
        for lease in &leases {
            batches.push(sealed(&world.ledger, lease, after, after + 2).await);
        }
        let mut answers = head_locked(&world, &world.ledger, batches.clone()).await;
        let (gone, batch) = (answers.remove(dropped), batches.remove(dropped));
        gone.abort();
        for (answer, batch) in answers.into_iter().zip(batches) {
            answered(&world.ledger, answer, batch).await;
        }
        append_again(&world.ledger, batch).await;
    }
    let line = |shard| format!("s{shard:02}: 1 2 3 4 5 6 7 8 9 10 11 12, at 12\n");
    assert_eq!(world.recorded().await, (0..6).map(line).collect::<String>());
    expect!["72 of 72 checked"].assert_eq(&verified(&world.process().await).await);
}

/// Batches of any size, repeated at random, by two processes that take the shards from each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_with_several_shards_each_make_one_ledger() {
    let mut seeds = Shuffled::new();
    let world = World::new().await;
    world.make_partitions().await;
    let processes = [world.ledger.clone(), world.process().await];
    let world = std::sync::Arc::new(world);
    let mut tasks = JoinSet::new();
    for (index, lease) in leases(&world, 8).await.into_iter().enumerate() {
        let mut shuffled = Shuffled::from_seed(seeds.below(u64::MAX));
        let (processes, world) = (processes.clone(), std::sync::Arc::clone(&world));
        tasks.spawn(async move {
            let (mut holder, mut lease, mut after) = (index % 2, lease, 0);
            while after < 60 {
                let to = after + 1 + shuffled.below(7);
                let records = seal(&processes[holder], &lease, after + 1..=to).await;
                let next = batch(&lease, after, to, &records);
                if shuffled.below(4) == 0 {
                    // The other process takes the shard in the meantime, so one of them is too late.
                    let ours = tokio::spawn({
                        let (process, next) = (processes[holder].clone(), next.clone());
                        async move { process.append(next).await }
                    });
                    holder = 1 - holder;
                    lease = world.claim(&processes[holder], lease.shard.as_str()).await.unwrap();
                    match ours.await.unwrap() {
                        Ok(_) => after = to,
                        Err(AppendError::Fenced { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    let stands = lease.position.as_ref().map_or(0, |at| at.as_str().parse().unwrap());
                    assert_eq!(stands, after);
                    continue;
                }
                processes[holder].append(next.clone()).await.unwrap();
                if shuffled.below(3) == 0 {
                    assert_eq!(told(&processes[holder].append(next).await), "already there");
                }
                after = to;
            }
            append_end(&processes[holder], &lease, after).await.unwrap();
            after
        });
    }
    timeout(PATIENCE, tasks.join_all()).await.expect("it hangs");
    for line in world.recorded().await.lines() {
        let last: u64 = line
            .split(", ")
            .nth(1)
            .unwrap()
            .strip_prefix("at ")
            .unwrap()
            .parse()
            .unwrap();
        let all: Vec<String> = (1..=last).map(|sequence| sequence.to_string()).collect();
        assert_eq!(&line[3..], format!(": {}, at {last}, finished", all.join(" ")));
    }
    let told = verified(&world.process().await).await;
    assert!(!told.contains('\n'), "{told}");
}

/// The longest that anything of a group waits for is one commit, not a time.
#[tokio::test]
async fn one_append_alone_does_not_wait_for_others() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 1).await.unwrap();
    let begun = std::time::Instant::now();
    for after in 1..51 {
        append(&world.ledger, &lease, after, after + 1).await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
