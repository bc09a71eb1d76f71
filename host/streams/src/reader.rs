//! Reads one shard, page by page, and keeps its iterator alive.

use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use aws_smithy_types::body::SdkBody;
use weir_model::{Record, SequenceNumber, ShardId, StreamArn};

use crate::answer::AnswerBody;
use crate::decode::decode;
use crate::{DynamoDbStreams, explain};

/// Records of one page: as many as the service gives (API model, `GetRecords`).
const PAGE_RECORDS_MAX: i32 = 1000;

/// One page of a shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The records, in order. May be empty, also many times in a row, while the shard goes on (streams.md 17).
    pub records: Vec<Record>,
    /// Bytes of the answer as it came.
    pub bytes: usize,
    /// Nothing comes after this page: the shard was read to its end (streams.md 11, 12).
    pub is_last: bool,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What stood after the position was trimmed. [`ShardReader::skip_to_horizon`] goes on behind the gap.
    #[error("records after {after:?} were trimmed before they were read")]
    Trimmed {
        /// The last record that was read.
        after: Option<SequenceNumber>,
    },
    /// The shard, or its stream, is not there any more.
    #[error("the shard is gone")]
    Gone,
    /// Too many reads. Wait, then go on.
    #[error("the service throttles")]
    Throttled,
    /// The service did not answer, failed, or refused. Reading again is safe.
    #[error("the shard cannot be read: {0}")]
    Service(String),
}

/// A place in a shard, and the way on from there.
#[derive(Debug)]
pub struct ShardReader {
    client: Client,
    stream: StreamArn,
    table: String,
    shard: ShardId,
    iterator: Option<String>,
    after: Option<SequenceNumber>,
}

impl DynamoDbStreams {
    /// Reads a shard from behind `after`, or from its beginning.
    #[must_use]
    pub fn read(&self, stream: &StreamArn, table: &str, shard: &ShardId, after: Option<SequenceNumber>) -> ShardReader {
        ShardReader {
            client: self.client.clone(),
            stream: stream.clone(),
            table: table.to_owned(),
            shard: shard.clone(),
            iterator: None,
            after,
        }
    }
}

impl ShardReader {
    /// Reads the next page.
    ///
    /// After an error the same page is read again. An iterator that expired is replaced behind the last record read, or
    /// at the beginning if there was none (streams.md 18).
    ///
    /// # Errors
    ///
    /// See [`ReadError`]; nothing was skipped.
    pub async fn next_page(&mut self) -> Result<Page, ReadError> {
        let iterator = match self.iterator.take() {
            Some(iterator) => iterator,
            None => self.new_iterator().await?,
        };
        let body = AnswerBody::default();
        let answer = self
            .client
            .get_records()
            .shard_iterator(&iterator)
            .limit(PAGE_RECORDS_MAX)
            .customize()
            .interceptor(body.clone())
            .send()
            .await;
        if let Err(error) = answer {
            if error.code() == Some("ExpiredIteratorException") {
                return Ok(Page {
                    records: Vec::new(),
                    bytes: 0,
                    is_last: false,
                });
            }
            let error = self.read_error(error.code(), || explain(&error));
            if !matches!(error, ReadError::Trimmed { .. }) {
                self.iterator = Some(iterator);
            }
            return Err(error);
        }
        let body = body.take();
        let body = body.as_ref().and_then(SdkBody::bytes).unwrap_or_default();
        let decoded = match decode(body, &self.table) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.iterator = Some(iterator);
                return Err(ReadError::Service(error.to_string()));
            }
        };
        if let Some(last) = decoded.records.last() {
            self.after = Some(last.sequence().clone());
        }
        self.iterator = decoded.next_iterator;
        Ok(Page {
            records: decoded.records,
            bytes: body.len(),
            is_last: self.iterator.is_none(),
        })
    }

    /// Gives up what was trimmed: the next page is the first that the service still has.
    pub fn skip_to_horizon(&mut self) {
        self.iterator = None;
        self.after = None;
    }

    async fn new_iterator(&self) -> Result<String, ReadError> {
        let request = self
            .client
            .get_shard_iterator()
            .stream_arn(self.stream.as_str())
            .shard_id(self.shard.as_str());
        let request = match &self.after {
            Some(after) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .sequence_number(after.as_str()),
            None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        };
        let output = request
            .send()
            .await
            .map_err(|error| self.read_error(error.code(), || explain(&error)))?;
        output
            .shard_iterator
            .ok_or_else(|| ReadError::Service("the service gave no iterator".to_owned()))
    }

    fn read_error(&self, code: Option<&str>, describe: impl FnOnce() -> String) -> ReadError {
        match code {
            Some("TrimmedDataAccessException") => ReadError::Trimmed {
                after: self.after.clone(),
            },
            Some("ResourceNotFoundException") => ReadError::Gone,
            Some("LimitExceededException" | "ThrottlingException" | "ProvisionedThroughputExceededException") => {
                ReadError::Throttled
            }
            _ => ReadError::Service(describe()),
        }
    }
}
