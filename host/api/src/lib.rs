//! The HTTP API: everything that asks or steers goes through here, so there is one implementation and one place for
//! access rules.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/ledger` | [`LedgerHead`] |
//! | `GET /v1/tables/{table}/history?key=...` | [`History`] |
//! | `GET /v1/dead-letters?route=...` | [`DeadLetters`] |
//! | `GET /livez`, `GET /readyz` | 200 or 503, without a token |
//!
//! Everything under `/v1` wants `Authorization: Bearer TOKEN`. An error is `{"error": {"code": "...", "message": "..."}}`
//! with the fitting status.
//!
//! # Invariants
//!
//! - Nothing is shown that was not checked against the stored entry.
//! - No answer has more than a page; who wants more asks for the next.

mod error;
mod history;
mod key;
mod ledger;
mod server;
mod token;

pub use error::{ErrorAnswer, ErrorBody};
pub use history::{Change, Difference, History};
pub use ledger::{DeadLetters, LedgerHead};
pub use server::{Api, ServeError};
pub use token::{Token, TokenError, write_new};
