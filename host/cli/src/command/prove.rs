//! `weir prove`: one change with chosen attributes, as a file that proves itself against the ledger's public key.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use weir_api::{Entries, History, ProofHashes};
use weir_evidence::{Disclosure, SignedCheckpoint, TlogProof};

use super::history::key_text;
use super::shown::{parse_hashes, read_entries};
use crate::args::ProveArgs;
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::print_json;
use crate::say;

pub(crate) async fn prove(config: &ConfigPath, args: ProveArgs, json: bool) -> Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    let checkpoint = client.get_text(&["checkpoint"]).await?;
    let signed = SignedCheckpoint::parse(checkpoint.as_bytes()).context("the checkpoint cannot be read")?;
    let size = signed.checkpoint().size;
    let position = match (args.position, args.table, args.key.is_empty()) {
        (Some(position), None, true) => position,
        (None, Some(table), false) => newest(&client, &table, &args.key).await?,
        _ => anyhow::bail!("say which change: --position N, or a table and a key for the newest change of an item"),
    };
    ensure!(
        position < size,
        "position {position} is not covered by the newest checkpoint, which is over {size} entries; try again in a moment"
    );
    let entries: Entries = read_entries(&client, position, Some(1), &args.show).await?;
    let entry = entries
        .entries
        .into_iter()
        .next()
        .context("there is no such position")?;
    let query = [("index", position.to_string()), ("size", size.to_string())];
    let hashes: ProofHashes = client.get(&["v1", "proofs", "inclusion"], &query).await?;
    let disclosure = Disclosure::parse(&entry.disclosure).context("the disclosure cannot be read")?;
    let shown = disclosure.shown().count();
    let hashes = parse_hashes(&hashes)?;
    let proof = TlogProof::new(entry.entry.as_bytes(), disclosure, position, hashes, &signed);
    let proof = proof.context("what the API answered does not prove anything; run `weir verify`")?;
    let out = args
        .out
        .unwrap_or_else(|| PathBuf::from(format!("{position}.tlog-proof")));
    std::fs::write(&out, proof.to_string()).with_context(|| format!("{} cannot be written", out.display()))?;
    if json {
        print_json(&serde_json::json!({ "file": out, "position": position, "size": size, "shown": shown }))?;
    } else {
        say!(
            "{}: position {position} of {size} entries, {shown} attributes shown",
            out.display()
        );
        if shown == 0 && !args.show.is_empty() {
            say!("this change has nothing of what --show names: an insert has no /old, a remove no /new");
        }
        say!(
            "check it with: weir verify {} --key KEY   (the key: weir ledger show)",
            out.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest change of an item.
async fn newest(client: &Client, table: &str, key: &[String]) -> Result<u64> {
    let query = [("key", key_text(key)), ("limit", "1".to_owned())];
    let history: History = client.get(&["v1", "tables", table, "history"], &query).await?;
    let change = history.changes.first().context("no change of this item is recorded")?;
    Ok(change.position)
}
