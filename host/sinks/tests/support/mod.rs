//! A scripted EventBridge, and events for it.

#[path = "../../../streams/tests/support/http.rs"]
pub(crate) mod http;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use weir_model::{
    Assurance, AttributedChange, Change, DeliveryId, Event, EventContext, EventId, LedgerName, Operation, Position,
    SequenceNumber, ShardId, StreamArn, Who,
};
use weir_sinks::{AwsAccess, EventBridge, Message, Outcome, Sink};

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
        EventBridge::new(&access, BUS, None).await
    }

    /// Sends events with the ids `e0`, `e1`, and so on.
    pub(crate) async fn send(&self, count: usize) -> Vec<Outcome> {
        let sink = self.sink().await;
        sink.send(&messages(&sink, count)).await
    }

    /// Sends these events.
    pub(crate) async fn send_events(&self, events: &[Event]) -> Vec<Outcome> {
        let sink = self.sink().await;
        let message = |(number, event)| message(&sink, number, event);
        let messages: Vec<Arc<Message>> = events.iter().enumerate().map(message).collect();
        sink.send(&messages).await
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

/// Messages for a sink, of events with the ids `e0`, `e1`, and so on. Each is about an item of its own.
pub(crate) fn messages(sink: &dyn Sink, count: usize) -> Vec<Arc<Message>> {
    (0..count).map(|number| message(sink, number, &event(number))).collect()
}

/// An event as the delivery of this number.
pub(crate) fn message(sink: &dyn Sink, number: usize, event: &Event) -> Arc<Message> {
    let delivery = delivery(number);
    let event = event.clone().delivered_as(&delivery);
    Arc::new(Message::new(sink, delivery, format!("item-{number}"), &event))
}

pub(crate) fn delivery(number: usize) -> DeliveryId {
    DeliveryId::derive(
        &StreamArn::parse("arn:aws:dynamodb:eu-central-1:1:table/shop-orders/stream/2026-03-01T00:00:00.000").unwrap(),
        &ShardId::parse("shardId-00000001541626099285-f35f62ef").unwrap(),
        &SequenceNumber::parse((100 + number).to_string()).unwrap(),
        "paid",
        1,
        0,
        "bus",
    )
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
    Event::of_change(&Arc::new(AttributedChange { change, who }), context)
}

/// One word for each outcome, and its reason: `accepted`, `retry ThrottlingException: e1 failed`.
pub(crate) fn show(outcomes: &[Outcome]) -> Vec<String> {
    let one = |outcome: &Outcome| match outcome {
        Outcome::Accepted => "accepted".to_owned(),
        Outcome::Retry { reason, .. } => format!("retry {reason}"),
        Outcome::Unavailable { reason, .. } => format!("unavailable {reason}"),
        Outcome::Refused { reason } => format!("refused {reason}"),
    };
    outcomes.iter().map(one).collect()
}

/// The first words of [`show`].
pub(crate) fn kinds(outcomes: &[Outcome]) -> Vec<String> {
    let first = |text: String| text.split(' ').next().unwrap_or_default().to_owned();
    show(outcomes).into_iter().map(first).collect()
}
