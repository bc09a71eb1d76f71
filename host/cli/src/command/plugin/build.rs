//! `weir plugin build`: a package as a component.
//!
//! `plugins/build` of this repository knows the toolchain and brings what is missing; it is part of this binary.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;

use crate::output::print_json;
use crate::say;

const SCRIPT: &str = include_str!("../../../../../plugins/build");

/// A first build makes a standard library and compiles a dozen crates.
const BUILD_TIMEOUT: Duration = Duration::from_secs(30 * 60);

const METADATA_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// What of `cargo metadata` is read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

pub(super) async fn command(folder: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let component = build(folder).await?;
    if json {
        print_json(&json!({"component": component}))?;
    } else {
        say!("{}", component.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds a package's folder. Returns the component's file.
pub(super) async fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder
        .canonicalize()
        .with_context(|| format!("{} cannot be found", folder.display()))?;
    let package = package_of(&folder).await?;
    let out = folder.join("target").join("plugin");
    std::fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    let component = out.join(format!("{package}.wasm"));
    let mut command = Command::new("bash");
    command
        .args(["-c", SCRIPT, "weir plugin build", "--package", &package])
        .args([&folder, &component])
        .stdin(Stdio::null())
        // What it says is not the answer.
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let status = tokio::time::timeout(BUILD_TIMEOUT, command.status())
        .await
        .context("the build took longer than half an hour")?
        .context("bash cannot be run, which builds plugins")?;
    if !status.success() {
        bail!(
            "{} could not be built; what the compiler says is above",
            folder.display()
        );
    }
    Ok(component)
}

/// The name of the package in this folder, which has to be one that makes a component.
async fn package_of(folder: &Path) -> anyhow::Result<String> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        bail!(
            "there is no {}: name a component, or the folder of a package (`weir plugin new` begins one)",
            manifest.display()
        );
    }
    let mut command = Command::new("cargo");
    command
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(METADATA_TIMEOUT, command.output())
        .await
        .context("cargo does not answer")?
        .context("cargo cannot be run; Rust comes from https://rustup.rs")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo describes the package")?;
    let here = |package: &&Package| package.manifest_path.canonicalize().ok().as_ref() == Some(&manifest);
    let Some(package) = metadata.packages.iter().find(here) else {
        bail!(
            "{} is a workspace without a package of its own: name the folder of one",
            folder.display()
        );
    };
    let is_component = |target: &Target| target.crate_types.iter().any(|kind| kind == "cdylib");
    if !package.targets.iter().any(is_component) {
        bail!(
            "{} makes no component: its [lib] needs crate-type = [\"cdylib\", \"rlib\"]",
            manifest.display()
        );
    }
    Ok(package.name.clone())
}
