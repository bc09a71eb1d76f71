//! `weir apply`.

use clap::Args as ClapArgs;

#[derive(ClapArgs)]
pub(crate) struct ApplyArgs {
    /// Apply nothing: show what differs from what the processes do, and the name of that plan. Plugins that the Weir does not have are
    /// uploaded, for it has to check them.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Apply this plan, as --dry-run named it, and nothing if it is another one by now.
    #[arg(long, value_name = "PLAN")]
    pub(crate) expect: Option<String>,

    /// Have each process do what its own file says again.
    #[arg(long)]
    pub(crate) clear: bool,

    /// Show what is applied.
    #[arg(long, conflicts_with_all = ["dry_run", "expect", "clear", "reason"])]
    pub(crate) show: bool,

    /// Why. Recorded.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}
