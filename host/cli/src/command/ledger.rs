//! `weir ledger`: the signed head, and what only an operator can decide about it.

use std::process::ExitCode;

use weir_api::{ContinueRequest, Decided, LedgerHead};

use crate::args::{LedgerArgs, LedgerCommand};
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

pub(crate) async fn ledger(config: &ConfigPath, args: LedgerArgs, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    let decided: Decided = match args.command {
        LedgerCommand::Show => return show(&client, json).await,
        LedgerCommand::Adopt => client.post(&["v1", "ledger", "adopt"], &()).await?,
        LedgerCommand::Continue { reason } => {
            client
                .post(&["v1", "ledger", "continue"], &ContinueRequest { reason })
                .await?
        }
    };
    if json {
        print_json(&decided)?;
    } else {
        say!("{}", printable(&decided.done));
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(client: &Client, json: bool) -> anyhow::Result<ExitCode> {
    let head: LedgerHead = client.get(&["v1", "ledger"], &[]).await?;
    if json {
        print_json(&head)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!("ledger      {}", printable(&head.ledger));
    say!("entries     {}", head.size);
    say!("root        {}", head.root);
    match &head.published.stopped {
        Some(why) => say!("NOT SIGNED  {}", printable(why)),
        None => say!("signed      {} entries", head.published.size),
    }
    for key in &head.published.keys {
        say!("key         {}", printable(key));
    }
    let (scrubbed, rounds) = (head.scrubbed.position, head.scrubbed.rounds);
    say!("scrubbed    up to {scrubbed} in this round, {rounds} rounds before");
    for finding in &head.scrubbed.findings {
        say!("tampered    {}", printable(finding));
    }
    Ok(ExitCode::SUCCESS)
}
