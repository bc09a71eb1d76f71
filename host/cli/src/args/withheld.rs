//! `weir withheld`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(ClapArgs)]
pub(crate) struct WithheldArgs {
    #[command(subcommand)]
    pub(crate) command: WithheldCommand,
}

#[derive(Subcommand)]
pub(crate) enum WithheldCommand {
    /// Make the key that opens what is withheld, and show the public one that is configured as `withhold_to`.
    NewKey {
        /// The file to write. Nobody but its owner can read it.
        file: PathBuf,
    },
    /// List the changes that are withheld. What they say is not shown.
    List,
    /// Open a change that is withheld, here: the key is sent nowhere.
    Show {
        /// Its position in the ledger.
        position: u64,

        /// The file of `new-key`.
        #[arg(long, value_name = "FILE", env = "WEIR_WITHHELD_KEY_FILE")]
        key: PathBuf,
    },
    /// Annotate everything that is withheld again, by what annotates its source now, and tell it. The key is sent to the service,
    /// which keeps it as long as that takes. Exit code 1: some are still withheld.
    Annotate {
        /// The file of `new-key`.
        #[arg(long, value_name = "FILE", env = "WEIR_WITHHELD_KEY_FILE")]
        key: PathBuf,
    },
}
