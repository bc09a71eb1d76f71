//! What all processes of a ledger are told to do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use weir_evidence::EntryKind;
use weir_ledger::{Annotator, AnnotatorDefinition, ConfiguredRoute, StoredPlugin};
use weir_model::Position;

use crate::promotions::{configured, planned};
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

/// What annotates the shop's changes, by its plugin.
fn annotator(plugin: &str) -> (Annotator, StoredPlugin) {
    let digest: [u8; 32] = Sha256::digest(plugin).into();
    let definition = AnnotatorDefinition {
        config: "00112233445566778899aabbccddeeff".to_owned(),
        actor: None,
        plugin_config: "{}".to_owned(),
        lookups: BTreeMap::new(),
    };
    let annotator = Annotator {
        source: "shop".to_owned(),
        plugin: digest,
        definition,
    };
    let component = plugin.as_bytes().to_vec();
    (annotator, StoredPlugin { digest, component })
}

#[tokio::test]
async fn a_process_that_is_behind_enters_nothing_that_it_entered_before() {
    let world = World::new().await;
    let ledger = &world.ledger;
    let enter = async |plugin: &str, counts| {
        let (annotator, component) = annotator(plugin);
        let entered = ledger.enter_annotator(&annotator, &component, &Value::Null, counts, Timestamp::UNIX_EPOCH);
        entered.await.unwrap();
        ledger.annotator("shop").await.unwrap().unwrap() == annotator
    };
    assert!(enter("old", Some(0)).await);
    ledger
        .apply_configuration(0, Some("{}"), "", Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    assert!(enter("new", Some(1)).await);
    assert!(!enter("old", Some(0)).await, "the old one is back");
    // What was never entered annotates nothing before it is.
    assert!(enter("another", Some(0)).await);
    assert!(enter("old", Some(1)).await);

    let enter = async |sink: &str, counts| {
        let planned = planned(ledger, "mail", &configured(None, "{}", sink), None).await;
        let route = ConfiguredRoute { counts, ..planned };
        let entered = ledger.enter_route_version("mail", &route, Timestamp::UNIX_EPOCH).await;
        entered.unwrap().map(|version| version.version)
    };
    assert_eq!(enter("old", Some(1)).await, Some(1));
    assert_eq!(enter("new", Some(0)).await, None);
    assert_eq!(enter("new", Some(1)).await, Some(2));
}
