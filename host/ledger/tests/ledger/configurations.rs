//! What all processes of a ledger are told to do.

use jiff::Timestamp;
use weir_evidence::EntryKind;
use weir_model::Position;

use crate::support::World;

#[tokio::test]
async fn what_is_applied_last_counts_and_each_is_an_entry() {
    let world = World::new().await;
    let ledger = &world.ledger;
    assert_eq!(ledger.configuration().await.unwrap(), None);
    let apply = async |after, definition| {
        ledger
            .apply_configuration(after, definition, "why", Timestamp::UNIX_EPOCH)
            .await
            .unwrap()
    };
    assert_eq!(apply(0, Some("{}")).await, Some(1));
    assert_eq!(apply(1, None).await, Some(2));
    let counts = ledger.configuration().await.unwrap().unwrap();
    assert_eq!((counts.number, counts.definition), (2, None));
    assert_eq!(ledger.configuration_number().await.unwrap(), 2);
    let entries = ledger.read_from(Position(0), 100).await.unwrap();
    let told: Vec<&str> = entries
        .iter()
        .filter_map(|entry| match &entry.entry.kind {
            EntryKind::Lifecycle { what, detail, .. } if what == "configuration-applied" => Some(detail.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [
            // The SHA-256 of `{}`.
            r#"{"configuration":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","number":1,"reason":"why"}"#,
            r#"{"configuration":null,"number":2,"reason":"why"}"#,
        ]
    );
}

#[tokio::test]
async fn of_those_who_apply_at_the_same_time_one_does_and_the_others_leave_nothing_behind() {
    let world = World::new().await;
    let before = world.ledger.head().await.unwrap().size;
    let names: Vec<String> = (0..8).map(|number| format!("{{\"by\":{number}}}")).collect();
    let all = names.iter().map(|name| {
        world
            .ledger
            .apply_configuration(0, Some(name), "", Timestamp::UNIX_EPOCH)
    });
    let numbers: Vec<Option<u32>> = futures_util::future::join_all(all)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(numbers.iter().flatten().count(), 1);
    assert_eq!(world.ledger.head().await.unwrap().size, before + 1);
    let winner = numbers.iter().position(Option::is_some).unwrap();
    let counts = world.ledger.configuration().await.unwrap().unwrap();
    assert_eq!(counts.definition.as_ref(), Some(&names[winner]));
}

#[tokio::test]
async fn a_process_says_what_it_does_and_what_it_cannot() {
    let world = World::new().await;
    let ledger = &world.ledger;
    let worker = ledger.enter_worker("host/1", None, &[], Some(3)).await.unwrap();
    assert!(ledger.refuse_configuration("host/1", 4, "no secret").await.unwrap());
    assert!(!ledger.refuse_configuration("host/2", 4, "no secret").await.unwrap());
    let live = ledger.live_workers().await.unwrap();
    let told = live.iter().find(|live| live.id == worker).unwrap();
    assert_eq!(told.configuration, Some(3));
    assert_eq!(told.refused, Some((4, "no secret".to_owned())));
}
