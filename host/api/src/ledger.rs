//! The head, and what was given up.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use weir_ledger::DeadLetter;

use crate::error::ApiError;
use crate::server::Answers;

/// Dead letters of one answer, unless fewer are asked for.
const DEAD_LETTERS_MAX: u16 = 1000;

/// Answer of `GET /v1/ledger`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHead {
    /// Name of the ledger.
    pub ledger: String,
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 root over them, hexadecimal.
    pub root: String,
    /// What is signed of it.
    pub published: Published,
    /// How far it was read again in the background.
    pub scrubbed: ScrubState,
}

/// What is signed of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Entries that the newest checkpoint covers.
    pub size: u64,
    /// The checkpoint, a signed note.
    pub checkpoint: Option<String>,
    /// Public keys to check it with: own keys first, then those of witnesses.
    pub keys: Vec<String>,
    /// Why nothing is signed now, if nothing is.
    pub stopped: Option<String>,
}

/// How far a ledger was read again in the background.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubState {
    /// Entries below this were read in this round.
    pub position: u64,
    /// Rounds that came to the end since the start.
    pub rounds: u64,
    /// What was found.
    pub findings: Vec<String>,
}

/// Answer of `GET /v1/dead-letters`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetters {
    /// In order of position.
    pub dead_letters: Vec<DeadLetter>,
}

/// Question of `GET /v1/dead-letters`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeadLetterQuery {
    route: Option<String>,
    limit: Option<u16>,
}

pub(crate) async fn head(State(answers): State<Answers>) -> Result<Json<LedgerHead>, ApiError> {
    let head = answers.ledger.head().await?;
    let ledger = answers.ledger.name().as_str().to_owned();
    let (published, scrubbed) = (answers.publication.status(), answers.scrubbed.borrow().clone());
    Ok(Json(LedgerHead {
        ledger,
        size: head.size,
        root: hex::encode(head.root),
        published: Published {
            size: published.size,
            checkpoint: published.checkpoint,
            keys: published.vkeys,
            stopped: published.stopped,
        },
        scrubbed: ScrubState {
            position: scrubbed.position,
            rounds: scrubbed.rounds,
            findings: scrubbed.findings,
        },
    }))
}

pub(crate) async fn dead_letters(
    State(answers): State<Answers>,
    Query(query): Query<DeadLetterQuery>,
) -> Result<Json<DeadLetters>, ApiError> {
    if query.route.as_ref().is_some_and(|route| route.contains('\0')) {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "bad-route",
            "a route's name has no NUL",
        ));
    }
    let limit = query.limit.unwrap_or(DEAD_LETTERS_MAX).min(DEAD_LETTERS_MAX);
    let dead_letters = answers.ledger.dead_letters(query.route.as_deref(), limit).await?;
    Ok(Json(DeadLetters { dead_letters }))
}
