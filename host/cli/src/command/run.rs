//! `weir run`: records and routes until stopped.

use std::process::ExitCode;

use super::stop_on_signal;
use crate::args::RunArgs;
use crate::compose::{Service, Standing, open_ledger};
use crate::config::ConfigPath;

pub(crate) async fn run(config: &ConfigPath, args: RunArgs) -> anyhow::Result<ExitCode> {
    let own = config.load()?;
    let stop = stop_on_signal()?;
    let (_, ledger) = open_ledger(&own, args.migrate).await?;
    let mut standing = Standing::of(own, &ledger).await?;
    drop(ledger);
    let mut before: Option<Standing> = None;
    loop {
        let service = match (Service::begin(&standing, stop.child_token()).await, before.take()) {
            (Ok(service), _) => service,
            (Err(error), Some(before)) => {
                tracing::error!(
                    problem = format!("{error:#}"),
                    "what was applied cannot be begun here; this process goes back to the configuration before"
                );
                standing = before.in_place_of(&standing, error);
                Service::begin(&standing, stop.child_token()).await?
            }
            (Err(error), None) => return Err(error),
        };
        let Some(next) = service.until_superseded(&standing).await? else {
            return Ok(ExitCode::SUCCESS);
        };
        if stop.is_cancelled() {
            return Ok(ExitCode::SUCCESS);
        }
        before = Some(std::mem::replace(&mut standing, next));
    }
}
