//! Changes that are withheld, and told later as amendments: once, in order, and then without their first bodies.

use expect_test::expect;
use weir_evidence::{Body, EntryKind};
use weir_ledger::{AmendError, Amendment, ErasureError, Ledger, NewErasure, SealedRecord, Selector, ShardLease};
use weir_model::{EventId, Operation, Position};

use crate::erasure::{carry_out, hold, item, now, order, subject};
use crate::support::{
    CONFIG, HAPPENED_S, TABLE, World, at_every_cut, attributes, batch, item_keys, number, seal_body, seal_entry, token,
};
use crate::tampering::verified;

/// Something of an item that nobody may see.
async fn seal_withheld(ledger: &Ledger, lease: &ShardLease, sequence: u64, item: &str) -> SealedRecord {
    let numbered = ledger.take_body_keys(1).await.unwrap().remove(0);
    let body = Body {
        raw: Some("sealed to somebody else".to_owned()),
        reason: Some("plugin-error".to_owned()),
        ..Body::default()
    };
    let mut sealed = seal_entry(ledger, sequence, Some(item), &body, &numbered, |commitment| {
        EntryKind::Withheld {
            origin: lease.origin(),
            commitment,
            sequence: number(sequence),
            event: EventId::parse(format!("event-{sequence}")).unwrap(),
            operation: Operation::Modify,
            table: TABLE.to_owned(),
            item: token(ledger, item),
            time: jiff::Timestamp::from_second(HAPPENED_S).unwrap(),
            config: CONFIG,
        }
    });
    sealed.item.as_mut().unwrap().is_withheld = true;
    sealed
}

/// What is told of it later.
async fn amendment(ledger: &Ledger, lease: &ShardLease, at: u64, sequence: u64, item: &str) -> Amendment {
    let numbered = ledger.take_body_keys(1).await.unwrap().remove(0);
    let body = Body {
        keys: Some(item_keys(item)),
        new: Some(attributes(&[("id", item), ("name", "***")])),
        ..Body::default()
    };
    let record = seal_entry(ledger, sequence, Some(item), &body, &numbered, |commitment| {
        EntryKind::Change {
            is_amendment: true,
            origin: lease.origin(),
            commitment,
            sequence: number(sequence),
            event: EventId::parse(format!("event-{sequence}")).unwrap(),
            operation: Operation::Modify,
            table: TABLE.to_owned(),
            item: token(ledger, item),
            time: jiff::Timestamp::from_second(HAPPENED_S).unwrap(),
            assurance: weir_model::Assurance::Unknown,
            config: CONFIG,
        }
    });
    Amendment {
        withheld: Position(at),
        record,
    }
}

/// Withheld at 0 and 2, both of `ann`, and at 3, of `bob`; at 1 a change of `cid`.
async fn withheld_people() -> (World, ShardLease) {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let ledger = &world.ledger;
    let numbered = ledger.take_body_keys(1).await.unwrap().remove(0);
    let body = Body {
        keys: Some(item_keys("cid")),
        new: Some(attributes(&[("id", "cid")])),
        ..Body::default()
    };
    let records = [
        seal_withheld(ledger, &lease, 1, "ann").await,
        seal_body(ledger, &lease, 2, "cid", &body, &numbered),
        seal_withheld(ledger, &lease, 3, "ann").await,
        seal_withheld(ledger, &lease, 4, "bob").await,
    ];
    ledger.append(batch(&lease, 0, 4, &records)).await.unwrap();
    (world, lease)
}

async fn withheld(ledger: &Ledger) -> Vec<u64> {
    let positions = ledger.withheld_from(Position(0), 100).await.unwrap();
    positions.into_iter().map(|position| position.0).collect()
}

/// The kinds of all entries, and which of them have no body any more.
async fn kinds(ledger: &Ledger) -> String {
    let entries = ledger.read_from(Position(0), 1000).await.unwrap();
    let kinds = entries.iter().map(|entry| {
        let gone = if entry.is_erased { " (gone)" } else { "" };
        format!("{}{gone}", entry.entry.kind_name())
    });
    kinds.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn what_is_withheld_is_known_by_its_item_until_it_is_told() {
    let (world, lease) = withheld_people().await;
    let ledger = &world.ledger;
    let tokens = ["ann", "bob", "cid"].map(|item| token(ledger, item).token);
    assert_eq!(withheld(ledger).await, [0, 2, 3]);
    assert_eq!(ledger.withheld_items(&tokens).await.unwrap().len(), 2);

    let first = amendment(ledger, &lease, 0, 1, "ann").await;
    assert_eq!(ledger.amend(vec![first]).await.unwrap(), Position(4));
    assert_eq!(withheld(ledger).await, [2, 3]);
    let rest = vec![
        amendment(ledger, &lease, 2, 3, "ann").await,
        amendment(ledger, &lease, 3, 4, "bob").await,
    ];
    ledger.amend(rest).await.unwrap();
    assert!(withheld(ledger).await.is_empty());
    assert!(ledger.withheld_items(&tokens).await.unwrap().is_empty());
    expect!["7 of 7 checked"].assert_eq(&verified(ledger).await);
}

#[tokio::test]
async fn of_one_item_nothing_is_told_before_what_was_withheld_before_it_and_nothing_twice() {
    let (world, lease) = withheld_people().await;
    let ledger = &world.ledger;
    let later = amendment(ledger, &lease, 2, 3, "ann").await;
    assert!(matches!(ledger.amend(vec![later]).await, Err(AmendError::Changed)));
    let twice = amendment(ledger, &lease, 3, 4, "bob").await;
    ledger.amend(vec![twice.clone()]).await.unwrap();
    assert!(matches!(ledger.amend(vec![twice]).await, Err(AmendError::Changed)));
    let none = amendment(ledger, &lease, 1, 2, "cid").await;
    assert!(matches!(ledger.amend(vec![none]).await, Err(AmendError::Changed)));
    assert_eq!(kinds(ledger).await, "withheld, change, withheld, withheld, amendment");
}

#[tokio::test]
async fn an_amendment_that_was_cut_off_was_told_or_was_not() {
    let (world, lease) = withheld_people().await;
    let mut told = 0;
    at_every_cut(&world, async |case| {
        // Each case has an item of its own.
        let (sequence, item) = (case.number + 5, format!("item-{}", case.number));
        let record = seal_withheld(&world.ledger, &lease, sequence, &item).await;
        let appended = world
            .ledger
            .append(batch(&lease, sequence - 1, sequence, &[record]))
            .await;
        let weir_ledger::Appended::Written { first, .. } = appended.unwrap() else {
            panic!("it is new")
        };
        let amendment = amendment(&world.ledger, &lease, first.0, sequence, &item).await;
        case.arm();
        let cut = case.process.amend(vec![amendment.clone()]).await;
        case.calm();
        // Telling it again waits for whatever of the first time is still under way at the server.
        let again = world.ledger.amend(vec![amendment]).await;
        match (&cut, &again) {
            (Err(AmendError::Database(_)), Ok(_)) => {}
            (Ok(_) | Err(AmendError::Database(_)), Err(AmendError::Changed)) => {}
            _ => panic!("cut off: {cut:?}, then: {again:?}"),
        }
        assert!(!withheld(&world.ledger).await.contains(&first.0));
        told += 1;
        assert_eq!(kinds(&world.ledger).await.matches("amendment").count(), told);
    })
    .await;
    assert_eq!(withheld(&world.ledger).await, [0, 2, 3]);
}

#[tokio::test]
async fn the_first_body_of_what_was_told_is_erased_by_an_order_unless_it_is_held() {
    let (world, lease) = withheld_people().await;
    let ledger = &world.ledger;
    assert!(ledger.order_amended(now()).await.unwrap().is_empty());
    let told = vec![
        amendment(ledger, &lease, 0, 1, "ann").await,
        amendment(ledger, &lease, 3, 4, "bob").await,
    ];
    ledger.amend(told).await.unwrap();
    let placed = ledger.place_hold(&hold(item("bob")), now()).await.unwrap();
    assert_eq!(ledger.order_amended(now()).await.unwrap().len(), 1);
    carry_out(ledger).await.unwrap();
    expect!["withheld (gone), change, withheld, withheld, amendment, amendment, hold, erasure, erasure"]
        .assert_eq(&kinds(ledger).await);
    ledger
        .release_hold(&placed.id, "settled", "judge", now())
        .await
        .unwrap();
    assert_eq!(ledger.order_amended(now()).await.unwrap().len(), 1);
    carry_out(ledger).await.unwrap();
    assert!(ledger.order_amended(now()).await.unwrap().is_empty());
    expect![
        "withheld (gone), change, withheld, withheld (gone), amendment, amendment, hold, erasure, erasure, hold, erasure, erasure"
    ]
    .assert_eq(&kinds(&world.process().await).await);
    expect!["12 of 12 checked"].assert_eq(&verified(ledger).await);
}

#[tokio::test]
async fn what_is_withheld_is_erased_with_its_item_and_not_searched_for_a_subject() {
    let (world, _) = withheld_people().await;
    let ledger = &world.ledger;
    let refused = ledger.order_erasure(&order(subject("ann"), &[]), now()).await;
    assert!(matches!(refused, Err(ErasureError::Withheld(3))), "{refused:?}");
    ledger.order_erasure(&order(item("ann"), &[]), now()).await.unwrap();
    carry_out(ledger).await.unwrap();
    assert_eq!(withheld(ledger).await, [3]);
    let old = NewErasure {
        selector: Selector::OlderThan(now()),
        ..order(item("ann"), &[])
    };
    ledger.order_erasure(&old, now()).await.unwrap();
    carry_out(ledger).await.unwrap();
    assert!(withheld(ledger).await.is_empty());
    expect!["withheld (gone), change (gone), withheld (gone), withheld (gone), erasure, erasure, erasure, erasure"]
        .assert_eq(&kinds(ledger).await);
}

#[tokio::test]
async fn the_history_of_an_item_has_what_is_withheld_and_what_was_told() {
    let (world, lease) = withheld_people().await;
    let ledger = &world.ledger;
    let told = amendment(ledger, &lease, 0, 1, "ann").await;
    ledger.amend(vec![told]).await.unwrap();
    let mut consumer = ledger.claim_index().await.unwrap();
    ledger.index(&mut consumer, 100).await.unwrap();
    let found = ledger.find_entries(&[token(ledger, "ann")], None, 10).await.unwrap();
    let kinds = found
        .entries
        .iter()
        .map(|entry| (entry.position.0, entry.entry.kind_name()));
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [(4, "amendment"), (2, "withheld"), (0, "withheld")]
    );
}
