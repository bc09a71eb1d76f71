//! `weir export`: a range of the ledger as a bundle, for an auditor (`host/evidence/formats/bundle.md`).

use std::io::{BufWriter, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use weir_api::{LedgerHead, ProofHashes};
use weir_evidence::{BundleWriter, Disclosure, Hash, SignedCheckpoint};

use super::shown::{parse_hashes, read_entries};
use crate::args::ExportArgs;
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, progress_bar};
use crate::say;

pub(crate) async fn export(config: &ConfigPath, args: ExportArgs, json: bool) -> Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    let head: LedgerHead = client.get(&["v1", "ledger"], &[]).await?;
    let checkpoint = client.get_text(&["checkpoint"]).await?;
    let signed = SignedCheckpoint::parse(checkpoint.as_bytes()).context("the checkpoint cannot be read")?;
    let size = signed.checkpoint().size;
    let to = args.to.unwrap_or(size).min(size);
    ensure!(
        args.from < to,
        "there is nothing to export: the checkpoint is over {size} entries, and --from is {}",
        args.from
    );

    let mut shown = 0;
    let mut bundle = BundleWriter::new(&head.ledger, args.from);
    let progress = progress_bar(to - args.from, "entries");
    while bundle.next_position() < to {
        let page = read_entries(&client, bundle.next_position(), None, &args.show).await?;
        ensure!(!page.entries.is_empty(), "the ledger ends before position {to}");
        for entry in page.entries.into_iter().take_while(|entry| entry.position < to) {
            let disclosure = Disclosure::parse(&entry.disclosure).context("a disclosure cannot be read")?;
            shown += disclosure.shown().count();
            bundle
                .add(entry.entry.as_bytes(), &disclosure)
                .with_context(|| format!("position {} cannot be exported", entry.position))?;
        }
        progress.set_position(bundle.next_position() - args.from);
    }
    progress.finish_and_clear();

    let query = [
        ("from", args.from.to_string()),
        ("to", to.to_string()),
        ("size", size.to_string()),
    ];
    let outside: ProofHashes = client.get(&["v1", "proofs", "range"], &query).await?;
    let since = match &args.since {
        Some(path) => Some(consistency(&client, path, size).await?),
        None => None,
    };
    let file = std::fs::File::create(&args.out).with_context(|| format!("{} cannot be written", args.out.display()))?;
    let mut file = BufWriter::new(file);
    bundle
        .finish(&signed, parse_hashes(&outside)?, since, &mut file)
        .context("the bundle cannot be written")?;
    file.flush()
        .with_context(|| format!("{} cannot be written", args.out.display()))?;
    if json {
        let told = serde_json::json!({ "file": args.out, "from": args.from, "to": to, "size": size, "shown": shown });
        print_json(&told)?;
    } else {
        say!(
            "{}: positions {} to {} of {size} entries, {shown} attributes shown",
            args.out.display(),
            args.from,
            to - 1
        );
        if shown == 0 && !args.show.is_empty() {
            say!("these changes have nothing of what --show names: paths are like /new/status, /old/status or /actor");
        }
        say!(
            "check it with: weir verify {} --key KEY   (the key: weir ledger show)",
            args.out.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The proof that the tree grew out of that of an earlier checkpoint.
async fn consistency(client: &Client, path: &std::path::Path, size: u64) -> Result<(u64, Vec<Hash>)> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let earlier = SignedCheckpoint::parse(&bytes).with_context(|| format!("{} is no checkpoint", path.display()))?;
    let since = earlier.checkpoint().size;
    ensure!(
        since <= size,
        "{} is over {since} entries, but the ledger has {size}",
        path.display()
    );
    let query = [("from", since.to_string()), ("size", size.to_string())];
    let hashes: ProofHashes = client.get(&["v1", "proofs", "consistency"], &query).await?;
    Ok((since, parse_hashes(&hashes)?))
}
