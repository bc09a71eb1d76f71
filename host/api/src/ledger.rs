//! The head, and what is signed of it.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::server::Answers;

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
