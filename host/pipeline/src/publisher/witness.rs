//! Asks witnesses to cosign (C2SP `tlog-witness`, `add-checkpoint`).
//!
//! A witness remembers the newest tree that it saw of each log, and cosigns only what grew out of that. So whoever
//! rewrites database and guard together still cannot show the witness another history.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use weir_evidence::{Checkpoint, Note, SignatureCheck, SignedCheckpoint, VerifierKey, consistency_ranges};
use weir_ledger::{Ledger, TreeError};

/// Longest request to a witness.
const WITNESS_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest answer that is read: a few signature lines.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A witness that is asked to cosign.
pub struct Witness {
    key: VerifierKey,
    url: String,
    /// The size that it cosigned last, as far as we know, and the origin that it did so for: it holds a tree for each.
    seen: Mutex<(String, u64)>,
}

/// Why a witness did not cosign.
#[derive(Debug, thiserror::Error)]
pub(super) enum CosignError {
    /// It holds another tree.
    #[error("{witness}: {reason}")]
    Disputed { witness: String, reason: String },
    /// It does not answer, or not as a witness does.
    #[error("{0}")]
    Answer(String),
    /// It cannot be reached.
    #[error("a witness cannot be reached")]
    Http(#[from] reqwest::Error),
    /// The proof for it cannot be made.
    #[error("the consistency proof for a witness cannot be made")]
    Tree(#[from] TreeError),
}

pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(WITNESS_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client without options of ours can be made")
}

impl Witness {
    /// A witness by its key (C2SP vkey, type 0x04) and the prefix of its address.
    #[must_use]
    pub fn new(key: VerifierKey, url: String) -> Self {
        Self {
            key,
            url,
            seen: Mutex::default(),
        }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    pub(super) fn has_signed(&self, signed: &SignedCheckpoint) -> bool {
        signed.note().check_signature(&self.key) == SignatureCheck::Valid
    }

    /// Has a checkpoint cosigned; gives the signature lines of this witness.
    pub(super) async fn cosign(
        &self,
        http: &reqwest::Client,
        ledger: &Ledger,
        signed: &SignedCheckpoint,
    ) -> Result<String, CosignError> {
        let Checkpoint { origin, size, .. } = signed.checkpoint();
        let size = *size;
        // The second time with the size that the witness said it has.
        for _ in 0..2 {
            let seen = self.seen_of(origin);
            if seen > size {
                return Err(self.disputed(format!("it cosigned {seen} entries, but there are {size}")));
            }
            let proof = ledger.roots(size, &consistency_ranges(seen, size)).await?;
            let proof: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
            let body = format!("old {seen}\n{proof}\n{signed}");
            let answer = http
                .post(format!("{}/add-checkpoint", self.url.trim_end_matches('/')))
                .body(body)
                .send()
                .await?;
            let status = answer.status();
            let text = read_short(answer).await?;
            match status {
                StatusCode::OK => {
                    let lines = self.own_lines(signed, &text)?;
                    self.saw(origin, size);
                    return Ok(lines);
                }
                StatusCode::CONFLICT => {
                    let has = text.trim_end().parse();
                    let has = has
                        .map_err(|_| CosignError::Answer(format!("{} answers 409 without a size", self.key.name())))?;
                    self.saw(origin, has);
                }
                StatusCode::UNPROCESSABLE_ENTITY => {
                    return Err(self.disputed("the tree did not grow out of the one that it cosigned".to_owned()));
                }
                status => return Err(CosignError::Answer(format!("{} answers {status}", self.key.name()))),
            }
        }
        Err(CosignError::Answer(format!(
            "{} changes its mind about what it has",
            self.key.name()
        )))
    }

    /// The lines of the answer that are good signatures of this witness.
    fn own_lines(&self, signed: &SignedCheckpoint, answer: &str) -> Result<String, CosignError> {
        let whole = format!("{}\n{answer}", signed.note().text());
        let note = Note::parse(whole.as_bytes()).map_err(|error| CosignError::Answer(error.to_string()))?;
        let own = note
            .signatures()
            .iter()
            .filter(|line| line.is_of(&self.key) && line.verifies(&self.key, note.text()));
        let own: String = own.map(|line| format!("{line}\n")).collect();
        if own.is_empty() {
            return Err(CosignError::Answer(format!(
                "{} answers without a signature of its own",
                self.key.name()
            )));
        }
        Ok(own)
    }

    fn seen_of(&self, origin: &str) -> u64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0 == origin { seen.1 } else { 0 }
    }

    fn saw(&self, origin: &str, size: u64) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = (origin.to_owned(), size);
    }

    fn disputed(&self, reason: String) -> CosignError {
        CosignError::Disputed {
            witness: self.key.name().to_owned(),
            reason,
        }
    }
}

async fn read_short(mut answer: reqwest::Response) -> Result<String, CosignError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(CosignError::Answer("a witness answers at length".to_owned()));
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| CosignError::Answer("a witness answers with something else than text".to_owned()))
}
