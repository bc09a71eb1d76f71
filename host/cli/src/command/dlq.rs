//! `weir dlq`: deliveries that were given up.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weir_api::{DeadLetterOrder, DeadLettersOrdered};

use crate::args::{DlqArgs, DlqCommand, LetterArgs};
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

pub(crate) async fn dlq(config: &ConfigPath, args: DlqArgs, json: bool) -> Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    match args.command {
        DlqCommand::Ls { route, code } => list(&client, route, code, json).await,
        DlqCommand::Show { delivery } => show(&client, &delivery, json).await,
        DlqCommand::Redrive(letters) => order(&client, "redrive", letters, json).await,
        DlqCommand::Drop(letters) => order(&client, "drop", letters, json).await,
    }
}

async fn list(client: &Client, route: Option<String>, code: Option<String>, json: bool) -> Result<ExitCode> {
    let mut query = Vec::from_iter(route.map(|route| ("route", route)));
    query.extend(code.map(|code| ("code", code)));
    let mut listed: Vec<Value> = Vec::new();
    let mut is_none = true;
    loop {
        let mut answer: Value = client.get(&["v1", "dead-letters"], &query).await?;
        if let Some(letters) = answer["dead_letters"].as_array_mut() {
            is_none &= letters.is_empty();
            if json {
                listed.append(letters);
            } else {
                letters.iter().for_each(print);
            }
        }
        let Some(after) = answer["after"].as_str() else {
            break;
        };
        query.retain(|(name, _)| *name != "after");
        query.push(("after", after.to_owned()));
    }
    if json {
        print_json(&json!({ "dead_letters": listed }))?;
    } else if is_none {
        say!("no dead letters");
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(client: &Client, delivery: &str, json: bool) -> Result<ExitCode> {
    let letter: Value = client.get(&["v1", "dead-letters", delivery], &[]).await?;
    if json {
        print_json(&letter)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&letter);
    say!(
        "    version {}, sink {}, {} attempts, given up at {}",
        letter["version"],
        text(&letter, "sink"),
        letter["attempts"],
        text(&letter, "created_at")
    );
    if let Some(name) = letter["replayed_as"].as_str() {
        say!("    replayed as {}", printable(name));
    }
    if let Some(log) = letter["plugin_log"].as_str() {
        say!("    the plugin logged: {}", printable(log));
    }
    match letter["payload"].as_str() {
        Some(payload) => say!("    event {}", printable(payload)),
        None => say!("    its event is not kept"),
    }
    Ok(ExitCode::SUCCESS)
}

fn print(letter: &Value) {
    let redriven = if letter["redriven"] == true {
        "  (is sent again)"
    } else {
        ""
    };
    say!(
        "position {}  route {}  {}  {}: {}{redriven}",
        letter["position"],
        text(letter, "route"),
        text(letter, "delivery"),
        text(letter, "code"),
        text(letter, "reason")
    );
    if let Some(digest) = letter["plugin_digest"].as_str() {
        say!("    plugin {digest}");
    }
}

fn text(letter: &Value, name: &str) -> String {
    letter[name].as_str().map_or_else(|| "-".to_owned(), printable)
}

async fn order(client: &Client, what: &str, letters: LetterArgs, json: bool) -> Result<ExitCode> {
    let is_said = !letters.deliveries.is_empty() || letters.route.is_some() || letters.code.is_some() || letters.all;
    ensure!(
        is_said,
        "say which dead letters: ids of their deliveries, --route, --code, or --all; `weir dlq ls` lists those there are"
    );
    let named = letters.deliveries.len();
    for delivery in &letters.deliveries {
        let found: Result<Value> = client.get(&["v1", "dead-letters", delivery], &[]).await;
        if let Err(error) = found {
            tracing::warn!("{error:#}");
        }
    }
    let order = DeadLetterOrder {
        deliveries: letters.deliveries,
        route: letters.route,
        code: letters.code,
        all: letters.all,
        reason: letters.reason.unwrap_or_default(),
    };
    let mut count = 0;
    loop {
        let ordered: DeadLettersOrdered = client.post(&["v1", "dead-letters", what], &order).await?;
        count += ordered.count;
        if !ordered.more {
            break;
        }
    }
    if json {
        print_json(&json!({ "count": count }))?;
    } else if what == "redrive" {
        say!("{count} dead letters are sent again");
    } else {
        say!("{count} dead letters are thrown away");
    }
    // Who names some means each of them.
    let is_short = count == 0 || count < named;
    Ok(if is_short { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
