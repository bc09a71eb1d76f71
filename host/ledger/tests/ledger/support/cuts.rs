//! Cuts the wire at every request of a write, one after the other.

use weir_ledger::Ledger;

use super::{Fault, Strike, Wire, World};

/// One fault and the process that meets it.
pub(crate) struct Case<'a> {
    wire: &'a Wire,
    strike: Strike,
    pub(crate) fault: Fault,
    /// Freshly started, so that it has to do everything for the first time.
    pub(crate) process: Ledger,
    /// Counts from 0.
    pub(crate) number: u64,
}

impl Case<'_> {
    /// The fault lies in wait from here on.
    pub(crate) fn arm(&self) {
        self.wire.arm(self.strike, self.fault);
    }

    /// And not any more.
    pub(crate) fn calm(&self) {
        self.wire.calm();
    }
}

/// Plays one case for each request of a write and each way in which it can be cut. Each starts a process anew.
pub(crate) async fn at_every_cut(world: &World, mut play: impl AsyncFnMut(&Case<'_>)) {
    let wire = world.wire();
    let mut number = 0;
    for fault in Fault::CUTS {
        for request in 0.. {
            let process = world.process_over(&wire).await;
            let case = Case {
                wire: &wire,
                strike: Strike::After(request),
                fault,
                process,
                number,
            };
            play(&case).await;
            number += 1;
            if !wire.calm() {
                assert!(request > 2, "a write is a few requests, not {request}");
                break;
            }
        }
    }
}
