//! Makes the sinks that the configuration names. Nothing is sent yet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use weir_pipeline::SinkSetup;
use weir_sinks::{
    Email, EmailContent, EmailSettings, EventBridge, IpNet, Log, Sink, Sns, Sqs, Webhook, WebhookSettings,
};
use zeroize::Zeroizing;

use super::aws_access;
use crate::config::{EmailConfig, Loaded, SinkKind, TlsConfig, WebhookConfig};

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
            secrets: webhook_secrets(loaded, name, webhook)?,
            allow_networks: networks(webhook)?,
        })?),
        SinkKind::Email(email) => Arc::new(Email::new(email_settings(loaded, name, email)?)?),
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
fn webhook_secrets(loaded: &Loaded, name: &str, webhook: &WebhookConfig) -> Result<Vec<Zeroizing<String>>> {
    let how = |path: &Path| {
        format!(
            "Make one with `(umask 077; echo whsec_$(openssl rand -base64 32) > {})`, and give it to the receiver",
            path.display()
        )
    };
    let text = secret(loaded, name, webhook.secret_file.as_deref(), how)?;
    Ok(text.split_whitespace().map(|secret| secret.to_owned().into()).collect())
}

fn email_settings(loaded: &Loaded, name: &str, email: &EmailConfig) -> Result<EmailSettings> {
    let content = match (&email.text, &email.html) {
        (None, None) => EmailContent::Event,
        (Some(text), None) => EmailContent::Text(text.clone()),
        (None, Some(html)) => EmailContent::Html(html.clone()),
        (Some(_), Some(_)) => bail!("a message is `text` or `html`; leave one of them out"),
    };
    let ca = email.ca_file.as_ref().map(|file| {
        let path = loaded.path(file);
        std::fs::read(&path).with_context(|| format!("its `ca_file` {} cannot be read", path.display()))
    });
    let credentials = match &email.username {
        Some(username) => {
            let how = |path: &Path| format!("Write the password of {username:?} into {}", path.display());
            let password = secret(loaded, name, email.secret_file.as_deref(), how)?;
            Some((username.clone(), Zeroizing::new(password.trim().to_owned())))
        }
        None if email.secret_file.is_some() => {
            bail!("it has a `secret_file` and no `username` that the password is of")
        }
        None => None,
    };
    Ok(EmailSettings {
        server: email.server.clone(),
        without_tls: matches!(email.tls, TlsConfig::None),
        ca: ca.transpose()?,
        credentials,
        from: email.from.clone(),
        to: email.to.clone(),
        subject: email.subject.clone(),
        content,
    })
}

/// The secret of a sink: from the environment, or its file.
fn secret(
    loaded: &Loaded,
    name: &str,
    file: Option<&Path>,
    how_to_make_it: impl Fn(&Path) -> String,
) -> Result<Zeroizing<String>> {
    let variable = format!("WEIR_SINK_{}_SECRET", name.to_uppercase().replace('-', "_"));
    // A variable that is empty is one that was not set.
    if let Some(text) = std::env::var(&variable).ok().filter(|text| !text.is_empty()) {
        return Ok(Zeroizing::new(text));
    }
    let path = file.map_or_else(|| PathBuf::from(format!("{name}.secret")), Path::to_path_buf);
    let path = loaded.path(&path);
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "there is no {variable} in the environment, and the file with its secret cannot be read. {}",
            how_to_make_it(&path)
        )
    })?;
    Ok(Zeroizing::new(text))
}
