//! `weir test`: the cases of the configuration's routes, each from the change to what would be sent. Nothing runs, and nothing is
//! sent: no Postgres, no network.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};
use weir_model::is_reserved;
use weir_pipeline::{Rehearsal, Rehearsed, TableDigests};
use weir_runtime::Hook;

use super::plugin::{Loaded as LoadedPlugin, change, tables};
use super::tried::{self, conclude, same_number};
use crate::args::TestArgs;
use crate::config::{ConfigPath, ExpectedDelivery, Loaded, RouteCase, RouteConfig};
use crate::output::printable;
use crate::say;

/// Members of `detail` that say where a change was recorded, beside those that only Weir sets.
const OF_THE_RECORD: [&str; 2] = ["shard", "sequence"];

/// What came of a case.
struct Outcome {
    route: String,
    name: String,
    expected: Vec<Value>,
    came: Vec<Value>,
    is_met: bool,
}

pub(crate) async fn test(config: &ConfigPath, args: TestArgs, json: bool) -> Result<ExitCode> {
    let loaded = config.load()?;
    let routes: Vec<_> = match &args.route {
        None => loaded.config.route.iter().collect(),
        Some(name) => {
            let route = loaded.config.route.get_key_value(name);
            vec![route.with_context(|| format!("there is no [route.{name}]"))?]
        }
    };
    ensure!(
        routes.iter().any(|(_, route)| !route.case.is_empty()),
        "there are no cases to try: write some under [[route.NAME.case]], each with `name`, `change` and `expect`"
    );
    let mut outcomes = Vec::new();
    for (name, route) in routes {
        if route.case.is_empty() {
            continue;
        }
        let rehearsal = rehearsal(&loaded, name, route, &args.lookups)
            .await
            .with_context(|| format!("[route.{name}] cannot be tried"))?;
        for case in &route.case {
            let outcome = attempt(&loaded, name, route, &rehearsal, case).await;
            outcomes.push(outcome.with_context(|| format!("[[route.{name}.case]] {:?}", case.name))?);
        }
    }
    conclude(&outcomes, json)
}

async fn rehearsal(loaded: &Loaded, name: &str, route: &RouteConfig, lookups: &[String]) -> Result<Rehearsal> {
    let plugin_config = serde_json::to_string(&route.plugin_config)?;
    let plugin = match &route.plugin {
        Some(path) => {
            let plugin = LoadedPlugin::new(&loaded.path(path)).await?;
            ensure!(plugin.plugin.hook() == Hook::Route, Hook::Intake.instead());
            let manifest = plugin.describe(&plugin_config, &tables(lookups)?).await?;
            Some((plugin.plugin, manifest))
        }
        None => None,
    };
    let digest = plugin.as_ref().map(|(plugin, _)| plugin.digest());
    // Its tables are given by hand.
    let definition = route.definition(digest, plugin_config, TableDigests::new());
    Ok(Rehearsal::new(name, definition, plugin)?)
}

async fn attempt(
    loaded: &Loaded,
    name: &str,
    route: &RouteConfig,
    rehearsal: &Rehearsal,
    case: &RouteCase,
) -> Result<Outcome> {
    let mut change = change::read(&case.change)?;
    let source = loaded.config.source.get(&route.source);
    if let Some(table) = source.and_then(|source| source.table.as_ref())
        && case.change.get("table").is_none()
    {
        change.change.table.clone_from(table);
    }
    let came = rehearsal.of(change).await?;
    let is_met = |(expected, came): (&ExpectedDelivery, &Rehearsed)| is_met(expected, came);
    Ok(Outcome {
        route: name.to_owned(),
        name: case.name.clone(),
        is_met: case.expect.len() == came.len() && case.expect.iter().zip(&came).all(is_met),
        expected: case.expect.iter().map(|expected| json!(expected)).collect(),
        came: came.iter().map(shown).collect(),
    })
}

fn is_met(expected: &ExpectedDelivery, came: &Rehearsed) -> bool {
    let of = |expected: &Option<String>, came: &str| expected.as_deref().is_none_or(|expected| expected == came);
    match came {
        Rehearsed::Sent { sink, event } => {
            let has = |detail: &Map<String, Value>| has_members(&event.detail.object(), detail);
            expected.dead_letter.is_none()
                && expected.halts.is_none()
                && of(&expected.sink, sink)
                && of(&expected.detail_type, &event.detail_type)
                && expected.detail.as_ref().is_none_or(has)
        }
        Rehearsed::DeadLetter { code, .. } => expected.dead_letter.as_ref() == Some(code),
        Rehearsed::Halts { code } => expected.halts.as_ref() == Some(code),
    }
}

fn has_members(found: &Map<String, Value>, expected: &Map<String, Value>) -> bool {
    let has = |(name, expected): (&String, &Value)| found.get(name).is_some_and(|found| says(found, expected));
    expected.iter().all(has)
}

/// Whether a value is what is expected. Objects may have more members, and numbers are compared by value.
fn says(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => has_members(found, expected),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, expected)| says(found, expected))
        }
        (Value::Number(found), Value::Number(expected)) => same_number(found, expected),
        (found, expected) => found == expected,
    }
}

/// What came, without what says where it was recorded: nothing was.
fn shown(came: &Rehearsed) -> Value {
    match came {
        Rehearsed::Sent { sink, event } => {
            let is_of_change = |name: &str| !is_reserved(name) && !OF_THE_RECORD.contains(&name);
            let detail = event.detail.object();
            let members = detail.iter().filter(|(name, _)| is_of_change(name));
            let detail: Map<String, Value> = members.map(|(name, value)| (name.clone(), value.clone())).collect();
            json!({ "sink": sink, "type": event.detail_type, "detail": detail })
        }
        Rehearsed::DeadLetter { code, reason } => json!({ "dead_letter": code, "reason": reason }),
        Rehearsed::Halts { code } => json!({ "halts": code }),
    }
}

impl tried::Outcome for Outcome {
    fn passed(&self) -> bool {
        self.is_met
    }

    fn as_json(&self) -> Value {
        json!({
            "route": self.route,
            "name": self.name,
            "passed": self.is_met,
            "expected": self.expected,
            "came": self.came,
        })
    }

    fn print(&self) {
        let (route, name) = (printable(&self.route), printable(&self.name));
        if self.is_met {
            say!("ok    {route}: {name}");
            return;
        }
        say!("FAIL  {route}: {name}");
        let print = |what: &str, all: &[Value]| match all {
            [] => say!("      {what} nothing"),
            all => all
                .iter()
                .for_each(|one| say!("      {what} {}", printable(&one.to_string()))),
        };
        print("expected", &self.expected);
        print("came    ", &self.came);
    }
}
