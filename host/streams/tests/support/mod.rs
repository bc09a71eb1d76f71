//! A scripted DynamoDB Streams, its answers, and readers of it.

#[expect(dead_code, reason = "the tests of the sinks need the rest of it")]
pub(crate) mod http;
pub(crate) mod memory;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use weir_model::{Record, SequenceNumber, ShardId, StreamArn};
use weir_streams::{AwsAccess, DynamoDbStreams, ShardReader};

use http::{Reply, Server};

pub(crate) const TABLE: &str = "shop-orders";
pub(crate) const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/shop-orders/stream/2026-03-01T00:00:00.000";
pub(crate) const SHARD: &str = "shardId-00000001772366400000-f35f62ef";

/// A call that the service got: the operation, and what was asked.
pub(crate) type Call = (String, Value);

/// DynamoDB Streams, answering as a test tells it to, and remembering what it was asked.
pub(crate) struct Scripted {
    server: Server,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Scripted {
    /// Gives these answers in this order. What is asked after the last is answered by an error that says so.
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let script: Mutex<VecDeque<Reply>> = Mutex::new(script.into_iter().collect());
        Self::start_with(move |operation, _| {
            let next = script.lock().unwrap().pop_front();
            next.unwrap_or_else(|| error(&format!("NothingIsScriptedFor{operation}")))
        })
        .await
    }

    /// Gives the answer that `answer` makes of an operation and what is asked.
    pub(crate) async fn start_with(answer: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        let server = Server::start(move |request| {
            let operation = request.target.strip_prefix("DynamoDBStreams_20120810.").unwrap();
            let reply = answer(operation, &request.body);
            seen.lock().unwrap().push((operation.to_owned(), request.body));
            reply
        })
        .await;
        Self { server, calls }
    }

    pub(crate) async fn streams(&self) -> DynamoDbStreams {
        streams(&self.server.endpoint()).await
    }

    /// Reads the shard from behind `after`, or from its beginning.
    pub(crate) async fn reader(&self, after: Option<&str>) -> ShardReader {
        let after = after.map(|digits| SequenceNumber::parse(digits).unwrap());
        self.streams()
            .await
            .read(&arn(), TABLE, &ShardId::parse(SHARD).unwrap(), after)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The calls in short: `TRIM_HORIZON`, `AFTER_SEQUENCE_NUMBER 7`, or the iterator of a `GetRecords`.
    pub(crate) fn steps(&self) -> Vec<String> {
        let step = |(operation, body): &Call| match (operation.as_str(), body["SequenceNumber"].as_str()) {
            ("GetShardIterator", Some(number)) => format!("{} {number}", body["ShardIteratorType"].as_str().unwrap()),
            ("GetShardIterator", None) => body["ShardIteratorType"].as_str().unwrap().to_owned(),
            ("GetRecords", _) => body["ShardIterator"].as_str().unwrap().to_owned(),
            _ => operation.clone(),
        };
        self.calls().iter().map(step).collect()
    }
}

pub(crate) async fn streams(endpoint: &str) -> DynamoDbStreams {
    DynamoDbStreams::new(&AwsAccess {
        region: Some("us-east-1".to_owned()),
        endpoint: Some(endpoint.to_owned()),
        test_credentials: true,
    })
    .await
}

pub(crate) fn arn() -> StreamArn {
    StreamArn::parse(ARN).unwrap()
}

/// An error that the client library does not try again, unless its code is one of those that it knows to pass.
pub(crate) fn error(code: &str) -> Reply {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
    Reply::Json(400, json!({"__type": kind, "message": "scripted"}))
}

/// An answer of `GetShardIterator`.
pub(crate) fn iterator(name: &str) -> Reply {
    Reply::Json(200, json!({"ShardIterator": name}))
}

/// An answer of `GetRecords`; without `next` the last one of the shard.
pub(crate) fn page(records: impl IntoIterator<Item = Value>, next: Option<&str>) -> Reply {
    let records: Vec<Value> = records.into_iter().collect();
    let mut body = json!({"Records": records});
    if let Some(next) = next {
        body["NextShardIterator"] = json!(next);
    }
    Reply::Json(200, body)
}

/// A record that is complete, with this sequence number.
pub(crate) fn record(sequence: &str) -> Value {
    json!({
        "eventID": format!("event-{sequence}"),
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_772_366_400,
            "Keys": {"order_id": {"S": "o1"}},
            "OldImage": {"order_id": {"S": "o1"}, "status": {"S": "placed"}},
            "NewImage": {"order_id": {"S": "o1"}, "status": {"S": "paid"}},
            "SequenceNumber": sequence,
            "SizeBytes": 40,
            "StreamViewType": "NEW_AND_OLD_IMAGES"
        }
    })
}

/// Sequence numbers, in order.
pub(crate) fn sequences(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.sequence().as_str()).collect()
}
