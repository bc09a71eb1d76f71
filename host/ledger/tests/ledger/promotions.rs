//! Plugins that are uploaded, promoted and rolled back: each is an entry, and a version that the configuration does not undo.

use std::num::NonZeroU8;

use expect_test::expect;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use weir_evidence::EntryKind;
use weir_ledger::{
    ConfiguredRoute, FailurePolicy, Ledger, NewUpload, PromoteError, Promotion, RouteDefinition, RouteVersion,
    StoredPlugin, UploadQuery,
};
use weir_model::Position;

use crate::support::World;

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn plugin(component: &str) -> StoredPlugin {
    StoredPlugin {
        digest: Sha256::digest(component).into(),
        component: component.as_bytes().to_vec(),
    }
}

fn named(name: &str) -> NewUpload {
    NewUpload {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        manifest: "{}".to_owned(),
        signer: None,
    }
}

/// A route that its configuration gives this plugin, this plugin configuration and this sink.
pub(crate) fn configured(plugin: Option<&StoredPlugin>, plugin_config: &str, sink: &str) -> RouteDefinition {
    RouteDefinition {
        source: "shop".to_owned(),
        pattern: None,
        plugin: plugin.map(|plugin| hex::encode(plugin.digest)),
        plugin_config: plugin_config.to_owned(),
        lookups: std::collections::BTreeMap::new(),
        template: None,
        projection: None,
        correlation_attribute: None,
        sinks: vec![sink.to_owned()],
        partitions: NonZeroU8::MIN,
        failure: FailurePolicy::default(),
    }
}

/// What a configuration says of a route, with the plugin of a file, as planned now.
pub(crate) async fn planned(
    ledger: &Ledger,
    route: &str,
    definition: &RouteDefinition,
    plugin: Option<&StoredPlugin>,
) -> ConfiguredRoute {
    ConfiguredRoute {
        definition: definition.clone(),
        plugin: plugin.cloned(),
        planned: ledger.plan_route_version(route, definition).await.unwrap(),
        granted: json!({"reads": ["new /total"]}),
        counts: None,
    }
}

/// Enters it, whatever others do meanwhile.
pub(crate) async fn enter(
    ledger: &Ledger,
    route: &str,
    definition: &RouteDefinition,
    plugin: Option<&StoredPlugin>,
) -> RouteVersion {
    loop {
        let configured = planned(ledger, route, definition, plugin).await;
        let entered = ledger.enter_route_version(route, &configured, now()).await;
        if let Some(entered) = entered.unwrap() {
            return entered;
        }
    }
}

async fn upload(ledger: &Ledger, plugin: &StoredPlugin, name: &str) -> u64 {
    ledger.upload(plugin, &named(name), now()).await.unwrap().position.0
}

async fn promote(ledger: &Ledger, plugin: &StoredPlugin, config: &str) -> Result<u32, PromoteError> {
    let promotion = Promotion {
        plugin: Some(plugin.digest),
        plugin_config: config.to_owned(),
        lookups: std::collections::BTreeMap::new(),
        granted: json!({"reads": ["new /status"]}),
        rolls_back_to: None,
        reason: "a test".to_owned(),
    };
    let promoted = ledger.promote("mail", &promotion, now()).await?;
    Ok(promoted.version)
}

/// What became of routes and plugins, as the ledger has it.
async fn steps(ledger: &Ledger) -> Vec<(String, Value)> {
    let entries = ledger.read_from(Position(0), 100).await.unwrap();
    let steps = entries.into_iter().map(|entry| match entry.entry.kind {
        EntryKind::Lifecycle { what, detail, .. } => (what, serde_json::from_str(&detail).unwrap()),
        other => panic!("{other:?}"),
    });
    steps.collect()
}

/// The versions of the route: `2 from 5: b {} one`, where plugins are named by what is in them.
async fn told(ledger: &Ledger) -> String {
    let mut told = Vec::new();
    for version in ledger.route_versions("mail").await.unwrap() {
        let plugin = match version.plugin {
            Some(digest) => String::from_utf8(ledger.plugin(&digest).await.unwrap().component).unwrap(),
            None => "none".to_owned(),
        };
        let RouteDefinition {
            plugin_config, sinks, ..
        } = version.definition;
        told.push(format!(
            "{} from {}: {plugin} {plugin_config} {}",
            version.version, version.from_position, sinks[0]
        ));
    }
    told.join("\n")
}

#[tokio::test]
async fn each_step_is_an_entry_and_the_version_begins_with_it() {
    let world = World::new().await;
    let (a, b) = (plugin("a"), plugin("b"));
    let first = configured(Some(&a), "{}", "one");
    enter(&world.ledger, "mail", &first, Some(&a)).await;
    assert_eq!(upload(&world.ledger, &b, "b").await, 1);
    promote(&world.ledger, &b, r#"{"limit":7}"#).await.unwrap();
    let back = Promotion {
        plugin: Some(a.digest),
        plugin_config: "{}".to_owned(),
        lookups: std::collections::BTreeMap::new(),
        granted: Value::Null,
        rolls_back_to: Some(1),
        reason: "it dropped orders".to_owned(),
    };
    world.ledger.promote("mail", &back, now()).await.unwrap();

    expect![[r#"
        1 from 0: a {} one
        2 from 2: b {"limit":7} one
        3 from 3: a {} one"#]]
    .assert_eq(&told(&world.ledger).await);
    let steps = steps(&world.ledger).await;
    let steps = steps.iter().map(|(what, detail)| format!("{what} {detail}"));
    expect![[r#"
        route-configured {"config":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","failure":"dead-letter","granted":{"reads":["new /total"]},"halted_at":null,"lookups":{},"partitions":1,"pattern":null,"plugin":"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb","route":"mail","sinks":["one"],"source":"shop","template":null,"version":1}
        plugin-uploaded {"name":"b","plugin":"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d","signer":null,"version":"1.0.0"}
        plugin-promoted {"config":"5e09573f5f73553f6c8b1ca04e84f7895753cd5ede364072cd2476549eefc4a4","granted":{"reads":["new /status"]},"halted_at":null,"lookups":{},"plugin":"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d","reason":"a test","rolls_back_to":null,"route":"mail","version":2}
        plugin-rolled-back {"config":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","granted":null,"halted_at":null,"lookups":{},"plugin":"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb","reason":"it dropped orders","rolls_back_to":1,"route":"mail","version":3}"#]]
    .assert_eq(&steps.collect::<Vec<_>>().join("\n"));
    world.ledger.verify(|_, _| {}).await.unwrap();
}

#[tokio::test]
async fn what_is_uploaded_twice_is_there_once() {
    let world = World::new().await;
    let a = plugin("a");
    let mut tasks = JoinSet::new();
    for ledger in [world.ledger.clone(), world.process().await] {
        for _ in 0..3 {
            let (ledger, a) = (ledger.clone(), a.clone());
            tasks.spawn(async move { upload(&ledger, &a, "a").await });
        }
    }
    assert_eq!(tasks.join_all().await, [0; 6]);
    upload(&world.ledger, &plugin("b"), "b").await;
    let uploads = world.process().await.uploads(UploadQuery::default()).await.unwrap();
    let names: Vec<_> = uploads
        .iter()
        .map(|upload| (upload.about.name.as_str(), upload.position.0))
        .collect();
    assert_eq!(names, [("b", 1), ("a", 0)]);
    assert_eq!(uploads[1].about, named("a"));
    assert_eq!((uploads[1].bytes, uploads[1].uploaded_at), (1, now()));
}

#[tokio::test]
async fn a_configuration_that_is_read_again_undoes_no_promotion_and_changes_only_what_changed_in_it() {
    let world = World::new().await;
    let (a, b, c) = (plugin("a"), plugin("b"), plugin("c"));
    let ledger = &world.ledger;
    let enter = async |plugin: &StoredPlugin, config: &str, sink: &str| {
        let configured = configured(Some(plugin), config, sink);
        let planned = ledger.plan_route_version("mail", &configured).await.unwrap();
        let entered = enter(ledger, "mail", &configured, Some(plugin)).await;
        assert_eq!(entered.definition, planned);
    };
    enter(&a, "{}", "one").await;
    upload(ledger, &b, "b").await;
    promote(ledger, &b, "[1]").await.unwrap();
    // A restart.
    enter(&a, "{}", "one").await;
    // Another sink.
    enter(&a, "{}", "two").await;
    enter(&a, "{}", "two").await;
    // Another plugin in the file: whoever changed the file wants it.
    enter(&c, "{}", "two").await;
    expect![[r#"
        1 from 0: a {} one
        2 from 2: b [1] one
        3 from 3: b [1] two
        4 from 4: c [1] two"#]]
    .assert_eq(&told(ledger).await);
}

/// Else a table that is uploaded again would keep a Weir from starting whose route runs another plugin.
#[tokio::test]
async fn tables_of_a_configured_plugin_are_nothing_to_one_that_was_promoted() {
    let world = World::new().await;
    let (a, b) = (plugin("a"), plugin("b"));
    let ledger = &world.ledger;
    let with = |table: &str| RouteDefinition {
        lookups: [("customers".to_owned(), table.to_owned())].into(),
        ..configured(Some(&a), "{}", "one")
    };
    let lookups = async |table: &str| {
        let entered = enter(ledger, "mail", &with(table), Some(&a)).await;
        entered.definition.lookups.values().cloned().collect::<Vec<_>>()
    };
    assert_eq!(lookups("old").await, ["old"]);
    assert_eq!(lookups("new").await, ["new"]);
    upload(ledger, &b, "b").await;
    promote(ledger, &b, "{}").await.unwrap();
    assert_eq!(lookups("newer").await, [""; 0]);
    // And it is given them when it runs again.
    let mut back = configured(Some(&b), "{}", "one");
    enter(ledger, "mail", &back, Some(&b)).await;
    back.plugin = Some(hex::encode(a.digest));
    back.lookups = with("newest").lookups;
    let entered = enter(ledger, "mail", &back, Some(&a)).await;
    assert_eq!(entered.definition.lookups, with("newest").lookups);
}

/// Whoever asks over the API is held to much less.
#[tokio::test]
async fn what_does_not_fit_into_an_entry_is_an_error_and_enters_nothing() {
    let world = World::new().await;
    let first = configured(None, "{}", "one");
    enter(&world.ledger, "mail", &first, None).await;
    let promotion = Promotion {
        plugin: None,
        plugin_config: "{}".to_owned(),
        lookups: std::collections::BTreeMap::new(),
        granted: Value::Null,
        rolls_back_to: None,
        reason: "because ".repeat(5000),
    };
    let error = world.ledger.promote("mail", &promotion, now()).await.unwrap_err();
    assert!(matches!(error, PromoteError::Database(_)), "{error}");
    expect!["1 from 0: none {} one"].assert_eq(&told(&world.ledger).await);
}

#[tokio::test]
async fn the_newest_uploads_are_wanted_and_what_routes_run_however_old_it_is() {
    let world = World::new().await;
    let old = plugin("old");
    let first = configured(Some(&old), "{}", "one");
    enter(&world.ledger, "mail", &first, Some(&old)).await;
    let mut uploaded = Vec::new();
    for number in 0..52 {
        let plugin = plugin(&format!("plugin {number}"));
        upload(&world.ledger, &plugin, "a").await;
        uploaded.push(plugin.digest);
    }
    let mut expected: Vec<_> = uploaded[2..].to_vec();
    expected.push(old.digest);
    expected.sort_unstable();
    let mut wanted = world.process().await.plugins_wanted().await.unwrap();
    wanted.sort_unstable();
    assert_eq!(wanted, expected);
}

#[tokio::test]
async fn nothing_is_promoted_on_a_route_that_there_is_not_or_of_a_plugin_that_there_is_not() {
    let world = World::new().await;
    let a = plugin("a");
    let error = promote(&world.ledger, &a, "{}").await.unwrap_err();
    assert!(matches!(error, PromoteError::NoRoute(_)), "{error}");
    enter(&world.ledger, "mail", &configured(None, "{}", "one"), None).await;
    let error = promote(&world.ledger, &a, "{}").await.unwrap_err();
    assert!(matches!(error, PromoteError::Database(_)), "{error}");
    expect!["1 from 0: none {} one"].assert_eq(&told(&world.ledger).await);
    assert_eq!(steps(&world.ledger).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn promotions_at_once_make_one_sequence() {
    let world = World::new().await;
    let a = plugin("a");
    enter(&world.ledger, "mail", &configured(None, "{}", "one"), None).await;
    upload(&world.ledger, &a, "a").await;
    let mut tasks = JoinSet::new();
    for number in 0..6 {
        let (ledger, a) = (world.process().await, a.clone());
        tasks.spawn(async move { promote(&ledger, &a, &number.to_string()).await.unwrap() });
    }
    let mut versions = tasks.join_all().await;
    versions.sort_unstable();
    assert_eq!(versions, [2, 3, 4, 5, 6, 7]);
    assert_eq!(steps(&world.ledger).await.len(), 8);
}

/// What would run was checked before it is entered, and is checked again.
#[tokio::test]
async fn what_was_planned_before_somebody_promoted_is_not_entered() {
    let world = World::new().await;
    let ledger = &world.ledger;
    let (a, b) = (plugin("a"), plugin("b"));
    enter(ledger, "mail", &configured(Some(&a), "{}", "one"), Some(&a)).await;
    let changed = configured(Some(&a), "[7]", "one");
    let outdated = planned(ledger, "mail", &changed, Some(&a)).await;
    upload(ledger, &b, "b").await;
    promote(ledger, &b, "{}").await.unwrap();
    let entered = ledger.enter_route_version("mail", &outdated, now()).await.unwrap();
    assert_eq!(entered, None);
    assert_eq!(enter(ledger, "mail", &changed, Some(&a)).await.version, 3);
    expect![[r#"
        1 from 0: a {} one
        2 from 2: b {} one
        3 from 3: b [7] one"#]]
    .assert_eq(&told(ledger).await);
}

/// What stands still at a position goes on there with whatever version comes next, and not twice.
#[tokio::test]
async fn a_version_that_is_entered_while_the_route_stands_still_begins_where_it_halted() {
    let world = World::new().await;
    let (a, b) = (plugin("a"), plugin("b"));
    let ledger = &world.ledger;
    let first = configured(Some(&a), "{}", "one");
    enter(ledger, "mail", &first, Some(&a)).await;
    upload(ledger, &b, "b").await;
    promote(ledger, &b, "{}").await.unwrap();

    ledger.halt_route("mail", Position(0), 1, "plugin-trap").await.unwrap();
    ledger.halt_route("mail", Position(0), 1, "plugin-trap").await.unwrap();
    let halt = ledger.route_halt("mail").await.unwrap().unwrap();
    assert_eq!(
        (halt.position, halt.version, halt.code.as_str()),
        (Position(0), 1, "plugin-trap")
    );
    promote(ledger, &b, "[]").await.unwrap();
    assert_eq!(ledger.route_halt("mail").await.unwrap(), None);
    expect![[r#"
        1 from 0: a {} one
        2 from 2: b {} one
        3 from 0: b [] one"#]]
    .assert_eq(&told(ledger).await);

    // Who finds out too late that the version before failed there has nothing to note.
    ledger.halt_route("mail", Position(0), 1, "plugin-trap").await.unwrap();
    assert_eq!(ledger.route_halt("mail").await.unwrap(), None);

    // What changes in the configuration is a version like any other.
    ledger.halt_route("mail", Position(1), 3, "plugin-trap").await.unwrap();
    let passes = RouteDefinition {
        failure: FailurePolicy::Pass,
        ..first.clone()
    };
    let entered = enter(ledger, "mail", &passes, Some(&a)).await;
    assert_eq!(
        (entered.from_position, entered.definition.failure),
        (Position(1), FailurePolicy::Pass)
    );
    let steps = steps(ledger).await.into_iter();
    let halted_at: Vec<_> = steps
        .filter_map(|(_, detail)| detail.get("halted_at").cloned())
        .collect();
    assert_eq!(halted_at, [json!(null), json!(null), json!(0), json!(1)]);
    // And the same again is none.
    ledger.halt_route("mail", Position(2), 4, "plugin-trap").await.unwrap();
    enter(ledger, "mail", &passes, Some(&a)).await;
    assert!(ledger.route_halt("mail").await.unwrap().is_some());
}
