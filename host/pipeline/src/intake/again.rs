//! Annotates again what is withheld, and tells of it as amendments.
//!
//! # Invariants
//!
//! - Of one item, changes are told in order: behind one that is still withheld, none is.
//! - What was opened is in memory as long as it takes to annotate it, and nowhere else.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use weir_evidence::{Entry, EntryKind, Origin, Withheld, WithheldSecret};
use weir_ledger::{AmendError, Amendment, BodyKeyError, DatabaseError, Ledger, ReadError, RecordedEntry, TokenBytes};
use weir_model::{AttributedChange, Change, Position, ServiceIdentity, Who};
use weir_runtime::{HostError, Runtime};

use super::annotate::{AnnotatorError, LoadedAnnotator};
use super::seal::seal_annotated;
use crate::fault;

/// Changes that are annotated and told together. All of them are in memory at once, and each may have two images of 400 KB.
const TOGETHER: u16 = 50;

/// What became of what is withheld.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// Changes that are told now.
    pub amended: u64,
    /// Those that are not, and why.
    pub withheld: Vec<StillWithheld>,
}

/// A change that is still withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillWithheld {
    /// Where.
    pub position: Position,
    /// Why, for machines.
    pub code: String,
    /// Why, for those who may see it.
    pub message: String,
}

/// Why what is withheld could not be annotated. What was told until then is told.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    /// The key is another one.
    #[error("this key does not open what is withheld at position {0}")]
    Key(Position),
    /// What it is withheld for is not there any more.
    #[error("nothing is known that annotates the change at position {0}")]
    NoAnnotator(Position),
    /// The plugin cannot annotate.
    #[error("the plugin at the intake of {0} cannot annotate")]
    Annotator(String, #[source] AnnotatorError),
    /// The plugin cannot be run now.
    #[error("the plugin cannot be run")]
    Host(#[from] HostError),
    /// The ledger cannot be read.
    #[error("the ledger cannot be read")]
    Read(#[from] ReadError),
    /// An amendment cannot be written.
    #[error("the amendment of position {0} cannot be written")]
    Entry(Position, #[source] weir_evidence::EntryError),
    /// It cannot be told now.
    #[error(transparent)]
    Amend(#[from] AmendError),
    /// Keys for the bodies could not be had.
    #[error("keys for bodies cannot be had")]
    BodyKey(#[from] BodyKeyError),
    /// Postgres failed.
    #[error("Postgres failed")]
    Database(#[from] DatabaseError),
}

/// A change that was opened.
struct Opened {
    position: Position,
    origin: Origin,
    token: TokenBytes,
    source: String,
    change: Change,
}

/// Annotates everything that is withheld by what annotates its source now.
///
/// # Errors
///
/// The key does not open it, or the plugin, Postgres or the host failed.
pub async fn annotate_again(ledger: &Ledger, runtime: &Runtime, secret: &WithheldSecret) -> Result<Again, AgainError> {
    let mut work = Work {
        ledger,
        runtime,
        annotators: HashMap::new(),
        behind: HashSet::new(),
        again: Again::default(),
    };
    let mut next = Position(0);
    loop {
        let positions = ledger.withheld_from(next, TOGETHER).await?;
        let Some(last) = positions.last() else {
            return Ok(work.again);
        };
        next = Position(last.0 + 1);
        let opened = open(ledger, secret, &positions).await?;
        work.annotate(opened).await?;
    }
}

struct Work<'a> {
    ledger: &'a Ledger,
    runtime: &'a Runtime,
    annotators: HashMap<String, Arc<LoadedAnnotator>>,
    /// Items of which something is still withheld.
    behind: HashSet<TokenBytes>,
    again: Again,
}

impl Work<'_> {
    async fn annotate(&mut self, opened: Vec<Opened>) -> Result<(), AgainError> {
        let mut amendments = Vec::new();
        // In order: a run of one source at a time.
        for run in opened.chunk_by(|left, right| left.source == right.source) {
            let Some(first) = run.first() else { continue };
            let annotator = self.annotator(&first.source, first.position).await?;
            let who = |change: &Change| match &annotator.stored.definition.actor {
                Some(rule) => rule.resolve(change),
                None => Who::without_rule(change),
            };
            let changes = run.iter().map(|opened| AttributedChange {
                who: who(&opened.change),
                change: opened.change.clone(),
            });
            let annotated = annotator.annotate(self.ledger, changes.collect()).await?;
            let config = annotator.stored.definition.digest();
            let config = config.ok_or(AgainError::NoAnnotator(first.position))?;
            let keys = self.ledger.take_body_keys(run.len()).await?;
            for ((opened, annotated), key) in run.iter().zip(annotated).zip(keys) {
                let still = match annotated {
                    Err(fault) => (fault.code.as_str().to_owned(), fault.message),
                    Ok(_) if self.behind.contains(&opened.token) => (
                        "behind-withheld".to_owned(),
                        "an earlier change of the item is withheld".to_owned(),
                    ),
                    Ok(annotated) => {
                        let record = seal_annotated(self.ledger, &opened.origin, annotated, true, config, &key);
                        let record = record.map_err(|unstored| AgainError::Entry(opened.position, unstored.error))?;
                        amendments.push(Amendment {
                            withheld: opened.position,
                            record,
                        });
                        continue;
                    }
                };
                self.behind.insert(opened.token);
                self.again.withheld.push(StillWithheld {
                    position: opened.position,
                    code: still.0,
                    message: still.1,
                });
            }
        }
        if !amendments.is_empty() {
            let count = amendments.len() as u64;
            fault::point("before-amend");
            self.ledger.amend(amendments).await?;
            fault::point("after-amend");
            self.again.amended += count;
        }
        Ok(())
    }

    async fn annotator(&mut self, source: &str, position: Position) -> Result<Arc<LoadedAnnotator>, AgainError> {
        if !self.annotators.contains_key(source) {
            let stored = self.ledger.annotator(source).await?;
            let stored = stored.ok_or(AgainError::NoAnnotator(position))?;
            let loaded = LoadedAnnotator::load(self.ledger, self.runtime, stored).await;
            let loaded = loaded.map_err(|error| AgainError::Annotator(source.to_owned(), error))?;
            self.annotators.insert(source.to_owned(), Arc::new(loaded));
        }
        Ok(Arc::clone(&self.annotators[source]))
    }
}

/// Opens what is withheld at these positions, in order. What was erased meanwhile is left out.
async fn open(ledger: &Ledger, secret: &WithheldSecret, positions: &[Position]) -> Result<Vec<Opened>, AgainError> {
    let streams = ledger.streams().await?;
    let positions: Vec<i64> = positions.iter().map(|position| position.0.cast_signed()).collect();
    let read = ledger.read_all_at(&positions).await?;
    let opened = read.into_iter().filter(|recorded| !recorded.is_erased).map(|recorded| {
        let position = recorded.position;
        let source = recorded.entry.origin().and_then(|origin| {
            let stream = streams.iter().find(|stream| stream.arn == origin.stream)?;
            Some(stream.source.clone())
        });
        let source = source.ok_or(AgainError::NoAnnotator(position))?;
        open_one(secret, recorded, source).ok_or(AgainError::Key(position))
    });
    opened.collect()
}

/// The change of an entry that is withheld; `None` if the key does not open it.
fn open_one(secret: &WithheldSecret, recorded: RecordedEntry, source: String) -> Option<Opened> {
    let Entry {
        kind:
            EntryKind::Withheld {
                origin,
                sequence,
                event,
                operation,
                table,
                item,
                time,
                ..
            },
        ..
    } = recorded.entry
    else {
        return None;
    };
    let sealed = recorded.body.raw.unwrap_or_default();
    let Withheld {
        keys,
        old,
        new,
        service,
        ..
    } = secret.open(&sealed, &origin, &sequence).ok()?;
    let change = Change {
        sequence,
        event_id: event,
        table,
        operation,
        created_at: time,
        keys: keys.unwrap_or_default(),
        old,
        new,
        service: service.map(|principal| ServiceIdentity {
            kind: "Service".to_owned(),
            principal,
        }),
    };
    Some(Opened {
        position: recorded.position,
        origin,
        token: item.token,
        source,
        change,
    })
}
