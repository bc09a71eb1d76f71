//! What a plugin fails with, and what the host sees of it: one line of text.

use crate::ConfigProblem;

/// What a plugin may fail with: any error, or a text (`"no such plan".into()`).
pub type Error = Box<dyn std::error::Error>;

/// The whole chain in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// A configuration that was accepted once and is not now.
pub(crate) fn refused(problems: Vec<ConfigProblem>) -> String {
    let lines: Vec<_> = problems
        .into_iter()
        .map(|problem| format!("{:?} {}", problem.path, problem.message))
        .collect();
    lines.join("; ")
}
