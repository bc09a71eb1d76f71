//! Routes at work on a real ledger, in this process: a sink that does as a test says, a clock that moves when it is stepped, and
//! a task that may end at any moment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod outages;
mod parking;
mod replays;
mod shared;
mod sharing;
mod sink;
mod stage;
