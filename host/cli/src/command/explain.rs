//! `weir explain`: what routes make of a recorded change, and why.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use weir_api::{DeliveryState, Explained, ExplainedDecision, ExplainedDelivery, Routes};

use crate::args::ExplainArgs;
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

pub(crate) async fn explain(config: &ConfigPath, args: ExplainArgs, json: bool) -> Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    let routes = match args.route {
        Some(route) => vec![route],
        None => {
            let listed: Routes = client.get(&["v1", "routes"], &[]).await?;
            listed.routes.into_iter().map(|route| route.route).collect()
        }
    };
    let position = args.position.to_string();
    let mut answers: Vec<Value> = Vec::new();
    let mut is_told = false;
    for route in &routes {
        match client
            .get_patiently(&["v1", "routes", route, "explain", &position])
            .await
        {
            Ok(explained) => {
                is_told = true;
                if json {
                    answers.push(serde_json::to_value(&explained).context("an explanation is JSON")?);
                } else {
                    print(&explained);
                }
            }
            // Of many routes some may be younger than the change.
            Err(error) if routes.len() > 1 => {
                if json {
                    answers.push(json!({ "position": args.position, "route": route, "error": error.to_string() }));
                } else {
                    say!("route {}  {}", printable(route), printable(&error.to_string()));
                }
            }
            Err(error) => return Err(error),
        }
    }
    if json {
        print_json(&answers)?;
    }
    Ok(if is_told { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(explained: &Explained) {
    let what = explained.change.as_ref().map_or_else(
        || "no change".to_owned(),
        |change| {
            let operation = change.operation.as_str();
            format!(
                "{operation} in {} of {}, {}",
                printable(&change.table),
                printable(&change.source),
                change.time
            )
        },
    );
    say!("position {}  {what}", explained.position);
    let plugin = explained.plugin.as_ref();
    let plugin = plugin.map_or_else(String::new, |digest| format!(", plugin {digest}"));
    let (route, version) = (printable(&explained.route), explained.version);
    let passed = if explained.is_passed {
        ""
    } else {
        "; it has not come here yet"
    };
    say!(
        "  route {route}  version {version} from position {}{plugin}{passed}",
        explained.from_position
    );
    match &explained.decision {
        ExplainedDecision::NoChange => say!("    not routed: only changes are"),
        ExplainedDecision::Erased => {
            say!("    not routed any more: it was erased, and nobody can say what was made of it")
        }
        ExplainedDecision::OtherSource { source } => {
            say!("    not taken: the route takes changes of {}", printable(source))
        }
        ExplainedDecision::Missed { misses } => {
            say!("    not taken by the event pattern:");
            for miss in misses {
                let path = if miss.path.is_empty() { "event" } else { &miss.path };
                say!(
                    "      `{}` does not match {}: found {}",
                    printable(path),
                    printable(&miss.rule),
                    printable(&miss.found)
                );
            }
        }
        ExplainedDecision::Dropped => say!("    the plugin drops it"),
        ExplainedDecision::Taken => {}
        ExplainedDecision::Halts { code } => say!(
            "    the plugin fails on it ({}), and the route halts here",
            printable(code)
        ),
    }
    explained.deliveries.iter().for_each(print_delivery);
}

fn print_delivery(delivery: &ExplainedDelivery) {
    let (event, sink) = match (&delivery.detail_type, &delivery.sink) {
        (Some(event), Some(sink)) => (printable(event), printable(sink)),
        (None, Some(sink)) => ("event".to_owned(), printable(sink)),
        (_, None) => ("no event".to_owned(), "-".to_owned()),
    };
    let state = match &delivery.state {
        DeliveryState::Waiting => "waits for the route to come here".to_owned(),
        DeliveryState::Settled => "settled: accepted, or thrown away as a dead letter".to_owned(),
        DeliveryState::Parked { attempts, due_at } => match due_at {
            Some(due_at) => format!("parked after {attempts} attempts, again at {due_at}"),
            None => "parked behind another of its item".to_owned(),
        },
        DeliveryState::DeadLetter {
            code,
            reason,
            attempts,
            redriven,
        } => {
            let redriven = if *redriven { ", ordered to be sent again" } else { "" };
            let (code, reason) = (printable(code), printable(reason));
            format!("dead letter after {attempts} attempts{redriven}: {code}: {reason}")
        }
    };
    let replayed = match (&delivery.replayed_as, delivery.version) {
        (Some(name), _) => format!(" replayed as {}", printable(name)),
        (None, Some(version)) => format!(" of version {version}"),
        (None, None) => String::new(),
    };
    let id = printable(&delivery.delivery);
    say!("    {id}  {event} to {sink}{replayed}  {state}");
}
