//! `weir run`: records and routes until stopped.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::stop_on_signal;
use crate::args::RunArgs;
use crate::compose::{Service, Standing, is_of_postgres, open_ledger};
use crate::config::ConfigPath;

/// How long until it is tried again to begin anew where Postgres does not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn run(config: &ConfigPath, args: RunArgs) -> Result<ExitCode> {
    let loaded = config.load()?;
    let stop = stop_on_signal()?;
    let (_, ledger) = open_ledger(&loaded, args.migrate).await?;
    let mut standing = Standing::at_start(config, loaded, &ledger).await?;
    // What it did before that.
    let mut before: Option<Standing> = None;
    let mut has_begun = false;
    while !stop.is_cancelled() {
        match Box::pin(Service::begin(&standing, stop.child_token())).await {
            Ok(service) => {
                has_begun = true;
                match Box::pin(service.until_superseded(&standing)).await? {
                    Some(next) => before = Some(std::mem::replace(&mut standing, next)),
                    None => break,
                }
            }
            Err(error) if has_begun && is_of_postgres(&error) => wait_for_postgres(&error, &stop).await,
            Err(error) => standing = standing.instead(error, before.take(), &ledger).await?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn wait_for_postgres(error: &anyhow::Error, stop: &CancellationToken) {
    tracing::warn!(
        problem = format!("{error:#}"),
        "Postgres does not answer; this process begins anew when it does"
    );
    let _ = stop.run_until_cancelled(tokio::time::sleep(RETRY_INTERVAL)).await;
}
