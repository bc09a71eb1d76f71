//! Which events a route takes, what is said of them, in what order they may go, and when a failed delivery is tried again.
//!
//! Pure: no I/O, no async, no clock. The same input gives the same answer on every machine and at every re-run.

mod breaker;
mod order;
mod pattern;
mod retry;
mod template;
mod watermark;

pub use breaker::{Admission, Breaker};
pub use order::{Outbox, RequestLimits, Ticket};
pub use pattern::{Explanation, Miss, Pattern, PatternError, PatternProblem, PatternSet, Subject};
pub use retry::RetrySchedule;
pub use template::{DetailTemplate, Template, TemplateError};
pub use watermark::Watermark;
