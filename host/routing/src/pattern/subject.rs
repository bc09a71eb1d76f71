//! What a pattern is about: Weir's event, or the record as the stream had it.

/// Fields of Weir's event.
const EVENT_FIELDS: [&str; 4] = ["source", "detail-type", "time", "detail"];

/// Fields of a record of DynamoDB Streams as Lambda and EventBridge Pipes hand it on (AWS Lambda developer guide, "Using AWS
/// Lambda with Amazon DynamoDB", example event).
const RECORD_FIELDS: [&str; 8] = [
    "eventID",
    "eventName",
    "eventVersion",
    "eventSource",
    "eventSourceARN",
    "awsRegion",
    "dynamodb",
    "userIdentity",
];

/// Fields of `dynamodb` that no ledger keeps.
const NOT_KEPT: [&str; 2] = ["SizeBytes", "StreamViewType"];

/// What a pattern is matched against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// The event that a change becomes.
    #[default]
    Event,
    /// The record of the change, as a Lambda function with this stream as its source is handed it.
    Record,
}

impl Subject {
    /// What has a field of this name, if one of them does.
    pub(super) fn of_field(name: &str) -> Option<Self> {
        if EVENT_FIELDS.contains(&name) {
            Some(Self::Event)
        } else if RECORD_FIELDS.contains(&name) {
            Some(Self::Record)
        } else {
            None
        }
    }
}

/// Whether a record has this field at its source, and does not have it here.
pub(super) fn is_not_kept(parent: &str, name: &str) -> bool {
    parent == "dynamodb" && NOT_KEPT.contains(&name)
}
