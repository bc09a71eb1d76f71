//! `weir route`, `weir sink`, `weir tap`, `weir replay` and `weir dlq`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(ClapArgs)]
pub(crate) struct RouteArgs {
    #[command(subcommand)]
    pub(crate) command: RouteCommand,
}

#[derive(Subcommand)]
pub(crate) enum RouteCommand {
    /// List routes: how far each is, what is parked, what was given up, and what stands still.
    Ls,
    /// List parked deliveries: one that a sink did not take and that waits for its next attempt, and what came of its item since.
    Parked {
        /// Of this route only.
        route: Option<String>,
    },
    /// Stop a route where it is. Recording goes on.
    Pause {
        /// The route.
        route: String,

        /// Why. Recorded.
        #[arg(long)]
        reason: String,
    },
    /// Have a route that was paused go on where it stands.
    Resume {
        /// The route.
        route: String,

        /// Why. Recorded.
        #[arg(long)]
        reason: Option<String>,
    },
}

#[derive(ClapArgs)]
pub(crate) struct SinkArgs {
    #[command(subcommand)]
    pub(crate) command: SinkCommand,
}

#[derive(Subcommand)]
pub(crate) enum SinkCommand {
    /// List sinks: whether each takes events, and why not.
    Ls,
    /// Send nothing to a sink. Routes that lead there wait where they are.
    Pause {
        /// The sink.
        sink: String,

        /// Why. Recorded.
        #[arg(long)]
        reason: String,
    },
    /// Send to a sink again that was paused.
    Resume {
        /// The sink.
        sink: String,

        /// Why. Recorded.
        #[arg(long)]
        reason: Option<String>,
    },
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
        /// Those of this route.
        #[arg(long)]
        route: Option<String>,

        /// Those with this code: `refused`, `attempts-exhausted`, `plugin-trap`, ...
        #[arg(long)]
        code: Option<String>,
    },
    /// Show all that is known of a dead letter: the event, the error, what the plugin logged.
    Show {
        /// Id of its delivery.
        delivery: String,
    },
    /// Send dead letters again: the same payload under the same id. Where a plugin failed, what the route makes of the change now.
    Redrive(LetterArgs),
    /// Throw dead letters away. That they were is recorded; the changes stay in the ledger.
    Drop(LetterArgs),
}

#[derive(ClapArgs)]
pub(crate) struct LetterArgs {
    /// Ids of their deliveries.
    #[arg(conflicts_with = "all")]
    pub(crate) deliveries: Vec<String>,

    /// Those of this route.
    #[arg(long)]
    pub(crate) route: Option<String>,

    /// Those with this code: `refused`, `attempts-exhausted`, `plugin-trap`, ...
    #[arg(long)]
    pub(crate) code: Option<String>,

    /// All there are.
    #[arg(long, conflicts_with_all = ["route", "code"])]
    pub(crate) all: bool,

    /// Why. Recorded.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct ReplayArgs {
    /// The route.
    pub(crate) route: String,

    /// The first position. Without it the first that the route ever had.
    #[arg(long)]
    pub(crate) from: Option<u64>,

    /// The last position. Without it the last that the route has passed.
    #[arg(long)]
    pub(crate) to: Option<u64>,

    /// Have this version of the route decide about all of it: what it makes has the ids that its events have. Without it each
    /// position is sent as it was, by the version that routed it, under the ids that it had.
    #[arg(long, value_name = "VERSION")]
    pub(crate) by_version: Option<u32>,

    /// Send all of it as new, under this name: receivers that drop what they had take it again, for each event has another id, and
    /// says the name as `replayed_as`. The same name gives the same ids again.
    #[arg(long, value_name = "NAME")]
    pub(crate) as_new: Option<String>,

    /// Only changes of one item: its table.
    #[arg(long, requires = "key")]
    pub(crate) table: Option<String>,

    /// The item's key: a value for each key attribute in order (`order-1`), or `name=value` for each.
    #[arg(long, requires = "table", num_args = 1..)]
    pub(crate) key: Vec<String>,

    /// Send nothing: show what would be sent, and how it differs from what the versions make of it that routed it.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// End the replay of this route where it is.
    #[arg(long, conflicts_with_all = ["from", "to", "by_version", "as_new", "table", "key", "dry_run"])]
    pub(crate) cancel: bool,

    /// Why. Recorded.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct TapArgs {
    /// Only what this route takes, and what it makes of it. Without it, all changes.
    pub(crate) route: Option<String>,

    /// Only what the event pattern in this file takes.
    #[arg(long, value_name = "FILE")]
    pub(crate) pattern: Option<PathBuf>,

    /// Show the values at this path into `detail` (`/new/status`, `/actor`), and below it. May be given more than once.
    #[arg(long, value_name = "PATH")]
    pub(crate) show: Vec<String>,

    /// Show all values.
    #[arg(long, conflicts_with = "show")]
    pub(crate) values: bool,

    /// Begin at this position instead of what is recorded from now on.
    #[arg(long)]
    pub(crate) from: Option<u64>,

    /// End after so many changes.
    #[arg(long)]
    pub(crate) count: Option<u64>,

    /// Add each change to this file as a case for `weir test`; stand-ins take the place of values that are not shown.
    #[arg(long, value_name = "FILE", requires = "route")]
    pub(crate) record: Option<PathBuf>,
}
