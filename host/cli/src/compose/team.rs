//! Tasks that live and end together: the first to end by itself ends all.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Name of the task that says that the process is alive.
pub(super) const HEART: &str = "heart";

/// How long the heart may take to leave once nothing else is left.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Tasks with names.
pub(super) struct Team {
    tasks: JoinSet<(&'static str, Result<()>)>,
    /// What is broken off where the others do not end in time. The heart is not: it leaves once they are gone.
    breakable: Vec<AbortHandle>,
    stop: CancellationToken,
}

impl Team {
    /// Cancels `stop` when one of its tasks ends by itself.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            tasks: JoinSet::new(),
            breakable: Vec::new(),
            stop,
        }
    }

    pub(super) fn spawn<E: Into<anyhow::Error>>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(async move { (name, task.await.map_err(Into::into)) });
        if name != HEART {
            self.breakable.push(handle);
        }
    }

    /// Waits until it is told to stop, or a task ends by itself; then lets the others finish what they have in hand.
    pub(super) async fn run(mut self, grace: Duration) -> Result<()> {
        let worked = self.works().await;
        worked.and(self.end(grace).await)
    }

    /// Waits until it is told to stop, or a task ends by itself: that is an error.
    pub(super) async fn works(&mut self) -> Result<()> {
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            ended = self.tasks.join_next() => ended,
        };
        first.map_or(Ok(()), |ended| match ended {
            Ok((name, Ok(()))) => Err(anyhow!("the {name} task ended by itself")),
            Ok((_, Err(error))) => Err(error),
            Err(error) => Err(anyhow::Error::new(error).context("a task is broken")),
        })
    }

    /// Lets its tasks finish what they have in hand.
    pub(super) async fn end(mut self, grace: Duration) -> Result<()> {
        let mut outcome = Ok(());
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
                "some work did not end in time; it is done again by whoever goes on"
            );
            self.breakable.iter().for_each(AbortHandle::abort);
            let leave = async { while self.tasks.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(LEAVE_TIMEOUT, leave).await;
        }
        outcome
    }
}
