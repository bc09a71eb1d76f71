//! The binary `weir`: parse, configure, connect, compose, supervise.
//!
//! `run`, `migrate`, `verify` and `dev` touch Postgres. Every other command is a client of the HTTP API.

mod args;
mod client;
mod command;
mod compose;
mod config;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};

/// What a command could not do: exit code 1. `verify` has codes of its own.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let args = Args::parse();
    output::init_logs(args.json);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => Err(anyhow::Error::new(error).context("the async runtime cannot start")),
    };
    result.unwrap_or_else(|error| {
        output::print_error(&error);
        ExitCode::from(FAILED)
    })
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let json = args.json;
    match args.command {
        #[cfg(feature = "dev")]
        Command::Dev(dev) => command::dev::dev(dev).await,
        Command::Run(run) => command::run::run(&args.config, run).await,
        Command::Migrate => command::migrate::migrate(&args.config).await,
        Command::Verify => Ok(command::verify::verify(&args.config, json).await),
        Command::History(history) => command::history::history(&args.config, history, json).await,
        Command::Dlq(dlq) => command::dlq::dlq(&args.config, dlq, json).await,
    }
}
