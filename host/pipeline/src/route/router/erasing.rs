//! What the loop has in memory, and what of it is to be erased. What waits for a sink that is away or paused may wait for long.
//!
//! # Invariants
//!
//! - Nothing is sent that was not looked at within three seconds, or read since.
//! - What waited for a sink or a pause to end is looked at after that, and before it is sent.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use weir_ledger::{Erasing, ReadError};
use weir_model::Position;

use super::Router;
use super::reading::LOOK_INTERVAL;
use crate::problem::error_chain;
use crate::route::line::Line;

/// What was found, and when it was asked.
pub(super) type Looked = (Instant, Result<BTreeMap<Position, Erasing>, ReadError>);

impl Router {
    /// Looks whether anything in memory is to be erased, if it is time.
    pub(super) fn look_for_erasures(&mut self) {
        if self.looking.is_some() || Instant::now() < self.erase_at {
            return;
        }
        let mut positions: Vec<Position> = self.lines.values().flat_map(Line::positions).collect();
        if positions.is_empty() {
            return;
        }
        positions.sort_unstable();
        positions.dedup();
        let ledger = self.ledger.clone();
        self.looking = Some(
            async move {
                let begun = Instant::now();
                (begun, ledger.erasing(positions.into_iter()).await)
            }
            .boxed(),
        );
    }

    /// Takes over what was found.
    pub(super) fn looked(&mut self, (begun, found): Looked) {
        match found {
            Ok(erasing) => {
                // What came meanwhile was not looked at.
                let known = self.read_meanwhile.take().map_or(begun, |read| read.min(begun));
                self.erase_at = known + LOOK_INTERVAL;
                if self.doubted_at.is_none_or(|doubted| doubted <= known) {
                    self.erasures_known_at = Some(known);
                } else {
                    // Something opened meanwhile.
                    self.erase_at = Instant::now();
                }
                let clock = self.rules.gates.clock();
                for line in self.lines.values_mut() {
                    line.make_again(&erasing, clock, &mut self.books);
                }
            }
            Err(error) => {
                self.erase_at = Instant::now() + LOOK_INTERVAL;
                tracing::warn!(
                    route = %self.rules.route,
                    problem = error_chain(&error),
                    "what is to be erased is not known, so nothing is sent"
                );
            }
        }
    }

    /// What was read was there when that began. It may have been read for another route, before what is in memory was looked at
    /// last.
    pub(super) fn was_read(&mut self, begun: Instant) {
        if self.looking.is_some() {
            self.read_meanwhile = Some(self.read_meanwhile.map_or(begun, |earlier| earlier.min(begun)));
        }
        if self.doubted_at.is_some_and(|doubted| begun < doubted) {
            // It may have been erased while something was paused.
            self.erasures_known_at = None;
            self.erase_at = Instant::now();
        } else if self.is_empty() {
            self.erasures_known_at = Some(begun);
            self.erase_at = begun + LOOK_INTERVAL;
        } else {
            self.erasures_known_at = self.erasures_known_at.map(|known| known.min(begun));
        }
    }

    /// Whether what is in memory was not to be erased a moment ago.
    pub(super) fn knows_erasures(&self) -> bool {
        let is_fresh = |known: Instant| known.elapsed() < LOOK_INTERVAL * 3;
        self.is_empty() || self.erasures_known_at.is_some_and(is_fresh)
    }

    /// A sink takes events again, or an operator resumed something.
    pub(super) fn doubt_erasures(&mut self) {
        self.erasures_known_at = None;
        self.doubted_at = Some(Instant::now());
        self.erase_at = Instant::now();
    }

    pub(super) fn erases_later(&self) -> bool {
        self.looking.is_none() && !self.is_empty() && Instant::now() < self.erase_at
    }
}
