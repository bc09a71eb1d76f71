//! Recomputes a ledger from its stored bytes and compares it with its head.

use weir_evidence::{Finding, SealedBody, Verifier};
use weir_model::Position;

use crate::{BodyKeyError, Head, Ledger, from_stored};

/// Entries read at a time.
const PAGE_ENTRIES: u16 = 1000;

/// Findings that are told one by one; more are not more certain.
const FINDINGS_MAX: usize = 20;

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The head that the entries were held against.
    pub head: Head,
    /// Entries that were recomputed.
    pub checked: u64,
    /// What is wrong; at most 20. Nothing wrong and something checked is proof.
    pub findings: Vec<Finding>,
}

/// Why a verification cannot tell.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The keys could not be had.
    #[error("could not read the keys of bodies")]
    BodyKey(#[from] BodyKeyError),
    /// Postgres failed.
    #[error("could not read the ledger")]
    Database(#[from] sqlx::Error),
}

impl Ledger {
    /// Recomputes every entry up to the head as it is now. `progress` is told the number of entries done.
    ///
    /// # Errors
    ///
    /// The ledger could not be read, so nothing can be said.
    pub async fn verify(&self, progress: impl Fn(u64, u64)) -> Result<Verification, VerifyError> {
        let head = self.head().await?;
        let mut verifier = Verifier::default();
        let mut findings = Vec::new();
        let mut next = 0;
        while next < head.size {
            let mut page = self.stored_from(Position(next), PAGE_ENTRIES).await?;
            page.retain(|row| from_stored(row.position).0 < head.size);
            let Some(last) = page.last() else { break };
            next = from_stored(last.position).0 + 1;
            for row in page {
                let key = match self.body_key(row.body_key).await {
                    Ok(key) => key.ok_or_else(|| "the key of the body was destroyed".to_owned()),
                    Err(error @ (BodyKeyError::Unauthentic { .. } | BodyKeyError::Missing { .. })) => {
                        Err(error.to_string())
                    }
                    Err(error) => return Err(error.into()),
                };
                let sealed = row.body.map(SealedBody).ok_or_else(|| "the body is missing".to_owned());
                let body = sealed
                    .as_ref()
                    .map_err(Clone::clone)
                    .and_then(|sealed| Ok((sealed, key.as_ref().map_err(Clone::clone)?)));
                let taken = verifier.take(from_stored(row.position).0, &row.entry, body);
                if let Err(finding) = taken {
                    let is_end = matches!(finding, Finding::Missing { .. });
                    findings.push(finding);
                    if is_end || findings.len() == FINDINGS_MAX {
                        return Ok(Verification {
                            head,
                            checked: verifier.size(),
                            findings,
                        });
                    }
                }
            }
            progress(verifier.size(), head.size);
        }
        if let Err(finding) = verifier.finish(head.size, &head.root) {
            findings.push(finding);
        }
        Ok(Verification {
            head,
            checked: verifier.size(),
            findings,
        })
    }
}
