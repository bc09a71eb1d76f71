//! Describes a stream: all its shards, or the children of one.
//!
//! # Invariants
//!
//! - What a call that failed did not bring, the next one does: pages that were read are not read again (streams.md 10).
//! - Nothing here decides whether an answer can be true. Which shards may be read: the pipeline's `lineage`.

use std::time::Duration;

use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::types::{
    ShardFilter, ShardFilterType, StreamDescription as SdkDescription, StreamStatus, StreamViewType,
};
use jiff::Timestamp;
use weir_model::{ShardId, StreamArn};

use crate::service_time::ServiceTime;
use crate::{DynamoDbStreams, FindError, explain};

/// `DescribeStream` pages read at most: 100 shards each, far more than a stream of the largest tables has in 24 hours.
const PAGES_MAX: usize = 1000;

/// Between two `DescribeStream` calls on the average, and how many may come at once: together they stay within the ten a second
/// that the service takes (API reference, `DescribeStream`), whatever the number of shards.
pub(crate) const DESCRIBE_INTERVAL: Duration = Duration::from_millis(125);
pub(crate) const DESCRIBES_AT_ONCE: u32 = 2;

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

/// A stream that is being described, page by page.
#[derive(Debug)]
pub struct Describing {
    streams: DynamoDbStreams,
    arn: StreamArn,
    described: Option<StreamDescription>,
    start: Option<String>,
    pages: usize,
}

impl DynamoDbStreams {
    /// Describes a stream with all its shards (streams.md 3).
    ///
    /// # Errors
    ///
    /// It does not exist, or the service cannot be asked.
    pub async fn describe(&self, arn: &StreamArn) -> Result<StreamDescription, FindError> {
        self.describing(arn).finish().await
    }

    /// Begins to describe a stream. Nothing is sent yet.
    #[must_use]
    pub fn describing(&self, arn: &StreamArn) -> Describing {
        Describing {
            streams: self.clone(),
            arn: arn.clone(),
            described: None,
            start: None,
            pages: 0,
        }
    }

    /// The children of a shard, as far as the service tells them now. None is no evidence: the filter may answer nothing for
    /// a while after the shard's end, or be ignored, or answer the shard itself (streams.md 7).
    ///
    /// # Errors
    ///
    /// The stream does not exist, or the service cannot be asked.
    pub async fn children(&self, arn: &StreamArn, parent: &ShardId) -> Result<Vec<FoundShard>, FindError> {
        let filter = ShardFilter::builder()
            .r#type(ShardFilterType::ChildShards)
            .shard_id(parent.as_str());
        let page = self.describe_page(arn, None, Some(filter.build())).await?.0;
        let mut found = read_shards(&page)?;
        found.retain(|found| found.parent.as_ref() == Some(parent));
        Ok(found)
    }

    /// One page, and when it was answered.
    async fn describe_page(
        &self,
        arn: &StreamArn,
        start: Option<String>,
        filter: Option<ShardFilter>,
    ) -> Result<(SdkDescription, Timestamp), FindError> {
        self.describe_turnstile.pass().await;
        let time = ServiceTime::default();
        let page = self
            .client
            .describe_stream()
            .stream_arn(arn.as_str())
            .set_exclusive_start_shard_id(start)
            .set_shard_filter(filter)
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
        let description = page.stream_description.ok_or(FindError::Malformed("description"))?;
        Ok((description, time.told()))
    }
}

impl Describing {
    /// Reads the pages that are left. After an error it may be called again, and goes on with the page that failed.
    ///
    /// # Errors
    ///
    /// The stream does not exist, or the service cannot be asked.
    pub async fn finish(&mut self) -> Result<StreamDescription, FindError> {
        while self.pages < PAGES_MAX {
            let page = self.streams.describe_page(&self.arn, self.start.clone(), None).await;
            let (page, answered_at) = page?;
            self.pages += 1;
            self.start = page.last_evaluated_shard_id().map(str::to_owned);
            let shards = read_shards(&page)?;
            let described = match &mut self.described {
                Some(described) => described,
                None => self.described.insert(read_description(&self.arn, page, answered_at)?),
            };
            described.shards.extend(shards);
            if self.start.is_none() {
                self.pages = 0;
                return self.described.take().ok_or(FindError::Malformed("description"));
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
