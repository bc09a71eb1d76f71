//! Entries with what is shown of their bodies, and the hashes that prove them: what `weir prove` and `weir export` are
//! made of.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum_extra::extract::Query;
use serde::{Deserialize, Serialize};
use weir_evidence::{consistency_ranges, inclusion_ranges, outside_ranges};
use weir_model::Position;

use crate::error::ApiError;
use crate::server::Answers;

/// Entries of one answer.
const ENTRIES_MAX: u16 = 1000;

/// Answer of `GET /v1/entries`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// In order of position, from the one that was asked for on; at least one, unless there is none.
    pub entries: Vec<ShownEntry>,
}

/// One entry and what is shown of its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownEntry {
    /// Its place.
    pub position: u64,
    /// The bytes that were hashed, as text.
    pub entry: String,
    /// A disclosure (`formats/entry.md`), as text.
    pub disclosure: String,
}

/// Answer of `GET /v1/proofs/...`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofHashes {
    /// Hexadecimal.
    pub hashes: Vec<String>,
}

/// Question of `GET /v1/entries`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntriesQuery {
    from: u64,
    limit: Option<u16>,
    /// Paths to show: `/new/status`, `/new` for all of an image, `all`.
    #[serde(default)]
    show: Vec<String>,
}

/// Question of `GET /v1/proofs/inclusion`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InclusionQuery {
    index: u64,
    size: u64,
}

/// Question of `GET /v1/proofs/consistency`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsistencyQuery {
    from: u64,
    size: u64,
}

/// Question of `GET /v1/proofs/range`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RangeQuery {
    from: u64,
    to: u64,
    size: u64,
}

/// `GET /v1/entries`
pub(crate) async fn entries(
    State(answers): State<Answers>,
    Query(query): Query<EntriesQuery>,
) -> Result<Json<Entries>, ApiError> {
    if query.from > i64::MAX.cast_unsigned() {
        return Ok(Json(Entries { entries: Vec::new() }));
    }
    if let Some(path) = query.show.iter().find(|path| !path.starts_with('/') && *path != "all") {
        let message = format!("{path:?} is no path into a change: write it like /new/status, or all");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-path", message));
    }
    let shows = |path: &str| query.show.iter().any(|shown| is_shown(shown, path));
    let limit = query.limit.unwrap_or(ENTRIES_MAX).clamp(1, ENTRIES_MAX);
    let disclosed = answers.ledger.disclose_from(Position(query.from), limit, shows).await?;
    let entries = disclosed.into_iter().map(|(recorded, disclosure)| {
        let mut text = Vec::new();
        disclosure.write(&mut text);
        ShownEntry {
            position: recorded.position.0,
            entry: String::from_utf8(recorded.bytes).expect("an entry is JSON"),
            disclosure: String::from_utf8(text).expect("a disclosure is JSON"),
        }
    });
    Ok(Json(Entries {
        entries: entries.collect(),
    }))
}

/// Whether a pattern of `--show` covers a path.
fn is_shown(shown: &str, path: &str) -> bool {
    let shown = shown.trim_end_matches('/');
    shown == "all"
        || path == shown
        || path
            .strip_prefix(shown)
            .is_some_and(|rest| rest.starts_with('/') && !shown.is_empty())
}

/// `GET /v1/proofs/inclusion`
pub(crate) async fn inclusion(
    State(answers): State<Answers>,
    Query(query): Query<InclusionQuery>,
) -> Result<Json<ProofHashes>, ApiError> {
    check(&answers, query.index < query.size, query.size).await?;
    hashes(&answers, query.size, &inclusion_ranges(query.index, query.size)).await
}

/// `GET /v1/proofs/consistency`
pub(crate) async fn consistency(
    State(answers): State<Answers>,
    Query(query): Query<ConsistencyQuery>,
) -> Result<Json<ProofHashes>, ApiError> {
    check(&answers, query.from <= query.size, query.size).await?;
    hashes(&answers, query.size, &consistency_ranges(query.from, query.size)).await
}

/// `GET /v1/proofs/range`
pub(crate) async fn range(
    State(answers): State<Answers>,
    Query(query): Query<RangeQuery>,
) -> Result<Json<ProofHashes>, ApiError> {
    check(&answers, query.from < query.to && query.to <= query.size, query.size).await?;
    hashes(&answers, query.size, &outside_ranges(query.from, query.to, query.size)).await
}

async fn check(answers: &Answers, is_in_order: bool, size: u64) -> Result<(), ApiError> {
    let has = answers.ledger.head().await?.size;
    if is_in_order && size <= has {
        return Ok(());
    }
    let message = format!("the tree has {has} entries; positions are below its size, and ranges are not empty");
    Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-range", message))
}

async fn hashes(answers: &Answers, size: u64, ranges: &[std::ops::Range<u64>]) -> Result<Json<ProofHashes>, ApiError> {
    let roots = answers.ledger.roots(size, ranges).await?;
    Ok(Json(ProofHashes {
        hashes: roots.iter().map(hex::encode).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::is_shown;

    #[test]
    fn a_path_is_shown_by_its_name_its_part_or_all() {
        for (shown, path, expected) in [
            ("/new/status", "/new/status", true),
            ("/new/status", "/new/status2", false),
            ("/new", "/new/status", true),
            ("/new/", "/new/status", true),
            ("/ne", "/new/status", false),
            ("/actor", "/actor", true),
            ("all", "/raw", true),
            ("", "/raw", false),
            ("/", "/raw", false),
        ] {
            assert_eq!(is_shown(shown, path), expected, "{shown} {path}");
        }
    }
}
