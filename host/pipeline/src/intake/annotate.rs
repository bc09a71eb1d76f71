//! What the plugin at the intake of a source makes of records, before anything of them is recorded.
//!
//! ```text
//! records ──▶ who made them, by rule ──▶ plugin ──┬─ an annotation ──▶ redacted, named, tagged ──▶ `change`
//!                                                 ├─ it fails on one ─────────────────────────┬──▶ `withheld`
//!                                                 └─ one of its item is withheld already ─────┘
//! what was not understood ─────────────────────────▶ its content sealed like that of a withheld one ──▶ `unknown`
//! ```
//!
//! # Invariants
//!
//! - Of a source that has an annotator, nothing is recorded in the clear that it has not seen.
//! - Behind a change that is withheld, every change of its item is: what is told of an item is told in order.
//! - A host that cannot run the plugin delays recording and decides nothing.

mod redact;

use std::collections::HashSet;
use std::sync::Arc;

use weir_evidence::{ItemToken, Withheld, WithholdKey};
use weir_ledger::{Annotator, AnnotatorDefinition, DatabaseError, Ledger, StoredPlugin, TokenBytes};
use weir_model::{ActorRule, Assurance, AttributedChange, Change, Record, UnknownRecord, Who};
use weir_runtime::{
    Annotation, Answers, Batch, DescribeError, Fault, Hook, HostError, LoadError, Manifest, Plugin, Runtime,
};

pub use self::redact::redact;
use super::seal::config_digest;
use crate::route::{TableDigests, TableError, give_tables, newest_tables};

/// Changes that the plugin gets at once (design, "Plugins").
const BATCH_CHANGES_MAX: usize = 1000;

/// Why a change is withheld that the plugin did not fail on.
const BEHIND_WITHHELD: &str = "behind-withheld";

/// What is said in place of why a record was not understood, which may quote it.
const UNKNOWN_REASON: &str = "not understood; what it says is withheld";

/// The plugin at the intake of one source, and who may see what it fails on.
pub struct IntakePlugin {
    pub(super) annotator: LoadedAnnotator,
    withhold_to: WithholdKey,
    /// What it asks for. Recorded.
    granted: serde_json::Value,
}

/// A plugin that annotates, with its configuration.
pub(crate) struct LoadedAnnotator {
    plugin: Plugin,
    config: String,
    manifest: Arc<Manifest>,
    pub(super) stored: Annotator,
}

/// A record as it is going to be recorded.
#[derive(Clone, Debug)]
pub(super) enum Prepared {
    /// A change that may be seen.
    Change(Annotated),
    /// A change that may not.
    Withheld(Change, Box<Withheld>),
    /// A record that was not understood, and may not be seen either.
    Unknown(UnknownRecord, Box<Withheld>),
}

/// A change as its annotation left it. What identifies its item was worked out before.
#[derive(Clone, Debug)]
pub(super) struct Annotated {
    pub(super) change: Change,
    pub(super) item: ItemToken,
    pub(super) lane: u8,
    pub(super) who: Who,
    pub(super) annotation: Annotation,
    pub(super) is_redacted: bool,
}

/// Why a plugin cannot annotate.
#[derive(Debug, thiserror::Error)]
pub enum AnnotatorError {
    /// It cannot run here.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It belongs on a route.
    #[error("{}", Hook::Route.instead())]
    OtherHook,
    /// It does not describe itself.
    #[error(transparent)]
    Describe(#[from] DescribeError),
    /// Its tables are not there.
    #[error(transparent)]
    Tables(#[from] TableError),
    /// Postgres failed.
    #[error("Postgres failed")]
    Database(#[from] DatabaseError),
}

/// Why records are not prepared. Trying again is safe.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnnotateError {
    #[error("the plugin at intake cannot be run")]
    Host(#[from] HostError),
    #[error("it is not known what is withheld")]
    Database(#[from] DatabaseError),
}

impl IntakePlugin {
    /// Loads the plugin that a configuration names for a source.
    ///
    /// # Errors
    ///
    /// It cannot annotate; the message says why.
    pub async fn load(
        ledger: &Ledger,
        runtime: &Runtime,
        source: &str,
        actor: Option<&ActorRule>,
        component: Vec<u8>,
        config: String,
        withhold_to: WithholdKey,
    ) -> Result<Self, AnnotatorError> {
        let plugin = runtime.load(component).await?;
        let manifest = plugin.describe(&config).await?;
        let lookups = newest_tables(ledger, &manifest).await?;
        let stored = Annotator {
            source: source.to_owned(),
            plugin: *plugin.digest(),
            definition: AnnotatorDefinition {
                config: hex::encode(config_digest(actor, Some((plugin.digest(), &config, &lookups))).0),
                actor: actor.cloned(),
                plugin_config: config,
                lookups,
            },
        };
        let granted = manifest.to_json();
        let annotator = LoadedAnnotator::new(ledger, plugin, manifest, stored).await?;
        Ok(Self {
            annotator,
            granted,
            withhold_to,
        })
    }

    /// Records that it annotates from now on. Where another configuration counts than `counts`, it is not what annotates, but what
    /// annotated before: nothing more is said of it then.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn enter(&self, ledger: &Ledger, component: Vec<u8>, counts: Option<u32>) -> Result<(), AnnotatorError> {
        let stored = &self.annotator.stored;
        let plugin = StoredPlugin {
            digest: stored.plugin,
            component,
        };
        let now = jiff::Timestamp::now();
        ledger
            .enter_annotator(stored, &plugin, &self.granted, counts, now)
            .await?;
        Ok(())
    }

    /// Prepares records, in order.
    pub(super) async fn prepare(
        &self,
        ledger: &Ledger,
        who: impl Fn(&Change) -> Who,
        records: &[Record],
    ) -> Result<Vec<Prepared>, AnnotateError> {
        let changes = records.iter().filter_map(|record| match record {
            Record::Change(change) => Some(AttributedChange {
                who: who(change),
                change: change.clone(),
            }),
            Record::Unknown(_) => None,
        });
        let mut annotated = self.annotator.annotate(ledger, changes.collect()).await?.into_iter();
        let tokens: Vec<TokenBytes> = records
            .iter()
            .filter_map(|record| match record {
                Record::Change(change) => Some(ledger.secret().item_token(&change.table, &change.keys).token),
                Record::Unknown(_) => None,
            })
            .collect();
        let mut behind = ledger.withheld_items(&tokens).await?;
        let prepared = records.iter().map(|record| match record {
            Record::Change(change) => {
                let annotated = annotated.next().expect("one answer for each change");
                let token = ledger.secret().item_token(&change.table, &change.keys).token;
                prepare_change(change, annotated, token, &mut behind)
            }
            Record::Unknown(unknown) => prepare_unknown(unknown),
        });
        Ok(prepared.collect())
    }

    /// A record that could not be stored as it is, as nobody may see it.
    pub(super) fn refused(&self, unknown: &UnknownRecord) -> Prepared {
        prepare_unknown(unknown)
    }

    /// Who may see what is withheld.
    pub(super) fn withhold_to(&self) -> &WithholdKey {
        &self.withhold_to
    }
}

impl LoadedAnnotator {
    /// Loads what annotates a source now.
    ///
    /// # Errors
    ///
    /// It cannot annotate here any more.
    pub(crate) async fn load(ledger: &Ledger, runtime: &Runtime, stored: Annotator) -> Result<Self, AnnotatorError> {
        let component = ledger.plugin(&stored.plugin).await?.component;
        let plugin = runtime.load(component).await?;
        let manifest = plugin.describe(&stored.definition.plugin_config).await?;
        Self::new(ledger, plugin, manifest, stored).await
    }

    async fn new(
        ledger: &Ledger,
        plugin: Plugin,
        manifest: Manifest,
        stored: Annotator,
    ) -> Result<Self, AnnotatorError> {
        if plugin.hook() != Hook::Intake {
            return Err(AnnotatorError::OtherHook);
        }
        let manifest = give_tables(ledger, manifest, &stored.definition.lookups).await?;
        Ok(Self {
            plugin,
            config: stored.definition.plugin_config.clone(),
            manifest: Arc::new(manifest),
            stored,
        })
    }

    /// Annotates changes: one answer each, in order.
    pub(super) async fn annotate(
        &self,
        ledger: &Ledger,
        changes: Vec<AttributedChange>,
    ) -> Result<Answers<Annotated>, HostError> {
        let answers = self.answers(&changes).await?;
        let annotated = changes
            .into_iter()
            .zip(answers)
            .map(|(change, answer)| annotated(ledger, change, answer?));
        Ok(annotated.collect())
    }

    /// Fewer changes at once where finding those that it fails on takes too much.
    async fn answers(&self, changes: &[AttributedChange]) -> Result<Answers<Annotation>, HostError> {
        let (mut answers, mut at_once) = (Vec::with_capacity(changes.len()), changes.len().min(BATCH_CHANGES_MAX));
        while answers.len() < changes.len() {
            let end = changes.len().min(answers.len() + at_once);
            let part = Batch::new(changes[answers.len()..end].to_vec());
            match self.plugin.annotate(part, &self.config, &self.manifest).await {
                Ok(answered) => answers.extend(answered),
                Err(HostError::TooMuchPoison) if at_once > 1 => at_once = at_once.div_ceil(2),
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }
}

/// A change with its annotation applied.
fn annotated(ledger: &Ledger, from: AttributedChange, mut annotation: Annotation) -> Result<Annotated, Fault> {
    let AttributedChange { mut change, mut who } = from;
    let (item, lane) = (
        ledger.secret().item_token(&change.table, &change.keys),
        ledger.secret().lane(&change.table, &change.keys),
    );
    let is_redacted = redact(ledger.secret(), &mut change, &annotation.redactions)?;
    annotation.redactions.clear();
    // What the database says of itself is worth more than what a plugin says.
    if let Some(actor) = annotation.actor.take()
        && who.assurance != Assurance::System
    {
        who = Who {
            actor: Some(actor),
            assurance: Assurance::Claimed,
        };
    }
    Ok(Annotated {
        change,
        item,
        lane,
        who,
        annotation,
        is_redacted,
    })
}

fn prepare_change(
    change: &Change,
    annotated: Result<Annotated, Fault>,
    token: TokenBytes,
    behind: &mut HashSet<TokenBytes>,
) -> Prepared {
    let (code, message, log) = match annotated {
        Ok(annotated) if !behind.contains(&token) => return Prepared::Change(annotated),
        Ok(_) => (
            BEHIND_WITHHELD.to_owned(),
            "an earlier change of the item is withheld".to_owned(),
            String::new(),
        ),
        Err(fault) => (fault.code.as_str().to_owned(), fault.message, fault.log),
    };
    behind.insert(token);
    let withheld = Withheld {
        code,
        message,
        log,
        keys: Some(change.keys.clone()),
        old: change.old.clone(),
        new: change.new.clone(),
        service: service_of(change),
        raw: None,
    };
    Prepared::Withheld(change.clone(), Box::new(withheld))
}

/// The service that made a change.
fn service_of(change: &Change) -> Option<String> {
    let service = change.service.as_ref().filter(|service| service.kind == "Service")?;
    Some(service.principal.clone())
}

fn prepare_unknown(unknown: &UnknownRecord) -> Prepared {
    let withheld = Withheld {
        code: "not-understood".to_owned(),
        message: unknown.reason.clone(),
        raw: Some(unknown.raw.clone()),
        ..Withheld::default()
    };
    let shown = UnknownRecord {
        reason: UNKNOWN_REASON.to_owned(),
        raw: String::new(),
        ..unknown.clone()
    };
    Prepared::Unknown(shown, Box::new(withheld))
}

/// What decides, besides a rule, what is recorded of a change: the plugin, its configuration, its tables.
pub(super) type PluginParts<'a> = (&'a [u8; 32], &'a str, &'a TableDigests);
