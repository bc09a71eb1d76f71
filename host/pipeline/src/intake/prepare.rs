//! What a source is configured to be, and whether its stream can serve that: found out before anything runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use weir_ledger::{Ledger, NewStream, Stream};
use weir_model::{ActorRule, StreamArn};
use weir_streams::{AwsAccess, DynamoDbStreams, FindError, RecordedError, StreamDescription};

use super::annotate::IntakePlugin;
use super::seal::Sealer;
use crate::Activities;

/// How long the start waits for an answer about a source whose stream is known. Other sources, routes and the API wait with it.
const KNOWN_PATIENCE: Duration = Duration::from_secs(5);

/// One source, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSettings {
    /// Its name.
    pub name: String,
    /// What it reads.
    pub table: SourceTable,
    /// How to reach it.
    pub access: AwsAccess,
    /// Where to begin with a stream that was never read.
    pub start: Start,
    /// Images that the stream has to carry.
    pub images: Images,
    /// Where items say who wrote them.
    pub actor: Option<ActorRule>,
    /// Reads a second and shard while records come, at most; more only while pages are full. At least 1.
    pub reads_per_second: u32,
    /// What happens where records were lost.
    pub at_gap: AtGap,
}

impl SourceSettings {
    /// Between two reads of a shard while records come.
    pub(super) fn read_interval(&self) -> Duration {
        Duration::from_secs(1) / self.reads_per_second.max(1)
    }
}

/// What happens where records were lost before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtGap {
    /// The gap is recorded, and what stands behind it.
    Record,
    /// The shard waits until somebody decides. Others go on.
    Stop,
}

/// What a source reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceTable {
    /// Whatever stream the table has; the next one, when it gets a new one.
    Table(String),
    /// This stream alone.
    Stream(StreamArn),
    /// The stream of a file with recorded pages ([`DynamoDbStreams::recorded`]).
    Recorded(PathBuf),
}

/// Where to begin with a stream that was never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record that the service still has.
    TrimHorizon,
    /// With what is written from now on.
    Latest,
}

/// Images that the stream has to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    /// Both: an audit log without the old or the new value proves little.
    Both,
    /// Whatever it carries.
    Any,
}

/// Why a source cannot be recorded. Nothing was.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The table has no stream.
    #[error(
        "source {source_name}: table {table} has no stream that is switched on (or is not in this region and account). \
         Switch one on with: aws dynamodb update-table --table-name {table} \
         --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
    )]
    NoStream {
        /// Name of the source.
        source_name: String,
        /// The table.
        table: String,
    },
    /// The stream's records do not carry what the configuration asks for.
    #[error(
        "source {source_name}: the stream of table {table} carries {view}, but {wanted}. A stream's view type cannot be \
         changed: switch the stream off and on with StreamViewType=NEW_AND_OLD_IMAGES, or accept what it carries with \
         `images = \"any\"`{without_actor}"
    )]
    View {
        /// Name of the source.
        source_name: String,
        /// The table.
        table: String,
        /// What it carries.
        view: &'static str,
        /// What is asked for.
        wanted: &'static str,
        /// More to give up, if the actor rule is what cannot be served.
        without_actor: &'static str,
    },
    /// The source recorded something else before.
    #[error(
        "source {source_name} has recorded {recorded} until now. Set `table`, `stream_arn` and `region` back to what it \
         was, or give what you want to record a source of its own, under another name"
    )]
    OtherSource {
        /// Name of the source.
        source_name: String,
        /// The stream that it recorded.
        recorded: String,
    },
    /// The stream cannot be found.
    #[error("source {source_name}: {error}")]
    Find {
        /// Name of the source.
        source_name: String,
        /// Why.
        error: FindError,
    },
    /// The recorded pages cannot be read.
    #[error("source {source_name}")]
    Recorded {
        /// Name of the source.
        source_name: String,
        /// Why.
        source: RecordedError,
    },
    /// Postgres failed.
    #[error("the stream cannot be entered into the ledger")]
    Ledger(#[from] weir_ledger::DatabaseError),
}

/// What is looked for, wherever it is.
pub(super) enum Wanted {
    /// The stream of this table, and its next one.
    Table(String),
    /// This stream alone.
    Stream(StreamArn),
}

/// A source whose stream was found, and that can serve its configuration.
pub struct Source {
    pub(super) settings: SourceSettings,
    pub(super) wanted: Wanted,
    pub(super) streams: DynamoDbStreams,
    pub(super) sealer: Arc<Sealer>,
    pub(super) activities: Activities,
}

impl Source {
    /// Finds the source's stream, checks that it can serve the configuration, and enters it into the ledger.
    ///
    /// # Errors
    ///
    /// The stream is not there or carries too little; the message says what to do.
    pub async fn prepare(
        settings: SourceSettings,
        ledger: Ledger,
        activities: Activities,
    ) -> Result<Self, PrepareError> {
        let looked = look(&settings, &ledger).await?;
        // What was recorded before goes first, to its end; then comes what followed it, stream by stream.
        if let Some(found) = &looked.begins {
            enter(&ledger, &settings, found, records_from(settings.start, found)).await?;
        }
        let Looked { streams, wanted, .. } = looked;
        let sealer = Sealer::new(ledger, settings.actor.clone(), None);
        Ok(Self {
            settings,
            wanted,
            streams,
            sealer: sealer.into(),
            activities,
        })
    }

    /// Whether `prepare` would find what it needs. Nothing is entered.
    ///
    /// # Errors
    ///
    /// As `prepare`.
    pub async fn check(settings: &SourceSettings, ledger: &Ledger) -> Result<(), PrepareError> {
        look(settings, ledger).await.map(drop)
    }

    /// With a plugin that annotates its changes before they are recorded.
    #[must_use]
    pub fn annotated_by(self, plugin: IntakePlugin, ledger: Ledger) -> Self {
        let sealer = Sealer::new(ledger, self.settings.actor.clone(), Some(plugin));
        Self {
            sealer: sealer.into(),
            ..self
        }
    }
}

/// A source's stream, before anything is entered.
struct Looked {
    streams: DynamoDbStreams,
    wanted: Wanted,
    /// The stream that it begins with, if nothing of the source was recorded before.
    begins: Option<StreamDescription>,
}

/// Finds the source's stream, and checks that it can serve the configuration.
async fn look(settings: &SourceSettings, ledger: &Ledger) -> Result<Looked, PrepareError> {
    let (streams, wanted) = open(settings).await?;
    let known: Vec<Stream> = ledger
        .streams()
        .await?
        .into_iter()
        .filter(|stream| stream.source == settings.name)
        .collect();
    check_same_source(&settings.name, &wanted, &streams, &known)?;
    let find = async {
        match &wanted {
            Wanted::Table(table) => streams.find(table).await,
            Wanted::Stream(arn) => streams.describe(arn).await,
        }
    };
    let found = if known.is_empty() {
        find.await
    } else {
        let in_time = tokio::time::timeout(KNOWN_PATIENCE, find).await;
        in_time.unwrap_or_else(|_| {
            Err(FindError::Service(format!(
                "no answer within {} s",
                KNOWN_PATIENCE.as_secs()
            )))
        })
    };
    let source_name = || settings.name.clone();
    let begins = match (found, known.into_iter().next_back()) {
        (Ok(found), known) => {
            check_view(settings, &found)?;
            known.is_none().then_some(found)
        }
        // What was recorded before can be drained although its stream is off, or AWS does not answer now.
        (Err(error), Some(earlier)) => {
            tracing::warn!(source = %settings.name, stream.arn = %earlier.arn, error = %error, "going on with the stream that is known");
            None
        }
        (Err(FindError::NoStream { table }), None) => {
            return Err(PrepareError::NoStream {
                source_name: source_name(),
                table,
            });
        }
        (Err(error), None) => {
            return Err(PrepareError::Find {
                source_name: source_name(),
                error,
            });
        }
    };
    Ok(Looked {
        streams,
        wanted,
        begins,
    })
}

/// Makes what is asked. Nothing is sent yet.
async fn open(settings: &SourceSettings) -> Result<(DynamoDbStreams, Wanted), PrepareError> {
    Ok(match &settings.table {
        SourceTable::Table(table) => (
            DynamoDbStreams::new(&settings.access).await,
            Wanted::Table(table.clone()),
        ),
        SourceTable::Stream(arn) => (
            DynamoDbStreams::new(&settings.access).await,
            Wanted::Stream(arn.clone()),
        ),
        SourceTable::Recorded(file) => {
            let recorded = DynamoDbStreams::recorded(file).map_err(|source| PrepareError::Recorded {
                source_name: settings.name.clone(),
                source,
            })?;
            (recorded.0, Wanted::Stream(recorded.1))
        }
    })
}

/// Enters a stream. Where it begins counts only for the first stream of a source: later ones are read from their
/// beginning, or changes would be lost between two streams.
pub(super) async fn enter(
    ledger: &Ledger,
    settings: &SourceSettings,
    found: &StreamDescription,
    records_from: Option<Timestamp>,
) -> Result<Stream, weir_ledger::DatabaseError> {
    let is_first = !ledger
        .streams()
        .await?
        .iter()
        .any(|stream| stream.source == settings.name);
    ledger
        .enter_stream(NewStream {
            source: &settings.name,
            arn: &found.arn,
            table: &found.table,
            key_names: &found.key_names,
            records_from: records_from.filter(|_| is_first),
            entered_at: found.answered_at,
        })
        .await
}

/// "Latest" is a time of the service's clock, because the records' times are (streams.md 44).
fn records_from(start: Start, found: &StreamDescription) -> Option<Timestamp> {
    match start {
        Start::TrimHorizon => None,
        Start::Latest => Some(found.answered_at),
    }
}

/// A source is one table in one region for life: its name is in the events of everything that was recorded.
fn check_same_source(
    source_name: &str,
    wanted: &Wanted,
    streams: &DynamoDbStreams,
    known: &[Stream],
) -> Result<(), PrepareError> {
    let is_same = |stream: &Stream| match wanted {
        Wanted::Table(table) => stream.table == *table && streams.is_region_of(&stream.arn),
        Wanted::Stream(arn) => stream.arn == *arn && streams.is_region_of(arn),
    };
    match known.iter().find(|stream| !is_same(stream)) {
        Some(other) => Err(PrepareError::OtherSource {
            source_name: source_name.to_owned(),
            recorded: other.arn.as_str().to_owned(),
        }),
        None => Ok(()),
    }
}

fn check_view(settings: &SourceSettings, found: &StreamDescription) -> Result<(), PrepareError> {
    let (wanted, without_actor) = match (settings.images, &settings.actor) {
        (Images::Both, _) if !(found.view.has_new() && found.view.has_old()) => {
            ("the configuration wants the item before and after each change", "")
        }
        (_, Some(_)) if !found.view.has_new() => (
            "the configured actor rule reads the item after each change",
            " and no `actor`",
        ),
        _ => return Ok(()),
    };
    Err(PrepareError::View {
        source_name: settings.name.clone(),
        table: found.table.clone(),
        view: found.view.as_str(),
        wanted,
        without_actor,
    })
}
