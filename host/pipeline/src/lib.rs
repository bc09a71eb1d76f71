//! From the stream into the ledger, and from the ledger out again.
//!
//! ```text
//! intake ── reads shards, resolves who, seals ──▶ ledger ──▶ route ── pattern, plugin ──▶ sinks
//!                                                   │
//!                                                   ├──────▶ publisher ── signs heads, asks witnesses
//!                                                   └──────▶ index ── finds the entries of an item
//! ```
//!
//! Intake, routes, the publisher and the index are tasks that know nothing of each other. What passes between them passes through
//! the ledger: a broken sink, plugin or route never stops recording. Processes share the shards that are read and the partitions of
//! routes, by the same rules ([`Heart`] says who is alive, `balance` who should have what).
//!
//! # Invariants
//!
//! - A change is in the ledger before any route sees it.
//! - A position never passes a change that is not in the ledger; a cursor never passes a delivery that is neither
//!   accepted nor parked nor a dead letter.
//! - Everything here may be killed at any instruction. What was in hand is done again, under the same ids.

mod activity;
mod balance;
mod clock;
mod eraser;
mod fault;
mod feed;
mod gate;
mod heart;
mod index;
mod intake;
mod pace;
mod precompile;
mod problem;
mod publisher;
mod route;
mod scrub;

pub use activity::{Activities, Activity};
pub use clock::{Clock, Steps};
pub use eraser::EraserTask;
pub use feed::Feed;
pub use gate::{Gates, SinkSetup};
pub use heart::{Heart, HeartPace, Member};
pub use index::IndexTask;
pub use intake::{
    Again, AgainError, AnnotatorError, AtGap, Images, Intake, IntakeError, IntakeFigures, IntakePace, IntakePlugin,
    IntakeStatus, PrepareError, ShardFigures, Source, SourceFigures, SourceSettings, SourceTable, Start, StillWithheld,
    annotate_again, redact,
};
pub use precompile::PrecompileTask;
pub use problem::error_chain;
pub use publisher::{
    Guard, GuardError, Publication, PublicationStatus, PublishError, Publisher, PublisherSettings, Witness,
};
pub use route::{
    Candidate, DeliveryState, EventDifference, EventDifferenceKind, ExplainError, Explained, ExplainedChange,
    ExplainedDecision, ExplainedDelivery, ExplainedMiss, FieldDifference, Preview, Rehearsal, RehearsalError,
    Rehearsed, RouteError, RouteSettings, Routes, RoutesPace, TableDigests, TableError, Tap, TapError, TapRequest,
    Tapped, TappedCase, TappedChange, TappedEvent, Trial, TrialError, give_tables, newest_tables,
};
pub use scrub::{ScrubTask, Scrubbed};
