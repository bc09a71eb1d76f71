//! Threads for guest code: as many as there are cores, each runs one call at a time to its end.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

/// Calls that wait for a thread. Callers past this wait before they enter the queue.
const WAITING_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads. They end when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Threads {
    jobs: mpsc::Sender<Job>,
}

/// The threads have ended, or the call panicked.
#[derive(Debug, thiserror::Error)]
#[error("the thread of the call ended before it answered")]
pub(crate) struct ThreadEnded;

impl Threads {
    pub(crate) fn start(count: usize) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>(WAITING_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..count {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name(format!("guest-{number}"))
                .spawn(move || {
                    loop {
                        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                        let Some(job) = job else { break };
                        // A panic here is a bug of ours. It must not take the thread from the calls that follow.
                        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                    }
                })?;
        }
        Ok(Self { jobs })
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ThreadEnded> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            let _ = answer.send(call());
        });
        self.jobs.send(job).await.map_err(|_| ThreadEnded)?;
        answered.await.map_err(|_| ThreadEnded)
    }
}
