//! `weir run`: records and routes until stopped.

use std::process::ExitCode;

use weir_pipeline::Activities;

use super::stop_on_signal;
use crate::args::RunArgs;
use crate::compose::Service;
use crate::config::ConfigPath;

pub(crate) async fn run(config: &ConfigPath, args: RunArgs) -> anyhow::Result<ExitCode> {
    let loaded = config.load()?;
    let stop = stop_on_signal()?;
    let service = Service::start(&loaded, args.migrate, Activities::new(), stop).await?;
    service.supervise().await?;
    Ok(ExitCode::SUCCESS)
}
