//! The contract with plugins that are out there: what was released runs on.

use std::path::Path;

use wit_component::semver_check;
use wit_parser::Resolve;

const CONTRACT: &str = include_str!("../../../../plugins/wit/plugin.wit");

const PACKAGE: &str = "package weir:plugin@";

/// Whether a plugin that was built for `released` runs on a host that has `now`, in every world of the contract.
fn runs_on(released: &str, now: &str) -> Result<(), String> {
    for world in ["router", "annotator"] {
        let mut resolve = Resolve::default();
        // Two versions, or they would be one package.
        let mut parse = |text: &str, version: &str| {
            let (head, rest) = text.split_once(PACKAGE).ok_or("it names its package")?;
            let (_, rest) = rest.split_once(';').ok_or("it ends the line with the package")?;
            let text = format!("{head}{PACKAGE}{version};{rest}");
            let package = resolve
                .push_str("plugin.wit", &text)
                .map_err(|error| format!("{error:?}"))?;
            resolve
                .select_world(&[package], Some(world))
                .map_err(|error| error.to_string())
        };
        let (released, now) = (parse(released, "0.0.1")?, parse(now, "0.0.2")?);
        semver_check(resolve, released, now).map_err(|error| format!("{world}: {error:#}"))?;
    }
    Ok(())
}

/// The contract with one text replaced by another.
#[track_caller]
fn changed(replace: &str, by: &str) -> String {
    assert_eq!(CONTRACT.matches(replace).count(), 1, "{replace}");
    CONTRACT.replace(replace, by)
}

#[test]
fn every_released_contract_is_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/wit/released");
    let mut released = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        let version = file.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(
            text.contains(&format!("{PACKAGE}{version};")),
            "{version} names another version"
        );
        runs_on(&text, CONTRACT).unwrap_or_else(|problem| panic!("{version} is broken: {problem}"));
        released.push(version);
    }
    assert!(!released.is_empty());
}

#[test]
fn what_plugins_are_built_with_may_not_change() {
    let manifest = "    /// Operator's tables that it looks things up in.\n    lookups: list<string>,";
    for (what, now) in [
        (
            "a field more",
            changed(manifest, &format!("{manifest}\n    author: string,")),
        ),
        ("a field less", changed(manifest, "")),
        (
            "a case more",
            changed(
                "enum operation { insert, modify, remove }",
                "enum operation { insert, modify, remove, restore }",
            ),
        ),
        (
            "a verdict more",
            changed(
                "enum verdict { keep, replace, drop, reject }",
                "enum verdict { keep, replace, drop, reject, hold }",
            ),
        ),
        (
            "another parameter",
            changed("now-ms: func(index: u32) -> u64;", "now-ms: func(index: u64) -> u64;"),
        ),
        (
            "another result",
            changed(
                "operations: func() -> list<operation>;",
                "operations: func() -> list<string>;",
            ),
        ),
        (
            "a function less to import",
            changed("  seed: func(index: u32) -> u64;", ""),
        ),
        (
            "a function more to export",
            changed(
                "  route: func(count: u32) -> result<decisions, string>;",
                "  route: func(count: u32) -> result<decisions, string>;\n  close: func();",
            ),
        ),
    ] {
        assert!(runs_on(CONTRACT, &now).is_err(), "{what} is let through");
    }
}

#[test]
fn a_host_may_offer_more() {
    let function = changed(
        "  seed: func(index: u32) -> u64;",
        "  seed: func(index: u32) -> u64;\n  region: func(index: u32) -> string;",
    );
    assert_eq!(runs_on(CONTRACT, &function), Ok(()));
    let interface = changed(
        "interface logging {",
        "interface metrics {\n  count: func(name: string);\n}\n\ninterface logging {",
    );
    let interface = interface.replace("  import logging;", "  import logging;\n  import metrics;");
    assert_eq!(runs_on(CONTRACT, &interface), Ok(()));
}
