//! Event patterns, as a user meets them: text and event in, a decision and its reason out.
//!
//! The cases follow the EventBridge user guide and the documentation of the open-source matcher.

mod conformance;
mod differential;
mod operators;
mod properties;
mod refusals;
mod set;
mod structure;
