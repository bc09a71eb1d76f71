//! `weir plugin`: begin, build, check and try plugins, and put them on the routes of a Weir that runs.
//!
//! ```text
//! new ──▶ a package ──▶ build ──▶ a component ──▶ check: what an upload would answer
//!                                          ├────▶ run:   changes from a file, and what each took
//!                                          ├────▶ test:  cases beside the plugin
//!                                          ├────▶ bench: how long a batch takes
//!                                          └────▶ push ──▶ the registry ──▶ promote ──▶ a route ◀── rollback
//! ```
//!
//! What stands before `push` needs no Weir that runs, no Postgres and no network.
//!
//! Where a component is wanted, a package's folder will do: it is built.

mod answer;
mod bench;
mod build;
mod cases;
pub(super) mod change;
mod check;
mod new;
mod registry;
mod run;
mod test;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use weir_runtime::{Limits, LookupTable, Manifest, Plugin, Runtime};

pub(in crate::command) use self::registry::upload;
use crate::args::{PluginArgs, PluginCommand};
use crate::config::ConfigPath;

pub(crate) async fn plugin(config: &ConfigPath, args: PluginArgs, json: bool) -> anyhow::Result<ExitCode> {
    match args.command {
        PluginCommand::New { folder, annotator } => new::new(&folder, annotator),
        PluginCommand::Build { folder } => build::command(&folder, json).await,
        PluginCommand::Check(subject) => check::check(&subject, json).await,
        PluginCommand::Run { subject, changes } => run::run(&subject, &changes, json).await,
        PluginCommand::Test { plugin, cases } => test::test(&plugin, cases.as_deref(), json).await,
        PluginCommand::Bench { subject, changes } => bench::bench(&subject, &changes, json).await,
        PluginCommand::Push(subject) => registry::push(config, &subject, json).await,
        PluginCommand::List => registry::list(config, json).await,
        PluginCommand::Show { plugin } => registry::show(config, &plugin, json).await,
        PluginCommand::Promote(promote) => registry::promote(config, promote, json).await,
        PluginCommand::Rollback(rollback) => registry::roll_back(config, rollback, json).await,
        PluginCommand::Versions { route } => registry::versions(config, route, json).await,
    }
}

/// Lookup tables, by name.
pub(super) type Tables = BTreeMap<String, Arc<LookupTable>>;

/// A plugin that is loaded as the host loads it.
pub(super) struct Loaded {
    pub(super) plugin: Plugin,
    component_bytes: usize,
}

impl Loaded {
    /// Loads a component, or what a package's folder is built to.
    pub(super) async fn new(path: &Path) -> anyhow::Result<Self> {
        let file = component(path).await?;
        let component = std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let component_bytes = component.len();
        let runtime = Runtime::start(Limits::default())?;
        let plugin = runtime.load(component).await;
        Ok(Self {
            plugin: plugin.with_context(|| file.display().to_string())?,
            component_bytes,
        })
    }

    /// What it asks for, with the tables that it is given.
    pub(super) async fn describe(&self, config: &str, tables: &Tables) -> anyhow::Result<Arc<Manifest>> {
        let manifest = self.plugin.describe(config).await?;
        let given = manifest.with_tables(tables).map_err(|missing| {
            let missing = missing.0.join(", ");
            anyhow::anyhow!(
                "the plugin looks up in the table {missing}: give it with --lookup NAME=FILE, or under [lookup.NAME] of the plugin's cases"
            )
        })?;
        Ok(Arc::new(given))
    }
}

async fn component(path: &Path) -> anyhow::Result<PathBuf> {
    if path.is_dir() {
        build::build(path).await
    } else {
        Ok(path.to_owned())
    }
}

/// Tables from the command line: `NAME=FILE`.
pub(super) fn tables(given: &[String]) -> anyhow::Result<Tables> {
    let tables = given.iter().map(|given| {
        let (name, file) = given
            .split_once('=')
            .with_context(|| format!("--lookup {given:?}: give the table's name, `=`, and its file"))?;
        let text = std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read"))?;
        let table = LookupTable::parse(&text).with_context(|| file.to_owned())?;
        Ok((name.to_owned(), Arc::new(table)))
    });
    tables.collect()
}

/// A configuration from the command line: JSON, or `@` and the name of a file with it.
pub(super) fn config(given: Option<&str>) -> anyhow::Result<String> {
    match given {
        None => Ok("{}".to_owned()),
        Some(given) => match given.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read")),
            None => Ok(given.to_owned()),
        },
    }
}
