//! Orders to erase and to hold: what they are about goes or stays, and everything else is proved as before.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use sqlx::PgConnection;
use weir_evidence::{Body, Entry, EntryKind, ErasureStage};
use weir_ledger::{ErasureError, Ledger, NewErasure, NewHold, Selector, ShardLease};
use weir_model::{AttributeValue, Position};

use crate::support::{HAPPENED_S, TABLE, World, at_every_cut, attributes, batch, item_keys, seal_body, seal_body_at};
use crate::tampering::verified;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(HAPPENED_S + 1000).unwrap()
}

pub(crate) fn item(item: &str) -> Selector {
    Selector::Item {
        table: TABLE.to_owned(),
        keys: item_keys(item),
    }
}

pub(crate) fn subject(name: &str) -> Selector {
    Selector::Subject {
        attribute: "name".to_owned(),
        value: AttributeValue::text(name),
    }
}

pub(crate) fn order(selector: Selector, attributes: &[&str]) -> NewErasure {
    NewErasure {
        selector,
        attributes: attributes.iter().map(|&name| name.to_owned()).collect(),
        basis: "a request".to_owned(),
        approver: "eve".to_owned(),
    }
}

pub(crate) fn hold(selector: Selector) -> NewHold {
    NewHold {
        selector,
        reason: "a law suit".to_owned(),
        approver: "judge".to_owned(),
    }
}

/// How many orders are done now, or why one is not.
pub(crate) async fn carry_out(ledger: &Ledger) -> Result<usize, ErasureError> {
    let carried_out = ledger.carry_out_erasures(now, |_| Ok(())).await?;
    match carried_out.waiting.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(carried_out.done.len()),
    }
}

pub(crate) async fn erase(ledger: &Ledger, new: &NewErasure) {
    ledger.order_erasure(new, now()).await.unwrap();
    assert_eq!(carry_out(ledger).await.unwrap(), 1);
}

/// Appends one change of `item` with this body.
pub(crate) async fn record(ledger: &Ledger, lease: &ShardLease, sequence: u64, item: &str, body: &Body) {
    let numbered = ledger.take_body_keys(1).await.unwrap().remove(0);
    let record = seal_body(ledger, lease, sequence, item, body, &numbered);
    ledger
        .append(batch(lease, sequence - 1, sequence, &[record]))
        .await
        .unwrap();
}

/// A ledger of people, one change each, a second apart: `ann`, `bob`, `ann` under another key, `cid`.
pub(crate) async fn people() -> World {
    let world = World::new().await;
    let lease = world.lease("a").await;
    for (sequence, (id, name)) in (1..).zip([("1", "ann"), ("2", "bob"), ("3", "ann"), ("4", "cid")]) {
        let body = Body {
            keys: Some(item_keys(id)),
            new: Some(attributes(&[("id", id), ("name", name), ("city", "Graz")])),
            ..Body::default()
        };
        let numbered = world.ledger.take_body_keys(1).await.unwrap().remove(0);
        let at = (sequence, HAPPENED_S + i64::try_from(sequence).unwrap());
        let record = seal_body_at(&world.ledger, &lease, at, id, &body, &numbered);
        world
            .ledger
            .append(batch(&lease, sequence - 1, sequence, &[record]))
            .await
            .unwrap();
    }
    world
}

/// What a process reads of the people: `0 1:ann,Graz 1 erased ...`.
pub(crate) async fn told(ledger: &Ledger) -> String {
    let mut told = Vec::new();
    for entry in ledger.read_from(Position(0), 1000).await.unwrap() {
        let EntryKind::Change { .. } = entry.entry.kind else {
            told.push(entry.entry.kind_name().to_owned());
            continue;
        };
        let new = entry.body.new.as_ref();
        let attribute = |name| new.and_then(|new| new.get(name)?.as_text()).unwrap_or("-");
        told.push(match entry.is_erased {
            true => "erased".to_owned(),
            false => format!("{}:{},{}", attribute("id"), attribute("name"), attribute("city")),
        });
    }
    told.join(" ")
}

async fn check(new: &NewErasure, expect: Expect) {
    let world = people().await;
    erase(&world.ledger, new).await;
    let other = world.process().await;
    expect.assert_eq(&format!("{}\n{}", told(&other).await, verified(&other).await));
    assert_eq!(told(&world.ledger).await, told(&other).await);
    // Nothing is left to do.
    assert_eq!(carry_out(&other).await.unwrap(), 0);
}

#[tokio::test]
async fn an_item_is_erased() {
    check(
        &order(item("1"), &[]),
        expect![[r#"
        erased 2:bob,Graz 3:ann,Graz 4:cid,Graz erasure erasure
        6 of 6 checked"#]],
    )
    .await;
}

#[tokio::test]
async fn a_subject_is_erased_wherever_it_stands() {
    check(
        &order(subject("ann"), &[]),
        expect![[r#"
        erased 2:bob,Graz erased 4:cid,Graz erasure erasure
        6 of 6 checked"#]],
    )
    .await;
}

#[tokio::test]
async fn an_attribute_is_erased_and_the_others_stay() {
    check(
        &order(item("1"), &["name"]),
        expect![[r#"
        1:-,Graz 2:bob,Graz 3:ann,Graz 4:cid,Graz erasure erasure
        6 of 6 checked"#]],
    )
    .await;
    check(
        &order(subject("ann"), &["name", "city"]),
        expect![[r#"
        1:-,- 2:bob,Graz 3:-,- 4:cid,Graz erasure erasure
        6 of 6 checked"#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_older_than_its_time_is_erased() {
    let before = Timestamp::from_second(HAPPENED_S + 3).unwrap();
    check(
        &order(Selector::OlderThan(before), &[]),
        expect![[r#"
        erased erased 3:ann,Graz 4:cid,Graz erasure erasure
        6 of 6 checked"#]],
    )
    .await;
}

#[tokio::test]
async fn nothing_is_ordered_about_what_was_never_recorded() {
    let world = people().await;
    for selector in [item("9"), subject("nobody"), Selector::OlderThan(Timestamp::UNIX_EPOCH)] {
        let refused = world.ledger.order_erasure(&order(selector, &[]), now()).await;
        assert!(matches!(refused, Err(ErasureError::Nothing)), "{refused:?}");
    }
    assert_eq!(world.ledger.head().await.unwrap().size, 4);
}

#[tokio::test]
async fn an_emptied_body_without_an_order_is_told_beside_those_with_one() {
    let world = people().await;
    erase(&world.ledger, &order(subject("ann"), &[])).await;
    world
        .tamper("update entry set body = null, body_key = null where position = 1")
        .await;
    let told = verified(&world.process().await).await;
    assert!(
        told.contains("position 1: the body is gone, and no erasure covers it"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[tokio::test]
async fn what_is_held_is_not_erased_until_it_is_released() {
    let world = people().await;
    let held = world.ledger.place_hold(&hold(item("1")), now()).await.unwrap();
    for selector in [item("1"), subject("ann")] {
        let refused = world.ledger.order_erasure(&order(selector, &[]), now()).await;
        assert!(matches!(refused, Err(ErasureError::Held { .. })), "{refused:?}");
    }
    // Of an age, what is not held goes.
    erase(&world.ledger, &order(Selector::OlderThan(now()), &[])).await;
    expect!["1:ann,Graz erased erased erased hold erasure erasure"].assert_eq(&told(&world.ledger).await);
    assert!(!verified(&world.process().await).await.contains('\n'));

    world
        .ledger
        .release_hold(&held.id, "it is over", "judge", now())
        .await
        .unwrap();
    assert_eq!(world.ledger.holds().await.unwrap(), []);
    erase(&world.ledger, &order(item("1"), &[])).await;
    expect!["erased erased erased erased hold erasure erasure hold erasure erasure"]
        .assert_eq(&told(&world.process().await).await);
    assert!(!verified(&world.process().await).await.contains('\n'));
}

#[tokio::test]
async fn a_hold_placed_after_the_order_stops_it_and_its_release_lets_it_go_on() {
    for selector in [item("3"), subject("ann")] {
        let world = people().await;
        world
            .ledger
            .order_erasure(&order(subject("ann"), &[]), now())
            .await
            .unwrap();
        let held = world.process().await.place_hold(&hold(selector), now()).await.unwrap();
        for _ in 0..2 {
            let stopped = carry_out(&world.ledger).await;
            assert!(matches!(stopped, Err(ErasureError::Held { .. })), "{stopped:?}");
        }
        let left = told(&world.process().await).await;
        assert!(left.contains("3:ann,Graz"), "{left}");
        assert!(!verified(&world.process().await).await.contains('\n'));
        world
            .ledger
            .release_hold(&held.id, "it is over", "judge", now())
            .await
            .unwrap();
        assert_eq!(carry_out(&world.process().await).await.unwrap(), 1);
        expect!["erased 2:bob,Graz erased 4:cid,Graz erasure hold hold erasure"]
            .assert_eq(&told(&world.process().await).await);
        assert!(!verified(&world.process().await).await.contains('\n'));
    }
}

/// Nothing is destroyed before the journal has it: it is what a restored database is held against.
#[tokio::test]
async fn a_journal_that_cannot_be_written_stops_the_erasure() {
    let world = people().await;
    world
        .ledger
        .order_erasure(&order(subject("ann"), &[]), now())
        .await
        .unwrap();
    let stopped = world
        .ledger
        .carry_out_erasures(now, |_| Err(std::io::Error::other("the disk is full")))
        .await
        .unwrap();
    assert!(
        matches!(&stopped.waiting[..], [(_, ErasureError::Journal(_))]),
        "{stopped:?}"
    );
    expect!["1:ann,Graz 2:bob,Graz 3:ann,Graz 4:cid,Graz erasure"].assert_eq(&told(&world.process().await).await);

    let noted = std::sync::Mutex::new(Vec::new());
    world
        .ledger
        .carry_out_erasures(now, |keys| {
            noted.lock().unwrap().extend_from_slice(keys);
            Ok(())
        })
        .await
        .unwrap();
    let noted = noted.into_inner().unwrap();
    assert_eq!(noted.len(), 2);
    assert_eq!(
        world.process().await.keys_that_exist(&noted).await.unwrap(),
        Vec::<i64>::new()
    );
}

#[tokio::test]
async fn an_erasure_cut_anywhere_is_carried_out_by_whoever_comes_next() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let mut cases = 0;
    at_every_cut(&world, async |case| {
        let id = case.number.to_string();
        let body = Body {
            keys: Some(item_keys(&id)),
            new: Some(attributes(&[("id", &id), ("name", "ann")])),
            ..Body::default()
        };
        record(&world.ledger, &lease, case.number + 1, &id, &body).await;
        let attributes: &[&str] = if case.number % 2 == 0 { &[] } else { &["name"] };
        world
            .ledger
            .order_erasure(&order(item(&id), attributes), now())
            .await
            .unwrap();
        case.arm();
        let _ = carry_out(&case.process).await;
        case.calm();
        carry_out(&world.ledger).await.unwrap();
        assert!(
            world
                .ledger
                .erasures()
                .await
                .unwrap()
                .iter()
                .all(|erasure| erasure.done_at.is_some())
        );
        cases += 1;
    })
    .await;
    let told = told(&world.process().await).await;
    assert!(!told.contains("ann"), "{told}");
    let (mut intents, mut done) = (BTreeSet::new(), BTreeSet::new());
    for entry in stored(&mut world.conn().await).await {
        if let EntryKind::Erasure(order) = entry.kind {
            let stage = match order.stage {
                ErasureStage::Intent => &mut intents,
                ErasureStage::Done => &mut done,
            };
            assert!(stage.insert(order.id), "twice");
        }
    }
    assert_eq!((intents.len(), &intents), (cases, &done));
    let told = verified(&world.process().await).await;
    assert!(!told.contains('\n'), "{told}");
}

async fn stored(conn: &mut PgConnection) -> Vec<Entry> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar("select entry from entry order by position")
        .fetch_all(conn)
        .await
        .unwrap();
    rows.iter().map(|bytes| Entry::decode(bytes).unwrap()).collect()
}

/// A law suit over one person keeps nobody else's erasure waiting.
#[tokio::test]
async fn an_order_that_is_held_up_keeps_no_other_waiting() {
    let world = people().await;
    for name in ["ann", "bob"] {
        let ordered = world.ledger.order_erasure(&order(subject(name), &[]), now()).await;
        assert_eq!(ordered.unwrap().len(), 1);
    }
    world.ledger.place_hold(&hold(item("3")), now()).await.unwrap();
    let carried_out = world.ledger.carry_out_erasures(now, |_| Ok(())).await.unwrap();
    assert_eq!(carried_out.done.len(), 1);
    assert!(
        matches!(&carried_out.waiting[..], [(_, ErasureError::Held { .. })]),
        "{carried_out:?}"
    );
    expect!["1:ann,Graz erased 3:ann,Graz 4:cid,Graz erasure erasure hold erasure"]
        .assert_eq(&told(&world.process().await).await);
    assert!(!verified(&world.process().await).await.contains('\n'));
}

#[tokio::test]
async fn retention_passes_over_what_is_held_since_and_finds_it_again_after_the_release() {
    let world = people().await;
    let retention = order(Selector::OlderThan(now()), &[]);
    world.ledger.order_erasure(&retention, now()).await.unwrap();
    let held = world.ledger.place_hold(&hold(item("2")), now()).await.unwrap();
    // What waits is not ordered again, though nothing of it is gone yet.
    let again = world.ledger.order_erasure(&retention, now()).await;
    assert!(matches!(again, Err(ErasureError::Nothing)), "{again:?}");
    let other = world.process().await;
    let again = other.order_erasure(&retention, now()).await;
    assert!(matches!(again, Err(ErasureError::Nothing)), "{again:?}");

    assert_eq!(carry_out(&world.ledger).await.unwrap(), 1);
    expect!["erased 2:bob,Graz erased erased erasure hold erasure"].assert_eq(&told(&world.ledger).await);
    assert!(!verified(&world.process().await).await.contains('\n'));
    for ledger in [&world.ledger, &other] {
        let again = ledger.order_erasure(&retention, now()).await;
        assert!(matches!(again, Err(ErasureError::Nothing)), "{again:?}");
    }
    world
        .ledger
        .release_hold(&held.id, "it is over", "judge", now())
        .await
        .unwrap();
    erase(&world.ledger, &retention).await;
    expect!["erased erased erased erased erasure hold erasure hold erasure erasure"]
        .assert_eq(&told(&world.process().await).await);
    assert!(!verified(&world.process().await).await.contains('\n'));
}

/// Of an item, not every image has every attribute.
#[tokio::test]
async fn bodies_without_the_attribute_are_no_part_of_its_erasure() {
    let world = people().await;
    let lease = world.lease("b").await;
    let without = Body {
        keys: Some(item_keys("1")),
        new: Some(attributes(&[("id", "1"), ("city", "Linz")])),
        ..Body::default()
    };
    record(&world.ledger, &lease, 1, "1", &without).await;
    erase(&world.ledger, &order(item("1"), &["name"])).await;
    expect!["1:-,Graz 2:bob,Graz 3:ann,Graz 4:cid,Graz 1:-,Linz erasure erasure"]
        .assert_eq(&told(&world.process().await).await);
    assert!(!verified(&world.process().await).await.contains('\n'));
    let nothing = world.ledger.order_erasure(&order(item("1"), &["name"]), now()).await;
    assert!(matches!(nothing, Err(ErasureError::Nothing)), "{nothing:?}");
}

#[tokio::test]
async fn an_order_whose_own_body_was_taken_away_is_told_and_not_looked_for_without_end() {
    let world = people().await;
    erase(&world.ledger, &order(item("1"), &[])).await;
    world
        .tamper("update entry set body = null, body_key = null where position = 4")
        .await;
    let read = world.process().await.read_from(Position(0), 10).await;
    let told = read.unwrap_err().to_string();
    assert!(
        told.contains("position 4") && told.contains("what this erasure is about cannot be read"),
        "{told}"
    );
}
