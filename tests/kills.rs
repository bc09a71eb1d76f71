//! `kill -9` while a stream of 20,000 changes is recorded and routed: nothing is lost, doubled or reordered.
//!
//! The writer keeps its own list of what it wrote. Half of the kills come at a random moment, the others at a fault
//! point between reading, commit, `PutEvents` and cursor. `WEIR_KILLS` asks for more of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use tokio::sync::Semaphore;
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_evidence::EntryKind;
use weir_model::Operation;
use weir_tests::{Bus, Dice, Weir, eventually};

const CHANGES: usize = 20_000;
const ITEMS: u64 = 500;
const TABLE: &str = "kill-orders";

/// Where a kill is most likely to break something, each at some passage.
const FAULTS: [&str; 12] = [
    "before-append:1",
    "after-append:1",
    "before-send:1",
    "after-request:1",
    "after-request:7",
    "after-send:1",
    "after-cursor:1",
    "after-append:1",
    "after-request:30",
    "after-send:1",
    "before-append:1",
    "after-cursor:1",
];

/// What the writer did to an item: the operation, and the version that the item then had.
type Written = Vec<(Operation, Option<String>)>;

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_recorded_once_and_delivered_at_least_once_whenever_weir_is_killed() {
    let kills: usize = std::env::var("WEIR_KILLS").map_or(24, |text| text.parse().unwrap());
    let mut dice = Dice::new();
    let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    dynamodb.ensure_table(TABLE, "id").await.unwrap();
    let bus = Bus::start().await;
    let weir = Weir::with_plugin(&dynamodb, TABLE, "poison", &bus);

    // The writer may write a share after each kill, so that there is something to kill in.
    let may_write = Arc::new(Semaphore::new(CHANGES / kills));
    let writer = tokio::spawn(write(dynamodb.client(), Arc::clone(&may_write)));
    let mut faults = FAULTS.iter().cycle();
    for kill in 0..kills {
        let fault = if kill % 2 == 0 { faults.next() } else { None };
        let mut running = weir.run(fault.copied());
        match fault {
            Some(fault) => {
                let status = running.ended().await;
                assert_eq!(
                    std::os::unix::process::ExitStatusExt::signal(&status),
                    Some(9),
                    "{fault}: {}",
                    running.log()
                );
            }
            None => {
                let before = bus.received().len();
                let wanted = before + usize::try_from(dice.below((CHANGES / kills / 2) as u64)).unwrap();
                eventually("some progress before the kill", async || {
                    (bus.received().len() >= wanted || !running.is_running()).then_some(())
                })
                .await;
                assert!(running.is_running(), "{}", running.log());
                running.kill().await;
            }
        }
        may_write.add_permits(CHANGES / kills);
    }
    may_write.add_permits(CHANGES);
    let running = weir.run(None);
    let written = writer.await.unwrap();
    assert_eq!(written.values().map(Vec::len).sum::<usize>(), CHANGES);
    weir.recorded(CHANGES as u64).await;
    eventually("every event at the bus", async || {
        (bus.deliveries() >= CHANGES).then_some(())
    })
    .await;
    running.stop().await;

    check_ledger(&weir, &written).await;
    check_events(&bus);
    assert_eq!(weir.command(&["verify"]).await.code, Some(0));
}

/// The ledger, value by value, against the writer's own list: each change once, in order per item.
async fn check_ledger(weir: &Weir, written: &BTreeMap<String, Written>) {
    let mut recorded: BTreeMap<String, Written> = BTreeMap::new();
    let entries = weir.records().await;
    assert_eq!(entries.len(), CHANGES);
    for entry in entries {
        let EntryKind::Change { operation, .. } = entry.entry.kind else {
            panic!("only changes were made")
        };
        let body = entry.body;
        let text = |item: &weir_model::Item, name: &str| item.get(name).map(|value| value.to_plain_json().to_string());
        let id = text(&body.keys.unwrap(), "id").unwrap();
        let version = body.new.as_ref().and_then(|new| text(new, "version"));
        recorded
            .entry(id.trim_matches('"').to_owned())
            .or_default()
            .push((operation, version));
    }
    for (id, changes) in written {
        assert_eq!(recorded.get(id), Some(changes), "{id}");
    }
    assert_eq!(recorded.len(), written.len());
}

/// Every event arrived, some twice under one id with one payload, and first arrivals of an item are in order.
fn check_events(bus: &Bus) {
    let received = bus.received();
    let mut payloads: HashMap<&str, &serde_json::Value> = HashMap::new();
    let mut last_of_item: HashMap<String, u64> = HashMap::new();
    let mut positions = HashSet::new();
    for event in &received {
        match payloads.insert(event.delivery(), &event.detail) {
            Some(earlier) => assert_eq!(*earlier, event.detail, "one id, two payloads"),
            None => {
                let item = event.detail["keys"]["id"].to_string();
                let before = last_of_item.insert(item, event.position());
                assert!(
                    before.is_none_or(|before| before < event.position()),
                    "out of order: {}",
                    event.detail
                );
                positions.insert(event.position());
            }
        }
    }
    assert_eq!((payloads.len(), positions.len()), (CHANGES, CHANGES));
    assert!(
        received.len() > CHANGES,
        "no event came twice, so no kill hit between sending and the cursor"
    );
}

/// Writes the changes and keeps a list of them. Every version of an item has a number that no other change has.
async fn write(client: Client, may_write: Arc<Semaphore>) -> BTreeMap<String, Written> {
    let mut dice = Dice::new();
    let mut written: BTreeMap<String, Written> = BTreeMap::new();
    let mut count = 0;
    while count < CHANGES {
        may_write.acquire().await.unwrap().forget();
        let id = format!("order-{}", dice.below(ITEMS));
        let exists = written
            .get(&id)
            .and_then(|changes| changes.last())
            .is_some_and(|(_, version)| version.is_some());
        match dice.below(10) {
            0 if exists => {
                client
                    .delete_item()
                    .table_name(TABLE)
                    .key("id", AttributeValue::S(id.clone()))
                    .send()
                    .await
                    .unwrap();
                written.get_mut(&id).unwrap().push((Operation::Remove, None));
                count += 1;
            }
            1 if exists => {
                count += 1;
                let update = client
                    .update_item()
                    .table_name(TABLE)
                    .key("id", AttributeValue::S(id.clone()));
                let value = AttributeValue::N(count.to_string());
                update
                    .update_expression("set version = :version")
                    .expression_attribute_values(":version", value)
                    .send()
                    .await
                    .unwrap();
                written
                    .get_mut(&id)
                    .unwrap()
                    .push((Operation::Modify, Some(count.to_string())));
            }
            // Several at once, each another item.
            _ => {
                let batch: HashSet<String> = (0..20)
                    .map(|_| format!("order-{}", dice.below(ITEMS)))
                    .take(CHANGES - count)
                    .collect();
                let mut puts = Vec::new();
                for id in batch {
                    count += 1;
                    let changes = written.entry(id.clone()).or_default();
                    let exists = changes.last().is_some_and(|(_, version)| version.is_some());
                    let operation = if exists { Operation::Modify } else { Operation::Insert };
                    changes.push((operation, Some(count.to_string())));
                    let put = PutRequest::builder()
                        .item("id", AttributeValue::S(id))
                        .item("version", AttributeValue::N(count.to_string()));
                    puts.push(WriteRequest::builder().put_request(put.build().unwrap()).build());
                }
                let more = u32::try_from(puts.len() - 1).unwrap();
                may_write.acquire_many(more).await.unwrap().forget();
                client
                    .batch_write_item()
                    .request_items(TABLE, puts)
                    .send()
                    .await
                    .unwrap();
            }
        }
    }
    written
}
