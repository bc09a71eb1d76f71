//! EventBridge: what becomes of each event, whatever becomes of its request, and what is on the wire.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest of it")]
mod support;

mod outcomes;
mod wire;
