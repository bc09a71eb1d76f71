//! The way in: finds a source's stream and its shards, and has each shard recorded, parents before children.
//!
//! One task runs per shard, which keeps the changes of one item in order. Between shards there is no order.
//!
//! # Invariants
//!
//! - A shard is read only after its parent was recorded to its end.
//! - Nothing here sends anything to the outside but questions to the source.
//! - A stream that was switched off is drained; the next one of its table is taken up with a `gap` entry.

mod prepare;
mod seal;
mod shard;

pub use prepare::{Images, PrepareError, SourceSettings, SourceTable, Start};

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_ledger::{Ledger, NewShard, Stream};
use weir_model::ShardId;
use weir_streams::{DynamoDbStreams, FindError, KnownShard, StreamDescription, ready};

use self::seal::Sealer;
use self::shard::{ShardEnd, ShardTask};
use crate::Activities;
use crate::pace::Backoff;

/// How often a stream is described while nothing happens. A shard that ends has its stream described at once.
const DESCRIBE_INTERVAL: Duration = Duration::from_secs(10);

/// Shards read at a time. More wait for their turn.
const SHARDS_MAX: usize = 4096;

/// Records one source.
pub struct Intake {
    settings: SourceSettings,
    ledger: Ledger,
    streams: DynamoDbStreams,
    stream: Stream,
    sealer: Arc<Sealer>,
    activities: Activities,
}

/// Why intake ended by itself. Everything recorded so far is recorded.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Another process records this shard now.
    #[error("shard {0} was taken over by another process")]
    Fenced(ShardId),
    /// A task of a shard panicked. Its position is that of its last commit.
    #[error("the task of a shard failed")]
    ShardTask(#[source] tokio::task::JoinError),
}

/// What became of one round over a stream.
enum Round {
    Reading,
    Drained,
}

impl Intake {
    /// Records until `stop` is cancelled. Failures of source and Postgres are waited out.
    ///
    /// Stopping waits for the pages in hand.
    ///
    /// # Errors
    ///
    /// Another process took a shard over, or a task of ours is broken.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), IntakeError> {
        let mut running = HashSet::new();
        let mut tasks: JoinSet<(ShardId, ShardEnd)> = JoinSet::new();
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        while !stop.is_cancelled() {
            let wait = match self.round(&mut running, &mut tasks, &stop).await {
                Ok(Round::Reading) => {
                    backoff.succeeded();
                    DESCRIBE_INTERVAL
                }
                Ok(Round::Drained) => {
                    self.take_next_stream().await;
                    DESCRIBE_INTERVAL
                }
                Err(problem) => {
                    tracing::warn!(source = %self.settings.name, stream.arn = %self.stream.arn, problem, "the stream cannot be described");
                    backoff.next()
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                Some(ended) = tasks.join_next() => settle_shard(ended, &mut running)?,
            }
        }
        while let Some(ended) = tasks.join_next().await {
            settle_shard(ended, &mut running)?;
        }
        Ok(())
    }

    /// Enters the shards that the stream has now and starts those that may be read.
    async fn round(
        &self,
        running: &mut HashSet<ShardId>,
        tasks: &mut JoinSet<(ShardId, ShardEnd)>,
        stop: &CancellationToken,
    ) -> Result<Round, String> {
        let described = match self.streams.describe(&self.stream.arn).await {
            Ok(described) => Some(described),
            Err(FindError::Missing { .. }) => None,
            Err(error) => return Err(error.to_string()),
        };
        let database = |error: weir_ledger::DatabaseError| error.to_string();
        if let Some(described) = &described {
            self.ledger
                .enter_shards(self.stream.stream_id, &new_shards(described))
                .await
                .map_err(database)?;
        }
        let shards = self.ledger.shards(self.stream.stream_id).await.map_err(database)?;
        let known: Vec<KnownShard> = shards
            .iter()
            .map(|shard| KnownShard {
                shard: shard.shard.clone(),
                parent: shard.parent.clone(),
                finished: shard.finished,
            })
            .collect();
        for shard in ready(&known) {
            if running.len() == SHARDS_MAX {
                tracing::warn!(stream.arn = %self.stream.arn, limit = SHARDS_MAX, "shards wait for their turn");
                break;
            }
            if !running.contains(shard) {
                running.insert(shard.clone());
                let task = self.shard_task(shard);
                let (shard, stop) = (shard.clone(), stop.clone());
                tasks.spawn(async move { (shard, task.run(stop).await) });
            }
        }
        let enabled = described.is_some_and(|described| described.enabled);
        if !enabled && running.is_empty() && known.iter().all(|shard| shard.finished) {
            return Ok(Round::Drained);
        }
        Ok(Round::Reading)
    }

    fn shard_task(&self, shard: &ShardId) -> ShardTask {
        ShardTask {
            ledger: self.ledger.clone(),
            streams: self.streams.clone(),
            stream: self.stream.clone(),
            shard: shard.clone(),
            sealer: Arc::clone(&self.sealer),
            activities: self.activities.clone(),
        }
    }

    /// The stream is off and read to its end: goes on with the one that its table has now, if it has one.
    async fn take_next_stream(&mut self) {
        let SourceTable::Table(table) = &self.settings.table else {
            tracing::warn!(stream.arn = %self.stream.arn, "the stream was switched off and is recorded to its end");
            return;
        };
        let table = table.clone();
        match self.streams.find(&table).await {
            Ok(found) if found.arn != self.stream.arn => {
                match prepare::enter(&self.ledger, &self.settings, &found, None).await {
                    Ok(stream) => {
                        tracing::warn!(
                            stream.arn = %stream.arn,
                            table,
                            "the table has a new stream: what was written between the two is lost, and recorded as a gap"
                        );
                        self.stream = stream;
                    }
                    Err(error) => tracing::warn!(table, error = %error, "the table's new stream cannot be recorded"),
                }
            }
            Ok(_) | Err(FindError::NoStream { .. }) => {
                tracing::warn!(table, "the table's stream is switched off and recorded to its end");
            }
            Err(error) => tracing::warn!(table, error = %error, "cannot look for the table's new stream"),
        }
    }
}

fn new_shards(described: &StreamDescription) -> Vec<NewShard> {
    described
        .shards
        .iter()
        .map(|found| NewShard {
            shard: found.shard.clone(),
            parent: found.parent.clone(),
        })
        .collect()
}

fn settle_shard(
    ended: Result<(ShardId, ShardEnd), tokio::task::JoinError>,
    running: &mut HashSet<ShardId>,
) -> Result<(), IntakeError> {
    let (shard, end) = ended.map_err(IntakeError::ShardTask)?;
    running.remove(&shard);
    match end {
        ShardEnd::Recorded => tracing::info!(shard.id = %shard, "shard recorded to its end"),
        ShardEnd::Stopped => {}
        ShardEnd::Fenced => return Err(IntakeError::Fenced(shard)),
    }
    Ok(())
}
