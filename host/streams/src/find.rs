//! Finds the streams of a table.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::{Client, config};
use jiff::Timestamp;
use weir_model::{IdError, StreamArn};

use crate::describe::{DESCRIBE_INTERVAL, DESCRIBES_AT_ONCE, StreamDescription};
use crate::service_time::ServiceTime;
use crate::turnstile::Turnstile;
use crate::{AwsAccess, explain};

/// `ListStreams` pages read at most: 100 streams each.
const PAGES_MAX: usize = 1000;

/// DynamoDB Streams, as seen with one set of credentials in one region.
#[derive(Clone, Debug)]
pub struct DynamoDbStreams {
    pub(crate) client: Client,
    region: Option<String>,
    time: ServiceTime,
    pub(crate) describe_turnstile: Arc<Turnstile>,
}

/// Why a stream was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The table is not there, or has no stream, or only one that was switched off.
    #[error("table {table} has no stream that is switched on")]
    NoStream {
        /// The table.
        table: String,
    },
    /// The stream is not there.
    #[error("stream {arn} does not exist")]
    Missing {
        /// The stream.
        arn: StreamArn,
        /// When the service said so, by its own clock, in whole seconds.
        answered_at: Timestamp,
    },
    /// The service said something that cannot be a stream.
    #[error("the service describes a stream without {0}")]
    Malformed(&'static str),
    /// The service sent an id that is none.
    #[error("the service sent an id that cannot be one")]
    Id(#[from] IdError),
    /// The service did not answer, or refused. Asking again is safe.
    #[error("DynamoDB Streams cannot be asked: {0}")]
    Service(String),
}

impl DynamoDbStreams {
    /// Makes a client. Nothing is sent yet.
    pub async fn new(access: &AwsAccess) -> Self {
        let mut streams = Self::from_config(&access.load().await);
        // An emulator may write any region into its ARNs.
        if access.endpoint.is_some() {
            streams.is_of_any_region();
        }
        streams
    }

    /// Makes a client of a configuration that was loaded before, and may have been changed since.
    #[must_use]
    pub fn from_config(config: &SdkConfig) -> Self {
        let time = ServiceTime::default();
        let client = config::Builder::from(config).interceptor(time.clone()).build();
        Self {
            client: Client::from_conf(client),
            region: config.region().map(ToString::to_string),
            time,
            describe_turnstile: Arc::new(Turnstile::new(DESCRIBE_INTERVAL, DESCRIBES_AT_ONCE)),
        }
    }

    /// Takes streams for its own whatever region their ARNs name.
    pub(crate) fn is_of_any_region(&mut self) {
        self.region = None;
    }

    /// What time the service said it was in its last answer, in whole seconds; our time if it said nothing yet.
    #[must_use]
    pub fn service_time(&self) -> Timestamp {
        self.time.told()
    }

    /// Whether a stream is in the region that is asked here. One that is not looks as if it did not exist.
    #[must_use]
    pub fn is_region_of(&self, arn: &StreamArn) -> bool {
        // arn:aws:dynamodb:<region>:<account>:table/<table>/stream/<label>
        let region = arn.as_str().split(':').nth(3);
        self.region.as_deref().is_none_or(|ours| region == Some(ours))
    }

    /// Finds the stream of a table that is switched on now.
    ///
    /// # Errors
    ///
    /// There is none, or the service cannot be asked.
    pub async fn find(&self, table: &str) -> Result<StreamDescription, FindError> {
        for arn in self.list(table).await?.into_iter().rev() {
            match self.describe(&arn).await {
                Ok(description) if description.enabled => return Ok(description),
                Ok(_) | Err(FindError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(FindError::NoStream {
            table: table.to_owned(),
        })
    }

    /// Finds the stream that a table had right after another one. It may be off by now, and still have records.
    ///
    /// # Errors
    ///
    /// There is none, or the service cannot be asked.
    pub async fn find_after(&self, table: &str, earlier: &StreamArn) -> Result<StreamDescription, FindError> {
        let arns = self.list(table).await?;
        for arn in arns.into_iter().filter(|arn| arn.as_str() > earlier.as_str()) {
            match self.describe(&arn).await {
                Err(FindError::Missing { .. }) => {}
                found => return found,
            }
        }
        Err(FindError::NoStream {
            table: table.to_owned(),
        })
    }

    /// Every stream of a table that is still there, oldest first.
    async fn list(&self, table: &str) -> Result<Vec<StreamArn>, FindError> {
        let mut arns: Vec<StreamArn> = Vec::new();
        let mut start = None;
        for _ in 0..PAGES_MAX {
            let page = self
                .client
                .list_streams()
                .table_name(table)
                .set_exclusive_start_stream_arn(start)
                .send()
                .await
                .map_err(|error| match error.code() {
                    Some("ResourceNotFoundException") => FindError::NoStream {
                        table: table.to_owned(),
                    },
                    _ => FindError::Service(explain(&error)),
                })?;
            for arn in page.streams().iter().filter_map(|stream| stream.stream_arn()) {
                arns.push(StreamArn::parse(arn)?);
            }
            start = page.last_evaluated_stream_arn().map(str::to_owned);
            if start.is_none() {
                break;
            }
        }
        // The label at the end of an ARN is the time of its making.
        arns.sort_unstable_by(|left, right| left.as_str().cmp(right.as_str()));
        Ok(arns)
    }
}
