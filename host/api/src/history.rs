//! The history of an item: who changed what, when, newest first.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_evidence::{Body, EntryKind, ItemToken};
use weir_ledger::RecordedEntry;
use weir_model::{Assurance, Item, Operation, Position, plain_json};

use crate::error::ApiError;
use crate::key::read_key;
use crate::server::Answers;

/// Changes of one answer, unless fewer are asked for.
const CHANGES_MAX: u16 = 1000;

/// Changes of one answer where no number is asked for.
const CHANGES_DEFAULT: u16 = 100;

/// Answer of `GET /v1/tables/{table}/history`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The table.
    pub table: String,
    /// The changes, newest first. Each was checked against the entry that the ledger holds.
    pub changes: Vec<Change>,
    /// Everything recorded below this position was looked at.
    pub indexed_to: u64,
    /// Ask again with `before` set to this for older changes; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// One change of the item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its place in the ledger.
    pub position: u64,
    /// When, by the source's clock; whole seconds.
    pub time: jiff::Timestamp,
    /// What happened to the item.
    pub operation: Operation,
    /// Who, if that is known.
    pub actor: Option<String>,
    /// What that name is worth.
    pub assurance: Assurance,
    /// The source's id of the change.
    pub event: String,
    /// Attributes that differ, sorted by name. Absent where the stream carried too little to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences: Option<Vec<Difference>>,
    /// The item before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// The item after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// Why it was made, as its annotation says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What its annotation tags it with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Why it is withheld: `plugin-error`, ..., or `behind-withheld`. Nothing else is told of it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
}

/// One attribute before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Its name.
    pub attribute: String,
    /// Before; absent if it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub old: Option<Value>,
    /// After; absent if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub new: Option<Value>,
}

/// A member that is there is there, also when it is `null`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Question of `GET /v1/tables/{table}/history`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryQuery {
    key: String,
    before: Option<u64>,
    limit: Option<u16>,
}

pub(crate) async fn history(
    State(answers): State<Answers>,
    Path(table): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<History>, ApiError> {
    let tokens = item_tokens(&answers, &table, &query.key).await?;
    let limit = query.limit.unwrap_or(CHANGES_DEFAULT).clamp(1, CHANGES_MAX);
    let found = answers
        .ledger
        .find_entries(
            &tokens,
            query
                .before
                .map(|before| Position(before.min(i64::MAX.cast_unsigned()))),
            limit,
        )
        .await?;
    let changes: Vec<Change> = found.entries.into_iter().filter_map(read_change).collect();
    let before = changes.last().map(|change| change.position).filter(|_| found.has_more);
    Ok(Json(History {
        table,
        changes,
        indexed_to: found.indexed_to.0,
        before,
    }))
}

/// Tokens of the item that a key may mean in a table.
pub(crate) async fn item_tokens(answers: &Answers, table: &str, key: &str) -> Result<Vec<ItemToken>, ApiError> {
    let streams = answers.ledger.streams().await?;
    let Some(stream) = streams.iter().rev().find(|stream| stream.table == table) else {
        let mut known: Vec<&str> = streams.iter().map(|stream| stream.table.as_str()).collect();
        known.dedup();
        let message = format!(
            "no stream of table {table} is recorded here; recorded are: {}",
            known.join(", ")
        );
        return Err(ApiError::new(StatusCode::NOT_FOUND, "unknown-table", message));
    };
    let keys = read_key(key, &stream.key_names)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad-key", error.to_string()))?;
    let tokens = keys.iter().map(|key| answers.ledger.secret().item_token(table, key));
    Ok(tokens.collect())
}

fn read_change(recorded: RecordedEntry) -> Option<Change> {
    let body = recorded.body;
    let (event, operation, time, assurance) = match recorded.entry.kind {
        EntryKind::Change {
            event,
            operation,
            time,
            assurance,
            ..
        } => (event, operation, time, assurance),
        EntryKind::Withheld {
            event, operation, time, ..
        } => {
            return Some(Change {
                position: recorded.position.0,
                time,
                operation,
                actor: None,
                assurance: Assurance::Unknown,
                event: event.as_str().to_owned(),
                differences: None,
                old: None,
                new: None,
                reason: None,
                tags: BTreeMap::new(),
                withheld: body.reason,
            });
        }
        _ => return None,
    };
    Some(Change {
        position: recorded.position.0,
        time,
        operation,
        assurance,
        event: event.as_str().to_owned(),
        differences: differences(operation, &body),
        old: body.old.as_ref().map(plain_json),
        new: body.new.as_ref().map(plain_json),
        actor: body.actor,
        reason: body.reason,
        tags: body.tags,
        withheld: None,
    })
}

fn differences(operation: Operation, body: &Body) -> Option<Vec<Difference>> {
    let nothing = Item::new();
    let (old, new) = match (operation, &body.old, &body.new) {
        (_, Some(old), Some(new)) => (old, new),
        (Operation::Insert, None, Some(new)) => (&nothing, new),
        (Operation::Remove, Some(old), None) => (old, &nothing),
        _ => return None,
    };
    let mut names: Vec<&String> = old
        .keys()
        .chain(new.keys())
        .filter(|name| old.get(name) != new.get(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    let difference = |name: &String| Difference {
        attribute: name.clone(),
        old: old.get(name).map(weir_model::AttributeValue::to_plain_json),
        new: new.get(name).map(weir_model::AttributeValue::to_plain_json),
    };
    Some(names.into_iter().map(difference).collect())
}
