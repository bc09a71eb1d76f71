//! `weir plugin run`: changes from a file, each by itself, and what came of it and what that took.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};
use weir_model::AttributedChange;
use weir_runtime::Measured;

use super::answer::{Answer, annotation_of, outputs_of, verdict};
use super::{Loaded, change, config, tables};
use crate::args::PluginSubject;
use crate::output::printable;
use crate::say;

pub(super) async fn run(subject: &PluginSubject, changes: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::new(&subject.plugin).await?;
    let config = config(subject.plugin_config.as_deref())?;
    let manifest = loaded.describe(&config, &tables(&subject.lookups)?).await?;
    for (line, change) in (1_usize..).zip(read_changes(changes)?) {
        let measured = loaded.measure(change, &config, &manifest).await?;
        if json {
            say!("{}", as_json(line, &measured));
        } else {
            print(line, &measured);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Changes of a file in JSON Lines, or of standard input for `-`.
pub(super) fn read_changes(file: &Path) -> anyhow::Result<Vec<AttributedChange>> {
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input cannot be read")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let place = || format!("{}, line {}", file.display(), index + 1);
            let document: Value = serde_json::from_str(line).with_context(place)?;
            change::read(&document).with_context(place)
        })
        .collect()
}

fn as_json(line: usize, measured: &Measured<Answer>) -> Value {
    let message = measured.answer.as_ref().err().map(|fault| fault.message.as_str());
    json!({
        "change": line,
        "decision": verdict(&measured.answer),
        "message": message,
        "outputs": outputs_of(&measured.answer),
        "annotation": annotation_of(&measured.answer),
        "fuel": measured.fuel,
        "memory_bytes": measured.memory_bytes,
        "log": measured.log.lines().collect::<Vec<_>>(),
    })
}

fn print(line: usize, measured: &Measured<Answer>) {
    say!(
        "{line:>4}  {}  fuel {}, {} KiB",
        printable(&verdict(&measured.answer)),
        measured.fuel,
        measured.memory_bytes / 1024,
    );
    if let Err(fault) = &measured.answer {
        say!("      {}", printable(&fault.message));
    }
    for output in outputs_of(&measured.answer) {
        let text = |name: &str| output[name].as_str().map(printable);
        let to = text("sink").map(|sink| format!(" to {sink}")).unwrap_or_default();
        say!(
            "      + {}{to} {}",
            text("type").unwrap_or_default(),
            printable(&output["detail"].to_string())
        );
    }
    if let Some(annotation) = annotation_of(&measured.answer) {
        say!("      + {}", printable(&annotation.to_string()));
    }
    for logged in measured.log.lines() {
        say!("      log: {}", printable(logged));
    }
}
