//! Threads for guest code: as many as there are cores, each runs one call at a time to its end.
//!
//! # Invariants
//!
//! - Of the threads that wait, the one that ran last runs next: what it keeps in the caches of its core is still there.
//! - What waits for a thread is bounded. Callers past that wait before they enter the queue.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Calls that wait for a thread.
const WAITING_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads. They end when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Threads {
    pool: Arc<Pool>,
}

/// The threads have ended, or the call panicked.
#[derive(Debug, thiserror::Error)]
#[error("the thread of the call ended before it answered")]
pub(crate) struct ThreadEnded;

/// Held by those who call. The threads hold what is inside.
struct Pool {
    places: Arc<Semaphore>,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Job, OwnedSemaphorePermit)>,
    /// Threads that have nothing to do, the one that ran last at the end.
    idle: Vec<Thread>,
    is_closed: bool,
}

impl Threads {
    pub(crate) fn start(count: usize) -> std::io::Result<Self> {
        let pool = Pool {
            places: Arc::new(Semaphore::new(WAITING_MAX)),
            queue: Arc::default(),
        };
        for number in 0..count {
            let queue = Arc::clone(&pool.queue);
            std::thread::Builder::new()
                .name(format!("guest-{number}"))
                .spawn(move || {
                    while let Some(job) = next_job(&queue) {
                        // A panic here is a bug of ours. It must not take the thread from the calls that follow.
                        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                    }
                })?;
        }
        Ok(Self { pool: Arc::new(pool) })
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ThreadEnded> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            let _ = answer.send(call());
        });
        let place = Arc::clone(&self.pool.places).acquire_owned().await;
        self.pool.put(job, place.map_err(|_| ThreadEnded)?);
        answered.await.map_err(|_| ThreadEnded)
    }
}

impl Pool {
    fn put(&self, job: Job, place: OwnedSemaphorePermit) {
        let mut queue = lock(&self.queue);
        queue.jobs.push_back((job, place));
        let idle = queue.idle.pop();
        drop(queue);
        if let Some(thread) = idle {
            thread.unpark();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        queue.is_closed = true;
        for thread in queue.idle.drain(..) {
            thread.unpark();
        }
    }
}

/// Waits for something to do. `None` is the end.
fn next_job(queue: &Mutex<Queue>) -> Option<Job> {
    let this = std::thread::current();
    let mut waiting = lock(queue);
    loop {
        // Whoever wakes up by itself is still among the idle ones.
        waiting.idle.retain(|idle| idle.id() != this.id());
        if let Some((job, _place)) = waiting.jobs.pop_front() {
            return Some(job);
        }
        if waiting.is_closed {
            return None;
        }
        waiting.idle.push(this.clone());
        drop(waiting);
        std::thread::park();
        waiting = lock(queue);
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_thread_that_ran_last_runs_next_and_all_of_them_when_there_is_more() {
        let threads = Threads::start(3).unwrap();
        let name = || std::thread::current().name().map(str::to_owned);
        // One answers before it waits again.
        let all_wait = async || {
            while lock(&threads.pool.queue).idle.len() < 3 {
                tokio::task::yield_now().await;
            }
        };
        all_wait().await;
        let first = threads.run(name).await.unwrap();
        for _ in 0..10 {
            all_wait().await;
            assert_eq!(threads.run(name).await.unwrap(), first);
        }
        // Each of three waits for the others.
        let meeting = Arc::new(std::sync::Barrier::new(3));
        let meet = || {
            let meeting = Arc::clone(&meeting);
            threads.run(move || meeting.wait().is_leader())
        };
        let leaders = tokio::try_join!(meet(), meet(), meet()).unwrap();
        assert_eq!(
            [leaders.0, leaders.1, leaders.2]
                .iter()
                .filter(|is_leader| **is_leader)
                .count(),
            1
        );
    }

    #[tokio::test]
    async fn a_call_that_panics_ends_no_thread() {
        let threads = Threads::start(1).unwrap();
        for _ in 0..3 {
            assert!(threads.run(|| panic!("a bug")).await.is_err());
        }
        assert_eq!(threads.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn more_calls_than_there_is_room_for_are_all_answered() {
        let threads = Threads::start(2).unwrap();
        let calls = (0..WAITING_MAX * 3).map(|number| threads.run(move || number));
        let answers = futures_util::future::join_all(calls).await;
        let answers: Vec<usize> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, (0..WAITING_MAX * 3).collect::<Vec<_>>());
    }
}
