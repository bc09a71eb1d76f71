//! The SDK as files, as it stands in this repository but for one thing: what its packages inherit from the workspace is
//! written out.

use anyhow::Context as _;
use toml::{Table, Value};

const WORKSPACE: &str = include_str!("../../../../../../Cargo.toml");

macro_rules! sources {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../../../../plugins/", $path)))),*]
    };
}

const SOURCES: [(&str, &str); 17] = sources![
    "wit/plugin.wit",
    "sdk/intake/src/lib.rs",
    "sdk/src/annotations.rs",
    "sdk/src/annotator.rs",
    "sdk/src/batch.rs",
    "sdk/src/decisions.rs",
    "sdk/src/error.rs",
    "sdk/src/function.rs",
    "sdk/src/function/annotate.rs",
    "sdk/src/function/answer.rs",
    "sdk/src/function/parameter.rs",
    "sdk/src/lib.rs",
    "sdk/src/manifest.rs",
    "sdk/src/router.rs",
    "sdk/macros/src/expand.rs",
    "sdk/macros/src/lib.rs",
    "sdk/macros/src/signature.rs",
];

const MANIFESTS: [(&str, &str); 3] = sources!["sdk/Cargo.toml", "sdk/intake/Cargo.toml", "sdk/macros/Cargo.toml"];

/// Where the packages of this repository that the SDK depends on lie from there.
const PATHS: [(&str, &str); 2] = [
    ("weir-plugin-sdk-intake", "intake"),
    ("weir-plugin-sdk-macros", "macros"),
];

/// Paths and contents.
pub(super) fn files() -> anyhow::Result<Vec<(&'static str, String)>> {
    let workspace: Table = WORKSPACE.parse().context("the workspace's manifest")?;
    let mut files: Vec<_> = SOURCES.map(|(path, text)| (path, text.to_owned())).to_vec();
    for (path, manifest) in MANIFESTS {
        let manifest: Table = manifest.parse().with_context(|| path.to_owned())?;
        files.push((path, standalone(manifest, &workspace).to_string()));
    }
    Ok(files)
}

/// A manifest that needs no workspace.
fn standalone(mut manifest: Table, workspace: &Table) -> Table {
    let inherited = |section: &str, key: &str| workspace.get("workspace")?.get(section)?.get(key).cloned();
    for name in ["lints", "dev-dependencies"] {
        manifest.remove(name);
    }
    if let Some(package) = manifest.get_mut("package").and_then(Value::as_table_mut) {
        inherit(package, |key| inherited("package", key));
    }
    if let Some(dependencies) = manifest.get_mut("dependencies").and_then(Value::as_table_mut) {
        inherit(dependencies, |name| {
            match PATHS.iter().find(|(package, _)| *package == name) {
                Some((_, path)) => Some(Value::Table(Table::from_iter([(
                    "path".to_owned(),
                    Value::from(*path),
                )]))),
                None => inherited("dependencies", name),
            }
        });
    }
    manifest
}

/// Replaces `key.workspace = true` by what the workspace has.
fn inherit(table: &mut Table, inherited: impl Fn(&str) -> Option<Value>) {
    for (key, value) in table.iter_mut() {
        if value.get("workspace").is_some()
            && let Some(found) = inherited(key)
        {
            *value = found;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A file that is added to the SDK belongs into the list.
    #[test]
    fn every_file_of_the_sdk_is_written() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        for folder in ["wit", "sdk/src", "sdk/src/function", "sdk/intake/src", "sdk/macros/src"] {
            for entry in std::fs::read_dir(plugins.join(folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
                    assert!(SOURCES.iter().any(|(known, _)| *known == path), "{path}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_inherited_from_a_workspace_that_is_not_there() {
        for (path, content) in files().unwrap() {
            if path.ends_with("Cargo.toml") {
                assert!(!content.contains("workspace"), "{content}");
                assert!(
                    content.contains("[dependencies") && content.contains("version = "),
                    "{content}"
                );
            }
        }
    }
}
