//! What end-to-end tests stand on: a database of their own, a Weir in a folder of its own, an intake in the test's own
//! process, and receivers of events: some that remember what they took, and services that we did not write.
//!
//! # Invariants
//!
//! - Weir is the binary, in its own process, talked to as its users talk to it.
//! - Nothing here sleeps for a result: what is waited for is looked at until it is there, or the test fails.
//! - Tests share nothing but the Postgres server, each with its own database.

mod aws;
mod bus;
mod database;
mod footprint;
mod mail;
pub mod oracle;
mod process;
mod receiver;
mod site;
mod weir;
mod witness;

pub use aws::Aws;
pub use bus::{Bus, Received};
pub use database::TestDatabase;
pub use footprint::Footprint;
pub use mail::MailServer;
pub use process::{Answer, WeirProcess, ask, binary, component, target_folder, weir};
pub use receiver::{Hook, RETRY_AFTER, Receiver, verified};
pub use site::{Site, source_of};
pub use weir::{ORIGIN, SIGNING_KEY, Weir};
pub use witness::TestWitness;

use std::time::{Duration, Instant};

use weir_simulator::Random;

/// Longest wait for anything. Far above what is ever needed; machines may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// The longest wait, or the seconds that `WEIR_TEST_PATIENCE_S` says: for who expects that nothing comes.
fn patience() -> Duration {
    let given = std::env::var("WEIR_TEST_PATIENCE_S").ok();
    let seconds = given.and_then(|text| text.parse().ok());
    seconds.map_or(PATIENCE, Duration::from_secs)
}

/// Serves an application on the loopback until the test ends. Returns where.
async fn serve(app: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// Looks until `look` finds something.
///
/// # Panics
///
/// It did not within two minutes.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    let patience = patience();
    let deadline = Instant::now() + patience;
    async move {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not within {} s ({place})",
                patience.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A generator of the same numbers for the same seed, which it prints.
pub struct Dice(Random);

impl Dice {
    /// Prints the seed, so that a failure can be replayed with `WEIR_TEST_SEED`.
    #[must_use]
    pub fn new() -> Self {
        let given = std::env::var("WEIR_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()) ^ 0x9e37_79b9);
        #[expect(clippy::print_stderr, reason = "a failing test shows it")]
        {
            eprintln!("replay with WEIR_TEST_SEED={seed}");
        }
        Self(Random::new(seed))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}
