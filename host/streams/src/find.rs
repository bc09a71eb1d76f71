//! Finds the stream of a table, and the shards of a stream.

use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::types::{StreamDescription as SdkDescription, StreamStatus, StreamViewType};
use jiff::Timestamp;
use weir_model::{IdError, ShardId, StreamArn};

use crate::service_time::ServiceTime;
use crate::{AwsAccess, explain};

/// `DescribeStream` pages read at most: 100 shards each, far more than a stream of the largest tables has in 24 hours.
const PAGES_MAX: usize = 1000;

/// DynamoDB Streams, as seen with one set of credentials in one region.
#[derive(Clone, Debug)]
pub struct DynamoDbStreams {
    pub(crate) client: Client,
    region: Option<String>,
}

/// A stream and every shard that it has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescription {
    /// Its ARN.
    pub arn: StreamArn,
    /// Its table.
    pub table: String,
    /// Key attributes of the table, partition key first.
    pub key_names: Vec<String>,
    /// What its records carry.
    pub view: ViewType,
    /// Whether changes are still written to it.
    pub enabled: bool,
    /// Its shards, in no particular order.
    pub shards: Vec<FoundShard>,
    /// When the service answered, by its own clock, in whole seconds.
    pub answered_at: Timestamp,
}

/// A shard of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundShard {
    /// Its id.
    pub shard: ShardId,
    /// The shard it came from; may have left the stream.
    pub parent: Option<ShardId>,
}

/// What the records of a stream carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewType {
    /// Keys alone.
    KeysOnly,
    /// The item after the change.
    NewImage,
    /// The item before the change.
    OldImage,
    /// Both.
    NewAndOldImages,
}

impl ViewType {
    /// As the service writes it: `NEW_AND_OLD_IMAGES`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeysOnly => "KEYS_ONLY",
            Self::NewImage => "NEW_IMAGE",
            Self::OldImage => "OLD_IMAGE",
            Self::NewAndOldImages => "NEW_AND_OLD_IMAGES",
        }
    }

    /// Whether records carry the item after the change.
    #[must_use]
    pub fn has_new(self) -> bool {
        matches!(self, Self::NewImage | Self::NewAndOldImages)
    }

    /// Whether records carry the item before the change.
    #[must_use]
    pub fn has_old(self) -> bool {
        matches!(self, Self::OldImage | Self::NewAndOldImages)
    }
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
        let config = access.load().await;
        // An emulator may write any region into its ARNs.
        let region = config
            .region()
            .map(ToString::to_string)
            .filter(|_| access.endpoint.is_none());
        Self {
            client: Client::new(&config),
            region,
        }
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

    /// Describes a stream with all its shards, page by page (streams.md 3).
    ///
    /// # Errors
    ///
    /// It does not exist, or the service cannot be asked.
    pub async fn describe(&self, arn: &StreamArn) -> Result<StreamDescription, FindError> {
        let mut description = None;
        let mut start = None;
        let time = ServiceTime::default();
        for _ in 0..PAGES_MAX {
            let page = self
                .client
                .describe_stream()
                .stream_arn(arn.as_str())
                .set_exclusive_start_shard_id(start)
                .customize()
                .interceptor(time.clone())
                .send()
                .await
                .map_err(|error| match error.code() {
                    Some("ResourceNotFoundException") => FindError::Missing {
                        arn: arn.clone(),
                        answered_at: time.told(),
                    },
                    _ => FindError::Service(explain(&error)),
                })?;
            let page = page.stream_description.ok_or(FindError::Malformed("description"))?;
            start = page.last_evaluated_shard_id().map(str::to_owned);
            let shards = read_shards(&page)?;
            let described = match &mut description {
                Some(described) => described,
                None => description.insert(read_description(arn, page, time.told())?),
            };
            described.shards.extend(shards);
            if start.is_none() {
                return description.ok_or(FindError::Malformed("description"));
            }
        }
        Err(FindError::Malformed("an end to its shards"))
    }
}

fn read_description(
    arn: &StreamArn,
    page: SdkDescription,
    answered_at: Timestamp,
) -> Result<StreamDescription, FindError> {
    let view = match page.stream_view_type() {
        Some(StreamViewType::KeysOnly) => ViewType::KeysOnly,
        Some(StreamViewType::NewImage) => ViewType::NewImage,
        Some(StreamViewType::OldImage) => ViewType::OldImage,
        Some(StreamViewType::NewAndOldImages) => ViewType::NewAndOldImages,
        _ => return Err(FindError::Malformed("a view type that is known")),
    };
    let mut keys: Vec<_> = page.key_schema().iter().collect();
    keys.sort_by_key(|key| key.key_type().as_str() != "HASH");
    Ok(StreamDescription {
        arn: arn.clone(),
        key_names: keys.into_iter().map(|key| key.attribute_name().to_owned()).collect(),
        view,
        enabled: matches!(
            page.stream_status(),
            Some(StreamStatus::Enabled | StreamStatus::Enabling)
        ),
        shards: Vec::new(),
        answered_at,
        table: page.table_name.ok_or(FindError::Malformed("table name"))?,
    })
}

fn read_shards(page: &SdkDescription) -> Result<Vec<FoundShard>, FindError> {
    let shards = page.shards().iter().map(|shard| {
        let id = shard.shard_id().ok_or(FindError::Malformed("shard id"))?;
        let parent = shard
            .parent_shard_id()
            .filter(|parent| !parent.is_empty())
            .map(ShardId::parse)
            .transpose()?;
        Ok(FoundShard {
            shard: ShardId::parse(id)?,
            parent,
        })
    });
    shards.collect()
}
