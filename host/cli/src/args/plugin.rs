//! `weir plugin` and `weir lookup`.

use clap::{Args as ClapArgs, Subcommand};

/// How this program calls itself to compile a plugin.
pub(crate) const COMPILE_COMMAND: &str = "compile-for-parent";

#[derive(ClapArgs)]
pub(crate) struct PluginArgs {
    #[command(subcommand)]
    pub(crate) command: PluginCommand,
}

#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    /// Begin a plugin: a folder with a function, its package, and cases to try it with.
    New {
        /// The folder to make. Its name is the plugin's.
        folder: std::path::PathBuf,

        /// A plugin for intake, which annotates changes before they are recorded, in place of one for a route.
        #[arg(long)]
        annotator: bool,
    },
    /// Build a package as a component, in `target/plugin` of its folder. Brings what is missing of the toolchain.
    Build {
        /// The package's folder.
        #[arg(default_value = ".")]
        folder: std::path::PathBuf,
    },
    /// Check a plugin as Weir does before it runs it, and show what it asks for.
    Check(PluginSubject),
    /// Run changes through a plugin, each by itself: what it decides, its fuel, its memory, its log.
    Run {
        #[command(flatten)]
        subject: PluginSubject,

        /// Changes in JSON Lines: {"old": {...}, "new": {...}, "key": {...}}, or records as a stream has them. `-`: standard input.
        #[arg(long, value_name = "FILE")]
        changes: std::path::PathBuf,
    },
    /// Try the cases beside a plugin. Exit code 0: all came out as expected. 1: some did not, or could not be tried.
    Test {
        /// The component, or the package's folder, which is built.
        #[arg(default_value = ".")]
        plugin: std::path::PathBuf,

        /// The file with the cases. Default: `cases.toml` in the folder, or beside the component.
        #[arg(long, value_name = "FILE")]
        cases: Option<std::path::PathBuf>,
    },
    /// Measure how long a batch of 1,000 changes takes.
    Bench {
        #[command(flatten)]
        subject: PluginSubject,

        /// Changes in JSON Lines, as for `run`; they are repeated until they are a batch.
        #[arg(long, value_name = "FILE")]
        changes: std::path::PathBuf,
    },
    /// Upload a plugin to the Weir that runs. A signature beside it (FILE.minisig) goes with it.
    Push(PluginSubject),
    /// List the plugins that were uploaded, and where they run.
    List,
    /// Show an uploaded plugin: what it asks for, who signed it, where it runs.
    Show {
        /// Its name, `NAME@VERSION`, or the first digits of its digest.
        plugin: String,
    },
    /// Run an uploaded plugin on a route, from now on. It is tried on recorded changes first.
    Promote(PromoteArgs),
    /// Run the plugin and configuration again that a route had before, from now on.
    Rollback(RollbackArgs),
    /// List the versions of a route, the newest first.
    Versions {
        /// The route. Default: the only one there is.
        route: Option<String>,
    },
}

#[derive(ClapArgs)]
pub(crate) struct LookupArgs {
    #[command(subcommand)]
    pub(crate) command: LookupCommand,
}

#[derive(Subcommand)]
pub(crate) enum LookupCommand {
    /// Upload a table under a name: a JSON object, its values by key. Routes go on with the table that they have until a plugin
    /// is promoted on them.
    Push {
        /// The name that plugins know it by.
        name: String,
        /// The file.
        file: std::path::PathBuf,
    },
    /// List the newest table of each name.
    List,
}

/// Which plugin runs on which route, how, and why.
#[derive(ClapArgs)]
pub(crate) struct PromoteArgs {
    /// Its name, `NAME@VERSION`, or the first digits of its digest.
    pub(crate) plugin: String,

    /// The route. Default: the only one there is.
    #[arg(long)]
    pub(crate) route: Option<String>,

    /// The plugin's configuration: JSON, or `@FILE`. Default: that of the plugin that runs now.
    #[arg(long, value_name = "JSON")]
    pub(crate) plugin_config: Option<String>,

    /// Allow what it asks for beyond what the route's plugin may already.
    #[arg(long)]
    pub(crate) grant: bool,

    /// Promote nothing: check all that a promotion would, and show what the plugin would send of changes that the route has passed,
    /// and how that differs from what was made of them.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// The first position that a dry run looks at. Default: the newest 10,000.
    #[arg(long, requires = "dry_run", value_name = "POSITION")]
    pub(crate) from: Option<u64>,

    /// The last position that a dry run looks at. Default: the last that the route has passed.
    #[arg(long, requires = "dry_run", value_name = "POSITION")]
    pub(crate) to: Option<u64>,

    /// Why. Recorded.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// What to go back to, and why.
#[derive(ClapArgs)]
pub(crate) struct RollbackArgs {
    /// The route. Default: the only one there is.
    #[arg(long)]
    pub(crate) route: Option<String>,

    /// The version whose plugin and configuration are to run again. Default: the last one that had others.
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: Option<u32>,

    /// Why. Recorded.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// A plugin, and how it is configured.
#[derive(ClapArgs)]
pub(crate) struct PluginSubject {
    /// The component, or the package's folder, which is built.
    #[arg(default_value = ".")]
    pub(crate) plugin: std::path::PathBuf,

    /// The plugin's configuration: JSON, or `@FILE`. Default: {}.
    #[arg(long, value_name = "JSON")]
    pub(crate) plugin_config: Option<String>,

    /// A table that the plugin looks things up in, for `run` and `bench`: a JSON object, its values by key.
    #[arg(long = "lookup", value_name = "NAME=FILE")]
    pub(crate) lookups: Vec<String>,
}
