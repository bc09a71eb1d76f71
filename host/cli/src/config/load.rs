//! Reads the configuration and checks what needs nothing but the file: names, references, patterns.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use weir_api::{Token, TrustedKey};
use weir_evidence::{LedgerSecret, SignatureType, VerifierKey, WithholdKey};
use weir_ledger::FailurePolicy;
use weir_model::is_reserved;
use weir_pipeline::{Guard, PublisherSettings, Witness};
use weir_routing::{DetailTemplate, Pattern};
use zeroize::Zeroizing;

use super::Config;

/// Where `weir dev` writes its configuration, so that commands beside it need no options.
const DEV_CONFIG: &str = ".weir/weir.toml";

/// Where a configuration is looked for.
const DEFAULT_CONFIG: &str = "weir.toml";

/// Sinks of one route. Their names stand in an entry of the ledger.
const SINKS_MAX: usize = 64;

/// Partitions of a route, at most: each has a cursor that is settled by itself.
const PARTITIONS_MAX: u8 = 64;

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
        LedgerSecret::parse(&text).with_context(|| format!("the key file {} is damaged", self.path(file).display()))
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

    pub(super) fn check(&self) -> Result<()> {
        let config = &self.config;
        let names = config
            .source
            .keys()
            .chain(config.sink.keys())
            .chain(config.route.keys());
        for name in names {
            ensure!(
                is_name(name),
                "{name:?} cannot be a name: use 1 to 64 lower-case letters, digits and hyphens"
            );
        }
        self.trusted_keys()?;
        let withhold_to = self.withhold_to()?;
        for (name, source) in &config.source {
            ensure!(
                source.annotator.is_none() || withhold_to.is_some(),
                "[source.{name}] has an `annotator`, so it has to be known to whom what it fails on is sealed: make a key with \
                 `weir withheld new-key FILE`, and set `withhold_to` under [ledger]"
            );
            let given = [
                source.table.is_some(),
                source.stream_arn.is_some(),
                source.recorded.is_some(),
            ];
            ensure!(
                given.into_iter().filter(|given| *given).count() == 1,
                "[source.{name}] needs either `table`, `stream_arn` or `recorded`"
            );
        }
        for (name, route) in &config.route {
            ensure!(
                config.source.contains_key(&route.source),
                "[route.{name}] takes from the source {:?}, but there is no [source.{0}]",
                route.source
            );
            ensure!(
                !route.sinks.is_empty(),
                "[route.{name}] has no `sinks`: its events would go nowhere"
            );
            ensure!(
                route.sinks.len() <= SINKS_MAX,
                "[route.{name}] has {} `sinks`, at most {SINKS_MAX} are taken: make several routes of it",
                route.sinks.len()
            );
            let partitions = route.partitions.get();
            ensure!(
                partitions <= PARTITIONS_MAX,
                "[route.{name}] has {partitions} `partitions`, at most {PARTITIONS_MAX} are taken"
            );
            ensure!(
                partitions == 1 || route.failure != FailurePolicy::Halt,
                "[route.{name}] halts where its plugin fails, and has {partitions} `partitions`: the others would go on. Give it 1, or \
                 another `failure`"
            );
            for sink in &route.sinks {
                ensure!(
                    config.sink.contains_key(sink),
                    "[route.{name}] sends to the sink {sink:?}, but there is no [sink.{sink}]"
                );
            }
            let expected = route.case.iter().flat_map(|case| &case.expect);
            for sink in expected.filter_map(|expected| expected.sink.as_ref()) {
                ensure!(
                    route.sinks.contains(sink),
                    "a case of [route.{name}] expects something at {sink:?}, which is none of the route's `sinks`"
                );
            }
            if let Some(template) = &route.template {
                check_template(template).with_context(|| format!("the template of [route.{name}] cannot be used"))?;
            }
            if let Some(projection) = &route.projection {
                check_template(&projection.template)
                    .with_context(|| format!("the projection of [route.{name}] cannot be used"))?;
            }
            if let Some(pattern) = &route.pattern {
                Pattern::parse(pattern)
                    .with_context(|| format!("the event pattern of [route.{name}] cannot be read"))?;
            }
        }
        Ok(())
    }
}

fn check_template(text: &str) -> Result<()> {
    let template = DetailTemplate::parse(text)?;
    let taken = template.names().find(|name| is_reserved(name));
    ensure!(
        taken.is_none(),
        "it sets {:?}, which Weir sets itself; give it another name",
        taken.unwrap_or_default()
    );
    Ok(())
}

fn is_name(name: &str) -> bool {
    let allowed = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    (1..=64).contains(&name.len()) && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const BASE: &str = "[ledger]\nname = \"main\"\nkey_file = \"weir.key\"\n";

    /// Checks what is said about the base configuration with `more` behind it.
    #[track_caller]
    fn check(more: &str, expected: Expect) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weir.toml");
        std::fs::write(&path, format!("{BASE}{more}")).unwrap();
        let said = match Loaded::read(&path) {
            Ok(_) => "fine".to_owned(),
            Err(error) => format!("{error:#}").replace(&path.display().to_string(), "weir.toml"),
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn a_route_has_no_more_sinks_than_an_entry_can_name() {
        let sinks = vec!["\"a\""; SINKS_MAX + 1].join(", ");
        check(
            &format!(
                "[source.shop]\ntable = \"t\"\n[sink.a]\ntype = \"log\"\nfile = \"events\"\n[route.all]\nsource = \"shop\"\nsinks = [{sinks}]\n"
            ),
            expect![
                "the configuration weir.toml cannot be used: [route.all] has 65 `sinks`, at most 64 are taken: make several routes of it"
            ],
        );
    }

    #[test]
    fn a_whole_configuration_is_fine() {
        check(
            r#"
            [source.shop]
            table = "shop-orders"
            start = "latest"
            region = "eu-central-1"
            actor = { attribute = "updated_by", freshness = "updated_at" }
            [sink.bus]
            type = "eventbridge"
            endpoint = "http://127.0.0.1:5000"
            [route.orders]
            source = "shop"
            pattern = '{"detail": {"operation": ["insert"]}}'
            plugin = "shop.wasm"
            plugin_config = { large_order = 500 }
            sinks = ["bus"]
            retry = { first = "2s", attempts_max = 10 }
            "#,
            expect!["fine"],
        );
    }

    #[test]
    fn an_unknown_key_is_shown_where_it_stands() {
        check(
            "[api]\nlisten_on = \"127.0.0.1:1\"\n",
            expect![[r#"
                weir.toml: TOML parse error at line 5, column 1
                  |
                5 | listen_on = "127.0.0.1:1"
                  | ^^^^^^^^^
                unknown field `listen_on`, expected one of `listen`, `token_file`, `auditor_token_file`"#]],
        );
    }

    #[test]
    fn a_pace_that_the_service_would_throttle_is_refused() {
        check(
            "[source.shop]\ntable = \"t\"\nreads_per_second = 11\n",
            expect![[r#"
                weir.toml: TOML parse error at line 6, column 20
                  |
                6 | reads_per_second = 11
                  |                    ^^
                `reads_per_second` is 11; give a number from 1 to 10"#]],
        );
    }

    #[test]
    fn references_to_nothing_are_named() {
        check(
            "[route.orders]\nsource = \"shop\"\nsinks = [\"bus\"]\n",
            expect![[
                r#"the configuration weir.toml cannot be used: [route.orders] takes from the source "shop", but there is no [source.shop]"#
            ]],
        );
        check(
            "[source.shop]\n",
            expect![
                "the configuration weir.toml cannot be used: [source.shop] needs either `table`, `stream_arn` or `recorded`"
            ],
        );
        check(
            "[source.Shop]\ntable = \"t\"\n",
            expect![[
                r#"the configuration weir.toml cannot be used: "Shop" cannot be a name: use 1 to 64 lower-case letters, digits and hyphens"#
            ]],
        );
    }

    #[test]
    fn a_template_that_cannot_be_used_is_said() {
        const ROUTE: &str = "[source.s]\ntable = \"t\"\n[sink.l]\ntype = \"log\"\nfile = \"f\"\n[route.r]\nsource = \"s\"\nsinks = [\"l\"]\n";
        check(
            &format!("{ROUTE}template = '{{\"position\": <$.detail.position>}}'\n"),
            expect![[
                r#"the configuration weir.toml cannot be used: the template of [route.r] cannot be used: it sets "position", which Weir sets itself; give it another name"#
            ]],
        );
        check(
            &format!("{ROUTE}template = '[<$.detail>]'\n"),
            expect![
                "the configuration weir.toml cannot be used: the template of [route.r] cannot be used: byte 0 of the template: the template is an object of JSON, with places as values or inside of texts"
            ],
        );
    }
}
