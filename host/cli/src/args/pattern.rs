//! `weir pattern`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(ClapArgs)]
pub(crate) struct PatternArgs {
    #[command(subcommand)]
    pub(crate) command: PatternCommand,
}

#[derive(Subcommand)]
pub(crate) enum PatternCommand {
    /// Say whether an event pattern takes an event. Exit code 0: it does. 1: it does not. 2: one of them cannot be read.
    ///
    /// Without files it reads pairs from standard input, in JSON Lines: {"pattern": {...}, "event": {...}}. It answers each with
    /// a line of its own, `matched`, `missed` or `error: ...`, and with exit code 0 if all of them could be read.
    Test(PatternSubject),
    /// Say also what of an event keeps a pattern from taking it. Otherwise as `test`.
    Explain(PatternSubject),
}

#[derive(ClapArgs)]
pub(crate) struct PatternSubject {
    /// The event pattern, as EventBridge has them: a file of JSON.
    #[arg(long, value_name = "FILE", requires = "event")]
    pub(crate) pattern: Option<PathBuf>,

    /// The event, or a record as a stream has it: a file of JSON. `-`: standard input.
    #[arg(long, value_name = "FILE", requires = "pattern")]
    pub(crate) event: Option<PathBuf>,
}
