//! One file per command.

pub(crate) mod apply;
pub(crate) mod delivery;
#[cfg(feature = "dev")]
pub(crate) mod dev;
pub(crate) mod dlq;
pub(crate) mod doctor;
pub(crate) mod erasure;
pub(crate) mod event;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod ledger;
pub(crate) mod lookup;
pub(crate) mod migrate;
pub(crate) mod pattern;
pub(crate) mod plugin;
mod preview;
pub(crate) mod prove;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod shards;
mod shown;
pub(crate) mod tap;
pub(crate) mod test;
mod tried;
pub(crate) mod verify;
pub(crate) mod withheld;

use tokio_util::sync::CancellationToken;

/// A token that Ctrl-C or SIGTERM cancels.
pub(crate) fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};

    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancel.cancel();
    });
    Ok(stop)
}
