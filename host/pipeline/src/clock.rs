//! What time it is, for whoever waits for long: a retry may be hours away, and a test does not wait for it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

/// Tells the time since it was made, and what that is by the calendar. Clones agree.
#[derive(Clone)]
pub struct Clock {
    began: Timestamp,
    hand: Hand,
}

#[derive(Clone)]
enum Hand {
    System(Instant),
    Stepped(watch::Receiver<Duration>),
}

/// Moves a clock that does not move by itself.
pub struct Steps(watch::Sender<Duration>);

impl Clock {
    /// The clock of this machine, as it goes on without leaps.
    #[must_use]
    pub fn system() -> Self {
        Self {
            began: Timestamp::now(),
            hand: Hand::System(Instant::now()),
        }
    }

    /// A clock that moves only by [`Steps::step`].
    #[must_use]
    pub fn stepped(began: Timestamp) -> (Self, Steps) {
        let (steps, hand) = watch::channel(Duration::ZERO);
        let clock = Self {
            began,
            hand: Hand::Stepped(hand),
        };
        (clock, Steps(steps))
    }

    /// Time since the clock was made.
    pub(crate) fn now(&self) -> Duration {
        match &self.hand {
            Hand::System(began) => began.elapsed(),
            Hand::Stepped(hand) => *hand.borrow(),
        }
    }

    /// What a time is by the calendar.
    pub(crate) fn timestamp(&self, at: Duration) -> Timestamp {
        self.began.saturating_add(at).unwrap_or(Timestamp::MAX)
    }

    /// The time of a moment in the calendar; zero if that was before the clock was made.
    pub(crate) fn time_of(&self, timestamp: Timestamp) -> Duration {
        Duration::try_from(timestamp.duration_since(self.began)).unwrap_or_default()
    }

    /// Waits until a time; for ever if there is none.
    pub(crate) async fn sleep_until(&self, due: Option<Duration>) {
        let Some(due) = due else {
            return std::future::pending().await;
        };
        match &self.hand {
            Hand::System(began) => tokio::time::sleep_until(*began + due).await,
            Hand::Stepped(hand) => {
                // Whoever stepped it may be gone; then it never moves again.
                if hand.clone().wait_for(|now| *now >= due).await.is_err() {
                    std::future::pending().await
                }
            }
        }
    }
}

impl Steps {
    /// Moves the clock on.
    pub fn step(&self, by: Duration) {
        self.0.send_modify(|now| *now += by);
    }
}
