//! Signed heads, as operators, auditors and witnesses meet them: proofs that check offline, the guard, restored back-ups, and what
//! must not be erased.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod auditors;
mod guard;
mod holds;
mod restored;
mod shop;
