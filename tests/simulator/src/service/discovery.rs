//! `ListStreams` and `DescribeStream`, in all the ways in which they mislead.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::random::hash;
use crate::service::{Answer, ApiError, Call, Service, limit, required};
use crate::world::item::KEY;
use crate::world::shard::Shard;
use crate::world::stream::Stream;

/// Shards of a page, and streams of one, at most (API model, `DescribeStream` and `ListStreams`).
const PAGE_MAX: usize = 100;

/// How shards are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// Shards of a page at most.
    pub page_shards_max: usize,
    /// Shards come in an order that says nothing. Else parents come before children.
    pub shuffled: bool,
    /// Open shards show an ending sequence number.
    pub ending_on_open_shards: bool,
    /// So many of the next answers list no shards at all.
    pub empty_answers: u32,
    /// Shards that are not listed, though they are there and can be read.
    pub missing: BTreeSet<String>,
    /// What the filter for children does.
    pub child_filter: ChildFilter,
    /// So many of the next answers to the filter for children list none.
    pub child_filter_empty_answers: u32,
}

/// What `ShardFilter` of type `CHILD_SHARDS` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildFilter {
    /// It answers the children.
    #[default]
    Works,
    /// It is ignored: all shards come.
    Ignored,
    /// It answers the parent itself.
    AnswersParent,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            page_shards_max: PAGE_MAX,
            shuffled: true,
            ending_on_open_shards: false,
            empty_answers: 0,
            missing: BTreeSet::new(),
            child_filter: ChildFilter::default(),
            child_filter_empty_answers: 0,
        }
    }
}

impl Service {
    pub(super) fn list_streams(&mut self, call: &Call) -> Result<Answer, ApiError> {
        self.admit_list_streams()?;
        let page_max = limit(call.limit, PAGE_MAX)?;
        let streams = self.world.streams.iter().filter(|stream| {
            let asked = call.table_name.as_ref().is_none_or(|table| *table == stream.table);
            asked && !stream.gone
        });
        let mut streams: Vec<&Stream> = streams.collect();
        streams.sort_by_key(|stream| &stream.arn);
        if let Some(start) = &call.exclusive_start_stream_arn {
            streams.retain(|stream| stream.arn > *start);
        }
        let is_last = streams.len() <= page_max;
        streams.truncate(page_max);
        let mut body = json!({
            "Streams": streams.iter().map(|stream| json!({
                "StreamArn": stream.arn,
                "StreamLabel": stream.label,
                "TableName": stream.table,
            })).collect::<Vec<Value>>(),
        });
        if let Some(last) = streams.last().filter(|_| !is_last) {
            body["LastEvaluatedStreamArn"] = last.arn.as_str().into();
        }
        Ok(Answer {
            body: body.to_string(),
            changes: Vec::new(),
        })
    }

    pub(super) fn describe_stream(&mut self, call: &Call) -> Result<Answer, ApiError> {
        self.admit_describe_stream()?;
        let page_max = limit(call.limit, PAGE_MAX)?.min(self.discovery.page_shards_max.max(1));
        self.stream(call.stream_arn.as_deref())?;
        let no_shards = self.lists_nothing(call)?;
        let stream = self.stream(call.stream_arn.as_deref())?;
        let mut shards = if no_shards {
            Vec::new()
        } else {
            self.listed_shards(stream, call)
        };
        let is_last = shards.len() <= page_max;
        shards.truncate(page_max);
        let now = self.world.clock.now();
        let mut description = json!({
            "CreationRequestDateTime": stream.enabled_at.as_second(),
            "KeySchema": [{ "AttributeName": KEY, "KeyType": "HASH" }],
            "Shards": shards.iter().map(|shard| self.describe_shard(shard, now)).collect::<Vec<Value>>(),
            "StreamArn": stream.arn,
            "StreamLabel": stream.label,
            "StreamStatus": if stream.is_on() { "ENABLED" } else { "DISABLED" },
            "StreamViewType": stream.view.as_str(),
            "TableName": stream.table,
        });
        if let Some(last) = shards.last().filter(|_| !is_last) {
            description["LastEvaluatedShardId"] = last.id.as_str().into();
        }
        Ok(Answer {
            body: json!({ "StreamDescription": description }).to_string(),
            changes: Vec::new(),
        })
    }

    /// Whether this answer is one of those that list nothing.
    fn lists_nothing(&mut self, call: &Call) -> Result<bool, ApiError> {
        let left = match &call.shard_filter {
            Some(filter) => {
                let kind = required(filter.r#type.as_deref(), "shardFilter.type")?;
                if kind != "CHILD_SHARDS" {
                    return Err(ApiError::validation(format!("Invalid shard filter type: {kind}")));
                }
                required(filter.shard_id.as_deref(), "shardFilter.shardId")?;
                &mut self.discovery.child_filter_empty_answers
            }
            None => &mut self.discovery.empty_answers,
        };
        let nothing = *left > 0;
        *left = left.saturating_sub(1);
        Ok(nothing)
    }

    /// The shards from behind the one that the page before ended with.
    fn listed_shards<'world>(&self, stream: &'world Stream, call: &Call) -> Vec<&'world Shard> {
        let now = self.world.clock.now();
        let parent = call.shard_filter.as_ref().and_then(|filter| filter.shard_id.as_deref());
        let mut shards: Vec<(u64, &Shard)> = stream
            .shards
            .iter()
            .zip(0..)
            .filter(|(shard, _)| {
                let asked = parent.is_none_or(|parent| match self.discovery.child_filter {
                    ChildFilter::Works => shard.parent.as_deref() == Some(parent),
                    ChildFilter::Ignored => true,
                    ChildFilter::AnswersParent => shard.id == parent,
                });
                let listed = shard.listed_from <= now && !self.discovery.missing.contains(&shard.id);
                asked && listed && !shard.gone
            })
            .map(|(shard, place)| (self.rank(&shard.id, place), shard))
            .collect();
        shards.sort_by_key(|(rank, _)| *rank);
        if let Some(start) = &call.exclusive_start_shard_id {
            let place = stream.shards.iter().zip(0..).find(|(shard, _)| shard.id == *start);
            let start = self.rank(start, place.map_or(0, |(_, place)| place));
            shards.retain(|(rank, _)| *rank > start);
        }
        shards.into_iter().map(|(_, shard)| shard).collect()
    }

    /// Where a shard stands in the listing. The same at every call, so that pages together list each shard once.
    fn rank(&self, shard: &str, place: u64) -> u64 {
        if self.discovery.shuffled { hash(shard) } else { place }
    }

    fn describe_shard(&self, shard: &Shard, now: Timestamp) -> Value {
        let mut range = json!({ "StartingSequenceNumber": shard.starting.as_str() });
        let looks_open = shard.looks_open_until.is_some_and(|until| now < until);
        match &shard.ending {
            Some(ending) if !looks_open => range["EndingSequenceNumber"] = ending.as_str().into(),
            _ if self.discovery.ending_on_open_shards => {
                range["EndingSequenceNumber"] = shard.last_sequence().as_str().into();
            }
            _ => {}
        }
        let mut described = json!({ "ShardId": shard.id, "SequenceNumberRange": range });
        if let Some(parent) = &shard.parent {
            described["ParentShardId"] = parent.as_str().into();
        }
        described
    }
}
