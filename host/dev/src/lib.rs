//! What `weir dev` and the tests stand on, so that trying Weir needs no account, no container and no server to set up.
//!
//! ```text
//! Shop ──▶ LocalDynamoDb ──stream──▶ Weir ──▶ PrivatePostgres
//! ```
//!
//! The Postgres is a real one in a child process; the DynamoDB is an emulator in a thread of this process; the shop
//! is the traffic: a few people who place orders and change them.
//!
//! # Invariants
//!
//! - Everything is in the folder that the caller named. A second start goes on with what the first one left,
//!   however the first one ended.
//! - Nothing is reachable from another machine, and nothing from another account without a password.
//! - A production binary has none of it: only the feature `dev` of the binary brings this crate in.

mod dynamodb;
mod postgres;
pub mod shop;

pub use dynamodb::{DynamoDbError, DynamoDbStorage, EnsureTableError, LocalDynamoDb};
pub use postgres::{CommandError, PostgresOptions, PrivatePostgres, RunError, StartError, StopError};
