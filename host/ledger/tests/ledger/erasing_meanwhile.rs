//! Erasures and whoever reads, writes or verifies at the same time; and a database from before an erasure.

use sqlx::{AssertSqlSafe, PgConnection};
use weir_ledger::{DeadLetter, ErasureError, Selector, Settlement};
use weir_model::Position;

use crate::erasure::{carry_out, erase, item, now, order, people, subject, told};
use crate::support::{TABLE, append, until_blocked};
use crate::tampering::verified;

/// What an attribute's erasure writes, as SQL that writes it again: the rows of bodies and keys as they stand.
async fn as_it_stands(conn: &mut PgConnection) -> String {
    let rows: Vec<String> = sqlx::query_scalar(
        r"select format('update entry set body_key = %s, body = ''\x%s'' where position = %s;', body_key, encode(body, 'hex'),
              position)
          from entry where position = 0
          union all
          select format('update segment_key set wrapped = ''\x%s'' where segment = %s;', encode(wrapped, 'hex'), segment)
          from segment_key",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    rows.concat()
}

/// Between the row and its key, a reader loses a race: the row's key is gone, because another body stands there now.
#[tokio::test]
async fn a_body_whose_attributes_are_erased_while_it_is_read_is_read_without_them() {
    let world = people().await;
    let mut conn = world.conn().await;
    let before = as_it_stands(&mut conn).await;
    erase(&world.ledger, &order(item("1"), &["name"])).await;
    let after = as_it_stands(&mut conn).await;
    let execute = async |conn: &mut PgConnection, sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.unwrap();
    };
    for verifies in [false, true] {
        world.tamper(&before).await;
        let (process, mut other) = (world.process().await, world.conn().await);
        let replica = "set session_replication_role = replica; begin; lock table segment_key in access exclusive mode";
        execute(&mut other, replica.to_owned()).await;
        let read = async {
            if verifies {
                verified(&process).await
            } else {
                told(&process).await
            }
        };
        let erase = async {
            until_blocked(&mut conn, 1).await;
            execute(&mut other, format!("{after} commit")).await;
        };
        let (read, ()) = tokio::join!(read, erase);
        let expected = match verifies {
            true => "6 of 6 checked",
            false => "1:-,Graz 2:bob,Graz 3:ann,Graz 4:cid,Graz erasure erasure",
        };
        assert_eq!(read, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_while_it_is_verified_raises_no_alarm() {
    let world = people().await;
    let lease = world.lease("many").await;
    // More than what is read at once, so that the verification is in its middle.
    append(&world.ledger, &lease, 0, 1500).await.unwrap();
    let keys = world
        .ledger
        .read_at(&[1400])
        .await
        .unwrap()
        .remove(0)
        .body
        .keys
        .unwrap();
    let name = keys.keys().next().unwrap().clone();
    for is_whole in [false, true] {
        let (eraser, verifier) = (world.process().await, world.process().await);
        let (table, keys) = (TABLE.to_owned(), keys.clone());
        let attributes: &[&str] = if is_whole { &[] } else { &[&name] };
        let new = order(Selector::Item { table, keys }, attributes);
        let progress = |done, _| {
            if done == 1000 {
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(erase(&eraser, &new)));
            }
        };
        let verification = verifier.verify(progress).await.unwrap();
        assert!(verification.findings.is_empty(), "{:?}", verification.findings);
        assert!(verification.erased > 0);
        let again = world.process().await.verify(|_, _| ()).await.unwrap();
        assert!(again.findings.is_empty(), "{:?}", again.findings);
    }
}

/// A route works on what it read before the erasure, and gives up afterwards.
#[tokio::test]
async fn a_dead_letter_that_comes_after_an_erasure_says_nothing_of_it() {
    let world = people().await;
    let mut consumer = world.ledger.claim_consumer("route:mail", Position(0)).await.unwrap();
    let letter = |position| DeadLetter {
        delivery: format!("delivery {position}"),
        route: "mail".to_owned(),
        version: 1,
        position: Position(position),
        sink: None,
        code: "plugin-trap".to_owned(),
        reason: "ann is not allowed".to_owned(),
        attempts: 1,
        plugin_digest: None,
        plugin_log: Some("saw ann".to_owned()),
        payload: Some(r#"{"name":"ann"}"#.to_owned()),
        created_at: None,
        is_redriven: false,
        as_new: None,
    };
    // Ordered and done by another process; ordered and not done.
    erase(&world.process().await, &order(item("1"), &["name"])).await;
    world
        .process()
        .await
        .order_erasure(&order(item("3"), &[]), now())
        .await
        .unwrap();
    world
        .ledger
        .settle(
            &mut consumer,
            Position(3),
            &Settlement::of_dead_letters([letter(0), letter(1), letter(2)]),
        )
        .await
        .unwrap();
    let letters = world.ledger.dead_letters(None, 10).await.unwrap();
    let says: Vec<_> = letters
        .iter()
        .map(|letter| (letter.reason.as_str(), letter.payload.is_some()))
        .collect();
    assert_eq!(
        says,
        [("(erased)", false), ("ann is not allowed", true), ("(erased)", false)]
    );
}

/// Numbers of keys that are noted outside of the database outlive it.
#[tokio::test]
async fn in_a_restored_database_what_was_erased_is_erased_again_and_its_keys_are_never_used() {
    let world = people().await;
    let mut conn = world.conn().await;
    let counter = "update body_key_counter set next_number = ";
    let next: i64 = sqlx::query_scalar("select next_number from body_key_counter")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let wrapped: Vec<u8> = sqlx::query_scalar("select wrapped from segment_key")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let ann: i64 = sqlx::query_scalar("select body_key from entry where position = 0")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    // After the back-up more was recorded, and erased together with what is in it.
    let late = world.process().await.take_body_keys(1).await.unwrap().remove(0).number;
    let lost = 3 * 65_536 + 7;
    let destroyed = [ann, late, lost];
    world.ledger.destroy_keys_again(&destroyed).await.unwrap();
    // Now the back-up is put in its place.
    world
        .tamper(&format!(
            "{counter}{next}; update segment_key set wrapped = '\\x{}'",
            hex::encode(wrapped)
        ))
        .await;

    let restored = world.process().await;
    restored.skip_body_keys(&destroyed).await.unwrap();
    let again = order(Selector::BodyKeys(destroyed.to_vec()), &[]);
    restored.order_erasure(&again, now()).await.unwrap();
    assert_eq!(carry_out(&restored).await.unwrap(), 1);
    restored.destroy_keys_again(&destroyed).await.unwrap();
    assert_eq!(restored.keys_that_exist(&destroyed).await.unwrap(), Vec::<i64>::new());
    assert_eq!(
        told(&restored).await,
        "erased 2:bob,Graz 3:ann,Graz 4:cid,Graz erasure erasure"
    );
    assert_eq!(verified(&world.process().await).await, "6 of 6 checked");
    let nothing = restored.order_erasure(&again, now()).await;
    assert!(matches!(nothing, Err(ErasureError::Nothing)), "{nothing:?}");

    // Skipping again skips nothing, in no process.
    let taken = restored.take_body_keys(1).await.unwrap().remove(0).number;
    assert!(taken > lost, "{taken}");
    world.process().await.skip_body_keys(&destroyed).await.unwrap();
    let next = restored.take_body_keys(1).await.unwrap().remove(0).number;
    assert_eq!(next, taken + 1);
}

/// Should the list be lost, a number whose key is gone is passed over.
#[tokio::test]
async fn a_number_whose_key_was_destroyed_is_not_handed_out() {
    let world = people().await;
    let next = world.ledger.take_body_keys(1).await.unwrap().remove(0).number + 1;
    world.ledger.destroy_keys_again(&[next, next + 2]).await.unwrap();
    let taken = world.ledger.take_body_keys(3).await.unwrap();
    let numbers: Vec<i64> = taken.iter().map(|key| key.number).collect();
    assert_eq!(numbers, [next + 1, next + 3, next + 4]);
    erase(&world.ledger, &order(subject("ann"), &[])).await;
}
