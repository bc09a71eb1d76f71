//! What a process appended last, handed over to its own routes: exactly what they would have read.

use weir_evidence::Body;
use weir_ledger::Ledger;
use weir_model::{AttributeValue, Item, Position};

use crate::support::{
    Shuffled, World, append, append_end, attributes, batch, gap, item_keys, number, seal, seal_body, seal_items,
    seal_large, seal_unknown, shown,
};

/// What is handed over from a position on, in the words of [`shown`].
fn taken(ledger: &Ledger, from: u64, count_max: u16) -> String {
    let page = ledger.take_appended(Position(from), count_max).unwrap();
    page.map_or("nothing".to_owned(), |page| shown(&page.entries))
}

#[tokio::test]
async fn what_is_handed_over_is_what_would_have_been_read() {
    let world = World::new().await;
    let (first, second) = (world.lease("a").await, world.lease("b").await);
    assert_eq!(taken(&world.ledger, 0, 1000), "nothing");
    let value = |json: &str| serde_json::from_str::<AttributeValue>(json).unwrap();
    let mut new: Item = attributes(&[("id", "milk"), ("\u{fb33}", "\u{1f600} \"\\\u{1}")]);
    for (name, json) in [
        (
            "numbers",
            r#"{"NS": ["-1", "12345678901234567890123456789012345678", "1e5"]}"#,
        ),
        ("texts", r#"{"SS": ["", "a", "b"]}"#),
        ("binaries", r#"{"BS": ["AA==", "AQ=="]}"#),
        (
            "deep",
            r#"{"L": [{"M": {"~/": {"NULL": true}, "": {"BOOL": false}}}, {"B": ""}]}"#,
        ),
    ] {
        new.insert(name.to_owned(), value(json));
    }
    let body = Body {
        actor: Some("ann".to_owned()),
        keys: Some(item_keys("milk")),
        old: Some(Item::new()),
        new: Some(new),
        reason: Some("because".to_owned()),
        tags: [("a".to_owned(), "1".to_owned())].into(),
        ..Body::default()
    };
    let numbered = world.ledger.take_body_keys(1).await.unwrap().remove(0);
    let records = [
        gap(&world.ledger, &first, 0, 5),
        seal_body(&world.ledger, &first, 5, "milk", &body, &numbered),
        seal_unknown(&world.ledger, &first, 6).await,
    ];
    let mut behind_a_gap = batch(&first, 0, 6, &records);
    behind_a_gap.first = Some(number(5));
    behind_a_gap.read = 2;
    world.ledger.append(behind_a_gap).await.unwrap();
    append(&world.ledger, &second, 0, 3).await.unwrap();
    // With what accounts for a shard, before and behind.
    append_end(&world.ledger, &second, 3).await.unwrap();
    append(&world.ledger, &first, 6, 9).await.unwrap();

    let page = world.ledger.take_appended(Position(0), 1000).unwrap().unwrap();
    let read = world.process().await.read_from(Position(0), 1000).await.unwrap();
    assert_eq!(read.len(), 10, "{}", shown(&read));
    assert_eq!(page.entries.len(), read.len());
    for (taken, read) in page.entries.iter().zip(&read) {
        assert_eq!(format!("{taken:?}"), format!("{read:?}"));
    }
}

#[tokio::test]
async fn only_what_continues_exactly_is_handed_over_and_once() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let other = world.process().await;
    assert_eq!(taken(&world.ledger, 0, 10), "nothing");
    append(&world.ledger, &lease, 0, 4).await.unwrap();
    append(&other, &lease, 4, 5).await.unwrap();
    append(&world.ledger, &lease, 5, 7).await.unwrap();

    assert_eq!(taken(&world.ledger, 0, 2), "0:milk@1 1:milk@2");
    assert_eq!(taken(&world.ledger, 0, 2), "nothing", "it is handed over once");
    assert_eq!(
        taken(&world.ledger, 3, 10),
        "3:milk@4",
        "up to what another process appended"
    );
    assert_eq!(taken(&world.ledger, 4, 10), "nothing");
    assert_eq!(taken(&world.ledger, 5, 10), "5:milk@6 6:milk@7");
    assert_eq!(taken(&other, 0, 10), "nothing", "nobody wanted it when it was appended");
}

#[tokio::test]
async fn what_was_not_committed_is_not_handed_over() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    assert_eq!(taken(&world.ledger, 0, 10), "nothing");
    let taken_over = world.lease("a").await;
    append(&world.ledger, &lease, 0, 1).await.unwrap_err();
    assert_eq!(taken(&world.ledger, 0, 10), "nothing");
    let records = seal(&world.ledger, &taken_over, 1..=1).await;
    for _ in 0..2 {
        // The second time it is there already.
        world.ledger.append(batch(&taken_over, 0, 1, &records)).await.unwrap();
    }
    assert_eq!(taken(&world.ledger, 0, 10), "0:milk@1");
    assert_eq!(taken(&world.ledger, 1, 10), "nothing");
}

#[tokio::test]
async fn records_whose_body_is_not_known_are_read() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    assert_eq!(taken(&world.ledger, 0, 10), "nothing");
    let mut records = seal_items(&world.ledger, &lease, &[(1, "milk"), (2, "bread")]).await;
    records[1].body.as_mut().unwrap().opened = None;
    world.ledger.append(batch(&lease, 0, 2, &records)).await.unwrap();
    assert_eq!(taken(&world.ledger, 0, 10), "nothing");
    append(&world.ledger, &lease, 2, 3).await.unwrap();
    assert_eq!(taken(&world.ledger, 2, 10), "2:milk@3");
}

#[tokio::test]
async fn what_nobody_takes_is_dropped_the_oldest_first() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    assert_eq!(taken(&world.ledger, 0, 10), "nothing");
    let mut shuffled = Shuffled::new();
    for after in 0..5 {
        let text = shuffled.text(1 << 20);
        let record = seal_large(&world.ledger, &lease, after + 1, &text).await;
        world
            .ledger
            .append(batch(&lease, after, after + 1, &[record]))
            .await
            .unwrap();
    }
    assert_eq!(taken(&world.ledger, 0, 10), "nothing");
    let page = world.ledger.take_appended(Position(3), 10).unwrap();
    assert_eq!(page.unwrap().entries.len(), 2);
}
