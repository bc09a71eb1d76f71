//! `weir-simulator`: a scripted AWS to try consumers of DynamoDB Streams against, in any language.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use jiff::Timestamp;
use weir_simulator::{Limits, Profile, Script, Setup, Simulator, TableSetup, ViewType};

/// Speaks DynamoDB Streams, EventBridge, SNS and SQS on a loopback port, misbehaves on request, and keeps the truth.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:4567")]
    listen: SocketAddr,
    /// Decides all that is left to chance.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A table to begin with; may be given several times.
    #[arg(long = "table", value_name = "NAME", default_value = "orders")]
    tables: Vec<String>,
    /// Shards that the stream of each table begins with.
    #[arg(long, default_value_t = 1)]
    shards: usize,
    /// What records carry.
    #[arg(long, value_enum, default_value = "new-and-old-images")]
    view: ViewType,
    /// Throttles as AWS documents it.
    #[arg(long)]
    limits: bool,
    /// A JSON list of steps to do after the start.
    #[arg(long, value_name = "FILE", conflicts_with = "storm")]
    script: Option<PathBuf>,
    /// A storm on the first table: everyday, rough or hurricane. It ticks by the control endpoint, or in real time.
    #[arg(long, value_name = "PROFILE", value_parser = parse_profile)]
    storm: Option<Profile>,
    /// The clock begins now and runs; else it stands at the beginning of 2026 until it is stepped.
    #[arg(long)]
    real_time: bool,
}

fn parse_profile(name: &str) -> Result<Profile, String> {
    Profile::named(name).ok_or_else(|| "it is none of everyday, rough and hurricane".to_owned())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let script = arguments.script.as_ref().map(|path| -> anyhow::Result<Script> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Script::parse(&text)?)
    });
    let script = script.transpose()?;
    let simulator = Simulator::start(setup(&arguments)).await;
    let simulator = simulator.with_context(|| format!("cannot listen at {}", arguments.listen))?;
    if let (Some(profile), Some(table)) = (&arguments.storm, arguments.tables.first()) {
        simulator.storm(table, profile.clone())?;
    }
    // Who reads the address may use it at once.
    announce(&simulator, &arguments);
    let steps = async {
        if let Some(script) = script {
            script.run(&simulator).await?;
        }
        anyhow::Ok(())
    };
    let time = async {
        if arguments.real_time {
            simulator.run_in_real_time().await;
        }
    };
    let work = async {
        let (steps, ()) = tokio::join!(steps, time);
        steps
    };
    tokio::select! {
        done = work => {
            done?;
            tokio::signal::ctrl_c().await?;
        }
        signal = tokio::signal::ctrl_c() => signal?,
    }
    Ok(())
}

fn setup(arguments: &Arguments) -> Setup {
    let tables = arguments.tables.iter().map(|name| TableSetup {
        name: name.clone(),
        view: arguments.view,
        shards: arguments.shards,
    });
    let mut setup = Setup {
        seed: arguments.seed,
        listen: arguments.listen,
        tables: tables.collect(),
        ..Setup::default()
    };
    if arguments.limits {
        setup.limits = Limits::documented();
    }
    if arguments.real_time {
        setup.start = Timestamp::now();
    }
    setup
}

#[expect(clippy::print_stdout, reason = "it is a command")]
fn announce(simulator: &Simulator, arguments: &Arguments) {
    println!("seed {}, endpoint {}", arguments.seed, simulator.endpoint());
    for table in &arguments.tables {
        let arn = simulator.stream_arn(table).unwrap_or_default();
        println!("table {table}, stream {arn}");
    }
}
