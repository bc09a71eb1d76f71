//! What is parked: in order, by item, a page at a time.

use jiff::Timestamp;
use weir_ledger::{Consumer, Ledger, Parked, ParkedPlace, Partition, Settlement, Tried};
use weir_model::Position;

use crate::support::World;

const A: [u8; 16] = [1; 16];
const B: [u8; 16] = [2; 16];

fn parked(position: u64, token: [u8; 16], sink: &str) -> Parked {
    Parked {
        delivery: format!("{position}-{sink}"),
        route: "mail".to_owned(),
        version: 1,
        position: Position(position),
        output: 0,
        sink: sink.to_owned(),
        token,
        tried: None,
        as_new: None,
    }
}

fn tried(second: i64) -> Tried {
    let time = |second| Timestamp::from_second(second).unwrap();
    Tried {
        attempts: 2,
        failures: 1,
        failed_at: time(1),
        due_at: time(second),
    }
}

async fn park(ledger: &Ledger, parked: Vec<Parked>) -> Consumer {
    let mut consumer = ledger.claim_consumer("route:mail", Position(0)).await.unwrap();
    let settlement = Settlement {
        parked,
        ..Settlement::default()
    };
    ledger.settle(&mut consumer, Position(9), &settlement).await.unwrap();
    consumer
}

fn names(parked: &[Parked]) -> Vec<&str> {
    parked.iter().map(|parked| parked.delivery.as_str()).collect()
}

#[tokio::test]
async fn an_item_is_due_when_its_first_delivery_is_and_comes_in_order() {
    let world = World::new().await;
    let ledger = &world.ledger;
    let failing = Parked {
        tried: Some(tried(50)),
        ..parked(3, A, "hook")
    };
    let mut consumer = park(ledger, vec![failing, parked(5, A, "hook"), parked(4, B, "hook")]).await;
    let mut items = ledger.parked_items(&Partition::whole("mail")).await.unwrap();
    items.sort_by_key(|item| item.token);
    let told: Vec<_> = items.iter().map(|item| (item.count, item.due_at)).collect();
    assert_eq!(told, [(2, Some(tried(50).due_at)), (1, None)]);

    // One that goes before it is due at once, whatever stands behind it.
    let earlier = Settlement {
        parked: vec![parked(1, A, "hook")],
        ..Settlement::default()
    };
    ledger.settle(&mut consumer, Position(9), &earlier).await.unwrap();
    let items = ledger.parked_items(&Partition::whole("mail")).await.unwrap();
    assert!(items.iter().all(|item| item.due_at.is_none()), "{items:?}");
    let of_item = ledger.parked_of("mail", "hook", &[A, B], 2).await.unwrap();
    assert_eq!(names(&of_item), ["1-hook", "3-hook", "4-hook"]);

    let changed = Settlement {
        tried: vec![("1-hook".to_owned(), tried(70))],
        unparked: vec!["4-hook".to_owned()],
        ..Settlement::default()
    };
    ledger.settle(&mut consumer, Position(9), &changed).await.unwrap();
    let items = ledger.parked_items(&Partition::whole("mail")).await.unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].count, items[0].due_at), (3, Some(tried(70).due_at)));
    let at_sinks = ledger.parked_at_sinks().await.unwrap();
    let told: Vec<_> = at_sinks.iter().map(|at| (at.deliveries, at.items, at.oldest)).collect();
    assert_eq!(told, [(3, 1, Position(1))]);
}

#[tokio::test]
async fn a_page_ends_where_the_next_begins() {
    let world = World::new().await;
    let all = [(2, "a"), (2, "b"), (2, "c"), (4, "a"), (7, "b")];
    park(
        &world.ledger,
        all.iter().map(|(position, sink)| parked(*position, A, sink)).collect(),
    )
    .await;
    let mut listed = Vec::new();
    let mut after: Option<ParkedPlace> = None;
    loop {
        let page = world.ledger.parked(Some("mail"), after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(ParkedPlace {
            position: last.position,
            output: last.output,
            route: last.route.clone(),
            sink: last.sink.clone(),
            delivery: last.delivery.clone(),
        });
        listed.extend(page);
    }
    assert_eq!(names(&listed), ["2-a", "2-b", "2-c", "4-a", "7-b"]);
    assert!(world.ledger.parked(Some("other"), None, 9).await.unwrap().is_empty());
}
