//! Plugins as a route meets them: components that `plugins/build` made, and small ones written here by hand to do what
//! no SDK would let them.
//!
//! ```text
//! poison     the records of a batch that fail alone are the faults, and no others
//! shop       a real plugin decides real changes
//! guest      a component from a few lines of WebAssembly text; what follows uses it
//! describe   what a plugin says about itself
//! reading    what it may read, and what it gets
//! answers    decisions that make no sense
//! limits     memory, fuel, time, log
//! refusals   components that are no plugin
//! calls      instances, threads, many callers
//! contract   what was released of plugins/wit, and what may change in it
//! ```

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod wasi;

mod guest;

mod answers;
mod calls;
mod children;
mod contract;
mod describe;
mod limits;
mod poison;
mod privacy;
mod reading;
mod refusals;
mod shop;
