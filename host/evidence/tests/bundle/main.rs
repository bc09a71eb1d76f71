//! Bundles and proofs as an auditor meets them: bytes and a public key in, a verdict out.
//!
//! | file | |
//! | --- | --- |
//! | `fixture.rs` | a small ledger with everything in it, and how to make bundles of it that lie |
//! | `proved.rs` | what is as it was recorded proves |
//! | `tampered.rs` | for every check, a change that it alone finds |
//! | `table.rs` | the same as a table: none of the numbered checks can be left out |
//! | `earlier.rs` | the checkpoint that the auditor held before |
//! | `flips.rs` | every changed byte, with hashes made again and without; bytes from strangers |
//! | `tlog_proof.rs` | the proof of one entry |
//! | `second.rs` | the second verifier says the same of thousands of changed files (`mutants.rs`) |

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod earlier;
mod fixture;
mod flips;
mod mutants;
mod proved;
mod second;
mod table;
mod tampered;
mod tlog_proof;
