//! Commands and options.

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::config::ConfigPath;

/// Records every change of a database in a tamper-evident ledger, and routes it as an event.
#[derive(Parser)]
#[command(name = "weir", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) config: ConfigPath,

    /// Print JSON, one document for the whole answer; logs become JSON lines.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start Weir on an embedded default: a private Postgres, a local DynamoDB and a small shop that keeps changing orders.
    #[cfg(feature = "dev")]
    Dev(DevArgs),
    /// Record and route until stopped (Ctrl-C or SIGTERM).
    Run(RunArgs),
    /// Bring the schema of the database up to date.
    Migrate,
    /// Recompute the ledger from its stored bytes. Exit code 0: proved. 1: tampered, with the position. 2: cannot tell.
    Verify,
    /// Show who changed an item, what and when.
    History(HistoryArgs),
    /// Look at dead letters: deliveries that were given up.
    Dlq(DlqArgs),
}

#[derive(ClapArgs)]
pub(crate) struct RunArgs {
    /// Bring the schema up to date first.
    #[arg(long)]
    pub(crate) migrate: bool,
}

#[derive(ClapArgs)]
pub(crate) struct HistoryArgs {
    /// The table.
    pub(crate) table: String,

    /// The item's key: a value for each key attribute in order (`order-1`), or `name=value` for each.
    #[arg(required = true)]
    pub(crate) key: Vec<String>,

    /// Show at most this many changes, newest first.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u16,

    /// Show changes below this position.
    #[arg(long)]
    pub(crate) before: Option<u64>,
}

#[derive(ClapArgs)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    pub(crate) command: DlqCommand,
}

#[derive(Subcommand)]
pub(crate) enum DlqCommand {
    /// List dead letters in order of position.
    Ls {
        /// Of this route only.
        #[arg(long)]
        route: Option<String>,
    },
}

#[cfg(feature = "dev")]
#[derive(ClapArgs)]
pub(crate) struct DevArgs {
    /// Folder of everything that `dev` keeps: Postgres, DynamoDB, keys, configuration, events.
    #[arg(long, default_value = ".weir")]
    pub(crate) data: std::path::PathBuf,

    /// Throw the data of earlier starts away.
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Run this plugin instead of the shipped one, and load it again whenever the file changes.
    #[arg(long)]
    pub(crate) plugin: Option<std::path::PathBuf>,

    /// Leave the shop closed: only you change the table.
    #[arg(long)]
    pub(crate) no_traffic: bool,

    /// Port of the local DynamoDB.
    #[arg(long, default_value_t = 8787)]
    pub(crate) dynamodb_port: u16,

    /// Port of the HTTP API.
    #[arg(long, default_value_t = 8788)]
    pub(crate) api_port: u16,
}
