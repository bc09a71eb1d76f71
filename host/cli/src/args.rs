//! Commands and options.

mod apply;
mod delivery;
mod pattern;
mod plugin;
mod withheld;

use clap::{Args as ClapArgs, Parser, Subcommand};

pub(crate) use self::apply::ApplyArgs;
pub(crate) use self::delivery::{
    DlqArgs, DlqCommand, LetterArgs, ReplayArgs, RouteArgs, RouteCommand, SinkArgs, SinkCommand, TapArgs,
};
pub(crate) use self::pattern::{PatternArgs, PatternCommand, PatternSubject};
pub(crate) use self::plugin::{
    COMPILE_COMMAND, LookupArgs, LookupCommand, PluginArgs, PluginCommand, PluginSubject, PromoteArgs, RollbackArgs,
};
pub(crate) use self::withheld::{WithheldArgs, WithheldCommand};
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
    /// Recompute the ledger from its stored bytes, or check a bundle or a proof without any database. Exit code 0: proved.
    /// 1: tampered, with the position. 2: cannot tell.
    Verify(VerifyArgs),
    /// Look at everything and change nothing: schema, triggers, ledger, guard, erasures. Exit code 0: well. 1: something is
    /// wrong. 2: something could not be looked at.
    Doctor(DoctorArgs),
    /// Write a proof of one change that checks offline: a `.tlog-proof` file (C2SP).
    Prove(ProveArgs),
    /// Write a range of the ledger as a bundle that checks offline, for an auditor.
    Export(ExportArgs),
    /// Show what is signed of the ledger, or decide what Weir must not decide by itself.
    Ledger(LedgerArgs),
    /// Erase what was recorded of an item or a person, so that proofs still hold.
    Erasure(ErasureArgs),
    /// Keep something from being erased.
    Hold(HoldArgs),
    /// Show who changed an item, what and when.
    History(HistoryArgs),
    /// Show how far routes are and what waits, pause and resume them.
    Route(RouteArgs),
    /// Show which sinks take events, pause and resume them.
    Sink(SinkArgs),
    /// Say what routes make of a recorded change, and why: whether the event pattern takes it, what the plugin makes of it, and
    /// what became of each delivery.
    Explain(ExplainArgs),
    /// Have all processes of the ledger do what this file says of sources, sinks and routes, without a restart: each checks it, hands
    /// over what it does and begins anew. From then on what is applied counts, not their own files.
    Apply(ApplyArgs),
    /// Look on while changes are recorded: their events, or what a route makes of them. Values are covered.
    Tap(TapArgs),
    /// Have a route send a range of the ledger once more, beside what is new. Receivers know what they had by its id.
    Replay(ReplayArgs),
    /// Look at dead letters, deliveries that were given up; send them again or throw them away.
    Dlq(DlqArgs),
    /// Show every shard: who reads it, how far it is recorded, what was lost, what reading it costs.
    Shards,
    /// Look at the workers that share the shards, or have one hand everything over.
    Leases(LeasesArgs),
    /// Begin, build, check and try plugins, and put them on routes.
    Plugin(PluginArgs),
    /// Try the cases of the configuration's routes, from the change to what would be sent. Nothing has to run. Exit code 1: a case
    /// came out otherwise.
    Test(TestArgs),
    /// Say what events are like, for whoever receives them.
    Event(EventArgs),
    /// Try event patterns, as routes have them.
    Pattern(PatternArgs),
    /// Upload tables that plugins look things up in.
    Lookup(LookupArgs),
    /// Look at changes that the plugin at intake failed on, and annotate them again.
    Withheld(WithheldArgs),
    /// Compile a plugin from standard input to standard output, within limits. Weir calls this by itself.
    #[command(name = COMPILE_COMMAND, hide = true)]
    CompileForParent,
}

#[derive(ClapArgs)]
pub(crate) struct RunArgs {
    /// Bring the schema up to date first.
    #[arg(long)]
    pub(crate) migrate: bool,
}

#[derive(ClapArgs)]
pub(crate) struct LeasesArgs {
    #[command(subcommand)]
    pub(crate) command: LeasesCommand,
}

#[derive(Subcommand)]
pub(crate) enum LeasesCommand {
    /// List the workers that are alive, how many shards each reads and how many partitions of routes it has.
    Ls,
    /// Have a worker hand all that it has over to the others and take nothing else, before it is stopped for good.
    Drain {
        /// Its number, as `weir leases ls` shows it.
        worker: i64,
    },
    /// Have a worker that was drained take its share again.
    Resume {
        /// Its number.
        worker: i64,
    },
}

#[derive(ClapArgs)]
pub(crate) struct HistoryArgs {
    /// The table.
    pub(crate) table: String,

    /// The item's key: a value for each key attribute in order (`order-1`), or `name=value` for each.
    #[arg(required = true)]
    pub(crate) key: Vec<String>,

    /// Show at most this many changes, newest first; up to 1,000.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,

    /// Show changes below this position.
    #[arg(long)]
    pub(crate) before: Option<u64>,
}

#[derive(ClapArgs)]
pub(crate) struct EventArgs {
    #[command(subcommand)]
    pub(crate) command: EventCommand,
}

#[derive(Subcommand)]
pub(crate) enum EventCommand {
    /// Print the JSON Schema of events (draft 2020-12).
    Schema,
}

#[derive(ClapArgs)]
pub(crate) struct TestArgs {
    /// The route. Without it all that have cases.
    pub(crate) route: Option<String>,

    /// A table that plugins look things up in: a JSON object, its values by key.
    #[arg(long = "lookup", value_name = "NAME=FILE")]
    pub(crate) lookups: Vec<String>,
}

#[derive(ClapArgs)]
pub(crate) struct ExplainArgs {
    /// The position of the change, as `weir history` shows it.
    pub(crate) position: u64,

    /// The route. Without it all of them.
    #[arg(long)]
    pub(crate) route: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct VerifyArgs {
    /// A bundle (`weir export`) or a proof (`weir prove`). Without it, the ledger in the configured database.
    pub(crate) file: Option<std::path::PathBuf>,

    /// The ledger's public key, which you have from elsewhere than the file: NAME+ID+BASE64.
    #[arg(long, requires = "file", conflicts_with = "policy")]
    pub(crate) key: Option<String>,

    /// A policy file that names logs, witnesses and the quorum (C2SP tlog-policy).
    #[arg(long, requires = "file", value_name = "FILE")]
    pub(crate) policy: Option<std::path::PathBuf>,

    /// A checkpoint that you held before: the bundle's tree must have grown out of it.
    #[arg(long, requires = "file", value_name = "FILE")]
    pub(crate) since: Option<std::path::PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct DoctorArgs {
    /// The database was restored from a back-up: look for keys that were destroyed since that was made.
    #[arg(long)]
    pub(crate) after_restore: bool,
}

#[derive(ClapArgs)]
pub(crate) struct ProveArgs {
    /// The table of an item: its newest change is proved.
    pub(crate) table: Option<String>,

    /// The item's key: a value for each key attribute in order, or `name=value` for each.
    pub(crate) key: Vec<String>,

    /// The change at this position.
    #[arg(long, conflicts_with = "table")]
    pub(crate) position: Option<u64>,

    /// Attributes to show: `/new/status`, `/new` for all of an image, `/actor`, `all`. Nothing is shown without it.
    #[arg(long, value_name = "PATH")]
    pub(crate) show: Vec<String>,

    /// The file to write. Default: the position, with the ending `.tlog-proof`.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<std::path::PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct ExportArgs {
    /// The first position.
    #[arg(long, default_value_t = 0)]
    pub(crate) from: u64,

    /// The position behind the last. Default: all that is signed.
    #[arg(long)]
    pub(crate) to: Option<u64>,

    /// Attributes to show, as for `weir prove`.
    #[arg(long, value_name = "PATH")]
    pub(crate) show: Vec<String>,

    /// A checkpoint that the auditor holds: the bundle proves that the ledger grew out of it.
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Option<std::path::PathBuf>,

    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: std::path::PathBuf,
}

#[derive(ClapArgs)]
pub(crate) struct LedgerArgs {
    #[command(subcommand)]
    pub(crate) command: LedgerCommand,
}

#[derive(Subcommand)]
pub(crate) enum LedgerCommand {
    /// Show the head, what is signed, and the public keys to check it with.
    Show,
    /// The guard is missing: make it anew from what the database has. Only if you know that this database is the newest.
    Adopt,
    /// The database did not grow out of what was signed (a restored back-up): go on under a new origin, and say so in the
    /// ledger.
    Continue {
        /// What happened. Recorded.
        #[arg(long)]
        reason: String,
    },
}

/// What an order is about.
#[derive(ClapArgs)]
pub(crate) struct AboutArgs {
    /// The table of an item.
    pub(crate) table: Option<String>,

    /// The item's key: a value for each key attribute in order, or `name=value` for each.
    pub(crate) key: Vec<String>,

    /// Everything whose item has this value in this attribute: NAME=VALUE, or NAME={"N":"7"}.
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "table")]
    pub(crate) subject: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct ErasureArgs {
    #[command(subcommand)]
    pub(crate) command: ErasureCommand,
}

#[derive(Subcommand)]
pub(crate) enum ErasureCommand {
    /// Erase. This cannot be undone.
    Order {
        #[command(flatten)]
        about: AboutArgs,

        /// Only this attribute (again for more): everything else stays.
        #[arg(long = "attribute", value_name = "NAME")]
        attributes: Vec<String>,

        /// The legal basis. Recorded.
        #[arg(long)]
        basis: String,

        /// Who approved it. Recorded.
        #[arg(long)]
        approver: String,
    },
    /// List orders.
    Ls,
}

#[derive(ClapArgs)]
pub(crate) struct HoldArgs {
    #[command(subcommand)]
    pub(crate) command: HoldCommand,
}

#[derive(Subcommand)]
pub(crate) enum HoldCommand {
    /// Keep an item or a subject from being erased.
    Place {
        #[command(flatten)]
        about: AboutArgs,

        /// Why. Recorded.
        #[arg(long)]
        reason: String,

        /// Who ordered it. Recorded.
        #[arg(long)]
        approver: String,
    },
    /// Let go of a hold.
    Release {
        /// Its id.
        id: String,

        /// Why. Recorded.
        #[arg(long)]
        reason: String,

        /// Who ordered it. Recorded.
        #[arg(long)]
        approver: String,
    },
    /// List what is held.
    Ls,
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

    /// Annotate changes with this plugin before they are recorded.
    #[arg(long, value_name = "FILE")]
    pub(crate) annotator: Option<std::path::PathBuf>,

    /// The annotator's configuration: JSON, or `@` and the name of a file with it.
    #[arg(long, value_name = "JSON", requires = "annotator")]
    pub(crate) annotator_config: Option<String>,

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
