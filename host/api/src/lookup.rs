//! Tables that plugins look things up in.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_ledger::{Lookup, NewLookup};
use weir_runtime::{LookupTable, NAME_BYTES_MAX, is_name};

use crate::error::ApiError;
use crate::server::Answers;

/// Answer of `GET /v1/lookups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookups {
    /// The newest of each name, by name.
    pub lookups: Vec<LookupState>,
}

/// A table. Answer of `POST /v1/lookups/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupState {
    /// Its name.
    pub name: String,
    /// SHA-256 of its content, hexadecimal.
    pub digest: String,
    /// How many keys it has.
    pub keys: u64,
    /// When it was uploaded.
    pub uploaded_at: Timestamp,
    /// Position of the entry that tells of it.
    pub position: u64,
}

/// `GET /v1/lookups`
pub(crate) async fn list(State(answers): State<Answers>) -> Result<Json<Lookups>, ApiError> {
    let lookups = answers.ledger.lookups().await?.into_iter().map(state).collect();
    Ok(Json(Lookups { lookups }))
}

/// `POST /v1/lookups/{name}`: the body is the table, a JSON object.
pub(crate) async fn upload(
    State(answers): State<Answers>,
    Path(name): Path<String>,
    body: String,
) -> Result<Json<LookupState>, ApiError> {
    let refuse = |code, message: String| Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message));
    if !is_name(&name) {
        let message =
            format!("{name:?} cannot be a name: 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_`, `.`, `+`, `/`");
        return refuse("bad-name", message);
    }
    let table = match LookupTable::parse(&body) {
        Ok(table) => table,
        Err(error) => return refuse("bad-lookup", weir_pipeline::error_chain(&error)),
    };
    let new = NewLookup {
        name,
        digest: *table.digest(),
        keys: table.len() as u64,
        content: table.content().to_owned(),
    };
    let lookup = answers.ledger.upload_lookup(&new, Timestamp::now()).await?;
    Ok(Json(state(lookup)))
}

fn state(lookup: Lookup) -> LookupState {
    LookupState {
        name: lookup.name,
        digest: hex::encode(lookup.digest),
        keys: lookup.keys,
        uploaded_at: lookup.uploaded_at,
        position: lookup.position.0,
    }
}
