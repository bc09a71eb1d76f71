//! Streams: each belongs to one ledger and one source, for life.

use jiff::Timestamp;
use weir_ledger::{NewStream, Stream};

use crate::support::{World, append, append_end, name, secret};

/// A stream as it is found again.
fn again(known: &Stream) -> NewStream<'_> {
    NewStream {
        source: &known.source,
        arn: &known.arn,
        table: &known.table,
        key_names: &known.key_names,
        records_from: known.records_from,
        entered_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

async fn known(world: &World) -> Stream {
    world.ledger.streams().await.unwrap().remove(0)
}

#[tokio::test]
async fn a_stream_of_one_ledger_is_not_entered_in_another() {
    let world = World::new().await;
    let known = known(&world).await;
    let database = world.database.connect().await;
    let other = database.open_or_create(&name("other"), secret()).await.unwrap();
    assert!(other.enter_stream(again(&known)).await.is_err());
    assert_eq!(other.streams().await.unwrap(), []);
}

#[tokio::test]
async fn a_stream_of_one_source_is_not_entered_by_another() {
    let world = World::new().await;
    let known = known(&world).await;
    let new = NewStream {
        source: "bakery",
        ..again(&known)
    };
    let refused = world.ledger.enter_stream(new).await.unwrap_err().to_string();
    assert!(refused.contains("was recorded as source \"shop\""), "{refused}");
    assert_eq!(world.ledger.streams().await.unwrap(), [known]);
}

#[tokio::test]
async fn a_stream_starts_where_it_was_entered_first() {
    let world = World::new().await;
    let known = known(&world).await;
    let new = NewStream {
        records_from: Some(Timestamp::from_second(1_772_366_400).unwrap()),
        ..again(&known)
    };
    assert_eq!(world.ledger.enter_stream(new).await.unwrap(), known);
}

#[tokio::test]
async fn a_stream_is_found_by_every_process_as_it_was_entered() {
    let world = World::new().await;
    let arn = weir_model::StreamArn::parse("arn:other").unwrap();
    let new = NewStream {
        source: "bakery",
        arn: &arn,
        table: "loaves",
        key_names: &["kind".to_owned(), "baked_at".to_owned()],
        records_from: Some("2026-03-01T12:00:00.123456Z".parse().unwrap()),
        entered_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let entered = world.ledger.enter_stream(new).await.unwrap();
    let told = (
        &*entered.source,
        &entered.arn,
        &*entered.table,
        &*entered.key_names,
        entered.records_from,
    );
    assert_eq!(told, (new.source, new.arn, new.table, new.key_names, new.records_from));
    assert_eq!(world.process().await.streams().await.unwrap()[1], entered);
}

#[tokio::test]
async fn a_key_name_is_learned_once() {
    let world = World::new().await;
    let arn = weir_model::StreamArn::parse("arn:other").unwrap();
    let known = known(&world).await;
    let new = NewStream {
        key_names: &[],
        arn: &arn,
        ..again(&known)
    };
    let stream = world.ledger.enter_stream(new).await.unwrap();
    for key_name in ["order", "other"] {
        world.ledger.learn_key_name(stream.stream_id, key_name).await.unwrap();
        assert_eq!(world.ledger.streams().await.unwrap()[1].key_names, ["order"]);
    }
    // What the stream told of itself stays.
    world.ledger.learn_key_name(known.stream_id, "other").await.unwrap();
    assert_eq!(world.ledger.streams().await.unwrap()[0], known);
}

/// streams.md 43: what a child may begin with again is more than its parent's last page, and stands far apart in the ledger
/// where many shards are recorded.
#[tokio::test]
async fn the_last_pages_of_a_shard_are_found_among_the_pages_of_all_others() {
    let world = World::new().await;
    let (parent, other) = (world.lease("parent").await, world.lease("other").await);
    // Pages of one record, and one of the other shard between any two.
    for after in 0..20 {
        append(&world.ledger, &parent, after, after + 1).await.unwrap();
        append(&world.ledger, &other, after, after + 1).await.unwrap();
    }
    append_end(&world.ledger, &parent, 20).await.unwrap();
    let known = known(&world).await;
    let events = world.process().await.last_events(&known, &parent.shard).await.unwrap();
    assert_eq!(events.len(), 16, "{events:?}");

    // One page after them that has a thousand.
    append(&world.ledger, &other, 20, 1020).await.unwrap();
    let events = world.ledger.last_events(&known, &other.shard).await.unwrap();
    assert_eq!(events.len(), 1000);
}
