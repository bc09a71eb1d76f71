//! A record that Postgres refuses keeps nothing from being recorded but itself.

use std::time::{Duration, Instant};

use expect_test::expect;
use sqlx::AssertSqlSafe;
use weir_ledger::{AppendError, Ledger, ShardBatch, ShardLease};

use crate::support::{World, append, batch, gap, in_one_group, number, seal, seal_unknown, told};
use crate::tampering::verified;

/// From now on Postgres refuses every change with one of these sequence numbers, for such a reason.
async fn refuse(world: &World, table: &str, sequences: &[u64], reason: &str) {
    let is_refused: Vec<String> = sequences
        .iter()
        .map(|sequence| {
            format!(
                r#"(convert_from(new.entry, 'UTF8') like '%"kind":"change"%"sequence":"{sequence}"%'
                    and convert_from(new.entry, 'UTF8') like '%"shard":"a"%')"#
            )
        })
        .collect();
    let sql = format!(
        "create or replace function refuse_some() returns trigger language plpgsql as $$
         begin
             if {} then
                 raise exception 'not this one' using errcode = '{reason}', constraint = 'entries_are_fine';
             end if;
             return new;
         end
         $$;
         create or replace trigger refuse_some before insert on {table} for each row execute function refuse_some()",
        is_refused.join(" or ")
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut world.conn().await)
        .await
        .unwrap();
}

/// Puts an `unknown` entry in the place of the refused record, and appends the rest. Says how long it took.
async fn replace(ledger: &Ledger, lease: &ShardLease, refused: u64, to: u64, whole: &ShardBatch) -> Duration {
    let begun = Instant::now();
    let mut records = vec![seal_unknown(ledger, lease, refused).await];
    let rest = usize::try_from(to - refused).unwrap();
    records.extend_from_slice(&whole.records[whole.records.len() - rest..]);
    ledger.append(batch(lease, refused - 1, to, &records)).await.unwrap();
    begun.elapsed()
}

/// Appends a batch of so many records, of which one is refused, beside other shards.
async fn check(records: u64, refused: u64, reason: &str) {
    let world = World::new().await;
    world.make_partitions().await;
    let leases = [world.lease("a").await, world.lease("b").await, world.lease("c").await];
    for lease in &leases {
        append(&world.ledger, lease, 0, 1).await.unwrap();
    }
    refuse(&world, "entry", &[refused], reason).await;

    let to = 1 + records;
    let mut batches = Vec::new();
    for lease in &leases {
        let sealed = seal(&world.ledger, lease, 2..=to).await;
        batches.push(batch(lease, 1, to, &sealed));
    }
    // Whom it comes before and behind.
    batches.swap(0, 1);
    let answers = in_one_group(&world, &world.ledger, batches.clone()).await;
    assert_eq!(
        answers[1],
        format!("refused the record at {}", refused - 2),
        "{answers:?}"
    );
    assert!(
        answers[0].starts_with("written") && answers[2].starts_with("written"),
        "{answers:?}"
    );

    let sequences = |to: u64| {
        (1..=to)
            .map(|sequence| sequence.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let line = |shard, to| format!("{shard}: {}, at {to}\n", sequences(to));
    assert_eq!(
        world.recorded().await,
        [line("a", refused - 1), line("b", to), line("c", to)].concat()
    );
    // Who repeats it is told to go on from there, or is told the same again.
    let again = world.ledger.append(batches[1].clone()).await;
    assert!(
        matches!(again, Err(AppendError::Moved { .. } | AppendError::Refused { .. })),
        "{}",
        told(&again)
    );

    let took = replace(&world.ledger, &leases[0], refused, to, &batches[1]).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    append(&world.ledger, &leases[0], to, to + 2).await.unwrap();
    let expected = line("a", to + 2).replace(&format!(" {refused} "), &format!(" {refused}? "));
    assert_eq!(
        world.recorded().await,
        [expected, line("b", to), line("c", to)].concat()
    );
    let size = world.ledger.head().await.unwrap().size;
    assert_eq!(
        verified(&world.process().await).await,
        format!("{size} of {size} checked")
    );
}

#[tokio::test]
async fn the_first_record_of_a_batch_is_refused_alone() {
    check(7, 2, "P0001").await;
}

#[tokio::test]
async fn a_record_in_the_middle_of_a_batch_is_refused_alone() {
    for refused in [3, 4, 5, 6, 7] {
        check(7, refused, "P0001").await;
    }
}

#[tokio::test]
async fn the_last_record_of_a_batch_is_refused_alone() {
    check(7, 8, "P0001").await;
}

#[tokio::test]
async fn a_record_that_is_a_batch_of_its_own_is_refused() {
    check(1, 2, "P0001").await;
}

#[tokio::test]
async fn one_record_of_a_thousand_is_refused_alone() {
    check(1000, 778, "P0001").await;
}

#[tokio::test]
async fn a_record_is_refused_alone_whatever_postgres_dislikes_about_it() {
    // Data exception, untranslatable character, check violation, not null violation, program limit exceeded.
    for reason in ["22000", "22P05", "23514", "23502", "54000"] {
        check(3, 3, reason).await;
    }
}

/// The gap is recorded with the record behind it: alone it would not move the shard, and would be recorded again.
#[tokio::test]
async fn a_record_right_behind_a_gap_is_refused_alone() {
    for table in ["entry", "entry_1_0"] {
        let world = World::new().await;
        world.make_partitions().await;
        let lease = world.lease("a").await;
        append(&world.ledger, &lease, 0, 2).await.unwrap();
        refuse(&world, table, &[6], "P0001").await;
        let mut records = vec![gap(&world.ledger, &lease, 2, 6)];
        records.extend(seal(&world.ledger, &lease, 6..=8).await);
        let whole = ShardBatch {
            first: Some(number(6)),
            read: 3,
            ..batch(&lease, 2, 8, &records)
        };
        assert_eq!(
            told(&world.ledger.append(whole.clone()).await),
            "refused the record at 1"
        );
        expect![[r#"
            a: 1 2, at 2
        "#]]
        .assert_eq(&world.recorded().await);
        assert_eq!(
            told(&world.ledger.append(whole.clone()).await),
            "refused the record at 1"
        );

        records[1] = seal_unknown(&world.ledger, &lease, 6).await;
        let rest = ShardBatch {
            records: records.into(),
            ..whole
        };
        let begun = Instant::now();
        world.ledger.append(rest).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        expect![[r#"
            a: 1 2 gap 6? 7 8, at 8
        "#]]
        .assert_eq(&world.recorded().await);
        let told = verified(&world.process().await).await;
        assert!(!told.contains('\n'), "{told}");
    }
}

/// One after the other is found, each with its place.
#[tokio::test]
async fn several_refused_records_of_a_batch_are_found_one_by_one() {
    let world = World::new().await;
    world.make_partitions().await;
    let lease = world.lease("a").await;
    refuse(&world, "entry", &[2, 3, 7], "P0001").await;
    let mut records = seal(&world.ledger, &lease, 1..=8).await;
    let mut after = 0;
    let mut answers = Vec::new();
    loop {
        let left = &records[usize::try_from(after).unwrap()..];
        match world.ledger.append(batch(&lease, after, 8, left)).await {
            Err(AppendError::Refused { index, .. }) => {
                answers.push(format!("after {after}: {index}"));
                after += index as u64;
                records[usize::try_from(after).unwrap()] = seal_unknown(&world.ledger, &lease, after + 1).await;
            }
            answer => {
                answers.push(told(&answer));
                break;
            }
        }
    }
    expect![[r#"
        after 0: 1
        after 1: 1
        after 2: 4
        written at 6, the head has 8"#]]
    .assert_eq(&answers.join("\n"));
    expect![[r#"
        a: 1 2? 3? 4 5 6 7? 8, at 8
    "#]]
    .assert_eq(&world.recorded().await);
    expect!["8 of 8 checked"].assert_eq(&verified(&world.process().await).await);
}
