//! What happens to a running Weir: a sink that fails, another process beside it, a start or a route that comes late.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_tests::{Bus, Weir, eventually};

const TABLE: &str = "fault-orders";

/// A Weir that sends every change of a local table to a bus.
async fn shop(bus: &Bus, retry: &str) -> (LocalDynamoDb, Weir) {
    let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    dynamodb.ensure_table(TABLE, "id").await.unwrap();
    let weir = Weir::configure(&format!(
        "{}[source.shop]\ntable = \"{TABLE}\"\nendpoint = \"{}\"\ntest_credentials = true\n\
         [route.all]\nsource = \"shop\"\nsinks = [\"bus\"]\nretry = {retry}\n",
        bus.sink(),
        dynamodb.endpoint(),
    ));
    (dynamodb, weir)
}

async fn put(dynamodb: &LocalDynamoDb, id: &str, note: &str) {
    let put = dynamodb.client().put_item().table_name(TABLE);
    put.item("id", AttributeValue::S(id.to_owned()))
        .item("note", AttributeValue::S(note.to_owned()))
        .send()
        .await
        .unwrap();
}

/// That of one source is waited for until its time is out. Of all, one after another, nobody would wait for.
#[tokio::test(flavor = "multi_thread")]
async fn where_no_source_answers_at_the_start_what_was_recorded_is_served_all_the_same() {
    const SOURCES: usize = 32;
    let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    let endpoint = dynamodb.endpoint();
    let mut config = String::new();
    for number in 0..SOURCES {
        let table = format!("{TABLE}-{number}");
        dynamodb.ensure_table(&table, "id").await.unwrap();
        config += &format!(
            "[source.shop-{number}]\ntable = \"{table}\"\nendpoint = \"{endpoint}\"\ntest_credentials = true\n"
        );
    }
    let weir = Weir::configure(&config);
    let put = dynamodb.client().put_item().table_name(format!("{TABLE}-7"));
    put.item("id", AttributeValue::S("order-1".to_owned()))
        .send()
        .await
        .unwrap();
    let running = weir.run(None);
    weir.recorded(1).await;
    running.stop().await;
    drop(dynamodb);

    let running = weir.run(None);
    weir.answers().await;
    let log = running.log();
    assert_eq!(
        log.matches("going on with the stream that is known").count(),
        SOURCES,
        "{log}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_source_that_never_answers() {
    let (dynamodb, weir) = shop(&Bus::start().await, "{ first = \"10ms\" }").await;
    put(&dynamodb, "order-1", "new").await;
    let running = weir.run(None);
    weir.recorded(1).await;
    running.stop().await;

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = std::fs::read_to_string(weir.path("weir.toml")).unwrap();
    let elsewhere = format!("http://{}", silent.local_addr().unwrap());
    weir.write("weir.toml", &config.replace(&dynamodb.endpoint(), &elsewhere));
    let running = weir.run(None);
    weir.answers().await;
    running.stop().await;
    let log = std::fs::read_to_string(weir.path("log")).unwrap();
    assert!(
        log.contains("weir stopped") && !log.contains("did not end in time"),
        "{log}"
    );
}

/// streams.md 35.
#[tokio::test(flavor = "multi_thread")]
async fn only_entries_that_failed_are_sent_again() {
    let bus = Bus::start().await;
    let (dynamodb, weir) = shop(&bus, "{ first = \"10ms\" }").await;
    for number in 0..10 {
        put(&dynamodb, &format!("order-{number}"), "new").await;
    }
    bus.fail_entries(&[(2, "ThrottlingException"), (7, "InternalFailure")]);
    let running = weir.run(None);
    eventually("all ten", async || (bus.deliveries() == 10).then_some(())).await;
    running.stop().await;
    assert_eq!(bus.received().len(), 10, "none of the eight was sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_refused_becomes_a_dead_letter_and_its_item_goes_on() {
    let bus = Bus::start().await;
    let (dynamodb, weir) = shop(&bus, "{ first = \"10ms\" }").await;
    put(&dynamodb, "order-1", "first").await;
    put(&dynamodb, "order-1", "second").await;
    bus.fail_entries(&[(0, "MalformedDetail")]);
    let running = weir.run(None);
    eventually("the second", async || (bus.deliveries() == 1).then_some(())).await;
    let listed = eventually("the dead letter", async || {
        let answer = weir.command(&["dlq", "ls"]).await;
        answer
            .stdout
            .contains("refused: MalformedDetail")
            .then_some(answer.stdout)
    })
    .await;
    running.stop().await;
    assert_eq!(bus.received()[0].detail["new"]["note"], "second");
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_down_loses_nothing_and_recording_goes_on() {
    let bus = Bus::start().await;
    let (dynamodb, weir) = shop(&bus, "{ first = \"10ms\", attempts_max = 2 }").await;
    bus.fail(u32::MAX);
    let running = weir.run(None);
    for number in 0..30 {
        put(&dynamodb, &format!("order-{}", number % 3), &number.to_string()).await;
    }
    weir.recorded(30).await;
    assert_eq!(bus.deliveries(), 0);
    bus.fail(0);
    eventually("all thirty", async || (bus.deliveries() == 30).then_some(())).await;
    assert!(weir.command(&["dlq", "ls"]).await.stdout.contains("no dead letters"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_weir_stands_by_and_takes_over_when_the_first_is_killed() {
    let bus = Bus::start().await;
    let (dynamodb, weir) = shop(&bus, "{ first = \"10ms\" }").await;
    let first = weir.run(None);
    put(&dynamodb, "order-1", "before").await;
    eventually("the first delivers", async || (bus.deliveries() == 1).then_some(())).await;
    let second = weir.run(None);
    eventually("the second stands by", async || {
        second.log().contains("standing by").then_some(())
    })
    .await;
    first.kill().await;
    put(&dynamodb, "order-1", "after").await;
    eventually("the second delivers", async || (bus.deliveries() == 2).then_some(())).await;
    second.stop().await;
}

/// streams.md 44. Source times are whole seconds, so the test first lets one pass.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_at_latest_skips_what_was_written_before_and_remembers_where_it_began() {
    let bus = Bus::start().await;
    let (dynamodb, weir) = shop(&bus, "{ first = \"10ms\" }").await;
    let config = std::fs::read_to_string(weir.path("weir.toml")).unwrap();
    weir.write(
        "weir.toml",
        &config.replace("[source.shop]\n", "[source.shop]\nstart = \"latest\"\n"),
    );
    put(&dynamodb, "order-1", "before").await;
    let written_at = jiff::Timestamp::now().as_second();
    eventually("the next second", async || {
        (jiff::Timestamp::now().as_second() > written_at).then_some(())
    })
    .await;

    let first = weir.run(None);
    eventually("it reads", async || first.log().contains("shard taken").then_some(())).await;
    put(&dynamodb, "order-1", "after").await;
    weir.recorded(1).await;
    first.kill().await;
    put(&dynamodb, "order-1", "while it was down").await;
    let second = weir.run(None);
    weir.recorded(2).await;
    second.stop().await;

    let notes: Vec<String> = weir
        .records()
        .await
        .iter()
        .map(|entry| note(entry.body.new.as_ref()))
        .collect();
    assert_eq!(notes, ["after", "while it was down"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_is_added_later_begins_with_what_is_recorded_from_then_on() {
    let bus = Bus::start().await;
    let (dynamodb, weir) = shop(&bus, "{ first = \"10ms\" }").await;
    let config = std::fs::read_to_string(weir.path("weir.toml")).unwrap();
    weir.write("weir.toml", &config[..config.find("[route.all]").unwrap()]);
    put(&dynamodb, "order-1", "before the route").await;
    let without = weir.run(None);
    weir.recorded(1).await;
    without.stop().await;

    weir.write("weir.toml", &config);
    put(&dynamodb, "order-1", "after it").await;
    let with = weir.run(None);
    eventually("the event", async || (bus.deliveries() > 0).then_some(())).await;
    with.stop().await;
    let positions: Vec<u64> = bus.received().iter().map(weir_tests::Received::position).collect();
    // Behind the change of before, the account of it that was written when the first Weir stopped, and the route itself.
    assert_eq!(positions, [3]);
}

fn note(image: Option<&weir_model::Item>) -> String {
    image
        .and_then(|image| image["note"].as_text())
        .unwrap_or_default()
        .to_owned()
}
