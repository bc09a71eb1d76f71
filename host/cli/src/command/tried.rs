//! Cases that were tried, of a plugin or of a route: each is told, then they are counted.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Number, Value, json};

use crate::output::print_json;
use crate::say;

/// A case came out otherwise.
const FAILED: u8 = 1;

/// What came of a case.
pub(super) trait Outcome {
    fn passed(&self) -> bool;
    fn as_json(&self) -> Value;
    fn print(&self);
}

/// Tells what came of all cases. The exit code says whether each came out as expected.
pub(super) fn conclude(outcomes: &[impl Outcome], json: bool) -> Result<ExitCode> {
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    if json {
        let cases: Vec<Value> = outcomes.iter().map(Outcome::as_json).collect();
        print_json(&json!({ "cases": cases, "failed": failed }))?;
    } else {
        outcomes.iter().for_each(Outcome::print);
        say!("{} cases, {failed} failed", outcomes.len());
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// Whether two numbers are one: 700 and 700.0 are. Two integers are the same or are not, however large.
pub(super) fn same_number(left: &Number, right: &Number) -> bool {
    let are_integers = !left.is_f64() && !right.is_f64();
    left == right || !are_integers && left.as_f64() == right.as_f64()
}
