//! `weir pattern`: what an event pattern makes of an event, as a route decides it. Needs no Weir that runs.

use std::io::{BufRead as _, Read as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use weir_routing::{Explanation, Miss, Pattern};

use crate::args::{PatternCommand, PatternSubject};
use crate::output::{print_error, printable};
use crate::say;

/// The pattern does not take the event.
const MISSED: u8 = 1;

/// Pattern or event cannot be read.
const CANNOT_TELL: u8 = 2;

/// Longest line of pairs, in bytes: a pattern and an event of their largest sizes, and room for blanks.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// A line of standard input.
#[derive(Deserialize)]
struct Pair<'a> {
    /// Kept as text: errors name a place in it.
    #[serde(borrow)]
    pattern: &'a RawValue,
    event: Value,
}

pub(crate) fn pattern(command: PatternCommand, json: bool) -> ExitCode {
    let (subject, explain) = match command {
        PatternCommand::Test(subject) => (subject, false),
        PatternCommand::Explain(subject) => (subject, true),
    };
    let printer = Printer { explain, json };
    let code = match subject {
        PatternSubject {
            pattern: Some(pattern),
            event: Some(event),
        } => test_files(&pattern, &event, &printer),
        _ => test_pairs(&printer),
    };
    code.unwrap_or_else(|error| {
        print_error(&error);
        ExitCode::from(CANNOT_TELL)
    })
}

fn test_files(pattern: &Path, event: &Path, printer: &Printer) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(pattern).with_context(|| format!("{} cannot be read", pattern.display()))?;
    let parsed = Pattern::parse(&text).with_context(|| format!("{} is no event pattern", pattern.display()))?;
    let text = if event == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(event)
    };
    let text = text.with_context(|| format!("{} cannot be read", event.display()))?;
    let event = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", event.display()))?;
    let explanation = parsed.explain(&event);
    printer.print(Ok(&explanation));
    Ok(match explanation {
        Explanation::Matched => ExitCode::SUCCESS,
        Explanation::Missed(_) => ExitCode::from(MISSED),
    })
}

fn test_pairs(printer: &Printer) -> anyhow::Result<ExitCode> {
    let mut lines = std::io::stdin().lock();
    let (mut line, mut is_read) = (String::new(), true);
    for number in 1_u64.. {
        line.clear();
        let bytes = (&mut lines).take(LINE_BYTES_MAX).read_line(&mut line);
        let bytes = bytes.with_context(|| format!("line {number} of standard input cannot be read"))?;
        if bytes == 0 {
            break;
        }
        ensure!(
            bytes < usize::try_from(LINE_BYTES_MAX)?,
            "line {number} of standard input has {LINE_BYTES_MAX} bytes and more"
        );
        let explanation = test_pair(&line);
        is_read &= explanation.is_ok();
        printer.print(explanation.as_ref());
    }
    Ok(if is_read {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(CANNOT_TELL)
    })
}

fn test_pair(line: &str) -> anyhow::Result<Explanation> {
    let pair: Pair<'_> =
        serde_json::from_str(line).context("a line is an object: {\"pattern\": {...}, \"event\": {...}}")?;
    let pattern = Pattern::parse(pair.pattern.get())?;
    Ok(pattern.explain(&pair.event))
}

/// How answers are printed.
struct Printer {
    /// Also why.
    explain: bool,
    json: bool,
}

impl Printer {
    fn print(&self, explanation: Result<&Explanation, &anyhow::Error>) {
        if self.json {
            say!("{}", self.as_json(explanation));
            return;
        }
        match explanation {
            Err(error) => say!("error: {}", printable(&format!("{error:#}"))),
            Ok(explanation) if self.explain => say!("{}", printable(&explanation.to_string())),
            Ok(Explanation::Matched) => say!("matched"),
            Ok(Explanation::Missed(_)) => say!("missed"),
        }
    }

    fn as_json(&self, explanation: Result<&Explanation, &anyhow::Error>) -> Value {
        let misses = match explanation {
            Err(error) => return json!({"error": format!("{error:#}")}),
            Ok(Explanation::Matched) => &[][..],
            Ok(Explanation::Missed(misses)) => misses,
        };
        let miss = |miss: &Miss| json!({"path": miss.path, "rule": miss.rule, "found": miss.found});
        let mut answer = json!({"matched": misses.is_empty()});
        if self.explain {
            answer["misses"] = misses.iter().map(miss).collect();
        }
        answer
    }
}
