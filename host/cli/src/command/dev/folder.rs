//! The folder of `weir dev`, and the configuration it writes there.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use weir_evidence::WithheldSecret;

use super::ROUTE;
use crate::args::DevArgs;

/// Says that a folder is one of ours, so that `--fresh` never removes another.
const MARK: &str = "weir.toml";

/// The key that opens what a plugin at intake failed on.
const WITHHELD_KEY: &str = "withheld.key";

/// Where `weir dev` keeps everything.
pub(super) struct DevFolder {
    path: PathBuf,
}

impl DevFolder {
    /// Makes the folder, or takes the one that is there.
    pub(super) fn prepare(args: &DevArgs) -> Result<Self> {
        let path = std::path::absolute(&args.data)?;
        let is_empty = fs::read_dir(&path).map_or(true, |mut entries| entries.next().is_none());
        ensure!(
            is_empty || path.join(MARK).exists(),
            "{} is not a folder of `weir dev`; name another one with --data",
            path.display()
        );
        if args.fresh && path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
            let beside = Self { path: path.clone() }.postgres_in_the_open();
            if beside.exists() {
                fs::remove_dir_all(&beside).with_context(|| format!("{} cannot be removed", beside.display()))?;
            }
        }
        fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        let folder = Self { path };
        folder.ensure_file(MARK, "# Written by `weir dev`, anew at each start.\n")?;
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
        let name = hex::encode(&Sha256::digest(self.path.as_os_str().as_encoded_bytes())[..6]);
        Path::new("/var/tmp").join(format!("weir-dev-{name}"))
    }

    pub(super) fn dynamodb(&self) -> PathBuf {
        self.path.join("dynamodb.sqlite")
    }

    pub(super) fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path.join(MARK)
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
