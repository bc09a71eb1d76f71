//! `weir lookup`: tables that plugins look things up in.

use std::process::ExitCode;

use anyhow::Context as _;
use weir_api::{LookupState, Lookups};

use crate::args::{LookupArgs, LookupCommand};
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

pub(crate) async fn lookup(config: &ConfigPath, args: LookupArgs, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    match args.command {
        LookupCommand::Push { name, file } => {
            let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
            let pushed: LookupState = client.post_text(&["v1", "lookups", &name], text).await?;
            if json {
                print_json(&pushed)?;
            } else {
                print(&pushed);
                say!("a route uses it from the next `weir plugin promote` of a plugin that reads it on");
            }
        }
        LookupCommand::List => {
            let listed: Lookups = client.get(&["v1", "lookups"], &[]).await?;
            if json {
                print_json(&listed)?;
            } else {
                listed.lookups.iter().for_each(print);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(lookup: &LookupState) {
    say!(
        "{}  sha256:{}  {} keys  {}",
        printable(&lookup.name),
        lookup.digest,
        lookup.keys,
        lookup.uploaded_at
    );
}
