//! Orders to erase and to hold.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_evidence::Body;
use weir_ledger::{Erasure, ErasureError, Hold, HoldError, NewErasure, NewHold, Selector};
use weir_model::AttributeValue;

use crate::error::ApiError;
use crate::key::read_key;
use crate::server::Answers;

/// What an order is about: `table` and `key`, or `attribute` and `value`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Table of the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Key of the item, as `GET /v1/tables/{table}/history` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Name of the attribute that tells the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// Its value: text, or DynamoDB-JSON (`{"N":"7"}`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Body of `POST /v1/erasures`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureRequest {
    /// What.
    pub about: About,
    /// Names of attributes, if only they are to be erased.
    #[serde(default)]
    pub attributes: Vec<String>,
    /// The legal basis. Recorded.
    pub basis: String,
    /// Who approved it. Recorded.
    pub approver: String,
}

/// Body of `POST /v1/holds` and, without `about`, of `POST /v1/holds/{id}/release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// What.
    #[serde(default)]
    pub about: About,
    /// Why. Recorded.
    pub reason: String,
    /// Who ordered it. Recorded.
    pub approver: String,
}

/// An order to erase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureState {
    /// Its id.
    pub id: String,
    /// `attribute`, `item`, `subject` or `retention`.
    pub scope: String,
    /// Position of the entry that announces it.
    pub position: u64,
    /// Bodies emptied or changed so far.
    pub bodies: u64,
    /// When it was done; absent while it is under way.
    pub done_at: Option<Timestamp>,
}

/// A hold that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldState {
    /// Its id.
    pub id: String,
    /// `item` or `subject`.
    pub scope: String,
    /// Position of the entry that placed it.
    pub position: u64,
    /// What is held, for people: table and key, or attribute and value.
    pub about: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Who ordered it.
    pub approver: Option<String>,
}

/// Answer of `GET /v1/erasures`, and of `POST`: what is about very many bodies becomes several orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasures {
    /// Oldest first.
    pub erasures: Vec<ErasureState>,
}

/// Answer of `GET /v1/holds`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// Oldest first.
    pub holds: Vec<HoldState>,
}

/// `POST /v1/erasures`
pub(crate) async fn order(
    State(answers): State<Answers>,
    Json(request): Json<ErasureRequest>,
) -> Result<Json<Erasures>, ApiError> {
    said("basis", &request.basis)?;
    said("approver", &request.approver)?;
    let new = NewErasure {
        selector: selector(&answers, &request.about).await?,
        attributes: request.attributes,
        basis: request.basis,
        approver: request.approver,
    };
    let erasures = answers.ledger.order_erasure(&new, Timestamp::now()).await?;
    answers.eraser.notify_one();
    Ok(Json(Erasures {
        erasures: erasures.into_iter().map(state).collect(),
    }))
}

/// `GET /v1/erasures`
pub(crate) async fn list(State(answers): State<Answers>) -> Result<Json<Erasures>, ApiError> {
    let erasures = answers.ledger.erasures().await?;
    Ok(Json(Erasures {
        erasures: erasures.into_iter().map(state).collect(),
    }))
}

/// `POST /v1/holds`
pub(crate) async fn place_hold(
    State(answers): State<Answers>,
    Json(request): Json<HoldRequest>,
) -> Result<Json<HoldState>, ApiError> {
    said("reason", &request.reason)?;
    said("approver", &request.approver)?;
    let new = NewHold {
        selector: selector(&answers, &request.about).await?,
        reason: request.reason,
        approver: request.approver,
    };
    let hold = answers.ledger.place_hold(&new, Timestamp::now()).await?;
    Ok(Json(HoldState {
        id: hold.id,
        scope: hold.scope,
        position: hold.placed.0,
        about: Some(new.selector.to_string()),
        reason: Some(new.reason),
        approver: Some(new.approver),
    }))
}

/// `POST /v1/holds/{id}/release`
pub(crate) async fn release_hold(
    State(answers): State<Answers>,
    Path(id): Path<String>,
    Json(request): Json<HoldRequest>,
) -> Result<Json<Holds>, ApiError> {
    said("reason", &request.reason)?;
    said("approver", &request.approver)?;
    let released = answers
        .ledger
        .release_hold(&id, &request.reason, &request.approver, Timestamp::now());
    released.await?;
    answers.eraser.notify_one();
    holds(State(answers)).await
}

/// `GET /v1/holds`
pub(crate) async fn holds(State(answers): State<Answers>) -> Result<Json<Holds>, ApiError> {
    let holds = answers.ledger.holds().await?;
    let holds = hold_states(&answers, holds).await?;
    Ok(Json(Holds { holds }))
}

async fn selector(answers: &Answers, about: &About) -> Result<Selector, ApiError> {
    let bad = |message: String| ApiError::new(StatusCode::BAD_REQUEST, "bad-order", message);
    match (&about.table, &about.key, &about.attribute, &about.value) {
        (Some(table), Some(key), None, None) => {
            let streams = answers.ledger.streams().await?;
            let stream = streams.iter().rev().find(|stream| stream.table == *table);
            let stream = stream.ok_or_else(|| bad(format!("no stream of table {table} is recorded here")))?;
            let keys = read_key(key, &stream.key_names).map_err(|error| bad(error.to_string()))?;
            // A value without a type may be text or a number: the one that was recorded is meant.
            for keys in &keys {
                let token = answers.ledger.secret().item_token(table, keys);
                let found = answers
                    .ledger
                    .find_entries(std::slice::from_ref(&token), None, 1)
                    .await?;
                if !found.entries.is_empty() {
                    return Ok(Selector::Item {
                        table: table.clone(),
                        keys: keys.clone(),
                    });
                }
            }
            let keys = keys
                .into_iter()
                .next()
                .ok_or_else(|| bad("the key is empty".to_owned()))?;
            Ok(Selector::Item {
                table: table.clone(),
                keys,
            })
        }
        (None, None, Some(attribute), Some(value)) => {
            let value = match serde_json::from_str::<AttributeValue>(value) {
                Ok(typed) => typed,
                Err(_) => AttributeValue::text(value),
            };
            Ok(Selector::Subject {
                attribute: attribute.clone(),
                value,
            })
        }
        _ => Err(bad(
            "say what it is about: `table` and `key`, or `attribute` and `value`".to_owned(),
        )),
    }
}

fn said(what: &str, text: &str) -> Result<(), ApiError> {
    if text.trim().is_empty() {
        let message = format!("`{what}` is empty; it is recorded, so say it");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-order", message));
    }
    Ok(())
}

fn state(erasure: Erasure) -> ErasureState {
    ErasureState {
        id: erasure.id,
        scope: erasure.scope,
        position: erasure.intent.0,
        bodies: erasure.bodies,
        done_at: erasure.done_at,
    }
}

/// Holds, with what their entries say of them.
async fn hold_states(answers: &Answers, holds: Vec<Hold>) -> Result<Vec<HoldState>, ApiError> {
    let positions: Vec<i64> = holds.iter().map(|hold| hold.placed.0.cast_signed()).collect();
    let entries = answers.ledger.read_all_at(&positions).await?.into_iter();
    let mut bodies: HashMap<u64, Body> = entries.map(|entry| (entry.position.0, entry.body)).collect();
    let states = holds.into_iter().map(|hold| {
        let body = bodies.remove(&hold.placed.0).unwrap_or_default();
        HoldState {
            id: hold.id,
            scope: hold.scope,
            position: hold.placed.0,
            about: body.raw,
            reason: body.reason,
            approver: body.actor,
        }
    });
    Ok(states.collect())
}

impl From<ErasureError> for ApiError {
    fn from(error: ErasureError) -> Self {
        match error {
            ErasureError::Held { .. } => Self::new(StatusCode::CONFLICT, "held", error.to_string()),
            ErasureError::Nothing => Self::new(StatusCode::NOT_FOUND, "nothing", error.to_string()),
            ErasureError::Withheld(_) => Self::new(StatusCode::CONFLICT, "withheld", error.to_string()),
            ErasureError::Read(error) => error.into(),
            ErasureError::BodyKey(_) | ErasureError::Journal(_) | ErasureError::Database(_) => {
                Self::unavailable(&error)
            }
        }
    }
}

impl From<HoldError> for ApiError {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Age => Self::new(StatusCode::BAD_REQUEST, "bad-order", error.to_string()),
            HoldError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "unknown-hold", error.to_string()),
            HoldError::Read(error) => error.into(),
            HoldError::BodyKey(_) | HoldError::Database(_) => Self::unavailable(&error),
        }
    }
}
