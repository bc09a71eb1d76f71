//! The unmodified SDK on a simulator, and short names for what tests ask it.

pub(crate) mod http;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::config::retry::RetryConfig;
use aws_sdk_dynamodbstreams::config::timeout::TimeoutConfig;
use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Config, Region};
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsOutput;
use aws_sdk_dynamodbstreams::types::{Record, Shard, ShardIteratorType, StreamDescription};
use weir_simulator::{Setup, Simulator, TableSetup, item};

/// The table of most tests.
pub(crate) const TABLE: &str = "orders";

/// A simulator with a table of one shard, and a client of it.
pub(crate) async fn start() -> (Simulator, Streams) {
    start_with(Setup::default()).await
}

/// A simulator with a table of several shards, and a client of it.
pub(crate) async fn start_with_shards(shards: usize) -> (Simulator, Streams) {
    let table = TableSetup {
        shards,
        ..TableSetup::new(TABLE)
    };
    start_with(Setup {
        tables: vec![table],
        ..Setup::default()
    })
    .await
}

pub(crate) async fn start_with(setup: Setup) -> (Simulator, Streams) {
    let simulator = Simulator::start(setup).await.unwrap();
    let streams = Streams::new(&simulator, Duration::from_secs(10));
    (simulator, streams)
}

/// Puts an item of this key with a number that differs each time.
pub(crate) fn put(simulator: &Simulator, id: &str) -> u64 {
    let version = simulator.truth().changes.len().to_string();
    let item = item(id, &[("version", serde_json::json!({ "N": version }))]);
    simulator.put(TABLE, item).unwrap().unwrap()
}

/// A client of DynamoDB Streams that asks once and no more.
pub(crate) struct Streams {
    pub(crate) client: Client,
    simulator: Simulator,
}

impl Streams {
    pub(crate) fn new(simulator: &Simulator, timeout: Duration) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(simulator.endpoint())
            .credentials_provider(Credentials::new("any", "any", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(timeout).build())
            .build();
        Self {
            client: Client::from_conf(config),
            simulator: simulator.clone(),
        }
    }

    pub(crate) fn arn(&self) -> String {
        self.simulator.stream_arn(TABLE).unwrap()
    }

    /// The first open shard.
    pub(crate) fn shard(&self) -> String {
        self.simulator.open_shards(TABLE).unwrap().remove(0)
    }

    /// One page of the description.
    pub(crate) async fn describe(&self) -> StreamDescription {
        let output = self.client.describe_stream().stream_arn(self.arn()).send().await;
        output.unwrap().stream_description.unwrap()
    }

    /// All shards, page by page.
    pub(crate) async fn shards(&self) -> Vec<Shard> {
        let mut shards = Vec::new();
        let mut start = None;
        loop {
            let call = self.client.describe_stream().stream_arn(self.arn());
            let output = call.set_exclusive_start_shard_id(start).send().await.unwrap();
            let mut page = output.stream_description.unwrap();
            shards.append(page.shards.as_mut().unwrap());
            start = page.last_evaluated_shard_id;
            if start.is_none() {
                return shards;
            }
        }
    }

    pub(crate) async fn horizon(&self, shard: &str) -> String {
        self.iterator(shard, ShardIteratorType::TrimHorizon, None)
            .await
            .unwrap()
    }

    /// An iterator, or the code of the error.
    pub(crate) async fn iterator(
        &self,
        shard: &str,
        kind: ShardIteratorType,
        sequence: Option<&str>,
    ) -> Result<String, String> {
        let call = self.client.get_shard_iterator().stream_arn(self.arn()).shard_id(shard);
        let call = call.shard_iterator_type(kind);
        let output = call.set_sequence_number(sequence.map(str::to_owned)).send().await;
        output
            .map(|output| output.shard_iterator.unwrap())
            .map_err(|error| error.code().unwrap_or_default().to_owned())
    }

    /// A page, or the code of the error; no code if the call failed on the way.
    pub(crate) async fn page(&self, iterator: &str) -> Result<GetRecordsOutput, String> {
        let output = self.client.get_records().shard_iterator(iterator).send().await;
        output.map_err(|error| error.code().unwrap_or_default().to_owned())
    }

    /// The records from an iterator on, until a page is empty or the last.
    pub(crate) async fn read_from(&self, iterator: String) -> Vec<Record> {
        let mut records = Vec::new();
        let mut next = Some(iterator);
        while let Some(iterator) = next {
            let page = self.page(&iterator).await.unwrap();
            let page_records = page.records.unwrap();
            next = page.next_shard_iterator.filter(|_| !page_records.is_empty());
            records.extend(page_records);
        }
        records
    }

    /// The records of a shard from its horizon on.
    pub(crate) async fn read(&self, shard: &str) -> Vec<Record> {
        let iterator = self.horizon(shard).await;
        self.read_from(iterator).await
    }
}

/// The sequence number of a record.
pub(crate) fn sequence(record: &Record) -> &str {
    record.dynamodb().unwrap().sequence_number().unwrap()
}

/// The key of the item that a record tells of.
pub(crate) fn id(record: &Record) -> &str {
    record.dynamodb().unwrap().keys().unwrap()["id"].as_s().unwrap()
}
