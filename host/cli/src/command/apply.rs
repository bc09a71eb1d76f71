//! `weir apply`: what all processes of the ledger do from now on.
//!
//! ```text
//! plugins that are files ──▶ uploaded, and named by their digest
//! [source] [sink] [route] ──▶ checked by the Weir that answers ──▶ a plan ──▶ applied ──▶ until every process does it
//! ```

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use weir_api::{Applied, ApplyRequest, Configuration, PlanChange, PlanStep, PluginState, WorkerState, Workers};

use super::plugin;
use crate::args::ApplyArgs;
use crate::client::Client;
use crate::config::{ConfigPath, Loaded, SharedConfig, named_by_digest};
use crate::output::{print_json, printable};
use crate::say;

/// How often it is asked which processes do it.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long is waited for all of them: each may take a while to hand over what it does.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long until a process has looked once more at what it cannot do.
const RETRIED_AFTER: Duration = Duration::from_secs(25);

/// How long a process that was there may be away before it counts as ended.
const GONE_AFTER: Duration = Duration::from_secs(30);

pub(crate) async fn apply(config: &ConfigPath, args: ApplyArgs, json: bool) -> Result<ExitCode> {
    let loaded = config.load()?;
    let client = Client::new(&loaded)?;
    if args.show {
        return show(&client, json).await;
    }
    let definition = if args.clear {
        Value::Null
    } else {
        let mut shared = loaded.shared();
        upload_plugins(&client, &loaded, &mut shared).await?;
        serde_json::to_value(shared)?
    };
    let request = ApplyRequest {
        definition,
        dry_run: args.dry_run,
        expect: args.expect,
        reason: args.reason.unwrap_or_default(),
    };
    let workers: Workers = client.get(&["v1", "workers"], &[]).await?;
    let applied: Applied = client.post_patiently(&["v1", "configuration"], &request).await?;
    if !json {
        print_plan(&applied, args.dry_run, args.clear);
    }
    // Where nothing was ever applied, each does what its own file says anyway.
    let is_awaited = !args.dry_run && applied.number > 0;
    let others = if is_awaited {
        others(&client, &applied, workers.workers).await
    } else {
        Vec::new()
    };
    if json {
        let mut told = serde_json::to_value(&applied)?;
        if is_awaited {
            // Processes that do something else still, and why those do that cannot do it.
            told["others"] = serde_json::to_value(&others)?;
        }
        print_json(&told)?;
    }
    if !others.is_empty() {
        let others = others.iter().map(|worker| match &worker.refused {
            Some(refused) if refused.number == applied.number => {
                format!(
                    "{} cannot do it: {}",
                    printable(&worker.name),
                    printable(&refused.reason)
                )
            }
            _ => format!("{} does something else still", printable(&worker.name)),
        });
        let others: Vec<String> = others.collect();
        bail!(
            "it is applied, but not every process does it, and goes on with what it did: {}",
            others.join("; ")
        );
    }
    if is_awaited && !json {
        say!("every process does it");
    }
    Ok(ExitCode::SUCCESS)
}

/// Uploads plugins that the Weir does not have, and names all by their digests.
async fn upload_plugins(client: &Client, loaded: &Loaded, shared: &mut SharedConfig) -> Result<()> {
    for (name, plugin_config) in shared.plugin_files() {
        let file = loaded.path(name);
        let component =
            std::fs::read(&file).with_context(|| format!("the plugin {} cannot be read", file.display()))?;
        *name = named_by_digest(&component);
        let known: Result<PluginState> = client.get(&["v1", "plugins", &name.display().to_string()], &[]).await;
        if known.is_err() {
            let uploaded = plugin::upload(client, &file, serde_json::to_string(plugin_config)?).await;
            uploaded.with_context(|| format!("the plugin {} cannot be applied", file.display()))?;
        }
    }
    Ok(())
}

/// The processes that do something else, of those that were there and those that came, once nobody does, they said that they cannot,
/// or they had their time.
async fn others(client: &Client, applied: &Applied, known: Vec<WorkerState>) -> Vec<WorkerState> {
    // Or what somebody applied since.
    let does = |worker: &WorkerState| worker.configuration.is_some_and(|number| number >= applied.number);
    let refuses = |worker: &WorkerState| {
        let refused = worker.refused.as_ref();
        refused.is_some_and(|refused| refused.number >= applied.number)
    };
    let begun = Instant::now();
    // Where nothing was applied, what was refused before is tried again first.
    let is_late = || applied.applied || begun.elapsed() > RETRIED_AFTER;
    let mut known: Vec<(WorkerState, Instant)> = known.into_iter().map(|worker| (worker, begun)).collect();
    while begun.elapsed() < PATIENCE {
        // Whoever answers begins anew, too: for a moment nobody answers.
        if let Ok(listed) = client.get::<Workers>(&["v1", "workers"], &[]).await {
            let now = Instant::now();
            let is_listed = |worker: &WorkerState| listed.workers.iter().any(|other| other.name == worker.name);
            // One that begins anew is away for a moment; one that is away for longer has ended.
            known.retain(|(worker, seen_at)| !is_listed(worker) && seen_at.elapsed() < GONE_AFTER);
            let is_whole = known.is_empty() && !listed.workers.is_empty();
            known.extend(listed.workers.into_iter().map(|worker| (worker, now)));
            let mut others = known.iter().map(|(worker, _)| worker).filter(|worker| !does(worker));
            if is_whole && others.all(|worker| is_late() && refuses(worker)) {
                break;
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let others = known.into_iter().map(|(worker, _)| worker);
    others.filter(|worker| !does(worker)).collect()
}

async fn show(client: &Client, json: bool) -> Result<ExitCode> {
    let shown: Configuration = client.get(&["v1", "configuration"], &[]).await?;
    if json {
        print_json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    match (&shown.definition, shown.applied_at) {
        (Some(definition), Some(applied_at)) => {
            say!("# configuration {}, applied at {applied_at}", shown.number);
            let shared: SharedConfig = serde_json::from_value(definition.clone())
                .context("what was applied cannot be read: is this another version of weir?")?;
            say!("{}", toml::to_string_pretty(&shared)?.trim_end());
        }
        _ => say!("nothing is applied: each process does what its own file says"),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_plan(applied: &Applied, is_dry_run: bool, is_cleared: bool) {
    applied.steps.iter().for_each(print_step);
    if applied.steps.is_empty() {
        say!("nothing differs");
    }
    match (applied.applied, is_cleared) {
        (true, false) => say!("configuration {} is that of all processes now", applied.number),
        (true, true) => say!("each process does what its own file says now"),
        (false, _) if !is_dry_run => say!("nothing had to be applied"),
        (false, false) => say!("nothing was applied; apply exactly this: --expect {}", applied.plan),
        (false, true) => say!(
            "nothing was applied; apply exactly this: --clear --expect {}",
            applied.plan
        ),
    }
}

fn print_step(step: &PlanStep) {
    let (kind, name) = (printable(&step.kind), printable(&step.name));
    match (step.change, step.kind.as_str()) {
        (PlanChange::Added, _) => say!("+ [{kind}.{name}]"),
        (PlanChange::Changed, _) => say!("~ [{kind}.{name}]  {}", printable(&step.keys.join(", "))),
        (PlanChange::Removed, "route") => say!("- [{kind}.{name}]  it stops where it is; what waits for it stays"),
        (PlanChange::Removed, "source") => say!("- [{kind}.{name}]  it is recorded no more"),
        (PlanChange::Removed, _) => {
            say!("- [{kind}.{name}]  what waits for it, and what routes have not sent there yet, becomes dead letters");
        }
    }
}
