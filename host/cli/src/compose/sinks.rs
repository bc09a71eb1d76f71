//! Makes the sinks that the configuration names. Nothing is sent yet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use weir_pipeline::SinkSetup;
use weir_sinks::{EventBridge, IpNet, Log, Sink, Sns, Sqs, Webhook, WebhookSettings};
use zeroize::Zeroizing;

use super::aws_access;
use crate::config::{Loaded, SinkKind, WebhookConfig};

/// All of them, by name.
pub(super) async fn make(loaded: &Loaded) -> Result<BTreeMap<String, SinkSetup>> {
    let mut sinks = BTreeMap::new();
    for (name, config) in &loaded.config.sink {
        let sink = make_one(loaded, name, &config.kind).await;
        let setup = SinkSetup {
            sink: sink.with_context(|| format!("[sink.{name}] cannot be used"))?,
            messages_per_second: config.messages_per_second,
        };
        sinks.insert(name.clone(), setup);
    }
    Ok(sinks)
}

async fn make_one(loaded: &Loaded, name: &str, config: &SinkKind) -> Result<Arc<dyn Sink>> {
    Ok(match config {
        SinkKind::EventBridge(bus) => Arc::new(EventBridge::new(&aws_access(&bus.aws), &bus.bus, bus.bytes_max).await),
        SinkKind::Sns(sns) => Arc::new(Sns::new(&aws_access(&sns.aws), &sns.topic, sns.bytes_max).await),
        SinkKind::Sqs(sqs) => Arc::new(Sqs::new(&aws_access(&sqs.aws), &sqs.queue, sqs.bytes_max).await),
        SinkKind::Webhook(webhook) => Arc::new(Webhook::new(WebhookSettings {
            url: webhook.url.clone(),
            secrets: secrets(loaded, name, webhook)?,
            allow_networks: networks(webhook)?,
        })?),
        SinkKind::Log(log) => {
            let path = loaded.path(&log.file);
            let opened = Log::open(&path).await;
            Arc::new(opened.with_context(|| format!("its file {} cannot be written", path.display()))?)
        }
    })
}

/// Networks that are not public and may be sent to.
fn networks(webhook: &WebhookConfig) -> Result<Vec<IpNet>> {
    let read = |text: &String| {
        text.parse().with_context(|| {
            format!("{text:?} in `allow_networks` is no network; write it as \"10.2.0.0/16\", one address as \"10.2.0.7/32\"")
        })
    };
    webhook.allow_networks.iter().map(read).collect()
}

/// What a webhook's messages are signed with.
fn secrets(loaded: &Loaded, name: &str, webhook: &WebhookConfig) -> Result<Vec<Zeroizing<String>>> {
    let variable = format!("WEIR_SINK_{}_SECRET", name.to_uppercase().replace('-', "_"));
    // A variable that is empty is one that was not set.
    let text = match std::env::var(&variable).ok().filter(|text| !text.is_empty()) {
        Some(text) => Zeroizing::new(text),
        None => {
            let file = webhook.secret_file.clone();
            let path = loaded.path(&file.unwrap_or_else(|| PathBuf::from(format!("{name}.secret"))));
            let text = std::fs::read_to_string(&path).with_context(|| {
                format!(
                    "there is no {variable} in the environment, and the file with its secret cannot be read. Make one with \
                     `(umask 077; echo whsec_$(openssl rand -base64 32) > {})`, and give it to the receiver",
                    path.display()
                )
            })?;
            Zeroizing::new(text)
        }
    };
    Ok(text.split_whitespace().map(|secret| secret.to_owned().into()).collect())
}
