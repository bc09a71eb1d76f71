//! Reads entries with what is shown of them, and proofs, from the API.

use anyhow::{Context as _, Result};
use weir_api::{Entries, ProofHashes};
use weir_evidence::Hash;

use crate::client::Client;

/// Entries from `from` on, at most `limit` or a page.
pub(crate) async fn read_entries(client: &Client, from: u64, limit: Option<u16>, show: &[String]) -> Result<Entries> {
    let mut query = vec![("from", from.to_string())];
    query.extend(limit.map(|limit| ("limit", limit.to_string())));
    query.extend(show.iter().map(|path| ("show", path.clone())));
    client.get(&["v1", "entries"], &query).await
}

pub(crate) fn parse_hashes(proof: &ProofHashes) -> Result<Vec<Hash>> {
    let hash = |text: &String| {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).context("a hash of the proof cannot be read")?;
        Ok(hash)
    };
    proof.hashes.iter().map(hash).collect()
}
