//! A scripted EventBridge, and events for it.

#[path = "../../../streams/tests/support/http.rs"]
pub(crate) mod http;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use weir_model::{
    Assurance, Change, Event, EventContext, EventId, LedgerName, Operation, Position, SequenceNumber, ShardId, Who,
};
use weir_sinks::{AwsAccess, EventBridge, Outcome, Sink as _};

use http::{Reply, Server};

/// The bus under test.
pub(crate) const BUS: &str = "orders";

/// EventBridge, answering `PutEvents` as a test tells it to, and remembering what it was asked.
pub(crate) struct Scripted {
    server: Server,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Scripted {
    /// `answer` gets the entries of a request.
    pub(crate) async fn start(answer: impl Fn(&[Value]) -> Reply + Send + Sync + 'static) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let server = Server::start(move |request| {
            assert_eq!(request.target, "AWSEvents.PutEvents");
            let reply = answer(request.body["Entries"].as_array().unwrap());
            seen.lock().unwrap().push(request.body);
            reply
        })
        .await;
        Self { server, requests }
    }

    pub(crate) async fn sink(&self) -> EventBridge {
        let access = AwsAccess {
            region: Some("eu-central-1".to_owned()),
            endpoint: Some(self.server.endpoint()),
            test_credentials: true,
        };
        EventBridge::new(&access, BUS).await
    }

    pub(crate) async fn send(&self, events: &[Event]) -> Vec<Outcome> {
        self.sink().await.send(events).await
    }

    /// The bodies of the requests so far.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }

    /// The ids of the events in each request so far.
    pub(crate) fn ids_by_request(&self) -> Vec<Vec<String>> {
        let ids = |request: &Value| request["Entries"].as_array().unwrap().iter().map(id).collect();
        self.requests().iter().map(ids).collect()
    }
}

/// The id that an entry's event carries.
pub(crate) fn id(entry: &Value) -> String {
    let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    detail["id"].as_str().unwrap().to_owned()
}

/// The answer to a request whose entries are taken, all but those for which `failure` has a code.
pub(crate) fn accept_but(entries: &[Value], failure: impl Fn(&str) -> Option<&'static str>) -> Reply {
    let results: Vec<Value> = entries
        .iter()
        .map(|entry| match failure(&id(entry)) {
            Some(code) => json!({"ErrorCode": code, "ErrorMessage": format!("{} failed", id(entry))}),
            None => json!({"EventId": format!("taken-{}", id(entry))}),
        })
        .collect();
    let failed = results
        .iter()
        .filter(|result| result.get("ErrorCode").is_some())
        .count();
    Reply::Json(200, json!({"FailedEntryCount": failed, "Entries": results}))
}

pub(crate) fn accept(entries: &[Value]) -> Reply {
    accept_but(entries, |_| None)
}

/// An error of the whole request.
pub(crate) fn error(status: u16, code: &str) -> Reply {
    Reply::Json(status, json!({"__type": code, "message": "scripted"}))
}

/// Events with the ids `e0`, `e1`, and so on.
pub(crate) fn events(count: usize) -> Vec<Event> {
    (0..count).map(event).collect()
}

pub(crate) fn event(number: usize) -> Event {
    let item = |text: Value| serde_json::from_value(text).unwrap();
    let change = Change {
        sequence: SequenceNumber::parse("100000000000000000001").unwrap(),
        event_id: EventId::parse(format!("e{number}")).unwrap(),
        table: "shop-orders".to_owned(),
        operation: Operation::Modify,
        created_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        keys: item(json!({"order_id": {"S": "o1"}})),
        old: Some(item(json!({"order_id": {"S": "o1"}, "status": {"S": "placed"}}))),
        new: Some(item(
            json!({"order_id": {"S": "o1"}, "status": {"S": "paid"}, "total": {"N": "19.99"}}),
        )),
        service: None,
    };
    let who = Who {
        actor: Some("maria".to_owned()),
        assurance: Assurance::Claimed,
    };
    let context = EventContext {
        source: "orders",
        ledger: &LedgerName::parse("main").unwrap(),
        position: Position(41),
        shard: &ShardId::parse("shardId-00000001541626099285-f35f62ef").unwrap(),
    };
    Event::of_change(&change, &who, context)
}

/// One word for each outcome, and its reason: `accepted`, `retry ThrottlingException: e1 failed`.
pub(crate) fn show(outcomes: &[Outcome]) -> Vec<String> {
    let one = |outcome: &Outcome| match outcome {
        Outcome::Accepted => "accepted".to_owned(),
        Outcome::Retry { reason } => format!("retry {reason}"),
        Outcome::Unavailable { reason } => format!("unavailable {reason}"),
        Outcome::Refused { reason } => format!("refused {reason}"),
    };
    outcomes.iter().map(one).collect()
}

/// The first words of [`show`].
pub(crate) fn kinds(outcomes: &[Outcome]) -> Vec<String> {
    let first = |text: String| text.split(' ').next().unwrap_or_default().to_owned();
    show(outcomes).into_iter().map(first).collect()
}
