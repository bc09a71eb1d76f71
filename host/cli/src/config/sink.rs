//! `[sink.<name>]`: where events go.
//!
//! Sinks without an envelope of their own (SNS, SQS, webhooks) get `CloudEvents`: `data` is the event's `detail`, `id` the
//! delivery, `type` the detail type.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::AwsConfig;

/// `[sink.<name>]`: where events go.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SinkConfig {
    /// Events that it gets in a second, at most, from all routes and all processes together. Default: as many as it takes.
    pub(crate) messages_per_second: Option<NonZeroU32>,

    /// What it is.
    #[serde(flatten)]
    pub(crate) kind: SinkKind,
}

/// What a sink is: `type = "..."`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum SinkKind {
    /// An Amazon `EventBridge` event bus.
    EventBridge(EventBridgeConfig),
    /// An Amazon SNS topic.
    Sns(SnsConfig),
    /// An Amazon SQS queue.
    Sqs(SqsConfig),
    /// An HTTP endpoint.
    Webhook(WebhookConfig),
    /// E-mail.
    Email(EmailConfig),
    /// A file: each event is a line of JSON.
    Log(LogConfig),
}

/// `type = "eventbridge"`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventBridgeConfig {
    /// Name or ARN of the event bus. Default: `default`.
    #[serde(default = "default_bus")]
    pub(crate) bus: String,

    /// Bytes of a request at most, where the account's quota is not 262144 (256 KB). An event that is larger is a dead letter.
    pub(crate) bytes_max: Option<usize>,

    /// How AWS is reached.
    #[serde(flatten)]
    pub(crate) aws: AwsConfig,
}

fn default_bus() -> String {
    "default".to_owned()
}

/// `type = "sns"`. `source` and `type` of the event are message attributes, for filter policies. To a topic whose name ends in
/// `.fifo` each item is a message group of its own, and the delivery's id is the deduplication id.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnsConfig {
    /// ARN of the topic.
    pub(crate) topic: String,

    /// Bytes of a request at most, where the account's quota is not 262144 (256 KB). An event that is larger is a dead letter.
    pub(crate) bytes_max: Option<usize>,

    /// How AWS is reached.
    #[serde(flatten)]
    pub(crate) aws: AwsConfig,
}

/// `type = "sqs"`. `source` and `type` of the event are message attributes. To a queue whose name ends in `.fifo` each item is a
/// message group of its own, and the delivery's id is the deduplication id.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqsConfig {
    /// URL of the queue.
    pub(crate) queue: String,

    /// Bytes of a request at most, where the queue does not take 1048576 (1 MiB). An event that is larger is a dead letter.
    pub(crate) bytes_max: Option<usize>,

    /// How AWS is reached.
    #[serde(flatten)]
    pub(crate) aws: AwsConfig,
}

/// `type = "webhook"`: a signed request for each event, as Standard Webhooks has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookConfig {
    /// `https://hooks.example.com/orders`. `http://` only goes to networks in `allow_networks`.
    pub(crate) url: String,

    /// File with the secret that requests are signed with: `whsec_` and 24 to 64 bytes in base64. Make it with
    /// `echo whsec_$(openssl rand -base64 32)`. While receivers change over: the new one, and the old one on the next line.
    /// Default: `<name>.secret`. The environment variable `WEIR_SINK_<NAME>_SECRET` goes before it.
    pub(crate) secret_file: Option<PathBuf>,

    /// Networks that are not public and may be sent to all the same: `["10.2.0.0/16", "fd00::/8"]`. Nothing is sent to any other
    /// address that is not public, whatever the name service says.
    #[serde(default)]
    pub(crate) allow_networks: Vec<String>,
}

/// `type = "email"`: a message for each event, by SMTP. Templates say what the event says at `<$.detail.keys.id>`, as
/// `EventBridge` Pipes have it; where it says nothing, nothing.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmailConfig {
    /// `smtps://smtp.example.com` (TLS from the beginning, port 465) or `smtp://smtp.example.com` (STARTTLS, port 587). A port may
    /// follow.
    pub(crate) server: String,

    /// `required` (default), or `none` for a relay on this machine or in a network of your own.
    #[serde(default)]
    pub(crate) tls: TlsConfig,

    /// File with certificates (PEM) to trust beside those that everybody trusts.
    pub(crate) ca_file: Option<PathBuf>,

    /// User name. The password is in `<name>.secret`, in the file that `secret_file` names, or in the environment variable
    /// `WEIR_SINK_<NAME>_SECRET`.
    pub(crate) username: Option<String>,

    /// File with the password.
    pub(crate) secret_file: Option<PathBuf>,

    /// Sender: `Weir <weir@example.com>`.
    pub(crate) from: String,

    /// Who gets it: addresses.
    pub(crate) to: Vec<String>,

    /// Template of the subject.
    #[serde(default = "default_subject")]
    pub(crate) subject: String,

    /// Template of the message as plain text. Without `text` and `html` it is the event as JSON.
    pub(crate) text: Option<String>,

    /// Template of the message as HTML, in place of `text`. What events say is escaped.
    pub(crate) html: Option<String>,
}

/// Whether others can read what is sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TlsConfig {
    /// They cannot, or nothing is sent.
    #[default]
    Required,
    /// They can.
    None,
}

fn default_subject() -> String {
    "<$.detail-type>".to_owned()
}

/// `type = "log"`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// The file. Events are added at its end.
    pub(crate) file: PathBuf,
}
