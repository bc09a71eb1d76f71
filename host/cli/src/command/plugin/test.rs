//! `weir plugin test`: the cases beside a plugin, each alone, and then all of them together: that must make no difference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use weir_runtime::Batch;

use super::cases::{Case, Cases, FILE};
use super::{Loaded, Tables, change};
use crate::command::tried::{self, conclude};
use crate::output::printable;
use crate::say;

/// What came of a case.
struct Outcome {
    name: String,
    /// What was expected, and what came.
    difference: Option<(Value, Value)>,
    /// Beside the changes of other cases it comes out otherwise.
    is_unsteady: bool,
    /// Why there is no decision, if the plugin said so, and its log.
    message: String,
}

pub(super) async fn test(plugin: &Path, cases: Option<&Path>, json: bool) -> anyhow::Result<ExitCode> {
    let file = cases.map_or_else(|| cases_beside(plugin), |file| Ok(file.to_owned()))?;
    let cases = Cases::load(&file)?;
    let loaded = Loaded::new(plugin).await?;
    let tables = cases.tables()?;
    let mut outcomes = Vec::new();
    for case in &cases.cases {
        let outcome = attempt(&loaded, case, &cases.config_of(case), &tables).await;
        outcomes.push(outcome.with_context(|| format!("{}, case {:?}", file.display(), case.name))?);
    }
    for place in unsteady(&loaded, &cases, &tables).await? {
        outcomes[place].is_unsteady = true;
    }
    conclude(&outcomes, json)
}

/// `cases.toml` in the folder, or beside the component.
fn cases_beside(plugin: &Path) -> anyhow::Result<PathBuf> {
    let folder = if plugin.is_dir() { Some(plugin) } else { plugin.parent() };
    let file = folder.unwrap_or(Path::new(".")).join(FILE);
    if !file.is_file() {
        bail!(
            "there is no {} beside the plugin; name another file with --cases",
            file.display()
        );
    }
    Ok(file)
}

async fn attempt(loaded: &Loaded, case: &Case, config: &str, tables: &Tables) -> anyhow::Result<Outcome> {
    let change = change::read(&case.change)?;
    let manifest = loaded.describe(config, tables).await?;
    let measured = loaded.measure(change, config, &manifest).await?;
    let said = measured.answer.as_ref().err().map(|fault| fault.message.clone());
    let lines: Vec<String> = said
        .into_iter()
        .chain(measured.log.lines().map(str::to_owned))
        .collect();
    Ok(Outcome {
        name: case.name.clone(),
        difference: case.difference(&measured.answer),
        is_unsteady: false,
        message: lines.join("\n"),
    })
}

/// Tries all changes under one configuration together: whole, cut in two, and backwards. Places of cases where that made a
/// difference, the first one under each configuration.
async fn unsteady(loaded: &Loaded, cases: &Cases, tables: &Tables) -> anyhow::Result<Vec<usize>> {
    let mut by_config = BTreeMap::<String, Vec<usize>>::new();
    for (place, case) in cases.cases.iter().enumerate() {
        by_config.entry(cases.config_of(case)).or_default().push(place);
    }
    let mut unsteady = Vec::new();
    for (config, places) in by_config {
        let changes = places.iter().map(|place| change::read(&cases.cases[*place].change));
        let batch = Batch::new(changes.collect::<anyhow::Result<Vec<_>>>()?);
        let manifest = loaded.describe(&config, tables).await?;
        let index = loaded.unsteady(&batch, &config, &manifest).await?;
        unsteady.extend(index.map(|index| places[index]));
    }
    Ok(unsteady)
}

impl tried::Outcome for Outcome {
    fn passed(&self) -> bool {
        self.difference.is_none() && !self.is_unsteady
    }

    fn as_json(&self) -> Value {
        let (expected, came) = self.difference.clone().unzip();
        json!({
            "name": self.name,
            "passed": self.passed(),
            "unsteady": self.is_unsteady,
            "expected": expected,
            "came": came,
            "message": self.message,
        })
    }

    fn print(&self) {
        if self.passed() {
            say!("ok    {}", printable(&self.name));
            return;
        }
        say!("FAIL  {}", printable(&self.name));
        if let Some((expected, came)) = &self.difference {
            say!("      expected {}", printable(&expected.to_string()));
            say!("      came     {}", printable(&came.to_string()));
        }
        if self.is_unsteady {
            say!(
                "      beside the changes of other cases it comes out otherwise: a plugin may look at one change at a time only"
            );
        }
        for line in self.message.lines() {
            say!("      {}", printable(line));
        }
    }
}
