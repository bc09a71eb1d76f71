//! `weir migrate`: brings the schema up to date.

use std::process::ExitCode;

use crate::compose::connect;
use crate::config::ConfigPath;
use crate::say;

pub(crate) async fn migrate(config: &ConfigPath) -> anyhow::Result<ExitCode> {
    connect(&config.load()?, weir_ledger::Role::Writer)
        .await?
        .migrate()
        .await?;
    say!("the schema is up to date");
    Ok(ExitCode::SUCCESS)
}
