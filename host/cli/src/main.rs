//! The binary `weir`: parse, configure, connect, compose, supervise.
//!
//! `run`, `migrate`, `verify`, `doctor` and `dev` touch Postgres. `plugin new` to `plugin bench` need nothing but the runtime,
//! `pattern` nothing at all. Every other command is a client of the HTTP API.

mod args;
mod client;
mod command;
mod compose;
mod config;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};

/// Decoding and sealing a change take and give back a hundred small pieces of memory, on several threads at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a command could not do: exit code 1. `verify` and `pattern` have codes of their own.
const FAILED: u8 = 1;

/// What was done cannot be told: standard output cannot be written. `EX_IOERR` of sysexits(3), which no command has for itself.
const UNPRINTED: u8 = 74;

fn main() -> ExitCode {
    let args = Args::parse();
    output::init_logs(args.json);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => Err(anyhow::Error::new(error).context("the async runtime cannot start")),
    };
    let code = result.unwrap_or_else(|error| {
        output::print_error(&error);
        ExitCode::from(FAILED)
    });
    let Some(error) = output::unprinted() else {
        return code;
    };
    output::print_error(&anyhow::anyhow!("the answer cannot be written: {error}"));
    // A verdict stays one.
    if code == ExitCode::SUCCESS {
        ExitCode::from(UNPRINTED)
    } else {
        code
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let json = args.json;
    match args.command {
        #[cfg(feature = "dev")]
        Command::Dev(dev) => command::dev::dev(dev).await,
        Command::Run(run) => command::run::run(&args.config, run).await,
        Command::Migrate => command::migrate::migrate(&args.config).await,
        Command::Verify(verify) => Ok(command::verify::verify(&args.config, verify, json).await),
        Command::Doctor(doctor) => command::doctor::doctor(&args.config, doctor, json).await,
        Command::Prove(prove) => command::prove::prove(&args.config, prove, json).await,
        Command::Export(export) => command::export::export(&args.config, export, json).await,
        Command::Ledger(ledger) => command::ledger::ledger(&args.config, ledger, json).await,
        Command::Erasure(erasure) => command::erasure::erasure(&args.config, erasure, json).await,
        Command::Hold(hold) => command::erasure::hold(&args.config, hold, json).await,
        Command::History(history) => command::history::history(&args.config, history, json).await,
        Command::Route(route) => command::delivery::route(&args.config, route, json).await,
        Command::Sink(sink) => command::delivery::sink(&args.config, sink, json).await,
        Command::Explain(explain) => command::explain::explain(&args.config, explain, json).await,
        Command::Apply(apply) => command::apply::apply(&args.config, apply, json).await,
        Command::Tap(tap) => command::tap::tap(&args.config, tap, json).await,
        Command::Replay(replay) => command::replay::replay(&args.config, replay, json).await,
        Command::Dlq(dlq) => command::dlq::dlq(&args.config, dlq, json).await,
        Command::Shards => command::shards::shards(&args.config, json).await,
        Command::Plugin(plugin) => command::plugin::plugin(&args.config, plugin, json).await,
        Command::Pattern(pattern) => Ok(command::pattern::pattern(pattern.command, json)),
        Command::Event(event) => Ok(command::event::event(&event)),
        Command::Test(test) => command::test::test(&args.config, test, json).await,
        Command::Lookup(lookup) => command::lookup::lookup(&args.config, lookup, json).await,
        Command::Withheld(withheld) => command::withheld::withheld(&args.config, withheld, json).await,
        Command::CompileForParent => Ok(weir_runtime::compile_for_parent()?),
        Command::Leases(leases) => command::shards::leases(&args.config, leases, json).await,
    }
}
