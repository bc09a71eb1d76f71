//! `weir dlq`: deliveries that were given up.

use std::process::ExitCode;

use serde_json::Value;

use crate::args::{DlqArgs, DlqCommand};
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

pub(crate) async fn dlq(config: &ConfigPath, args: DlqArgs, json: bool) -> anyhow::Result<ExitCode> {
    let DlqCommand::Ls { route } = args.command;
    let client = Client::new(&config.load()?)?;
    let query: Vec<_> = route.into_iter().map(|route| ("route", route)).collect();
    let answer: Value = client.get(&["v1", "dead-letters"], &query).await?;
    if json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let letters = answer["dead_letters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if letters.is_empty() {
        say!("no dead letters");
    }
    for letter in letters {
        let text = |name: &str| letter[name].as_str().map_or_else(|| "-".to_owned(), printable);
        say!(
            "position {}  route {}  {}  {}: {}",
            letter["position"],
            text("route"),
            text("delivery"),
            text("code"),
            text("reason")
        );
        if let Some(digest) = letter["plugin_digest"].as_str() {
            say!("    plugin {digest}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
