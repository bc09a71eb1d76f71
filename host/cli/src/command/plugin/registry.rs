//! `weir plugin push | list | show | promote | rollback | versions`: plugins of a Weir that runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use weir_api::{
    PluginState, Plugins, PromotePreview, PromotePreviewRequest, PromoteRequest, Promoted, RollbackRequest,
    RouteVersionState, RouteVersions, Trial,
};

use super::{component, config};
use crate::args::{PluginSubject, PromoteArgs, RollbackArgs};
use crate::client::Client;
use crate::command::preview;
use crate::config::{ConfigPath, Loaded};
use crate::output::{print_json, printable};
use crate::say;

/// Digits of a digest that are shown in lists.
const DIGITS_SHOWN: usize = 12;

pub(super) async fn push(config_path: &ConfigPath, subject: &PluginSubject, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&config_path.load()?)?;
    let file = component(&subject.plugin).await?;
    let pushed = upload(&client, &file, config(subject.plugin_config.as_deref())?).await?;
    if json {
        print_json(&pushed)?;
    } else {
        print(&pushed);
        if pushed.runs_on.is_empty() {
            say!("run it on a route: weir plugin promote {}", printable(&pushed.name));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Uploads the component in a file, with the signature beside it if there is one.
pub(in crate::command) async fn upload(client: &Client, file: &Path, config: String) -> anyhow::Result<PluginState> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    let mut form = Form::new()
        .part("component", Part::bytes(read(file)?))
        .text("config", config);
    let signature = with_ending(file, "minisig");
    if signature.exists() {
        form = form.part("signature", Part::bytes(read(&signature)?));
    }
    client.upload(&["v1", "plugins"], form).await
}

pub(super) async fn list(config_path: &ConfigPath, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&config_path.load()?)?;
    let listed: Plugins = client.get(&["v1", "plugins"], &[]).await?;
    if json {
        print_json(&listed)?;
        return Ok(ExitCode::SUCCESS);
    }
    for plugin in &listed.plugins {
        let runs_on = if plugin.runs_on.is_empty() {
            String::new()
        } else {
            format!("  on {}", names(&plugin.runs_on))
        };
        say!(
            "{}@{}  {}  {}{runs_on}",
            printable(&plugin.name),
            printable(&plugin.version),
            short(&plugin.digest),
            plugin.uploaded_at,
        );
    }
    if listed.plugins.is_empty() {
        say!("no plugin was uploaded yet: weir plugin push FOLDER");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn show(config_path: &ConfigPath, plugin: &str, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&config_path.load()?)?;
    let shown: PluginState = client.get(&["v1", "plugins", plugin], &[]).await?;
    if json {
        print_json(&shown)?;
    } else {
        print(&shown);
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn promote(config_path: &ConfigPath, args: PromoteArgs, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = config_path.load()?;
    let route = route(&loaded, args.route)?;
    let config = args
        .plugin_config
        .as_deref()
        .map(|given| config(Some(given)))
        .transpose()?;
    let request = PromoteRequest {
        plugin: args.plugin,
        config: config
            .map(|text| serde_json::from_str(&text).context("the plugin's configuration is no JSON"))
            .transpose()?,
        grant: args.grant,
        reason: args.reason.unwrap_or_default(),
    };
    let client = Client::new(&loaded)?;
    if args.dry_run {
        return preview(&client, &route, &request, args.from, args.to, json).await;
    }
    let promoted: Promoted = client
        .post_patiently(&["v1", "routes", &route, "promote"], &request)
        .await?;
    tell(&route, &promoted, json)
}

/// Shows what a promotion would change, and promotes nothing.
async fn preview(
    client: &Client,
    route: &str,
    promote: &PromoteRequest,
    from: Option<u64>,
    to: Option<u64>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let path = ["v1", "routes", route, "promote", "preview"];
    let mut tried = Trial::default();
    let all = preview::whole(from, to, async |from, to| {
        let page = PromotePreviewRequest {
            promote: promote.clone(),
            from,
            to,
        };
        let page: PromotePreview = client.post_patiently(&path, &page).await?;
        tried = page.tried;
        Ok(page.preview)
    });
    let preview = all.await?;
    if json {
        print_json(&PromotePreview { tried, preview })?;
    } else {
        say!("{}", outcome(&tried));
        preview::print(&preview);
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn roll_back(config_path: &ConfigPath, args: RollbackArgs, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = config_path.load()?;
    let route = route(&loaded, args.route)?;
    let request = RollbackRequest {
        version: args.to,
        reason: args.reason.unwrap_or_default(),
    };
    let promoted: Promoted = Client::new(&loaded)?
        .post(&["v1", "routes", &route, "rollback"], &request)
        .await?;
    tell(&route, &promoted, json)
}

pub(super) async fn versions(config_path: &ConfigPath, named: Option<String>, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = config_path.load()?;
    let route = route(&loaded, named)?;
    let listed: RouteVersions = Client::new(&loaded)?
        .get(&["v1", "routes", &route, "versions"], &[])
        .await?;
    if json {
        print_json(&listed)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(halt) = &listed.halted {
        say!(
            "halted before position {} since {}: version {} fails there ({}); `weir plugin promote` or `rollback` goes on there",
            halt.position,
            halt.since,
            halt.version,
            printable(&halt.code)
        );
    }
    for version in &listed.versions {
        say!(
            "{:>4}  from position {}: {}",
            version.version,
            version.from_position,
            runs(version)
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The route that is named, or the only one there is.
fn route(loaded: &Loaded, named: Option<String>) -> anyhow::Result<String> {
    if let Some(named) = named {
        return Ok(named);
    }
    let routes: Vec<&String> = loaded.config.route.keys().collect();
    ensure!(
        routes.len() == 1,
        "say which route with --route: the configuration has {}",
        if routes.is_empty() {
            "none".to_owned()
        } else {
            routes.iter().map(|route| route.as_str()).collect::<Vec<_>>().join(", ")
        }
    );
    Ok(routes[0].clone())
}

fn tell(route: &str, promoted: &Promoted, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        print_json(promoted)?;
        return Ok(ExitCode::SUCCESS);
    }
    let version = &promoted.version;
    if let Some(tried) = &promoted.tried {
        say!("{}", outcome(tried));
    }
    say!(
        "route {} runs {} from position {} on, as version {}",
        printable(route),
        runs(version),
        version.from_position,
        version.version
    );
    Ok(ExitCode::SUCCESS)
}

fn outcome(tried: &Trial) -> String {
    if tried.changes == 0 {
        return "nothing is recorded yet that it could be tried on".to_owned();
    }
    let mut parts = vec![format!("{} kept", tried.kept), format!("{} dropped", tried.dropped)];
    for (count, what) in [
        (tried.outputs, "events made"),
        (tried.rejected, "rejected"),
        (tried.failed, "failed"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let failure = tried
        .failure
        .as_deref()
        .map(|failure| format!(" ({})", printable(failure)));
    format!(
        "tried on the last {} recorded changes, nothing was sent: {}{}",
        tried.changes,
        parts.join(", "),
        failure.unwrap_or_default()
    )
}

fn runs(version: &RouteVersionState) -> String {
    let Some(digest) = &version.plugin else {
        return "no plugin".to_owned();
    };
    let name = version
        .plugin_name
        .as_deref()
        .map_or("a plugin from a file".to_owned(), printable);
    let config = match &version.plugin_config {
        Value::Object(config) if config.is_empty() => String::new(),
        config => format!(" with {}", printable(&config.to_string())),
    };
    format!("{name} ({}){config}", short(digest))
}

fn print(plugin: &PluginState) {
    say!("{} {}", printable(&plugin.name), printable(&plugin.version));
    say!(
        "  {}",
        printable(plugin.manifest["summary"].as_str().unwrap_or_default())
    );
    say!(
        "  digest   sha256:{}, {} KiB",
        plugin.digest,
        plugin.bytes.div_ceil(1024)
    );
    for what in ["reads", "sinks", "lookups"] {
        let listed = plugin.manifest[what].as_array();
        let listed: Vec<String> = listed
            .map(|listed| {
                listed
                    .iter()
                    .filter_map(|name| name.as_str().map(str::to_owned))
                    .collect()
            })
            .unwrap_or_default();
        say!("  {what:<8} {}", names(&listed));
    }
    if plugin.manifest["reads_actor"] == true {
        say!("           who made the change");
    }
    if let Some(signer) = &plugin.signer {
        say!("  signed   by {}", printable(signer));
    }
    say!("  uploaded {}, entry {}", plugin.uploaded_at, plugin.position);
    say!("  runs on  {}", names(&plugin.runs_on));
}

fn names(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(", ")
}

/// `plugin.wasm` as `plugin.wasm.minisig`, as minisign names it.
fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// The first digits of a digest, enough to name it.
fn short(digest: &str) -> &str {
    digest.get(..DIGITS_SHOWN).unwrap_or(digest)
}
