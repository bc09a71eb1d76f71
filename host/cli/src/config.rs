//! The configuration: one TOML file. The doc comments of these types are its reference manual.
//!
//! Unknown keys are errors, with the line and a caret. Paths are relative to the file. Secrets come from files or the
//! environment, never from this file.

mod case;
mod check;
mod load;
mod shared;
mod sink;

pub(crate) use case::{ExpectedDelivery, RouteCase};
pub(crate) use load::{ConfigPath, Loaded};
pub(crate) use shared::{SharedConfig, named_by_digest, plugin_digest};
pub(crate) use sink::{EmailConfig, SinkConfig, SinkKind, TlsConfig, WebhookConfig};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroUsize};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use weir_ledger::{FailurePolicy, Projection, RouteDefinition};
use weir_model::{ActorRule, LedgerName, StreamArn};
use weir_pipeline::TableDigests;
use weir_routing::RetrySchedule;

/// Everything that one Weir is configured to do.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the ledger is kept.
    #[serde(default)]
    pub(crate) postgres: PostgresConfig,

    /// Which ledger, and its secret.
    pub(crate) ledger: LedgerConfig,

    /// The HTTP API.
    #[serde(default)]
    pub(crate) api: ApiConfig,

    /// Who may upload plugins.
    #[serde(default)]
    pub(crate) plugins: PluginsConfig,

    /// What is recorded, by a name of your choice (`[source.shop]`).
    #[serde(default)]
    pub(crate) source: BTreeMap<String, SourceConfig>,

    /// Where events go, by a name of your choice (`[sink.bus]`).
    #[serde(default)]
    pub(crate) sink: BTreeMap<String, SinkConfig>,

    /// Which changes become events, by a name of your choice (`[route.orders]`).
    #[serde(default)]
    pub(crate) route: BTreeMap<String, RouteConfig>,
}

/// `[postgres]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostgresConfig {
    /// `postgres://user@host:5432/database`. Without it the environment variable `WEIR_POSTGRES_URL` is used, which is
    /// also the place for a URL with a password.
    pub(crate) url: Option<String>,
}

/// `[ledger]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerConfig {
    /// Name of the ledger. Part of every entry, so it is for life.
    pub(crate) name: LedgerName,

    /// File with the ledger's secret: 64 hexadecimal digits. Make it with `openssl rand -hex 32`, let only Weir read it,
    /// and back it up: without it no recorded value can be read again. The environment variable `WEIR_LEDGER_KEY` goes
    /// before it.
    pub(crate) key_file: PathBuf,

    /// File with the seed of the key that signs checkpoints (Ed25519): 64 hexadecimal digits, made as the secret. Default:
    /// `signing.key`. The environment variable `WEIR_SIGNING_KEY` goes before it.
    #[serde(default = "default_signing_key_file")]
    pub(crate) signing_key_file: PathBuf,

    /// File with the seed of the key before, while auditors change over: both sign. Or `WEIR_OLD_SIGNING_KEY`.
    pub(crate) old_signing_key_file: Option<PathBuf>,

    /// First line of every checkpoint, and name of the signing key: an address without a scheme that is yours, such as
    /// `audit.example.com/orders`. Default: `weir/<ledger>/<id of the secret>`. For life.
    pub(crate) origin: Option<String>,

    /// File that remembers the last head that was signed. Keep it where a restore of the database does not reach it, on
    /// storage that outlives this host: it is what notices a database that was put back. Default: `weir.guard`.
    #[serde(default = "default_guard_file")]
    pub(crate) guard_file: PathBuf,

    /// Public key that changes are sealed to which a plugin at intake failed on, 64 hexadecimal digits. `weir withheld new-key
    /// FILE` makes a pair; the other half is for those who may see such changes, and is not needed here.
    pub(crate) withhold_to: Option<String>,

    /// Bodies of changes that are older than this are emptied (`"7y"`, `"90d"`). Without it they are kept.
    pub(crate) retention: Option<jiff::Span>,

    /// Witnesses that are asked to cosign each checkpoint (C2SP `tlog-witness`).
    #[serde(default)]
    pub(crate) witness: Vec<WitnessConfig>,
}

/// `[[ledger.witness]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WitnessConfig {
    /// Its public key, as C2SP writes it: `NAME+ID+BASE64`.
    pub(crate) key: String,

    /// Its submission prefix: `https://witness.example.com/w1`.
    pub(crate) url: String,
}

fn default_signing_key_file() -> PathBuf {
    PathBuf::from("signing.key")
}

fn default_guard_file() -> PathBuf {
    PathBuf::from("weir.guard")
}

/// `[api]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApiConfig {
    /// Address and port to listen on. Default: `127.0.0.1:7117`.
    pub(crate) listen: SocketAddr,

    /// File with the bearer token. The first start makes it. Default: `weir.token`.
    pub(crate) token_file: PathBuf,

    /// File with the token for auditors: it reads entries and proofs, and nothing that was sealed. The first start makes
    /// it. Default: `auditor.token`.
    pub(crate) auditor_token_file: PathBuf,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7117)),
            token_file: PathBuf::from("weir.token"),
            auditor_token_file: PathBuf::from("auditor.token"),
        }
    }
}

/// `[plugins]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PluginsConfig {
    /// Folder for compiled plugins. It may be removed at any time: they are compiled again. Default: `weir.plugins`.
    pub(crate) compiled: PathBuf,

    /// Public keys of `minisign` (the second line of the `.pub` file). Where there are any, only plugins that one of them
    /// signed can be uploaded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) trusted_keys: Vec<String>,
}

impl Default for PluginsConfig {
    fn default() -> Self {
        Self {
            compiled: PathBuf::from("weir.plugins"),
            trusted_keys: Vec::new(),
        }
    }
}

/// `[source.<name>]`: a `DynamoDB` table with a stream. Give `table`, `stream_arn` or `recorded`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceConfig {
    /// Name of the table. Its stream is found, and its next one when it gets a new one.
    pub(crate) table: Option<String>,

    /// ARN of a stream.
    pub(crate) stream_arn: Option<StreamArn>,

    /// File with recorded pages, in the place of AWS: JSON lines, the first `{"stream": {"arn", "table", "view", "keys"}}`,
    /// every other `{"shard", "parent", "page": <answer of GetRecords>}`. It is held in memory.
    pub(crate) recorded: Option<PathBuf>,

    /// Where a stream begins that was never read. Default: `trim-horizon`.
    #[serde(default)]
    pub(crate) start: StartConfig,

    /// What the stream has to carry: `both` images (default), or `any` to record whatever it carries.
    #[serde(default)]
    pub(crate) images: ImagesConfig,

    /// Where items say who wrote them. Without it only services of the database are known by name.
    pub(crate) actor: Option<ActorRule>,

    /// File of a plugin that annotates changes before they are recorded, or `"sha256:..."`, one that was uploaded: it says who and why,
    /// tags, and redacts. What it fails on is withheld: sealed to the ledger's `withhold_to`, until it was annotated again (`weir withheld`).
    pub(crate) annotator: Option<PathBuf>,

    /// Configuration that the annotator gets, as it defines it.
    #[serde(default)]
    pub(crate) annotator_config: toml::Table,

    /// Reads a second and shard while records come (1 to 10), more only while pages are full. Each costs money, and a shard
    /// takes two readers. Default: 4.
    #[serde(default)]
    pub(crate) reads_per_second: ReadsPerSecond,

    /// What happens where records were lost before they were read: `record` the gap and go on (default), or `stop` that shard
    /// until somebody decides.
    #[serde(default)]
    pub(crate) at_gap: AtGapConfig,

    /// How AWS is reached.
    #[serde(flatten)]
    pub(crate) aws: AwsConfig,
}

/// Reads a second and shard: 1 to 10.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "u32")]
pub(crate) struct ReadsPerSecond(pub(crate) u32);

impl Default for ReadsPerSecond {
    fn default() -> Self {
        Self(4)
    }
}

impl TryFrom<u32> for ReadsPerSecond {
    type Error = String;

    fn try_from(reads: u32) -> Result<Self, String> {
        match reads {
            1..=10 => Ok(Self(reads)),
            _ => Err(format!("`reads_per_second` is {reads}; give a number from 1 to 10")),
        }
    }
}

/// What happens where records were lost before they were read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AtGapConfig {
    /// The gap is recorded, and what stands behind it.
    #[default]
    Record,
    /// The shard waits.
    Stop,
}

/// Where to begin with a stream that was never read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StartConfig {
    /// With the oldest record that is still there (24 hours).
    #[default]
    TrimHorizon,
    /// With what is written from now on.
    Latest,
}

/// What the stream has to carry.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ImagesConfig {
    /// The item before and after each change.
    #[default]
    Both,
    /// Whatever it carries.
    Any,
}

/// How AWS is reached, in a source or a sink. Credentials come from where every AWS tool looks for them: environment,
/// profile, role.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct AwsConfig {
    /// Region. Default: what the environment or profile says.
    pub(crate) region: Option<String>,

    /// URL to use in place of the service's own, for emulators and private endpoints.
    pub(crate) endpoint: Option<String>,

    /// Signs with fixed credentials that mean nothing: for emulators.
    #[serde(default)]
    pub(crate) test_credentials: bool,
}

/// `[route.<name>]`: which changes of a source become events, and where they go.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteConfig {
    /// Name of the source.
    pub(crate) source: String,

    /// Event pattern as JSON text, with `EventBridge`'s syntax. Without it every change is taken.
    pub(crate) pattern: Option<String>,

    /// File of a plugin: a Wasm component that filters, enriches and emits; or `"sha256:..."`, one that was uploaded. Without it changes are sent as they are, until
    /// `weir plugin promote` puts an uploaded plugin on the route. What was promoted stays when the file is read again; what
    /// changes in this section holds from then on.
    pub(crate) plugin: Option<PathBuf>,

    /// Configuration that the plugin gets, as it defines it.
    #[serde(default)]
    pub(crate) plugin_config: toml::Table,

    /// What becomes of a change that the plugin fails on (a trap, too much fuel or memory, an error): `dead-letter` sets it aside
    /// (default), `pass` sends it as it is, `halt` stops the route before it, until it gets another version. What the plugin
    /// rejects is a dead letter in any case.
    #[serde(default)]
    pub(crate) failure: FailurePolicy,

    /// Template of what events say in `detail` beside what only Weir sets (`id`, `delivery`, `ledger`, `position`, `plugin`,
    /// `correlation`, `replayed_as`): an object of JSON with places for what the event, or a plugin's output, says:
    /// `{"order": <$.detail.keys.order_id>}`. Without it all is sent.
    pub(crate) template: Option<String>,

    /// What events say that are larger than a sink takes: `{ above_bytes = 200000, template = '{"keys": <$.detail.keys>}' }`. An event
    /// of more than `above_bytes`, as JSON text, has the detail that this template makes of it (`template` comes first, if there
    /// is one). Without it such an event is a dead letter where a sink does not take it: EventBridge and SNS take 256 KB.
    pub(crate) projection: Option<Projection>,

    /// Attribute of the items, a text or a number, whose value events carry as `correlation`, whatever plugin and template make of
    /// them, such as the id of the request that led to the change. `CloudEvents` have it as `correlationid`, too.
    pub(crate) correlation_attribute: Option<String>,

    /// Names of the sinks that every event goes to.
    pub(crate) sinks: Vec<String>,

    /// How many parts the route has that processes share, 1 to 64: each has the changes of some of the items, in order, and a cursor
    /// of its own. A process alone works at all of them, side by side. Default: 1. A route that halts (`failure = "halt"`) has one.
    #[serde(default = "default_partitions")]
    pub(crate) partitions: NonZeroU8,

    /// How long and how often a delivery is tried again before it becomes a dead letter.
    #[serde(default)]
    pub(crate) retry: RetrySchedule,

    /// Deliveries that may be parked at a time: what fails at a sink that works waits with all that comes of its item, and the
    /// route goes on. Past that number the route waits where it is. Default: 10000.
    #[serde(default = "default_parked_max")]
    pub(crate) parked_max: NonZeroUsize,

    /// Changes, and what the route has to send of each: `weir test` tries them. A running Weir does not look at them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) case: Vec<RouteCase>,
}

impl RouteConfig {
    /// What the route does, as a version of it says; `plugin` is the digest of what the file of its plugin has.
    pub(crate) fn definition(
        &self,
        plugin: Option<&[u8; 32]>,
        plugin_config: String,
        lookups: TableDigests,
    ) -> RouteDefinition {
        RouteDefinition {
            source: self.source.clone(),
            pattern: self.pattern.clone(),
            plugin: plugin.map(hex::encode),
            plugin_config,
            lookups,
            template: self.template.clone(),
            projection: self.projection.clone(),
            correlation_attribute: self.correlation_attribute.clone(),
            sinks: self.sinks.clone(),
            partitions: self.partitions,
            failure: self.failure,
        }
    }
}

fn default_partitions() -> NonZeroU8 {
    NonZeroU8::MIN
}

fn default_parked_max() -> NonZeroUsize {
    NonZeroUsize::new(10_000).expect("not zero")
}
