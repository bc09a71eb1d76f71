//! The house keeps its shape: a crate uses only crates above it, and each outside library stays where it belongs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// From the bottom to the top. A crate may use only crates before it.
const ORDER: [&str; 11] = [
    "model", "evidence", "routing", "streams", "runtime", "ledger", "sinks", "pipeline", "api", "dev", "cli",
];

/// Where outside libraries may be used, by the beginning of their name.
const HOMES: [(&str, &[&str]); 7] = [
    ("sqlx", &["ledger"]),
    ("aws-", &["streams", "sinks", "dev"]),
    ("wasmtime", &["runtime"]),
    ("axum", &["api"]),
    ("lettre", &["sinks"]),
    ("clap", &["cli"]),
    ("dynoxide", &["dev"]),
];

/// Crates that do no I/O and wait for nothing.
const PURE: [&str; 3] = ["model", "evidence", "routing"];

/// What a pure crate may not use.
const IMPURE: [&str; 4] = ["tokio", "reqwest", "getrandom", "tracing"];

fn host_crates() -> BTreeMap<String, Package> {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let crates = metadata
        .packages
        .into_iter()
        .filter(|package| package.manifest_path.as_str().contains("/host/"));
    crates
        .map(|package| (package.name.trim_start_matches("weir-").to_owned(), package))
        .collect()
}

/// What a crate is built from; tests may use more.
fn uses(package: &Package) -> impl Iterator<Item = &str> {
    let normal = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.as_str())
}

#[test]
fn every_crate_of_the_host_has_its_place_and_is_named_as_its_folder() {
    let crates = host_crates();
    let mut names: Vec<&str> = crates.keys().map(String::as_str).collect();
    names.sort_by_key(|name| ORDER.iter().position(|placed| placed == name));
    assert_eq!(names, ORDER);
    for (name, package) in &crates {
        let folder = package.manifest_path.parent().and_then(|folder| folder.file_name());
        assert_eq!(folder, Some(name.as_str()));
    }
}

#[test]
fn a_crate_uses_only_crates_above_it() {
    let rank = |name: &str| ORDER.iter().position(|placed| *placed == name).unwrap();
    for (name, package) in host_crates() {
        for used in uses(&package).filter_map(|used| used.strip_prefix("weir-")) {
            assert!(rank(used) < rank(&name), "{name} uses {used}");
        }
    }
}

#[test]
fn outside_libraries_stay_where_they_belong() {
    for (name, package) in host_crates() {
        for used in uses(&package) {
            for (prefix, homes) in HOMES {
                assert!(
                    !used.starts_with(prefix) || homes.contains(&name.as_str()),
                    "{name} uses {used}"
                );
            }
            assert!(
                !PURE.contains(&name.as_str()) || !IMPURE.contains(&used),
                "{name} is pure but uses {used}"
            );
        }
    }
}

#[test]
fn a_production_binary_has_nothing_of_dev() {
    let cli = &host_crates()["cli"];
    let dev = cli
        .dependencies
        .iter()
        .find(|dependency| dependency.name == "weir-dev")
        .unwrap();
    assert!(dev.optional);
    assert!(cli.features.get("default").is_none_or(Vec::is_empty));
}
