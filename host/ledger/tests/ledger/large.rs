//! The largest items that the database takes.

use std::sync::Arc;

use weir_evidence::{Body, ENTRY_BYTES_MAX};
use weir_ledger::{SealedRecord, ShardBatch};
use weir_model::{AttributeValue, Item, Position};

use crate::support::{Shuffled, World, append, batch, item_keys, seal_body};
use crate::tampering::verified;

/// `DynamoDB`'s limit of an item, names and values.
const ITEM_BYTES_MAX: usize = 400 << 10;

/// An item of as many attributes that fills the limit. Its texts do not compress.
fn item(shuffled: &mut Shuffled, attributes: usize) -> Item {
    let bytes = ITEM_BYTES_MAX / attributes - 16;
    let mut text = || -> String {
        (0..bytes)
            .map(|_| char::from(b' ' + u8::try_from(shuffled.below(95)).unwrap()))
            .collect()
    };
    let mut item: Item = (1..attributes)
        .map(|index| (format!("attribute-{index:04}"), AttributeValue::text(text())))
        .collect();
    item.insert("id".to_owned(), AttributeValue::text("large"));
    item
}

async fn check(attributes: usize) {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 1).await.unwrap();
    let mut shuffled = Shuffled::new();
    let body = Body {
        actor: Some("ann".to_owned()),
        keys: Some(item_keys("large")),
        old: Some(item(&mut shuffled, attributes)),
        new: Some(item(&mut shuffled, attributes)),
        ..Body::default()
    };
    let numbered = world.ledger.take_body_keys(1).await.unwrap().remove(0);
    let record = seal_body(&world.ledger, &lease, 2, "large", &body, &numbered);
    assert!(record.entry.len() < ENTRY_BYTES_MAX, "{} bytes", record.entry.len());
    world
        .ledger
        .append(batch(&lease, 1, 2, std::slice::from_ref(&record)))
        .await
        .unwrap();
    append(&world.ledger, &lease, 2, 3).await.unwrap();

    let read = world.process().await.read_from(Position(1), 1).await.unwrap();
    assert!(read[0].body == body, "it reads back as it was");
    let read = world.ledger.read_at(&[1, 2]).await.unwrap();
    assert!(read[1].body == body && read.len() == 2);
    assert_eq!(verified(&world.process().await).await, "3 of 3 checked");
}

#[tokio::test]
async fn an_item_of_400_kilobytes_is_recorded_with_both_images() {
    check(8).await;
}

#[tokio::test]
async fn an_item_with_a_thousand_attributes_is_recorded_with_both_images() {
    check(1000).await;
}

/// Larger than a group may be, so it travels in one of its own, and others beside it.
#[tokio::test]
async fn a_batch_of_more_bytes_than_a_group_is_recorded() {
    let world = World::new().await;
    let (large, small) = (world.lease("large").await, world.lease("small").await);
    let mut shuffled = Shuffled::new();
    let image = item(&mut shuffled, 8);
    let numbered = world.ledger.take_body_keys(60).await.unwrap();
    let records: Vec<SealedRecord> = (1..)
        .zip(&numbered)
        .map(|(sequence, numbered)| {
            let body = Body {
                new: Some(image.clone()),
                ..Body::default()
            };
            seal_body(&world.ledger, &large, sequence, "large", &body, numbered)
        })
        .collect();
    let bytes: usize = records
        .iter()
        .map(|record| record.body.as_ref().unwrap().sealed.0.len())
        .sum();
    assert!(bytes > 16 << 20, "{bytes}");
    let whole = ShardBatch {
        records: Arc::from(records),
        ..batch(&large, 0, 60, &[])
    };
    let (ledger, beside) = (world.ledger.clone(), world.ledger.clone());
    let large = tokio::spawn(async move { ledger.append(whole).await });
    let small = tokio::spawn(async move { append(&beside, &small, 0, 2).await });
    large.await.unwrap().unwrap();
    small.await.unwrap().unwrap();
    assert_eq!(verified(&world.process().await).await, "62 of 62 checked");
}
