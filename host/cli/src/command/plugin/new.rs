//! `weir plugin new`: a folder with a function, its package, and cases to try it with.
//!
//! The SDK is written into it, in the version of this Weir: nothing but crates has to be fetched, and a plugin goes on
//! building when Weir has another version.

mod sdk;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::say;

/// Longest name of a plugin.
const NAME_CHARS_MAX: usize = 64;

/// What neither a package nor a function may be called (The Rust Reference, "Keywords", strict and reserved ones; and crates
/// that are always there).
const KEYWORDS: [&str; 55] = [
    "abstract", "alloc", "as", "async", "await", "become", "box", "break", "const", "continue", "core", "crate", "do",
    "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "std", "struct",
    "super", "test", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while",
    "yield",
];

const PACKAGE: &str = r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"
publish = false

# The first becomes the component, the second is for tests.
[lib]
crate-type = ["cdylib", "rlib"]

[dependencies]
weir-plugin-sdk = { path = "vendor/weir/sdk" }
# serde = { version = "1", features = ["derive"] }      for a configuration, and for events of your own

# Small, and quick to load.
[profile.release]
opt-level = "s"
lto = true
codegen-units = 1
panic = "abort"
strip = true

# A workspace of its own, wherever the folder lies.
[workspace]
exclude = ["vendor"]
"#;

const FUNCTION: &str = r#"//! A plugin of Weir. What a function may read and answer: `cargo doc --open -p weir-plugin-sdk`.

/// Sends everything but drafts.
#[weir_plugin_sdk::router]
fn {function}(#[new("/status")] status: Option<&str>) -> bool {
    status != Some("draft")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_stay_here() {
        assert!(!{function}(Some("draft")));
        assert!({function}(Some("published")));
    }
}
"#;

const ANNOTATOR: &str = r#"//! A plugin of Weir, for intake. What a function may read and answer: `cargo doc --open -p weir-plugin-sdk`.

use weir_plugin_sdk::Annotation;

/// Records people without their e-mail address, and says who changed them.
#[weir_plugin_sdk::annotator]
fn {function}(#[new("/updated_by")] clerk: Option<&str>) -> Annotation {
    let annotation = Annotation::none().hash("/email");
    match clerk {
        Some(clerk) => annotation.actor(clerk),
        None => annotation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_changed_it_is_said() {
        assert_eq!({function}(Some("maria")), Annotation::none().hash("/email").actor("maria"));
    }
}
"#;

const ANNOTATOR_CASES: &str = r#"# Tried with: weir plugin test
#
# A change has an old and a new image, a key, and an actor, in plain JSON; or it is a record as a stream has it.
# expect is annotate, or plugin-error where the plugin fails and the change is withheld. `actor`, `reason`, `tags` and
# `becomes` (what is left of the change; "hash" stands for any hash) are looked at where they are written.

[[case]]
name = "the address is hashed and the clerk is named"
change = { new = { email = "ada@example.com", updated_by = "maria" } }
expect = "annotate"
actor = "maria"
becomes = { new = { email = "hash", updated_by = "maria" } }
"#;

const CASES: &str = r#"# Tried with: weir plugin test
#
# A change has an old and a new image, a key, and an actor, in plain JSON; or it is a record as a stream has it.
# expect is keep, drop, replace, or "reject CODE". A case may have a `config`, and `outputs`:
#
#     outputs = [{ type = "order-shipped", detail = { id = "1" } }]

[[case]]
name = "a draft is dropped"
change = { new = { status = "draft" } }
expect = "drop"

[[case]]
name = "what was published is sent"
change = { old = { status = "draft" }, new = { status = "published" } }
expect = "keep"
"#;

const IGNORED: &str = "/target\n";

pub(super) fn new(folder: &Path, is_annotator: bool) -> anyhow::Result<ExitCode> {
    let name = name_of(folder)?;
    if folder.exists() {
        bail!("{} is there already; nothing was written", folder.display());
    }
    let function = name.replace('-', "_");
    let (code, cases) = if is_annotator {
        (ANNOTATOR, ANNOTATOR_CASES)
    } else {
        (FUNCTION, CASES)
    };
    let mut files = vec![
        ("Cargo.toml".to_owned(), PACKAGE.replace("{name}", name)),
        ("src/lib.rs".to_owned(), code.replace("{function}", &function)),
        (super::cases::FILE.to_owned(), cases.to_owned()),
        (".gitignore".to_owned(), IGNORED.to_owned()),
    ];
    for (path, content) in sdk::files()? {
        files.push((format!("vendor/weir/{path}"), content));
    }
    for (path, content) in files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        std::fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    say!("{}: the plugin {name}. Next: weir plugin test {0}", folder.display());
    Ok(ExitCode::SUCCESS)
}

/// A name that is a package's, and with underscores a function's.
fn name_of(folder: &Path) -> anyhow::Result<&str> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '-')
        && name.len() <= NAME_CHARS_MAX;
    if KEYWORDS.contains(&name) {
        bail!(
            "{name:?} is a word of Rust, which no function can be called; name the folder {name}-events, for instance"
        );
    }
    if !is_name {
        bail!(
            "a plugin's folder is named with small letters, digits and hyphens, a letter first, at most {NAME_CHARS_MAX}: \
             order-events. {name:?} is not"
        );
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_there_or_is_no_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("orders");
        std::fs::create_dir(&there).unwrap();
        let error = new(&there, false).unwrap_err().to_string();
        assert!(error.ends_with("is there already; nothing was written"), "{error}");
        for name in ["Orders", "1st", "a b", "..", "match", "core"] {
            assert!(new(&folder.path().join(name), true).is_err(), "{name}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
