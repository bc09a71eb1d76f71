//! `weir route` and `weir sink`: how far routes are, what waits, and what is stopped for a while.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use jiff::Timestamp;
use weir_api::{
    ParkedDeliveries, PauseState, Paused, ReasonRequest, RoutePartition, RouteState, Routes, SinkState, Sinks,
};

use crate::args::{RouteArgs, RouteCommand, SinkArgs, SinkCommand};
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

pub(crate) async fn route(config: &ConfigPath, args: RouteArgs, json: bool) -> Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    match args.command {
        RouteCommand::Ls => list_routes(&client, json).await,
        RouteCommand::Parked { route } => list_parked(&client, route, json).await,
        RouteCommand::Pause { route, reason } => set(&client, "routes", &route, "pause", reason, json).await,
        RouteCommand::Resume { route, reason } => {
            set(&client, "routes", &route, "resume", reason.unwrap_or_default(), json).await
        }
    }
}

pub(crate) async fn sink(config: &ConfigPath, args: SinkArgs, json: bool) -> Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    match args.command {
        SinkCommand::Ls => list_sinks(&client, json).await,
        SinkCommand::Pause { sink, reason } => set(&client, "sinks", &sink, "pause", reason, json).await,
        SinkCommand::Resume { sink, reason } => {
            set(&client, "sinks", &sink, "resume", reason.unwrap_or_default(), json).await
        }
    }
}

async fn list_routes(client: &Client, json: bool) -> Result<ExitCode> {
    let listed: Routes = client.get(&["v1", "routes"], &[]).await?;
    if json {
        print_json(&listed)?;
        return Ok(ExitCode::SUCCESS);
    }
    if listed.routes.is_empty() {
        say!("no route is configured: add a [route.<name>] with a source and sinks");
    }
    listed.routes.iter().for_each(print_route);
    Ok(ExitCode::SUCCESS)
}

fn print_route(route: &RouteState) {
    let behind = match route.behind {
        0 => "up to date".to_owned(),
        behind => format!("{behind} entries behind"),
    };
    say!(
        "{}  version {}  from {} to {}  position {}, {behind}",
        printable(&route.route),
        route.version,
        printable(&route.source),
        printable(&route.sinks.join(", ")),
        route.position,
    );
    print_partitions(&route.partitions);
    if route.parked > 0 {
        say!(
            "    {} deliveries of {} items are parked: weir route parked {}",
            route.parked,
            route.parked_items,
            printable(&route.route)
        );
    }
    if route.dead_letters > 0 {
        say!(
            "    {} dead letters: weir dlq ls --route {}",
            route.dead_letters,
            printable(&route.route)
        );
    }
    if let Some(halted) = &route.halted {
        say!(
            "    HALTED at position {} since {}: {}; `weir plugin promote` or `rollback` goes on there",
            halted.position,
            halted.since,
            printable(&halted.code)
        );
    }
    if let Some(replay) = &route.replay {
        let (next, last) = (replay.next, replay.until - 1);
        let as_new = replay.as_new.as_deref().map(printable);
        let as_new = as_new.map_or_else(String::new, |name| format!(", as new under the name {name}"));
        say!("    sends positions {next} to {last} once more{as_new}");
    }
    print_pause(route.paused.as_ref());
}

/// Says who routes, where it is not simply one process.
fn print_partitions(partitions: &[RoutePartition]) {
    let mut by_worker: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for partition in partitions {
        *by_worker.entry(partition.worker.as_deref()).or_default() += 1;
    }
    let free = by_worker.remove(&None);
    if by_worker.is_empty() {
        say!("    NOBODY routes it now");
    } else if let Some(count) = free {
        say!("    NOBODY routes {count} of its {} partitions", partitions.len());
    }
    let waiting = partitions.iter().filter(|partition| partition.over).count();
    if waiting > 0 {
        say!(
            "    {waiting} of its {} partitions wait for the others: the number changes once all are so far",
            partitions.len()
        );
    }
    if partitions.len() > 1 && !by_worker.is_empty() {
        let shares = by_worker.into_iter();
        let shares: Vec<String> = shares
            .map(|(worker, count)| format!("{count} at {}", printable(worker.unwrap_or_default())))
            .collect();
        say!("    {} partitions: {}", partitions.len(), shares.join(", "));
    }
}

async fn list_sinks(client: &Client, json: bool) -> Result<ExitCode> {
    let listed: Sinks = client.get(&["v1", "sinks"], &[]).await?;
    if json {
        print_json(&listed)?;
        return Ok(ExitCode::SUCCESS);
    }
    if listed.sinks.is_empty() {
        say!("no sink was used yet");
    }
    listed.sinks.iter().for_each(print_sink);
    Ok(ExitCode::SUCCESS)
}

fn print_sink(sink: &SinkState) {
    let state = match sink.state.as_str() {
        "closed" => "takes events".to_owned(),
        state => format!(
            "TAKES NOTHING since {} ({state}): {}",
            sink.since,
            printable(&sink.reason)
        ),
    };
    let routes = match sink.routes.as_slice() {
        [] => "no route leads to it".to_owned(),
        routes => format!("of {}", printable(&routes.join(", "))),
    };
    say!("{}  {routes}  {state}", printable(&sink.sink));
    if sink.parked > 0 {
        say!("    {} deliveries are parked", sink.parked);
    }
    print_pause(sink.paused.as_ref());
}

fn print_pause(paused: Option<&PauseState>) {
    if let Some(paused) = paused {
        say!("    PAUSED since {}: {}", paused.since, printable(&paused.reason));
    }
}

async fn list_parked(client: &Client, route: Option<String>, json: bool) -> Result<ExitCode> {
    let mut query: Vec<_> = route.into_iter().map(|route| ("route", route)).collect();
    let mut listed: ParkedDeliveries = client.get(&["v1", "parked"], &query).await?;
    while let Some(after) = listed.after.take() {
        query.retain(|(name, _)| *name != "after");
        query.push(("after", after));
        let page: ParkedDeliveries = client.get(&["v1", "parked"], &query).await?;
        listed.parked.extend(page.parked);
        listed.after = page.after;
    }
    if json {
        print_json(&listed)?;
        return Ok(ExitCode::SUCCESS);
    }
    if listed.parked.is_empty() {
        say!("nothing is parked");
    }
    for parked in &listed.parked {
        let next = match (parked.failed_at, parked.due_at) {
            (Some(failed), Some(due)) => format!(
                "{} attempts since {failed}, the next {}",
                parked.attempts,
                until(due, Timestamp::now())
            ),
            _ => "behind another of its item".to_owned(),
        };
        let replayed = parked.replayed_as.as_deref().map(printable);
        let replayed = replayed.map_or_else(String::new, |name| format!("  replayed as {name}"));
        say!(
            "position {}  route {}  to {}  {}{replayed}  {next}",
            parked.position,
            printable(&parked.route),
            printable(&parked.sink),
            printable(&parked.delivery)
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn until(due: Timestamp, now: Timestamp) -> String {
    match due.duration_since(now).as_secs() {
        ..=0 => "now".to_owned(),
        seconds @ 1..=99 => format!("in {seconds} s"),
        seconds => format!("in {} min", seconds / 60),
    }
}

async fn set(client: &Client, kind: &str, name: &str, what: &str, reason: String, json: bool) -> Result<ExitCode> {
    let request = ReasonRequest { reason };
    let answer: Paused = client.post(&["v1", kind, name, what], &request).await?;
    if json {
        print_json(&answer)?;
    } else if answer.paused {
        say!("{} is paused; recording goes on", printable(name));
    } else {
        say!("{} goes on", printable(name));
    }
    Ok(ExitCode::SUCCESS)
}
