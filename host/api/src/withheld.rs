//! What is withheld: changes that the plugin at intake failed on, and those behind them.
//!
//! What they say is sealed, and this process has no key for it. Whoever has one opens it where they are, or sends the key to
//! have everything annotated again; it is kept as long as that takes.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_evidence::{EntryKind, WithheldSecret};
use weir_ledger::{AmendError, RecordedEntry};
use weir_model::{Operation, Position};
use weir_pipeline::{AgainError, annotate_again, error_chain};

use crate::error::ApiError;
use crate::server::Answers;

/// Most changes of one answer.
const CHANGES_MAX: u16 = 100;

/// Changes read at once: each may have two images of 400 KB, of which a list shows nothing.
const READ_AT_ONCE: usize = 10;

/// Answer of `GET /v1/withheld`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithheldChanges {
    /// How many there are.
    pub count: u64,
    /// The oldest of them from `from` on.
    pub changes: Vec<WithheldChange>,
    /// Ask again with `from` set to this for later ones; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
}

/// A change that is withheld. Answer of `GET /v1/withheld/{position}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithheldChange {
    /// Its place in the ledger.
    pub position: u64,
    /// When, by the source's clock.
    pub time: Timestamp,
    /// What happened to the item.
    pub operation: Operation,
    /// The item's table.
    pub table: String,
    /// Why: `plugin-error`, `plugin-trap`, ..., or `behind-withheld`.
    pub code: String,
    /// Where it came from: stream, shard and sequence number. They are bound to what is sealed.
    pub stream: String,
    /// Its shard.
    pub shard: String,
    /// Its sequence number.
    pub sequence: String,
    /// What it says, sealed (`host/evidence/formats/entry.md`). Absent in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

/// Question of `GET /v1/withheld`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithheldQuery {
    from: Option<u64>,
}

/// Body of `POST /v1/withheld/annotate`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnotateAgain {
    /// The key that opens what is withheld, 64 hexadecimal digits.
    pub key: String,
}

/// Answer of `POST /v1/withheld/annotate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnotatedAgain {
    /// Changes that are told now.
    pub amended: u64,
    /// Changes that are still withheld.
    pub withheld: Vec<StillWithheldChange>,
}

/// A change that is still withheld.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StillWithheldChange {
    /// Its place in the ledger.
    pub position: u64,
    /// Why, for machines.
    pub code: String,
    /// Why, in the plugin's own words. It may quote the change.
    pub message: String,
}

/// `GET /v1/withheld`
pub(crate) async fn list(
    State(answers): State<Answers>,
    Query(query): Query<WithheldQuery>,
) -> Result<Json<WithheldChanges>, ApiError> {
    let from = Position(query.from.unwrap_or(0).min(i64::MAX.cast_unsigned()));
    let mut positions = answers.ledger.withheld_from(from, CHANGES_MAX + 1).await?;
    let next = positions.get(usize::from(CHANGES_MAX)).map(|next| next.0);
    positions.truncate(CHANGES_MAX.into());
    let positions: Vec<i64> = positions.iter().map(|position| position.0.cast_signed()).collect();
    let mut changes = Vec::with_capacity(positions.len());
    for few in positions.chunks(READ_AT_ONCE) {
        let read = answers.ledger.read_all_at(few).await?.into_iter();
        changes.extend(read.filter_map(|recorded| change(recorded, false)));
    }
    Ok(Json(WithheldChanges {
        count: answers.ledger.withheld_count().await?,
        changes,
        from: next,
    }))
}

/// `GET /v1/withheld/{position}`
pub(crate) async fn show(
    State(answers): State<Answers>,
    Path(position): Path<u64>,
) -> Result<Json<WithheldChange>, ApiError> {
    let position = Position(position.min(i64::MAX.cast_unsigned()));
    let is_there = answers.ledger.withheld_from(position, 1).await?.first() == Some(&position);
    let read = if is_there {
        answers.ledger.read_at(&[position.0.cast_signed()]).await?
    } else {
        Vec::new()
    };
    let found = read.into_iter().next().and_then(|recorded| change(recorded, true));
    let message = || {
        format!(
            "nothing is withheld at position {}; `weir withheld list` shows what is",
            position.0
        )
    };
    found
        .map(Json)
        .ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, "not-withheld", message()))
}

/// `POST /v1/withheld/annotate`
pub(crate) async fn annotate(
    State(answers): State<Answers>,
    Json(body): Json<AnnotateAgain>,
) -> Result<Json<AnnotatedAgain>, ApiError> {
    let refuse = |code, message: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message);
    let secret = WithheldSecret::parse(&body.key).map_err(|error| refuse("bad-key", error.to_string()))?;
    let again = annotate_again(&answers.ledger, answers.gate.runtime(), &secret).await;
    // Their first bodies are to go.
    answers.eraser.notify_one();
    match again {
        Ok(again) => Ok(Json(AnnotatedAgain {
            amended: again.amended,
            withheld: again
                .withheld
                .into_iter()
                .map(|still| StillWithheldChange {
                    position: still.position.0,
                    code: still.code,
                    message: still.message,
                })
                .collect(),
        })),
        Err(error @ AgainError::Key(_)) => Err(refuse("wrong-key", error.to_string())),
        Err(error @ (AgainError::NoAnnotator(_) | AgainError::Annotator(..) | AgainError::Entry(..))) => {
            Err(refuse("no-annotator", error_chain(&error)))
        }
        Err(error @ AgainError::Amend(AmendError::Changed)) => {
            Err(ApiError::new(StatusCode::CONFLICT, "changed", error.to_string()))
        }
        Err(error) => Err(ApiError::unavailable(&error)),
    }
}

/// A change as it is told; `None` if it is not withheld, or was erased.
fn change(recorded: RecordedEntry, with_sealed: bool) -> Option<WithheldChange> {
    let EntryKind::Withheld {
        origin,
        sequence,
        operation,
        table,
        time,
        ..
    } = recorded.entry.kind
    else {
        return None;
    };
    Some(WithheldChange {
        position: recorded.position.0,
        time,
        operation,
        table,
        code: recorded.body.reason.unwrap_or_default(),
        stream: origin.stream.as_str().to_owned(),
        shard: origin.shard.as_str().to_owned(),
        sequence: sequence.as_str().to_owned(),
        sealed: recorded.body.raw.filter(|_| with_sealed),
    })
}
