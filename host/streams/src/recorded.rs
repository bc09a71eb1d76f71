//! Recorded pages: a file in the place of the service, for tries, tests and measurements that need no AWS.
//!
//! ```text
//! {"stream": {"arn": "arn:aws:dynamodb:...", "table": "orders", "view": "NEW_AND_OLD_IMAGES", "keys": ["id"]}}
//! {"shard": "shardId-1", "page": {"Records": [...]}}
//! {"shard": "shardId-1", "page": {"Records": [...]}}
//! {"shard": "shardId-2", "parent": "shardId-1", "page": {"Records": [...]}}
//! ```
//!
//! The first line names the stream; every other one is a page of a shard, as `GetRecords` answers it, in order. A shard ends
//! behind its last page, and the stream is off. Everything but the answers is the client library's and ours, as ever: this
//! stands where its sockets would.
//!
//! # Invariants
//!
//! - A file is read and understood as a whole before anything of it is given out.
//! - It is never written to, and its iterators never expire.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use weir_model::{Record, SequenceNumber, StreamArn};

use crate::DynamoDbStreams;
use crate::decode::decode;

/// Why a file of recorded pages cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// It cannot be opened or read.
    #[error("{path} cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is none of a recording.
    #[error("{path}, line {line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1 on.
        line: usize,
        /// What is wrong, and what is wanted.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamLine {
    stream: RecordedStream,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedStream {
    arn: String,
    table: String,
    view: String,
    keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageLine {
    shard: String,
    parent: Option<String>,
    page: Box<RawValue>,
}

/// A recording in memory.
#[derive(Debug)]
struct Recording {
    stream: RecordedStream,
    shards: Vec<RecordedShard>,
    by_id: HashMap<String, usize>,
}

#[derive(Debug)]
struct RecordedShard {
    id: String,
    parent: Option<String>,
    pages: Vec<RecordedPage>,
}

#[derive(Debug)]
struct RecordedPage {
    records: Box<RawValue>,
    last: Option<SequenceNumber>,
}

impl DynamoDbStreams {
    /// Opens recorded pages: a client that finds one stream, with its ARN.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has a line that is none of a recording.
    pub fn recorded(path: &Path) -> Result<(Self, StreamArn), RecordedError> {
        let text = std::fs::read_to_string(path).map_err(|source| RecordedError::File {
            path: path.to_owned(),
            source,
        })?;
        let (recording, arn) = Recording::read(&text).map_err(|(line, problem)| RecordedError::Line {
            path: path.to_owned(),
            line,
            problem,
        })?;
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("recorded"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "none", "none", None, None, "recorded",
            )))
            .http_client(SharedHttpClient::new(Player(Arc::new(recording))))
            .build();
        let mut streams = Self::from_config(&config);
        streams.is_of_any_region();
        Ok((streams, arn))
    }
}

impl Recording {
    /// Understands a file, or says in which line it does not.
    fn read(text: &str) -> Result<(Self, StreamArn), (usize, String)> {
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let (_, first) = lines.next().ok_or((1, "the file is empty".to_owned()))?;
        let first: StreamLine = serde_json::from_str(first).map_err(|error| {
            let wanted = r#"the first line is {"stream": {"arn": ..., "table": ..., "view": ..., "keys": [...]}}"#;
            (1, format!("{error}; {wanted}"))
        })?;
        let arn = StreamArn::parse(first.stream.arn.as_str()).map_err(|error| (1, error.to_string()))?;
        let mut recording = Self {
            stream: first.stream,
            shards: Vec::new(),
            by_id: HashMap::new(),
        };
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let page: PageLine = serde_json::from_str(line).map_err(|error| {
                (
                    number,
                    format!(r#"{error}; a page is {{"shard": ..., "page": {{"Records": [...]}}}}"#),
                )
            })?;
            recording.add(page).map_err(|problem| (number, problem))?;
        }
        Ok((recording, arn))
    }

    fn add(&mut self, line: PageLine) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(rename = "Records")]
            records: Box<RawValue>,
        }
        let page: Page = serde_json::from_str(line.page.get()).map_err(|error| error.to_string())?;
        let decoded = decode(line.page.get().as_bytes(), &self.stream.table).map_err(|error| error.to_string())?;
        let index = *self.by_id.entry(line.shard.clone()).or_insert_with(|| {
            self.shards.push(RecordedShard {
                id: line.shard,
                parent: line.parent,
                pages: Vec::new(),
            });
            self.shards.len() - 1
        });
        let pages = &mut self.shards[index].pages;
        let before = pages.iter().rev().find_map(|page| page.last.as_ref());
        let sequences = decoded.records.iter().map(Record::sequence);
        if !before
            .into_iter()
            .chain(sequences)
            .is_sorted_by(|left, right| left < right)
        {
            return Err("the sequence numbers of a shard have to rise".to_owned());
        }
        pages.push(RecordedPage {
            records: page.records,
            last: decoded.records.last().map(|record| record.sequence().clone()),
        });
        Ok(())
    }

    /// The answer to a call of `DynamoDB` Streams.
    fn answer(&self, operation: &str, asked: &Value) -> Result<String, &'static str> {
        let text = |name: &str| asked[name].as_str().unwrap_or_default();
        match operation {
            "ListStreams" => {
                let is_asked = asked["TableName"]
                    .as_str()
                    .is_none_or(|table| table == self.stream.table);
                let stream = json!({"StreamArn": self.stream.arn, "TableName": self.stream.table});
                let streams: Vec<Value> = is_asked.then_some(stream).into_iter().collect();
                Ok(json!({ "Streams": streams }).to_string())
            }
            "DescribeStream" if text("StreamArn") == self.stream.arn => Ok(self.description(asked).to_string()),
            "GetShardIterator" => {
                let shard = *self.by_id.get(text("ShardId")).ok_or(NOT_FOUND)?;
                let page = match asked["SequenceNumber"].as_str() {
                    Some(after) => {
                        let after = SequenceNumber::parse(after).map_err(|_| NOT_FOUND)?;
                        let pages = &self.shards[shard].pages;
                        // What of the first page was read before comes again, and is dropped by whoever asked.
                        let unread = |page: &RecordedPage| page.last.as_ref().is_some_and(|last| *last > after);
                        pages.iter().position(unread).unwrap_or(pages.len())
                    }
                    None => 0,
                };
                Ok(json!({ "ShardIterator": format!("{shard}/{page}") }).to_string())
            }
            "GetRecords" => {
                let (shard, page) = text("ShardIterator").split_once('/').ok_or(NOT_FOUND)?;
                let (shard, page): (usize, usize) = shard.parse().ok().zip(page.parse().ok()).ok_or(NOT_FOUND)?;
                let pages = &self.shards.get(shard).ok_or(NOT_FOUND)?.pages;
                let records = pages.get(page).map_or("[]", |page| page.records.get());
                let next = if page + 1 < pages.len() {
                    format!(r#""{shard}/{}""#, page + 1)
                } else {
                    "null".to_owned()
                };
                Ok(format!(r#"{{"Records":{records},"NextShardIterator":{next}}}"#))
            }
            _ => Err(NOT_FOUND),
        }
    }

    fn description(&self, asked: &Value) -> Value {
        let kinds = ["HASH", "RANGE"];
        let children_of = asked["ShardFilter"]["ShardId"].as_str();
        let shards = self
            .shards
            .iter()
            .filter(|shard| children_of.is_none_or(|parent| shard.parent.as_deref() == Some(parent)));
        let shards: Vec<Value> = shards
            .map(|shard| json!({"ShardId": shard.id, "ParentShardId": shard.parent, "SequenceNumberRange": {}}))
            .collect();
        let keys = self.stream.keys.iter().zip(kinds);
        let keys: Vec<Value> = keys
            .map(|(name, kind)| json!({"AttributeName": name, "KeyType": kind}))
            .collect();
        json!({"StreamDescription": {
            "StreamArn": self.stream.arn,
            "StreamStatus": "DISABLED",
            "StreamViewType": self.stream.view,
            "TableName": self.stream.table,
            "KeySchema": keys,
            "Shards": shards,
        }})
    }
}

/// The code of the one error that a recording has.
const NOT_FOUND: &str = "ResourceNotFoundException";

/// Answers in the place of the service.
#[derive(Clone, Debug)]
struct Player(Arc<Recording>);

impl HttpClient for Player {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Player {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let asked = request.body().bytes().unwrap_or_default();
        let asked = serde_json::from_slice(asked).unwrap_or_default();
        let (status, body) = match self.0.answer(operation, &asked) {
            Ok(body) => (200, body),
            Err(code) => (
                400,
                json!({"__type": code, "message": "not in the recording"}).to_string(),
            ),
        };
        let status = u16::try_into(status).expect("both are statuses of HTTP");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}
