//! The HTTP API: everything that asks or steers goes through here, so there is one implementation and one place for
//! access rules.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /checkpoint`, `GET /tile/...` | the signed head and its tree, as C2SP `tlog-tiles` says; without a token |
//! | `GET /tile/entries/...` | entries, as C2SP `tlog-tiles` says |
//! | `GET /v1/ledger` | [`LedgerHead`] |
//! | `POST /v1/ledger/adopt`, `POST /v1/ledger/continue` | [`Decided`] |
//! | `GET /v1/entries?from=...&show=...` | [`Entries`] |
//! | `GET /v1/proofs/inclusion`, `.../consistency`, `.../range` | [`ProofHashes`] |
//! | `POST /v1/erasures`, `GET /v1/erasures` | [`ErasureState`], [`Erasures`] |
//! | `POST /v1/holds`, `GET /v1/holds`, `POST /v1/holds/{id}/release` | [`HoldState`], [`Holds`] |
//! | `GET /v1/tables/{table}/history?key=...` | [`History`] |
//! | `GET /v1/routes`, `GET /v1/sinks`, `GET /v1/parked?route=...` | [`Routes`], [`Sinks`], [`ParkedDeliveries`] |
//! | `POST /v1/routes/{route}/pause`, `.../resume`, `POST /v1/sinks/{sink}/pause`, `.../resume` | [`Paused`] |
//! | `POST /v1/routes/{route}/replay`, `.../replay/preview`, `.../replay/cancel` | [`ReplayState`], [`Preview`], [`ReplayCancelled`] |
//! | `GET /v1/dead-letters?route=...&code=...&after=...`, `.../{delivery}` | [`DeadLetters`], [`weir_ledger::DeadLetter`] |
//! | `POST /v1/dead-letters/redrive`, `.../drop` | [`DeadLettersOrdered`] |
//! | `POST /v1/plugins` (a form: `component`, `signature`, `config`), `GET /v1/plugins`, `.../{plugin}` | [`PluginState`], [`Plugins`] |
//! | `POST /v1/lookups/{name}` (a JSON object), `GET /v1/lookups` | [`LookupState`], [`Lookups`] |
//! | `POST /v1/routes/{route}/promote`, `.../promote/preview`, `.../rollback` | [`Promoted`], [`PromotePreview`] |
//! | `GET /v1/routes/{route}/versions` | [`RouteVersions`] |
//! | `GET /v1/routes/{route}/explain/{position}` | [`Explained`] |
//! | `POST /v1/tap` ([`TapRequest`]) | [`Tapped`] |
//! | `GET /v1/withheld`, `.../{position}`, `POST /v1/withheld/annotate` | [`WithheldChanges`], [`WithheldChange`], [`AnnotatedAgain`] |
//! | `GET /v1/shards` | [`Shards`] |
//! | `POST /v1/configuration`, `GET /v1/configuration` | [`Applied`], [`Configuration`] |
//! | `GET /v1/workers`, `POST /v1/workers/{worker}/drain`, `.../resume` | [`Workers`] |
//! | `GET /metrics` | figures of this process, as Prometheus reads them; without a token |
//! | `GET /livez`, `GET /readyz` | 200 or 503, without a token; 503 names what does not move |
//!
//! Everything under `/v1`, and entries, want `Authorization: Bearer TOKEN`. The token of auditors reads entries, proofs and
//! the head, and nothing of bodies. An error is `{"error": {"code": "...", "message": "..."}}`
//! with the fitting status.
//!
//! # Invariants
//!
//! - Nothing is shown that was not checked against the stored entry.
//! - No answer has more than a page; who wants more asks for the next.

mod configuration;
mod dead_letter;
mod delivery;
mod erasure;
mod error;
mod explain;
mod gate;
mod history;
mod key;
mod ledger;
mod lookup;
mod metrics;
mod plugin;
mod promotion;
mod proof;
mod publication;
mod replay;
mod route;
mod server;
mod shard;
mod tap;
mod token;
mod withheld;

pub use configuration::{Applied, ApplyRequest, Configuration, Configure, PlanChange, PlanStep};
pub use dead_letter::{DeadLetterOrder, DeadLetters, DeadLettersOrdered};
pub use delivery::{
    ParkedDeliveries, ParkedDelivery, PauseState, Paused, ReasonRequest, RoutePartition, RouteState, Routes, SinkState,
    Sinks,
};
pub use erasure::{About, ErasureRequest, ErasureState, Erasures, HoldRequest, HoldState, Holds};
pub use error::{ErrorAnswer, ErrorBody};
pub use gate::{PluginGate, TrustedKey, TrustedKeyError};
pub use history::{Change, Difference, History};
pub use ledger::{LedgerHead, Published, ScrubState};
pub use lookup::{LookupState, Lookups};
pub use plugin::{PluginState, Plugins};
pub use promotion::{PromotePreview, PromotePreviewRequest, PromoteRequest, Promoted, RollbackRequest};
pub use proof::{Entries, ProofHashes, ShownEntry};
pub use publication::{ContinueRequest, Decided};
pub use replay::{ReplayCancelled, ReplayRequest, ReplayState};
pub use route::{RouteHaltState, RouteVersionState, RouteVersions};
pub use weir_pipeline::{
    DeliveryState, EventDifference, EventDifferenceKind, Explained, ExplainedChange, ExplainedDecision,
    ExplainedDelivery, ExplainedMiss, FieldDifference, Preview, TapRequest, Tapped, TappedCase, TappedChange,
    TappedEvent, Trial,
};
pub use withheld::{AnnotateAgain, AnnotatedAgain, StillWithheldChange, WithheldChange, WithheldChanges};

pub use server::{Api, ServeError, Tokens};
pub use shard::{RefusedConfiguration, ShardState, Shards, WorkerState, Workers};
pub use token::{Token, TokenError, write_new};
