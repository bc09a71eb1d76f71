//! `weir shards` and `weir leases`: who reads what, how far it is, and what that costs.

use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use weir_api::{ShardState, Shards, WorkerState, Workers};

use crate::args::{LeasesArgs, LeasesCommand};
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

/// What 100,000 `GetRecords` calls cost beyond the free tier, in US dollars (DynamoDB pricing, us-east-1, 2026).
const DOLLARS_PER_100_000_READS: f64 = 0.02;

/// How often a worker that drains is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long is waited for a worker to hand everything over before saying that it goes on by itself.
const LOOKS_MAX: u32 = 120;

pub(crate) async fn shards(config: &ConfigPath, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    let listed: Shards = client.get(&["v1", "shards"], &[]).await?;
    if json {
        print_json(&listed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut stream = None;
    for shard in &listed.shards {
        if stream != Some(&shard.stream) {
            say!("{}  {}", printable(&shard.source), printable(&shard.stream));
            stream = Some(&shard.stream);
        }
        print_shard(shard);
    }
    let reads: f64 = listed.shards.iter().map(|shard| f64::from(shard.reads_per_h)).sum();
    say!(
        "{} shards, {reads:.0} reads an hour, about ${:.4} an hour",
        listed.shards.len(),
        reads / 100_000.0 * DOLLARS_PER_100_000_READS
    );
    Ok(ExitCode::SUCCESS)
}

fn print_shard(shard: &ShardState) {
    let reader = match (&shard.worker, &shard.worker_name) {
        (Some(worker), Some(name)) => format!("  by {worker} ({})", printable(name)),
        _ => String::new(),
    };
    let asked = shard
        .wanted_by
        .map(|worker| format!(", asked for by {worker}"))
        .unwrap_or_default();
    let parent = shard
        .parent
        .as_deref()
        .map(|parent| format!("  child of {}", printable(parent)));
    say!(
        "  {}  {}{reader}{asked}{}",
        printable(&shard.shard),
        shard.state,
        parent.unwrap_or_default()
    );
    let position = shard.position.as_deref().map_or("nothing yet".to_owned(), printable);
    let last = shard
        .record_at
        .map(|at| format!(", last record {} ago", ago(at)))
        .unwrap_or_default();
    let read = shard
        .read_at
        .map(|at| format!(", source answered {} ago", ago(at)))
        .unwrap_or_default();
    let behind = match shard.behind_s {
        ..60.0 => String::new(),
        ..72_000.0 => format!(", {:.0} min behind", shard.behind_s / 60.0),
        // The service trims records that are 24 hours old.
        _ => format!(", {:.1} h BEHIND: records are trimmed at 24 h", shard.behind_s / 3600.0),
    };
    let gaps = match shard.gaps {
        0 => String::new(),
        gaps => format!(", {gaps} GAPS"),
    };
    say!(
        "    recorded to {position}{last}{behind}{read}{gaps}, {:.1} records/s, {:.0} reads/h",
        shard.records_per_s,
        shard.reads_per_h
    );
}

/// How long ago, in the largest unit that tells enough.
fn ago(time: Timestamp) -> String {
    let seconds = Timestamp::now().duration_since(time).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

pub(crate) async fn leases(config: &ConfigPath, args: LeasesArgs, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    let workers: Workers = match args.command {
        LeasesCommand::Ls => client.get(&["v1", "workers"], &[]).await?,
        LeasesCommand::Drain { worker } => drain(&client, worker).await?,
        LeasesCommand::Resume { worker } => {
            client
                .post(&["v1", "workers", &worker.to_string(), "resume"], &())
                .await?
        }
    };
    if json {
        print_json(&workers)?;
        return Ok(ExitCode::SUCCESS);
    }
    if workers.workers.is_empty() {
        say!("no worker is alive");
    }
    for WorkerState {
        worker,
        name,
        draining,
        shards,
        partitions,
        configuration,
        refused,
    } in &workers.workers
    {
        let draining = if *draining { "  draining" } else { "" };
        let configuration = configuration.map_or_else(String::new, |number| format!("  configuration {number}"));
        say!(
            "{worker}  {}  {shards} shards, {partitions} partitions of routes{configuration}{draining}",
            printable(name)
        );
        if let Some(refused) = refused {
            say!(
                "    CANNOT DO configuration {}: {}",
                refused.number,
                printable(&refused.reason)
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks a worker to hand everything over, and waits until it did.
async fn drain(client: &Client, worker: i64) -> anyhow::Result<Workers> {
    let mut workers: Workers = client
        .post(&["v1", "workers", &worker.to_string(), "drain"], &())
        .await?;
    for _ in 0..LOOKS_MAX {
        let left = workers
            .workers
            .iter()
            .find(|known| known.worker == worker)
            .map_or(0, |known| known.shards + known.partitions);
        if left == 0 {
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        workers = client.get(&["v1", "workers"], &[]).await?;
    }
    Ok(workers)
}
