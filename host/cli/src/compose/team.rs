//! Tasks that live and end together: the first to end by itself ends all.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Tasks with names.
pub(super) struct Team {
    tasks: JoinSet<(&'static str, Result<()>)>,
    stop: CancellationToken,
}

impl Team {
    /// Cancels `stop` when one of its tasks ends by itself.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            tasks: JoinSet::new(),
            stop,
        }
    }

    pub(super) fn spawn<E: Into<anyhow::Error>>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, task.await.map_err(Into::into)) });
    }

    /// Waits until it is told to stop, or a task ends by itself; then lets the others finish what they have in hand.
    pub(super) async fn run(mut self, grace: Duration) -> Result<()> {
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            ended = self.tasks.join_next() => ended,
        };
        let mut outcome = first.map_or(Ok(()), |ended| match ended {
            Ok((name, Ok(()))) => Err(anyhow!("the {name} task ended by itself")),
            Ok((_, Err(error))) => Err(error),
            Err(error) => Err(anyhow::Error::new(error).context("a task is broken")),
        });
        self.stop.cancel();
        let drain = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let (Ok(()), Ok((_, Err(error)))) = (&outcome, ended) {
                    outcome = Err(error);
                }
            }
        };
        if tokio::time::timeout(grace, drain).await.is_err() {
            tracing::warn!(
                tasks = self.tasks.len(),
                "some work did not end in time; it is done again at the next start"
            );
        }
        outcome
    }
}
