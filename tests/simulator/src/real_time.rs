//! Real time, for those who want to watch: the clock of the world goes as fast as the wall's.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::simulator::Simulator;

/// How often the clock is stepped when there is no storm.
const STEP: Duration = Duration::from_millis(100);

impl Simulator {
    /// Steps the clock as time passes. A storm ticks whenever its tick has passed, and may leap ahead. Never returns.
    pub async fn run_in_real_time(&self) -> Infallible {
        let mut last = Instant::now();
        loop {
            let tick = self.state().tick_length();
            sleep(tick.unwrap_or(STEP)).await;
            let passed = last.elapsed();
            last = Instant::now();
            // A storm that ended meanwhile leaves the clock to be stepped.
            if tick.is_none() || self.tick().is_err() {
                self.step(passed);
            }
        }
    }
}
