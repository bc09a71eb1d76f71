//! What the service does, as the unmodified SDK sees it. `Line 12` is the line of that number in the list of behaviours
//! that the simulator was written from.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod control;
mod discovery;
mod faults;
mod limits;
mod process;
mod reading;
mod records;
mod shard_end;
mod sinks;
mod storm;
mod support;
mod trimming;
