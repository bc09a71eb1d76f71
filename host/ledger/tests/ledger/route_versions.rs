//! What a route does with a position is decided by the position.

use std::num::NonZeroU8;

use expect_test::expect;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use weir_ledger::{FailurePolicy, Ledger, RouteDefinition, StoredPlugin};

use crate::promotions::{enter, planned};
use crate::support::{World, append, until_blocked};

fn to(sink: &str) -> RouteDefinition {
    RouteDefinition {
        source: "shop".to_owned(),
        pattern: Some(r#"{"detail": {"operation": ["insert"]}}"#.to_owned()),
        plugin: None,
        plugin_config: "{}".to_owned(),
        lookups: std::collections::BTreeMap::new(),
        template: None,
        projection: None,
        correlation_attribute: None,
        sinks: vec![sink.to_owned()],
        partitions: NonZeroU8::MIN,
        failure: FailurePolicy::default(),
    }
}

fn plugin(component: &[u8]) -> StoredPlugin {
    StoredPlugin {
        digest: Sha256::digest(component).into(),
        component: component.to_vec(),
    }
}

/// Every version of the route: its number, the position from which it holds, its sink.
async fn told(ledger: &Ledger) -> String {
    let versions = ledger.route_versions("mail").await.unwrap();
    let told: Vec<String> = versions
        .iter()
        .map(|version| {
            format!(
                "{} from {}: {}",
                version.version, version.from_position, version.definition.sinks[0]
            )
        })
        .collect();
    told.join("\n")
}

#[tokio::test]
async fn the_same_definition_is_the_same_version_and_a_changed_one_starts_at_the_end() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let mut size = 0;
    for sink in ["one", "one", "two", "two", "one"] {
        append(&world.ledger, &lease, size, size + 2).await.unwrap();
        size += 2;
        // A file that is loaded again, by this process or another.
        for ledger in [&world.ledger, &world.process().await] {
            enter(ledger, "mail", &to(sink), None).await;
        }
    }
    expect![[r#"
        1 from 2: one
        2 from 7: two
        3 from 12: one"#]]
    .assert_eq(&told(&world.ledger).await);
}

#[tokio::test]
async fn every_part_of_a_definition_makes_a_version() {
    let world = World::new().await;
    let base = to("one");
    let parts = [
        base.clone(),
        RouteDefinition {
            source: "other".to_owned(),
            ..base.clone()
        },
        RouteDefinition {
            pattern: None,
            ..base.clone()
        },
        RouteDefinition {
            plugin_config: "[]".to_owned(),
            lookups: std::collections::BTreeMap::new(),
            ..base.clone()
        },
        RouteDefinition {
            failure: FailurePolicy::Halt,
            ..base.clone()
        },
        RouteDefinition {
            template: Some("{}".to_owned()),
            ..base.clone()
        },
        RouteDefinition {
            sinks: vec!["one".to_owned(), "two".to_owned()],
            ..base.clone()
        },
        RouteDefinition {
            sinks: vec!["two".to_owned(), "one".to_owned()],
            ..base
        },
    ];
    for (number, definition) in (1..).zip(&parts) {
        let entered = enter(&world.ledger, "mail", definition, None).await;
        assert_eq!((entered.version, &entered.definition), (number, definition));
    }
    let stored = world.process().await.route_versions("mail").await.unwrap();
    assert_eq!(
        stored.into_iter().map(|version| version.definition).collect::<Vec<_>>(),
        parts
    );
}

#[tokio::test]
async fn a_version_of_a_newer_definition_keeps_its_plugin_for_every_process() {
    let world = World::new().await;
    let (old, new) = (plugin(b"old component"), plugin(b"new component"));
    for plugin in [&old, &new, &old] {
        let definition = RouteDefinition {
            plugin: Some(hex::encode(plugin.digest)),
            ..to("one")
        };
        let entered = enter(&world.ledger, "mail", &definition, Some(plugin)).await;
        assert_eq!(entered.plugin, Some(plugin.digest));
    }
    let other = world.process().await;
    let versions = other.route_versions("mail").await.unwrap();
    let digests: Vec<_> = versions.iter().map(|version| version.plugin).collect();
    assert_eq!(digests, [Some(old.digest), Some(new.digest), Some(old.digest)]);
    for stored in [old, new] {
        assert_eq!(other.plugin(&stored.digest).await.unwrap(), stored);
    }
    assert!(other.plugin(&[0; 32]).await.is_err());
}

#[tokio::test]
async fn routes_have_versions_of_their_own() {
    let world = World::new().await;
    enter(&world.ledger, "mail", &to("one"), None).await;
    enter(&world.ledger, "mail", &to("two"), None).await;
    let other = enter(&world.ledger, "bill", &to("two"), None).await;
    assert_eq!((other.version, other.from_position.0), (1, 2));
    assert_eq!(world.ledger.route_versions("nobody").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_definition_entered_by_many_at_once_is_one_version() {
    let world = World::new().await;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        for ledger in [world.ledger.clone(), world.process().await] {
            tasks.spawn(async move { enter(&ledger, "mail", &to("one"), None).await.version });
        }
    }
    assert_eq!(tasks.join_all().await, [1; 8]);
    expect!["1 from 0: one"].assert_eq(&told(&world.ledger).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn definitions_entered_at_once_while_the_ledger_grows_make_one_sequence() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let mut tasks = JoinSet::new();
    let ledger = world.ledger.clone();
    tasks.spawn(async move {
        for after in 0..20 {
            append(&ledger, &lease, after, after + 1).await.unwrap();
        }
    });
    for number in 0..8 {
        let ledger = world.process().await;
        tasks.spawn(async move {
            enter(&ledger, "mail", &to(&format!("sink-{number}")), None).await;
        });
    }
    tasks.join_all().await;

    let versions = world.ledger.route_versions("mail").await.unwrap();
    assert_eq!(
        versions.iter().map(|version| version.version).collect::<Vec<_>>(),
        (1..=8).collect::<Vec<_>>()
    );
    assert!(
        versions.is_sorted_by_key(|version| version.from_position),
        "{}",
        told(&world.ledger).await
    );
}

/// Else a position could be routed by the old version here and by the new one there.
#[tokio::test]
async fn a_version_waits_for_an_append_in_flight_and_begins_after_it() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 2).await.unwrap();
    enter(&world.ledger, "mail", &to("one"), None).await;
    let records = crate::support::seal(&world.ledger, &lease, 3..=5).await;

    let (mut watch, mut brake) = (world.conn().await, world.conn().await);
    sqlx::raw_sql("begin; lock table entry in share mode")
        .execute(&mut brake)
        .await
        .unwrap();
    let in_flight = world.ledger.append(crate::support::batch(&lease, 2, 5, &records));
    let change = async {
        until_blocked(&mut watch, 1).await;
        let definition = to("two");
        let configured = planned(&world.ledger, "mail", &definition, None).await;
        let enter = world
            .ledger
            .enter_route_version("mail", &configured, Timestamp::UNIX_EPOCH);
        let release = async {
            until_blocked(&mut watch, 2).await;
            sqlx::raw_sql("rollback").execute(&mut brake).await.unwrap();
        };
        tokio::join!(enter, release).0
    };
    let (appended, entered) = tokio::join!(in_flight, change);
    appended.unwrap();
    assert!(entered.unwrap().is_some());
    expect![[r#"
        1 from 2: one
        2 from 6: two"#]]
    .assert_eq(&told(&world.ledger).await);
}
