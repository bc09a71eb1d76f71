//! A call, as far as it must be understood before it is made, and its answer in the words of its protocol.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::service::iterator::ShardIterator;
use crate::service::{Answer, ApiError, Call};
use crate::sinks::form::Form;
use crate::sinks::sns;
use crate::state::State;

const STREAMS: &str = "DynamoDBStreams_20120810.";
const EVENTBRIDGE: &str = "AWSEvents.";
const SQS: &str = "AmazonSQS.";

/// What a call is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Streams,
    EventBridge,
    Sqs,
    Sns,
}

impl Protocol {
    fn content_type(self) -> &'static str {
        match self {
            Self::Streams | Self::Sqs => "application/x-amz-json-1.0",
            Self::EventBridge => "application/x-amz-json-1.1",
            Self::Sns => "text/xml",
        }
    }
}

/// A call of one of the services.
#[derive(Debug)]
pub(crate) struct Request<'body> {
    pub(crate) operation: String,
    pub(crate) shard: Option<String>,
    protocol: Protocol,
    body: &'body [u8],
}

/// What goes out, if no fault keeps it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
    /// Changes whose records are in it, by number.
    pub(crate) changes: Vec<usize>,
    /// The service's time when it was made, as the header `Date` has it. Without one it is of the moment that it leaves.
    pub(crate) date: Option<String>,
}

impl<'body> Request<'body> {
    /// Reads a call. One that no service knows is taken for one of DynamoDB Streams, which then says so.
    pub(crate) fn parse(target: Option<&str>, body: &'body [u8]) -> Self {
        let target = target.unwrap_or_default();
        let named = [
            (STREAMS, Protocol::Streams),
            (EVENTBRIDGE, Protocol::EventBridge),
            (SQS, Protocol::Sqs),
        ];
        let named = named
            .iter()
            .find_map(|(prefix, protocol)| Some((*protocol, target.strip_prefix(prefix)?.to_owned())));
        let (protocol, operation) = named.unwrap_or_else(|| match Form::parse(body).get("Action") {
            Some(action) => (Protocol::Sns, action.to_owned()),
            None => (Protocol::Streams, target.to_owned()),
        });
        let shard = match protocol {
            Protocol::Streams => shard_of(body),
            _ => None,
        };
        Self {
            operation,
            shard,
            protocol,
            body,
        }
    }

    /// Makes the call.
    pub(crate) fn answer(&self, state: &mut State) -> Reply {
        let now = state.service.world.clock.now();
        // What is true of one moment must not be told as of a later one: readers wait for time to pass.
        let date = Some(state.service.world.clock.http_date());
        let reply = match self.answer_in(state, now) {
            Ok((body, changes)) => self.reply(200, body, changes),
            Err(error) => self.refuse(&error),
        };
        Reply { date, ..reply }
    }

    fn answer_in(&self, state: &mut State, now: Timestamp) -> Result<(String, Vec<usize>), ApiError> {
        let unknown = || {
            Err(ApiError::new(
                "UnknownOperationException",
                "the operation is not simulated",
            ))
        };
        let taken = match (self.protocol, self.operation.as_str()) {
            (Protocol::Streams, operation) => {
                let Answer { body, changes } = state.service.answer(operation, &self.json()?)?;
                return Ok((body, changes));
            }
            (Protocol::EventBridge, "PutEvents") => state.sinks.put_events(&self.json()?, now)?.to_string(),
            (Protocol::Sqs, "SendMessageBatch") => state.sinks.send_message_batch(&self.json()?, now)?.to_string(),
            (Protocol::Sns, "PublishBatch") => state.sinks.publish_batch(&Form::parse(self.body), now)?,
            _ => return unknown(),
        };
        Ok((taken, Vec::new()))
    }

    /// Says no, without the call being made.
    pub(crate) fn refuse(&self, error: &ApiError) -> Reply {
        let body = match self.protocol {
            // Something that stands before the service said no, and knows nothing of protocols.
            _ if error.code.is_empty() => String::new(),
            Protocol::Sns => sns::error_xml(error),
            _ => {
                let body: Value = json!({ "__type": self.error_type(&error.code), "message": error.message });
                body.to_string()
            }
        };
        self.reply(error.status, body, Vec::new())
    }

    /// The code of an error that the service cannot help.
    pub(crate) fn internal_code(&self) -> &'static str {
        match self.protocol {
            Protocol::Streams => "InternalServerError",
            Protocol::EventBridge => "InternalException",
            Protocol::Sqs | Protocol::Sns => "InternalFailure",
        }
    }

    /// The code of an error, with the name space that the service puts before it.
    fn error_type(&self, code: &str) -> String {
        let name_space = match (code, self.protocol) {
            ("ThrottlingException", _) => "com.amazon.coral.availability#",
            ("ValidationException", Protocol::Streams) => "com.amazon.coral.validate#",
            ("SerializationException" | "UnknownOperationException", _) => "com.amazon.coral.service#",
            (_, Protocol::Streams) => "com.amazonaws.dynamodb.v20120810#",
            (_, Protocol::Sqs) => "com.amazonaws.sqs#",
            _ => "",
        };
        format!("{name_space}{code}")
    }

    fn json<Body: serde::de::DeserializeOwned>(&self) -> Result<Body, ApiError> {
        serde_json::from_slice(self.body).map_err(|error| ApiError::new("SerializationException", error.to_string()))
    }

    fn reply(&self, status: u16, body: String, changes: Vec<usize>) -> Reply {
        Reply {
            status,
            content_type: self.protocol.content_type(),
            body,
            changes,
            date: None,
        }
    }
}

/// The shard that a call asks for, by name or by iterator.
fn shard_of(body: &[u8]) -> Option<String> {
    let call: Call = serde_json::from_slice(body).ok()?;
    let iterator = call.shard_iterator.as_deref().and_then(ShardIterator::from_token);
    call.shard_id.or(iterator.map(|iterator| iterator.shard))
}
