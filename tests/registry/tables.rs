//! Tables that plugins look things up in: pinned by the version of a route.

use aws_sdk_dynamodb::types::AttributeValue;
use weir_tests::{component, eventually};

use crate::{TABLE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_a_route_looks_up_in_the_table_that_it_began_with() {
    let world = World::new("").await;
    let running = world.running().await;
    let plugin = component("segments").display().to_string();
    world.plugin_json(&["push", &plugin]).await;
    expect_test::expect![[r#"
        weir: the plugin looks up in the table customers, which is not there: `weir lookup push NAME FILE` uploads one
    "#]]
    .assert_eq(&world.refused(&["promote", "segments", "--grant"]).await);

    let upload = async |text: &str| {
        world.weir.write("customers.json", text);
        let file = world.weir.path("customers.json").display().to_string();
        world.weir.command(&["lookup", "push", "customers", &file]).await
    };
    let refused = upload("[]").await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("a lookup table is a JSON object"),
        "{refused:?}"
    );
    for _ in 0..2 {
        let pushed = upload(r#"{"c-1": {"segment": "new"}}"#).await;
        assert_eq!(pushed.code, Some(0), "{pushed:?}");
    }
    world.plugin_json(&["promote", "segments", "--grant"]).await;

    let order = async |id: &str, customer: &str| {
        let put = world.dynamodb.client().put_item().table_name(TABLE);
        let put = put.item("id", AttributeValue::S(id.to_owned()));
        put.item("customer", AttributeValue::S(customer.to_owned()))
            .send()
            .await
            .unwrap();
    };
    let segments = async |count: usize| {
        eventually("deliveries", async || (world.bus.deliveries() >= count).then_some(())).await;
        let received = world.bus.received();
        let segments = received
            .iter()
            .map(|event| event.detail["segment"].as_str().unwrap().to_owned());
        segments.collect::<Vec<_>>()
    };
    order("o-1", "c-2").await;
    order("o-2", "c-1").await;
    assert_eq!(segments(1).await, ["new"]);
    // What is uploaded is used by the next version, not by this one.
    upload(r#"{"c-1": {"segment": "vip"}, "c-2": {"segment": "lost"}}"#).await;
    order("o-3", "c-1").await;
    assert_eq!(segments(2).await, ["new", "new"]);
    world.plugin_json(&["promote", "segments"]).await;
    order("o-4", "c-2").await;
    assert_eq!(segments(3).await, ["new", "new", "lost"]);
    // The table goes back with the plugin.
    world.plugin_json(&["rollback"]).await;
    order("o-5", "c-1").await;
    assert_eq!(segments(4).await, ["new", "new", "lost", "new"]);
    let steps = world.steps().await;
    let expected = [
        "route-configured 1",
        "plugin-uploaded",
        "lookup-uploaded",
        "plugin-promoted 2",
        "lookup-uploaded",
        "plugin-promoted 3",
        "plugin-rolled-back 4",
    ];
    assert_eq!(steps, expected);
    running.stop().await;
}
