//! The signed head and the tree below it, as C2SP `tlog-tiles` has them; and what operators decide about signing.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use weir_evidence::{TILE_WIDTH, TileId};
use weir_ledger::TreeError;
use weir_model::Position;
use weir_pipeline::PublishError;

use crate::error::ApiError;
use crate::server::Answers;

/// A tile never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Body of `POST /v1/ledger/continue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContinueRequest {
    /// Why. Recorded.
    pub reason: String,
}

/// Answer of `POST /v1/ledger/adopt` and `POST /v1/ledger/continue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What was done.
    pub done: String,
}

/// `GET /checkpoint`
pub(crate) async fn checkpoint(State(answers): State<Answers>) -> Result<Response, ApiError> {
    let status = answers.publication.status();
    if let Some(stopped) = status.stopped {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not-signed", stopped));
    }
    let Some(checkpoint) = status.checkpoint else {
        let message = "no checkpoint was signed yet; try again in a moment";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not-signed", message));
    };
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, checkpoint).into_response())
}

/// `GET /tile/{level}/{index}[.p/{width}]`
pub(crate) async fn tile(
    State(answers): State<Answers>,
    Path((level, index)): Path<(u8, String)>,
) -> Result<Response, ApiError> {
    let (index, partial) = parse_index(&index).ok_or_else(no_tile)?;
    let id = TileId { level, index };
    let width = served_width(&answers, id, partial)?;
    let hashes = answers.ledger.tile(id, width).await?;
    Ok(immutable(hashes.concat()))
}

/// `GET /tile/entries/{index}[.p/{width}]`
pub(crate) async fn entries(State(answers): State<Answers>, Path(index): Path<String>) -> Result<Response, ApiError> {
    let (index, partial) = parse_index(&index).ok_or_else(no_tile)?;
    let width = served_width(&answers, TileId { level: 0, index }, partial)?;
    let (mut bytes, mut next) = (Vec::new(), index * TILE_WIDTH as u64);
    let end = next + width as u64;
    while next < end {
        let count = u16::try_from(end - next).expect("a tile has 256 entries");
        let page = answers.ledger.read_from(Position(next), count).await?;
        let last = page.last().ok_or_else(no_tile)?;
        next = last.position.0 + 1;
        for recorded in &page {
            let length = u16::try_from(recorded.bytes.len()).expect("an entry has at most 32 KiB");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&recorded.bytes);
        }
    }
    Ok(immutable(bytes))
}

/// `POST /v1/ledger/adopt`
pub(crate) async fn adopt(State(answers): State<Answers>) -> Result<Json<Decided>, ApiError> {
    let done = answers.publication.adopt().await?;
    Ok(Json(Decided { done }))
}

/// `POST /v1/ledger/continue`
pub(crate) async fn continue_anew(
    State(answers): State<Answers>,
    Json(request): Json<ContinueRequest>,
) -> Result<Json<Decided>, ApiError> {
    if request.reason.trim().is_empty() {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "no-reason",
            "say why: it is recorded",
        ));
    }
    let done = answers.publication.continue_anew(request.reason).await?;
    Ok(Json(Decided { done }))
}

/// How many hashes are served of a tile: those of the checkpoint's tree, so that nothing is served that was not signed.
fn served_width(answers: &Answers, id: TileId, partial: Option<usize>) -> Result<usize, ApiError> {
    let signed = id.width(answers.publication.status().size);
    let wanted = partial.unwrap_or(TILE_WIDTH);
    if id.level > 7 || wanted > signed {
        return Err(no_tile());
    }
    Ok(wanted)
}

fn immutable(bytes: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, FOR_EVER),
    ];
    (headers, bytes).into_response()
}

fn no_tile() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "no-tile",
        "the signed tree has no such tile (tiles are addressed as C2SP tlog-tiles says)",
    )
}

/// Reads `x001/x234/067` or `x001/x234/067.p/8`.
fn parse_index(text: &str) -> Option<(u64, Option<usize>)> {
    let (path, partial) = match text.split_once(".p/") {
        Some((path, width)) => {
            let parsed: usize = width.parse().ok()?;
            let is_plain = parsed.to_string() == width && (1..TILE_WIDTH).contains(&parsed);
            (path, Some(is_plain.then_some(parsed)?))
        }
        None => (text, None),
    };
    let (mut index, mut elements) = (0_u64, path.split('/').peekable());
    let mut is_first = true;
    while let Some(element) = elements.next() {
        let digits = if elements.peek().is_some() {
            element.strip_prefix('x')?
        } else {
            element
        };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // A leading element of zeros would be a second name for the same tile.
        if is_first && elements.peek().is_some() && digits == "000" {
            return None;
        }
        is_first = false;
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    // Positions fit 63 bits.
    (index < 1 << 55).then_some((index, partial))
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::NoGuard { .. }
            | PublishError::NothingToAdopt
            | PublishError::NothingToContinue
            | PublishError::NotGrown { .. }
            | PublishError::OtherGuard { .. }
            | PublishError::Elsewhere
            | PublishError::Disputed { .. } => Self::new(StatusCode::CONFLICT, "conflict", error.to_string()),
            PublishError::Erasure(error) => error.into(),
            PublishError::BodyKey(_)
            | PublishError::Guard(_)
            | PublishError::Signing(_)
            | PublishError::Tree(_)
            | PublishError::Database(_)
            | PublishError::Stopped => Self::unavailable(&error),
        }
    }
}

impl From<TreeError> for ApiError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Incomplete { .. } => Self::new(StatusCode::CONFLICT, "tampered", error.to_string()),
            TreeError::Database(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_addressed_as_the_specification_says_and_in_no_other_way() {
        assert_eq!(parse_index("x001/x234/067"), Some((1_234_067, None)));
        assert_eq!(parse_index("000.p/255"), Some((0, Some(255))));
        for wrong in [
            "",
            "1",
            "0001",
            "x001",
            "x000/001",
            "001/002",
            "001.p/256",
            "001.p/0",
            "001.p/01",
            "0x1",
            "x001/x002",
        ] {
            assert_eq!(parse_index(wrong), None, "{wrong}");
        }
    }
}
