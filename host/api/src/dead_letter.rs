//! Deliveries that were given up: look at them, send them again, throw them away.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_ledger::{DeadLetter, DeadLetterPlace, DeadLetterSelection, OrderedLetters, Pausable};
use weir_model::Position;

use crate::delivery::known;
use crate::error::ApiError;
use crate::route::check_reason;
use crate::server::Answers;

/// Dead letters of one answer, unless fewer are asked for.
const LETTERS_MAX: u16 = 1000;

/// Answer of `GET /v1/dead-letters`: without payloads and what plugins logged, and with the first 2,000 characters of reasons.
/// `GET /v1/dead-letters/{delivery}` has all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetters {
    /// In order of position.
    pub dead_letters: Vec<DeadLetter>,
    /// Ask again with `after` set to this for more; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Question of `GET /v1/dead-letters`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeadLetterQuery {
    route: Option<String>,
    code: Option<String>,
    after: Option<String>,
    limit: Option<u16>,
}

/// Body of `POST /v1/dead-letters/redrive` and `.../drop`: those that match everything that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterOrder {
    /// Ids of deliveries.
    #[serde(default)]
    pub deliveries: Vec<String>,
    /// Their route.
    #[serde(default)]
    pub route: Option<String>,
    /// What happened: `refused`, `attempts-exhausted`, `plugin-trap`, ...
    #[serde(default)]
    pub code: Option<String>,
    /// All there are: needed where nothing else says which.
    #[serde(default)]
    pub all: bool,
    /// Why. Recorded.
    #[serde(default)]
    pub reason: String,
}

/// Answer to a [`DeadLetterOrder`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLettersOrdered {
    /// How many: at most 500 at a time.
    pub count: usize,
    /// There may be more: order again.
    pub more: bool,
}

/// `GET /v1/dead-letters`
pub(crate) async fn list(
    State(answers): State<Answers>,
    Query(query): Query<DeadLetterQuery>,
) -> Result<Json<DeadLetters>, ApiError> {
    check_text(query.route.as_deref())?;
    check_text(query.code.as_deref())?;
    check_route(&answers, query.route.as_deref()).await?;
    let limit = query.limit.unwrap_or(LETTERS_MAX).clamp(1, LETTERS_MAX);
    let after = query.after.as_deref().map(read_place).transpose()?;
    let selection = DeadLetterSelection {
        deliveries: Vec::new(),
        route: query.route,
        code: query.code,
    };
    let letters = answers.ledger.dead_letters_in_short(&selection, after.as_ref(), limit);
    let dead_letters = letters.await?;
    let is_full = dead_letters.len() == usize::from(limit);
    let after = dead_letters.last().filter(|_| is_full).map(write_place);
    Ok(Json(DeadLetters { dead_letters, after }))
}

/// A place, as `after` has it.
fn write_place(letter: &DeadLetter) -> String {
    format!("{}/{}", letter.position, letter.delivery)
}

fn read_place(text: &str) -> Result<DeadLetterPlace, ApiError> {
    let place = text.split_once('/').and_then(|(position, delivery)| {
        Some(DeadLetterPlace {
            position: Position(position.parse().ok().filter(|position| *position < 1 << 63)?),
            delivery: Some(delivery).filter(|text| !text.contains('\0'))?.to_owned(),
        })
    });
    place.ok_or_else(ApiError::bad_place)
}

/// `GET /v1/dead-letters/{delivery}`
pub(crate) async fn show(
    State(answers): State<Answers>,
    Path(delivery): Path<String>,
) -> Result<Json<DeadLetter>, ApiError> {
    check_text(Some(&delivery))?;
    let letter = answers.ledger.dead_letter(&delivery).await?;
    letter.map(Json).ok_or_else(|| {
        let message = format!("no dead letter has the delivery id {delivery:?}; `weir dlq ls` lists those there are");
        ApiError::new(StatusCode::NOT_FOUND, "unknown-delivery", message)
    })
}

/// `POST /v1/dead-letters/redrive`
pub(crate) async fn redrive(
    State(answers): State<Answers>,
    Json(order): Json<DeadLetterOrder>,
) -> Result<Json<DeadLettersOrdered>, ApiError> {
    let (selection, reason) = read(order)?;
    check_route(&answers, selection.route.as_deref()).await?;
    let ordered = answers.ledger.redrive(&selection, &reason, Timestamp::now()).await?;
    Ok(Json(ordered.into()))
}

/// `POST /v1/dead-letters/drop`
pub(crate) async fn throw_away(
    State(answers): State<Answers>,
    Json(order): Json<DeadLetterOrder>,
) -> Result<Json<DeadLettersOrdered>, ApiError> {
    let (selection, reason) = read(order)?;
    check_route(&answers, selection.route.as_deref()).await?;
    let dropped = answers.ledger.drop_dead_letters(&selection, &reason, Timestamp::now());
    Ok(Json(dropped.await?.into()))
}

impl From<OrderedLetters> for DeadLettersOrdered {
    fn from(ordered: OrderedLetters) -> Self {
        Self {
            count: ordered.count,
            more: ordered.more,
        }
    }
}

fn read(order: DeadLetterOrder) -> Result<(DeadLetterSelection, String), ApiError> {
    check_reason(&order.reason)?;
    let texts = order.deliveries.iter().chain(&order.route).chain(&order.code);
    for text in texts {
        check_text(Some(text))?;
    }
    let is_said = !order.deliveries.is_empty() || order.route.is_some() || order.code.is_some();
    if is_said == order.all {
        let message = "say which dead letters: `deliveries`, `route` or `code`, or else `all`";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-selection", message));
    }
    let selection = DeadLetterSelection {
        deliveries: order.deliveries,
        route: order.route,
        code: order.code,
    };
    Ok((selection, order.reason))
}

/// A route that never was has no dead letters, and whoever names it has mistyped it.
async fn check_route(answers: &Answers, route: Option<&str>) -> Result<(), ApiError> {
    match route {
        Some(route) => known(answers, Pausable::Route, route).await,
        None => Ok(()),
    }
}

/// Postgres takes no NUL.
fn check_text(text: Option<&str>) -> Result<(), ApiError> {
    if text.is_some_and(|text| text.contains('\0')) {
        let message = "names of routes, codes and deliveries have no NUL";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-name", message));
    }
    Ok(())
}
