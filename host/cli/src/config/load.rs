//! Reads the configuration, and the secrets that it names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use weir_api::{Token, TrustedKey};
use weir_evidence::{LedgerSecret, SignatureType, VerifierKey, WithholdKey};
use weir_pipeline::{Guard, PublisherSettings, Witness};
use zeroize::Zeroizing;

use super::Config;
use super::check::is_name;

/// Where `weir dev` writes its configuration, so that commands beside it need no options.
const DEV_CONFIG: &str = ".weir/weir.toml";

/// Where a configuration is looked for.
const DEFAULT_CONFIG: &str = "weir.toml";

/// Which configuration file.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ConfigPath {
    /// The configuration file. Default: weir.toml, or what `weir dev` wrote to .weir/weir.toml.
    #[arg(long = "config", global = true, env = "WEIR_CONFIG", value_name = "FILE")]
    path: Option<PathBuf>,
}

/// A configuration and the folder that its paths are relative to.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(super) folder: PathBuf,
}

impl ConfigPath {
    /// Reads and checks the file.
    pub(crate) fn load(&self) -> Result<Loaded> {
        let path = match &self.path {
            Some(path) => path.clone(),
            None => [DEFAULT_CONFIG, DEV_CONFIG]
                .map(PathBuf::from)
                .into_iter()
                .find(|path| path.exists())
                .context(
                    "there is no weir.toml here. Name the configuration with --config FILE, or start `weir dev`, which \
                 brings its own; README.md has one to begin with",
                )?,
        };
        Loaded::read(&path)
    }
}

impl Loaded {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
        let config: Config = toml::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{}: {}", path.display(), error.to_string().trim_end()))?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let loaded = Self { config, folder };
        loaded
            .check()
            .with_context(|| format!("the configuration {} cannot be used", path.display()))?;
        Ok(loaded)
    }

    /// A path of the configuration, as this process has to name it.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Where Postgres is.
    pub(crate) fn postgres_url(&self) -> Result<String> {
        self.config.postgres.url.clone().or_else(|| std::env::var("WEIR_POSTGRES_URL").ok()).context(
            "no Postgres is configured: set `url` under [postgres], or the environment variable WEIR_POSTGRES_URL, to \
             something like postgres://user:password@host:5432/weir",
        )
    }

    /// The ledger's secret.
    pub(crate) fn secret(&self) -> Result<LedgerSecret> {
        let file = &self.config.ledger.key_file;
        let text = self.key("WEIR_LEDGER_KEY", file, "restore the one that it was written with")?;
        LedgerSecret::parse(&text).with_context(|| match std::env::var_os("WEIR_LEDGER_KEY") {
            Some(_) => "WEIR_LEDGER_KEY is damaged".to_owned(),
            None => format!("the key file {} is damaged", self.path(file).display()),
        })
    }

    /// Keys whose signatures make a plugin welcome.
    pub(crate) fn trusted_keys(&self) -> Result<Vec<TrustedKey>> {
        let keys = self
            .config
            .plugins
            .trusted_keys
            .iter()
            .map(|key| TrustedKey::parse(key));
        keys.collect::<Result<_, _>>()
            .context("a key under [plugins] `trusted_keys` cannot be read")
    }

    /// Who may see what a plugin at intake failed on.
    pub(crate) fn withhold_to(&self) -> Result<Option<WithholdKey>> {
        let key = self.config.ledger.withhold_to.as_deref().map(WithholdKey::parse);
        key.transpose()
            .context("`withhold_to` under [ledger] cannot be read; `weir withheld new-key FILE` makes one")
    }

    /// How heads of the ledger are signed.
    pub(crate) fn publisher(&self) -> Result<PublisherSettings> {
        let ledger = &self.config.ledger;
        let restore = "restore it, or make another and give its public key to your auditors";
        let mut seeds = vec![self.key("WEIR_SIGNING_KEY", &ledger.signing_key_file, restore)?];
        if let Ok(old) = std::env::var("WEIR_OLD_SIGNING_KEY") {
            seeds.push(Zeroizing::new(old));
        } else if let Some(file) = &ledger.old_signing_key_file {
            seeds.push(self.key("WEIR_OLD_SIGNING_KEY", file, restore)?);
        }
        let witnesses = ledger.witness.iter().map(|witness| {
            let key = VerifierKey::parse(witness.key.trim());
            let key = key.with_context(|| format!("the key of the witness at {} cannot be read", witness.url))?;
            ensure!(
                key.signature_type() == SignatureType::Cosignature,
                "the key of the witness at {} is that of a log, not of a witness",
                witness.url
            );
            Ok(Witness::new(key, witness.url.clone()))
        });
        Ok(PublisherSettings {
            origin: self.origin()?,
            seeds,
            guard: self.guard(),
            witnesses: witnesses.collect::<Result<_>>()?,
        })
    }

    /// The guard of the ledger.
    pub(crate) fn guard(&self) -> Guard {
        Guard::in_file(self.path(&self.config.ledger.guard_file))
    }

    /// How long bodies are kept.
    pub(crate) fn retention(&self) -> Result<Option<Duration>> {
        let Some(span) = self.config.ledger.retention else {
            return Ok(None);
        };
        // A year is 365 days here: what is kept a day too long does no harm, what is erased a day too early does.
        let days = span
            .total((jiff::Unit::Second, jiff::civil::date(2024, 1, 1)))
            .context("`retention` cannot be read")?;
        ensure!(
            days >= 86_400.0,
            "`retention` has to be at least a day, such as \"90d\""
        );
        Ok(Some(Duration::from_secs_f64(days)))
    }

    fn origin(&self) -> Result<String> {
        let ledger = &self.config.ledger;
        match &ledger.origin {
            Some(origin) => Ok(origin.clone()),
            None => {
                let name = ledger.name.as_str();
                ensure!(
                    is_name(name),
                    "the ledger's name {name:?} cannot be part of an origin; set `origin` under [ledger], such as \
                     \"audit.example.com/orders\""
                );
                Ok(format!("weir/{name}/{}", self.secret()?.id()))
            }
        }
    }

    fn key(&self, variable: &str, file: &Path, if_not_new: &str) -> Result<Zeroizing<String>> {
        if let Ok(text) = std::env::var(variable) {
            return Ok(Zeroizing::new(text));
        }
        let path = self.path(file);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "the key file {path} cannot be read. If this ledger is new, make one with `(umask 077; openssl rand -hex \
                 32 > {path})` and back it up; if it is not, {if_not_new}",
                path = path.display()
            )
        })?;
        Ok(Zeroizing::new(text))
    }

    /// The token of the API, for a client.
    pub(crate) fn token(&self) -> Result<Token> {
        Ok(Token::read(&self.path(&self.config.api.token_file))?)
    }
}
