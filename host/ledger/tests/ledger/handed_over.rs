//! What a process appended last, handed over to its own routes: exactly what they would have read.

use std::time::Duration;

use tokio::time::Instant;
use weir_evidence::Body;
use weir_ledger::Ledger;
use weir_model::{AttributeValue, Item, Position};

use crate::erasure::{item, now, order};
use crate::support::{
    Shuffled, World, append, append_end, attributes, batch, gap, item_keys, number, seal, seal_body, seal_items,
    seal_large, seal_unknown, shown,
};

/// What follows from a position on, in the words of [`shown`], and how many of it were handed over.
async fn taken(ledger: &Ledger, from: u64, count_max: u16) -> String {
    let page = ledger.read_on(Position(from), count_max).await.unwrap();
    match page.entries.len() {
        0 => "nothing".to_owned(),
        _ => format!("{} | {} handed over", shown(&page.entries), page.handed_over),
    }
}

#[tokio::test]
async fn what_is_handed_over_is_what_would_have_been_read() {
    let world = World::new().await;
    let (first, second) = (world.lease("a").await, world.lease("b").await);
    assert_eq!(taken(&world.ledger, 0, 1000).await, "nothing");
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

    let page = world.ledger.read_on(Position(0), 1000).await.unwrap();
    assert_eq!(page.handed_over, 10);
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
    assert_eq!(taken(&world.ledger, 0, 10).await, "nothing");
    append(&world.ledger, &lease, 0, 4).await.unwrap();
    append(&other, &lease, 4, 5).await.unwrap();
    append(&world.ledger, &lease, 5, 7).await.unwrap();

    assert_eq!(taken(&world.ledger, 0, 2).await, "0:milk@1 1:milk@2 | 2 handed over");
    // What was taken, and what another process appended, is read; the rest is handed over, all in one page.
    assert_eq!(
        taken(&world.ledger, 0, 10).await,
        "0:milk@1 1:milk@2 2:milk@3 3:milk@4 4:milk@5 5:milk@6 6:milk@7 | 4 handed over"
    );
    assert_eq!(
        taken(&world.ledger, 5, 10).await,
        "5:milk@6 6:milk@7 | 0 handed over",
        "it is handed over once"
    );
    assert_eq!(
        taken(&other, 4, 1).await,
        "4:milk@5 | 0 handed over",
        "nobody wanted it when it was appended"
    );
}

#[tokio::test]
async fn what_was_not_committed_is_not_handed_over() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    assert_eq!(taken(&world.ledger, 0, 10).await, "nothing");
    let taken_over = world.lease("a").await;
    append(&world.ledger, &lease, 0, 1).await.unwrap_err();
    assert_eq!(taken(&world.ledger, 0, 10).await, "nothing");
    let records = seal(&world.ledger, &taken_over, 1..=1).await;
    for _ in 0..2 {
        // The second time it is there already.
        world.ledger.append(batch(&taken_over, 0, 1, &records)).await.unwrap();
    }
    assert_eq!(taken(&world.ledger, 0, 10).await, "0:milk@1 | 1 handed over");
    assert_eq!(taken(&world.ledger, 1, 10).await, "nothing");
}

#[tokio::test]
async fn records_whose_body_is_not_known_are_read() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    assert_eq!(taken(&world.ledger, 0, 10).await, "nothing");
    let mut records = seal_items(&world.ledger, &lease, &[(1, "milk"), (2, "bread")]).await;
    records[1].body.as_mut().unwrap().plain = None;
    world.ledger.append(batch(&lease, 0, 2, &records)).await.unwrap();
    append(&world.ledger, &lease, 2, 3).await.unwrap();
    assert_eq!(
        taken(&world.ledger, 0, 10).await,
        "0:milk@1 1:bread@2 2:milk@3 | 2 handed over"
    );
}

/// A second passes.
async fn a_second_later() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn what_waited_is_handed_over_as_of_when_it_was_looked_at_again() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    assert_eq!(taken(&world.ledger, 0, 10).await, "nothing");
    let mut after = 0;
    for waits in [false, true] {
        append(&world.ledger, &lease, after, after + 2).await.unwrap();
        if waits {
            a_second_later().await;
        }
        let asked_at = Instant::now();
        let page = world.ledger.read_on(Position(after), 10).await.unwrap();
        assert_eq!((page.handed_over, page.entries.len()), (2, 2));
        assert_eq!(
            page.as_of >= asked_at,
            waits,
            "what has just been appended is as of its append"
        );
        after += 2;
    }
}

#[tokio::test]
async fn what_waited_and_was_ordered_to_be_erased_meanwhile_is_read() {
    for attributes in [&[][..], &["version"]] {
        let world = World::new().await;
        let lease = world.lease("a").await;
        assert_eq!(taken(&world.ledger, 0, 10).await, "nothing");
        append(&world.ledger, &lease, 0, 2).await.unwrap();
        let milk = order(item("milk"), attributes);
        world.process().await.order_erasure(&milk, now()).await.unwrap();
        a_second_later().await;
        assert_eq!(
            taken(&world.ledger, 0, 2).await,
            "0:milk@1 1:milk@2 | 0 handed over",
            "{attributes:?}"
        );
    }
}

#[tokio::test]
async fn what_does_not_fit_is_read_and_what_comes_after_it_is_handed_over_again() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    assert_eq!(taken(&world.ledger, 0, 10).await, "nothing");
    let mut shuffled = Shuffled::new();
    let mut append_large = async |after: u64| {
        let text = shuffled.text(2 << 20);
        let record = seal_large(&world.ledger, &lease, after + 1, &text).await;
        let batch = batch(&lease, after, after + 1, &[record]);
        world.ledger.append(batch).await.unwrap();
    };
    for after in 0..6 {
        append_large(after).await;
    }
    // The last one did not fit, and nothing does before half of the rest is gone.
    assert_eq!(taken(&world.ledger, 0, 1).await, "0:large@? | 1 handed over");
    append_large(6).await;
    assert_eq!(
        taken(&world.ledger, 1, 10).await,
        "1:large@? 2:large@? 3:large@? 4:large@? | 4 handed over",
        "8 MiB make a page"
    );
    append_large(7).await;
    assert_eq!(
        taken(&world.ledger, 5, 10).await,
        "5:large@? 6:large@? 7:large@? | 1 handed over"
    );
}
