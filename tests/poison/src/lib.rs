//! A plugin that misbehaves on request.
//!
//! The host promises that a plugin can hurt nothing but its own call: an endless loop is stopped, memory is capped, a
//! trap sends nothing, and of a failed batch only the records that fail alone are set aside. To hold the host to that,
//! tests need a guest whose failures they can place on single records. This is it; it is never shipped.
//!
//! The text at `/poison` of the new image says what happens:
//!
//! ```text
//! loop     spins for ever
//! memory   takes memory without end, and touches it
//! trap     panics, which is a trap in a guest
//! reject   the change is rejected with the code asked-for
//! error    the batch is answered with an error
//! ```
//!
//! Every other change is kept.

use std::hint;

use weir_plugin_sdk::{Batch, ConfigProblem, Decisions, Error, Field, Manifest, Router, export_router};

/// A step that a small cap notices soon and a large one reaches in reasonable time.
const MEMORY_STEP_BYTES: usize = 1 << 20;

/// The smallest page that a host's kernel hands out.
const PAGE_BYTES: usize = 4096;

struct Poison;

impl Router for Poison {
    fn configure(_config: &str) -> Result<Self, Vec<ConfigProblem>> {
        Ok(Self)
    }

    fn manifest(&self) -> Manifest {
        Manifest::new("poison", env!("CARGO_PKG_VERSION"), "Misbehaves as its records ask.")
            .reads([Field::new_image("/poison")])
    }

    fn route(&self, batch: &Batch, decisions: &mut Decisions) -> Result<(), Error> {
        for (index, poison) in batch.texts(&Field::new_image("/poison")).into_iter().enumerate() {
            match poison.as_deref() {
                Some("loop") => spin(),
                Some("memory") => take_memory(),
                Some("trap") => panic!("the record asked for a trap"),
                Some("reject") => decisions.reject(index, "asked-for", "the record asked for a rejection"),
                Some("error") => return Err("the record asked for an error".into()),
                _ => {}
            }
        }
        Ok(())
    }
}

export_router!(Poison);

fn spin() -> ! {
    loop {
        hint::spin_loop();
    }
}

fn take_memory() -> ! {
    let mut taken = Vec::new();
    loop {
        let mut step = Vec::<u8>::with_capacity(MEMORY_STEP_BYTES);
        // A byte in each page touches it. Filling, even with zeros, costs fuel for every byte, and a guest that is to
        // run out of memory must not run out of fuel first.
        for page in step.spare_capacity_mut().chunks_mut(PAGE_BYTES) {
            page[0].write(1);
        }
        taken.push(hint::black_box(step));
    }
}
