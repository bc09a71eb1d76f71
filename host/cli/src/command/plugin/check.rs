//! `weir plugin check`: whether a component is a plugin, and what it asks for.

use std::process::ExitCode;

use serde_json::json;
use weir_runtime::Manifest;

use super::{Loaded, config};
use crate::args::PluginSubject;
use crate::output::{print_json, printable};
use crate::say;

pub(super) async fn check(subject: &PluginSubject, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::new(&subject.plugin).await?;
    let manifest = loaded
        .plugin
        .describe(&config(subject.plugin_config.as_deref())?)
        .await?;
    let digest = hex::encode(loaded.plugin.digest());
    if json {
        let mut answer = manifest.to_json();
        answer["digest"] = json!(format!("sha256:{digest}"));
        answer["component_bytes"] = json!(loaded.component_bytes);
        print_json(&answer)?;
    } else {
        print(&manifest, &digest, loaded.component_bytes);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(manifest: &Manifest, digest: &str, bytes: usize) {
    say!("{} {}", printable(&manifest.name), printable(&manifest.version));
    say!("  {}", printable(&manifest.summary));
    say!("  digest   sha256:{digest}, {} KiB", bytes.div_ceil(1024));
    let reads: Vec<String> = manifest.reads().map(|field| printable(&field)).collect();
    say!("  reads    {}", list(&reads));
    if manifest.reads_actor {
        say!("           who made the change");
    }
    say!("  sinks    {}", list(&manifest.sinks));
    say!("  lookups  {}", list(&manifest.lookups));
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
    names.join(", ")
}
