//! `weir withheld`: changes that are recorded for nobody to see, because the plugin at intake failed on them.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use weir_api::{AnnotateAgain, AnnotatedAgain, WithheldChange, WithheldChanges};
use weir_evidence::{Origin, Withheld, WithheldSecret};
use weir_model::{SequenceNumber, ShardId, StreamArn};
use zeroize::Zeroizing;

use crate::args::{WithheldArgs, WithheldCommand};
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

pub(crate) async fn withheld(config: &ConfigPath, args: WithheldArgs, json: bool) -> Result<ExitCode> {
    match args.command {
        WithheldCommand::NewKey { file } => new_key(&file, json),
        WithheldCommand::List => list(&client(config)?, json).await,
        WithheldCommand::Show { position, key } => show(&client(config)?, position, &key, json).await,
        WithheldCommand::Annotate { key } => annotate(&client(config)?, &key, json).await,
    }
}

fn client(config: &ConfigPath) -> Result<Client> {
    Client::new(&config.load()?)
}

fn new_key(file: &Path, json: bool) -> Result<ExitCode> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(|error| anyhow::anyhow!("no randomness for a key: {error}"))?;
    let text = Zeroizing::new(hex::encode(*random));
    weir_api::write_new(file, text.as_bytes()).with_context(|| format!("{} cannot be written", file.display()))?;
    let public = WithheldSecret::parse(&text)?.public().to_string();
    if json {
        print_json(&serde_json::json!({ "withhold_to": public }))?;
    } else {
        say!(
            "{} opens what is withheld: keep it where this service does not reach it",
            file.display()
        );
        say!("under [ledger] of the configuration:");
        say!("withhold_to = \"{public}\"");
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, json: bool) -> Result<ExitCode> {
    let mut from = 0;
    loop {
        let page: WithheldChanges = client.get(&["v1", "withheld"], &[("from", from.to_string())]).await?;
        if json {
            print_json(&page)?;
        } else {
            if from == 0 {
                say!("{} changes are withheld", page.count);
            }
            for change in &page.changes {
                say!(
                    "{:>8}  {}  {:6}  {}  {}",
                    change.position,
                    change.time,
                    change.operation.as_str(),
                    printable(&change.table),
                    printable(&change.code)
                );
            }
        }
        match page.from {
            Some(next) => from = next,
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// Opens a change here: the key leaves this machine for nothing.
async fn show(client: &Client, position: u64, key: &Path, json: bool) -> Result<ExitCode> {
    let secret = WithheldSecret::parse(&read_key(key)?)?;
    let change: WithheldChange = client.get(&["v1", "withheld", &position.to_string()], &[]).await?;
    let origin = Origin {
        stream: StreamArn::parse(&change.stream)?,
        shard: ShardId::parse(&change.shard)?,
    };
    let sequence = SequenceNumber::parse(&change.sequence)?;
    let opened = secret.open(change.sealed.as_deref().unwrap_or_default(), &origin, &sequence);
    let opened = opened.with_context(|| format!("what is withheld at position {position} cannot be opened"))?;
    if json {
        print_json(&opened)?;
    } else {
        print(&change, &opened);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(change: &WithheldChange, opened: &Withheld) {
    say!(
        "{} of {} at {}",
        change.operation.as_str(),
        printable(&change.table),
        change.time
    );
    say!("  {}: {}", printable(&opened.code), printable(&opened.message));
    for line in opened.log.lines() {
        say!("  log: {}", printable(line));
    }
    let images = [("keys", &opened.keys), ("old", &opened.old), ("new", &opened.new)];
    for (part, image) in images {
        if let Some(image) = image {
            say!("  {part}: {}", weir_model::plain_json(image));
        }
    }
}

async fn annotate(client: &Client, key: &Path, json: bool) -> Result<ExitCode> {
    let key = read_key(key)?.trim().to_owned();
    let again: AnnotatedAgain = client
        .post_patiently(&["v1", "withheld", "annotate"], &AnnotateAgain { key })
        .await?;
    if json {
        print_json(&again)?;
    } else {
        say!(
            "{} changes are told now, {} are still withheld",
            again.amended,
            again.withheld.len()
        );
        for still in &again.withheld {
            say!(
                "{:>8}  {}: {}",
                still.position,
                printable(&still.code),
                printable(&still.message)
            );
        }
    }
    Ok(if again.withheld.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn read_key(file: &Path) -> Result<Zeroizing<String>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("the key file {} cannot be read", file.display()))?;
    Ok(Zeroizing::new(text))
}
