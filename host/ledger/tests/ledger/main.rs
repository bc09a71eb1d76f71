//! The ledger, as its users notice it: what is recorded is there once, in order, for good, and a change of it shows.
//!
//! Postgres is real and each test has a database of its own: `tests/with-postgres cargo test -p weir-ledger`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod append;
mod fencing;
mod groups;
mod ledgers;
mod opening;
mod refused;
mod streams;
mod together;

mod faults;
mod frozen;
mod given_up;
mod kills;

mod accounts;
mod append_only;
mod flips;
mod roles;
mod switched_off;
mod tampering;
mod unaccounted;
mod unseen;

mod body_keys;
mod checkpoints;
mod erased;
mod erasing_meanwhile;
mod erasure;
mod handed_over;
mod large;
mod parked;
mod partitions;
mod promotions;
mod reading;
mod same_bytes;

mod configurations;
mod consumers;
mod item_index;
mod leases;
mod route_partitions;
mod route_versions;
mod withheld;
