//! The folder of `weir dev`, and the configuration it writes there.
//!
//! # Invariants
//!
//! - Nothing is written over or removed in a folder that is not marked as ours, or while another process works there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use weir_evidence::WithheldSecret;

use super::ROUTE;
use crate::args::DevArgs;

/// Says that a folder is one of ours, so that nothing is ever written over or removed in another. Whoever works in the folder
/// holds its lock.
const MARK: &str = "of-weir-dev";

/// What it says.
const MARK_TEXT: &str = "This folder belongs to `weir dev`: it writes weir.toml anew at each start, and --fresh removes all that is here.\n";

/// The configuration.
const CONFIG: &str = "weir.toml";

/// What only we write: the mark of folders from before there was one.
const DYNAMODB: &str = "dynamodb.sqlite";

/// The key that opens what a plugin at intake failed on.
const WITHHELD_KEY: &str = "withheld.key";

/// Where `weir dev` keeps everything.
pub(super) struct DevFolder {
    path: PathBuf,
    /// As long as it is open, nobody else works here.
    _lock: File,
}

impl DevFolder {
    /// Makes the folder, or takes the one that is there.
    pub(super) fn prepare(args: &DevArgs) -> Result<Self> {
        let path = std::path::absolute(&args.data)?;
        let is_empty = fs::read_dir(&path).map_or(true, |mut entries| entries.next().is_none());
        let is_ours = [MARK, DYNAMODB].iter().any(|name| path.join(name).exists());
        ensure!(
            is_empty || is_ours,
            "{} is not a folder of `weir dev`; name another one with --data",
            path.display()
        );
        fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        let lock = lock(&path)?;
        if args.fresh {
            empty(&path)?;
            let beside = postgres_in_the_open(&path);
            if beside.exists() {
                fs::remove_dir_all(&beside).with_context(|| format!("{} cannot be removed", beside.display()))?;
            }
        }
        let folder = Self { path, _lock: lock };
        folder.ensure_key("ledger.key")?;
        folder.ensure_key("signing.key")?;
        folder.ensure_key(WITHHELD_KEY)?;
        Ok(folder)
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.path.join("postgres")
    }

    /// A place for Postgres that any account can get to, the same for this folder at each start.
    pub(super) fn postgres_in_the_open(&self) -> PathBuf {
        postgres_in_the_open(&self.path)
    }

    pub(super) fn dynamodb(&self) -> PathBuf {
        self.path.join(DYNAMODB)
    }

    pub(super) fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Writes the configuration that this start runs by.
    pub(super) fn write_config(
        &self,
        args: &DevArgs,
        postgres_url: &str,
        dynamodb: &str,
        plugin: &Path,
    ) -> Result<PathBuf> {
        let withhold_to = WithheldSecret::parse(&fs::read_to_string(self.path.join(WITHHELD_KEY))?)?.public();
        let mut config = json!({
            "postgres": { "url": postgres_url },
            "ledger": { "name": "dev", "key_file": "ledger.key", "signing_key_file": "signing.key", "guard_file": "ledger.guard",
                "withhold_to": withhold_to.to_string() },
            "api": {
                "listen": format!("127.0.0.1:{}", args.api_port),
                "token_file": "api.token",
                "auditor_token_file": "auditor.token",
            },
            "source": {
                "shop": {
                    "table": weir_dev::shop::TABLE,
                    "endpoint": dynamodb,
                    "test_credentials": true,
                    "actor": { "attribute": "updated_by", "freshness": "updated_at", "tombstone": "deleted_at" },
                },
            },
            "sink": { "events": { "type": "log", "file": "events.jsonl" } },
            "route": { ROUTE: { "source": "shop", "plugin": plugin, "sinks": ["events"] } },
        });
        if let Some(annotator) = &args.annotator {
            let source = &mut config["source"]["shop"];
            source["annotator"] = json!(std::path::absolute(annotator)?);
            if let Some(given) = &args.annotator_config {
                let text = crate::command::plugin::config(Some(given))?;
                source["annotator_config"] = serde_json::from_str(&text).context("--annotator-config is no JSON")?;
            }
        }
        let text = format!(
            "# Written by `weir dev`, anew at each start. The configuration of `weir run` looks the same.\n\n{}",
            toml::to_string_pretty(&config)?
        );
        let path = self.config();
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }

    fn ensure_key(&self, name: &str) -> Result<()> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no randomness for a key: {error}"))?;
        self.ensure_file(name, &hex::encode(secret))
    }

    fn ensure_file(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path.join(name);
        match weir_api::write_new(&path, text.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(error).with_context(|| format!("{} cannot be written", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Marks a folder as ours, and locks it for as long as the file is open.
fn lock(path: &Path) -> Result<File> {
    let mark = path.join(MARK);
    let cannot = || format!("{} cannot be written", mark.display());
    let opened = OpenOptions::new().append(true).create(true).open(&mark);
    let mut file = opened.with_context(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!(
            "another process uses {}: stop it, or choose another --data folder",
            path.display()
        ),
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("{} cannot be locked", mark.display()));
        }
    }
    if file.metadata().with_context(cannot)?.len() == 0 {
        file.write_all(MARK_TEXT.as_bytes()).with_context(cannot)?;
    }
    Ok(file)
}

/// Removes everything in a folder of ours but its mark, which is locked.
fn empty(path: &Path) -> Result<()> {
    let cannot = |what: &Path| format!("{} cannot be removed", what.display());
    for entry in fs::read_dir(path).with_context(|| cannot(path))? {
        let entry = entry.with_context(|| cannot(path))?;
        if entry.file_name() == MARK {
            continue;
        }
        let what = entry.path();
        let is_folder = entry.file_type().with_context(|| cannot(&what))?.is_dir();
        let removed = if is_folder {
            fs::remove_dir_all(&what)
        } else {
            fs::remove_file(&what)
        };
        removed.with_context(|| cannot(&what))?;
    }
    Ok(())
}

/// A place for Postgres that any account can get to, the same for a folder at each start.
fn postgres_in_the_open(path: &Path) -> PathBuf {
    let name = hex::encode(&Sha256::digest(path.as_os_str().as_encoded_bytes())[..6]);
    Path::new("/var/tmp").join(format!("weir-dev-{name}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Command};

    fn prepare(folder: &Path, more: &[&str]) -> Result<DevFolder> {
        let data = folder.to_str().unwrap();
        let Command::Dev(args) = Args::parse_from([&["weir", "dev", "--data", data], more].concat()).command else {
            unreachable!("it is `weir dev`")
        };
        DevFolder::prepare(&args)
    }

    fn said(prepared: Result<DevFolder>) -> String {
        prepared.map_or_else(|error| format!("{error:#}"), |_| "fine".to_owned())
    }

    #[test]
    fn the_folder_of_a_weir_that_is_none_of_dev_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("weir.toml"), "[ledger]").unwrap();
        std::fs::write(folder.path().join("ledger.key"), "precious").unwrap();
        for more in [&[][..], &["--fresh"]] {
            let said = said(prepare(folder.path(), more));
            assert!(said.contains("is not a folder of `weir dev`"), "{said}");
        }
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        let key = std::fs::read_to_string(folder.path().join("ledger.key")).unwrap();
        assert_eq!((left, key.as_str()), (2, "precious"));
    }

    #[test]
    fn nothing_is_removed_while_somebody_works_there_and_everything_is_made_anew_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let key = || std::fs::read_to_string(folder.path().join("ledger.key")).unwrap();
        let working = prepare(folder.path(), &[]).unwrap();
        std::fs::create_dir(folder.path().join("postgres")).unwrap();
        let before = key();
        for more in [&[][..], &["--fresh"]] {
            let said = said(prepare(folder.path(), more));
            assert!(said.contains("another process uses"), "{said}");
        }
        assert_eq!(key(), before);
        drop(working);
        drop(prepare(folder.path(), &[]).unwrap());
        assert_eq!(key(), before, "it goes on with what was there");
        drop(prepare(folder.path(), &["--fresh"]).unwrap());
        assert!(key() != before && !folder.path().join("postgres").exists());
    }
}
