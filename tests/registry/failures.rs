//! What becomes of a change that the plugin fails on, as the route is configured.

use serde_json::Value;
use weir_tests::{component, eventually};

use crate::World;

/// The items that arrived, in order.
fn items(world: &World) -> Vec<String> {
    let received = world.bus.received();
    let items = received
        .iter()
        .map(|event| event.detail["keys"]["id"].as_str().unwrap().to_owned());
    items.collect()
}

async fn poisoned(failure: &str) -> World {
    World::new(&format!(
        "plugin = \"{}\"\nfailure = \"{failure}\"\n",
        component("poison").display()
    ))
    .await
}

async fn delivered(world: &World, count: usize) {
    eventually("deliveries", async || (world.bus.deliveries() >= count).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_passes_sends_what_its_plugin_fails_on_as_it_is() {
    let world = poisoned("pass").await;
    let running = world.running().await;
    world.put("a", Some("trap")).await;
    world.put("b", Some("reject")).await;
    world.put("c", None).await;
    delivered(&world, 2).await;
    assert_eq!(items(&world), ["a", "c"]);
    // What it rejects, it did not fail on.
    let letters = world.weir.command(&["dlq", "ls", "--json"]).await;
    let letters: Value = serde_json::from_str(&letters.stdout).unwrap();
    assert_eq!(letters["dead_letters"].as_array().unwrap().len(), 1, "{letters}");
    assert_eq!(letters["dead_letters"][0]["code"], "asked-for");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_halts_stands_still_before_the_change_and_goes_on_there_with_its_next_version() {
    let world = poisoned("halt").await;
    let running = world.running().await;
    for (id, poison) in [("a", None), ("b", Some("trap")), ("c", None)] {
        world.put(id, poison).await;
    }
    let halted = async || {
        eventually("the route halts", async || {
            let versions = world.plugin_json(&["versions"]).await;
            versions.get("halted").cloned()
        })
        .await
    };
    let halt = halted().await;
    assert_eq!(
        (halt["code"].as_str(), halt["version"].as_u64()),
        (Some("plugin-trap"), Some(1))
    );
    assert_eq!(items(&world), ["a"]);
    let told = world.plugin(&["versions"]).await.stdout;
    assert!(told.contains("version 1 fails there (plugin-trap)"), "{told}");

    // It is not forgotten, and recording goes on.
    running.kill().await;
    let running = world.running().await;
    world.put("d", None).await;
    world.weir.recorded(4).await;
    assert_eq!(halted().await["position"], halt["position"]);
    assert_eq!(items(&world), ["a"]);

    // Its next version goes on there: with the change, and with what stands behind it.
    running.stop().await;
    let config = std::fs::read_to_string(world.weir.path("weir.toml")).unwrap();
    world
        .weir
        .write("weir.toml", &config.replace("failure = \"halt\"", "failure = \"pass\""));
    let running = world.running().await;
    delivered(&world, 4).await;
    assert_eq!(items(&world), ["a", "b", "c", "d"]);
    let versions = world.plugin_json(&["versions"]).await;
    assert_eq!(versions.get("halted"), None);
    assert_eq!(versions["versions"][0]["from_position"], halt["position"]);
    running.stop().await;
}
