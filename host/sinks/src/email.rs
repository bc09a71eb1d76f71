//! E-mail by SMTP (RFC 5321): a message for each event.
//!
//! # Invariants
//!
//! - Every attempt has the same bytes: `Message-ID` is the delivery, `Date` the change's time.
//! - Nothing of an event gets into a header as more than one line, nor into HTML as markup.
//! - A password is not sent over a line that others can read.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use reqwest::Url;
use weir_model::Event;
use weir_routing::{Template, TemplateError};
use zeroize::Zeroizing;

use crate::{Limits, Message, Outcome, Sink};

/// Ports of submission: with TLS from the beginning (RFC 8314), and with STARTTLS (RFC 6409).
const SUBMISSIONS_PORT: u16 = 465;
const SUBMISSION_PORT: u16 = 587;

/// Longest wait for an answer to a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest that a message takes, connection and all.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections of a sink, at most.
const CONNECTIONS_MAX: u32 = 4;

/// Longest subject, in characters: what is more helps nobody, and some servers refuse it.
const SUBJECT_CHARS_MAX: usize = 200;

/// Characters of an answer that are told.
const TOLD_CHARS_MAX: usize = 200;

/// How a sink of e-mail is configured.
#[derive(Clone)]
pub struct EmailSettings {
    /// `smtps://host[:port]` for TLS from the beginning, `smtp://host[:port]` for STARTTLS.
    pub server: String,
    /// Whether an `smtp://` server is spoken to without TLS.
    pub without_tls: bool,
    /// Certificates, as PEM, that are trusted beside those that everybody trusts.
    pub ca: Option<Vec<u8>>,
    /// User name and password.
    pub credentials: Option<(String, Zeroizing<String>)>,
    /// `Weir <weir@example.com>`
    pub from: String,
    /// Who gets it.
    pub to: Vec<String>,
    /// A template.
    pub subject: String,
    /// What it says.
    pub content: EmailContent,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailContent {
    /// The event as JSON, indented.
    Event,
    /// A template of plain text.
    Text(String),
    /// A template of HTML. What the event says is escaped.
    Html(String),
}

/// Why a sink of e-mail cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    /// No server.
    #[error("{0:?} is no server: write `smtps://smtp.example.com`, or `smtp://smtp.example.com` for STARTTLS")]
    Server(String),
    /// No address.
    #[error("{text:?} is no address: write `ops@example.com` or `Operations <ops@example.com>`")]
    Address {
        /// What was written.
        text: String,
        /// Why it is none.
        source: lettre::address::AddressError,
    },
    /// Nobody gets it.
    #[error("`to` names nobody")]
    Nobody,
    /// A template cannot be read.
    #[error("`{what}` cannot be read")]
    Template {
        /// Which.
        what: &'static str,
        /// Why.
        source: TemplateError,
    },
    /// A password would be readable on its way.
    #[error("a password is not sent without TLS: leave out `tls = \"none\"`, or `username`")]
    Readable,
    /// TLS cannot be had.
    #[error("TLS cannot be set up")]
    Tls(#[source] lettre::transport::smtp::Error),
}

/// An SMTP server, and what it is sent.
pub struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    envelope: Envelope,
    from: Mailbox,
    to: Vec<Mailbox>,
    subject: Template,
    content: Content,
}

enum Content {
    Event,
    Text(Template),
    Html(Template),
}

impl Email {
    /// Nothing is connected to yet.
    ///
    /// # Errors
    ///
    /// The settings cannot be used.
    pub fn new(settings: EmailSettings) -> Result<Self, EmailError> {
        let template = |what, text: &str| Template::parse(text).map_err(|source| EmailError::Template { what, source });
        let from = mailbox(&settings.from)?;
        let to: Vec<Mailbox> = settings.to.iter().map(|text| mailbox(text)).collect::<Result<_, _>>()?;
        let recipients = to.iter().map(|mailbox| mailbox.email.clone()).collect();
        let envelope = Envelope::new(Some(from.email.clone()), recipients).map_err(|_| EmailError::Nobody)?;
        let subject = template("subject", &settings.subject)?;
        let content = match &settings.content {
            EmailContent::Event => Content::Event,
            EmailContent::Text(text) => Content::Text(template("text", text)?),
            EmailContent::Html(html) => Content::Html(template("html", html)?),
        };
        Ok(Self {
            transport: transport(settings)?,
            envelope,
            from,
            to,
            subject,
            content,
        })
    }

    /// The message, as it is sent.
    fn write(&self, event: &Event) -> String {
        let value = event.to_json();
        let delivery = value["detail"]["delivery"].as_str().unwrap_or_default();
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .subject(one_line(&self.subject.render(&value, str::to_owned)))
            .date(SystemTime::from(event.time))
            .message_id(Some(format!("<{delivery}@weir>")))
            .raw_header(header("X-Weir-Delivery", delivery))
            // RFC 3834, section 5: nobody's holidays are answered to.
            .raw_header(header("Auto-Submitted", "auto-generated"));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let (kind, text) = match &self.content {
            Content::Event => (
                ContentType::TEXT_PLAIN,
                serde_json::to_string_pretty(&value).expect("JSON can be written"),
            ),
            Content::Text(template) => (ContentType::TEXT_PLAIN, template.render(&value, str::to_owned)),
            Content::Html(template) => (ContentType::TEXT_HTML, template.render(&value, escape)),
        };
        let part = SinglePart::builder().header(kind).body(text);
        let message = builder.singlepart(part).expect("it has a sender and somebody gets it");
        String::from_utf8(message.formatted()).expect("what is not ASCII is encoded")
    }

    async fn send_one(&self, message: &Message) -> Outcome {
        let sending = self.transport.send_raw(&self.envelope, message.body.as_bytes());
        match tokio::time::timeout(MESSAGE_TIMEOUT, sending).await {
            Ok(Ok(_)) => Outcome::Accepted,
            Ok(Err(error)) => outcome(&error),
            Err(_) => Outcome::unavailable("the server did not answer in time"),
        }
    }
}

impl Sink for Email {
    fn limits(&self) -> Limits {
        Limits {
            messages_max: 1,
            bytes_max: usize::MAX,
            requests_max: CONNECTIONS_MAX as usize,
        }
    }

    fn body(&self, event: &Event) -> String {
        self.write(event)
    }

    fn size(&self, message: &Message) -> usize {
        // With the end of its last line, without the dot behind it.
        message.body.len() + "\r\n".len()
    }

    fn send<'a>(&'a self, messages: &'a [Arc<Message>]) -> BoxFuture<'a, Vec<Outcome>> {
        async move {
            let mut outcomes = Vec::with_capacity(messages.len());
            for message in messages {
                outcomes.push(self.send_one(message).await);
            }
            outcomes
        }
        .boxed()
    }
}

/// What an error says of the message. Sender and recipients are the same for every message: that a server does not take those is
/// no fault of one.
fn outcome(error: &lettre::transport::smtp::Error) -> Outcome {
    let reason = explain(error);
    match error.status().map(u16::from) {
        // RFC 5321, section 4.2.3: too much of it, and "transaction failed": its content is refused.
        Some(552 | 554) => Outcome::refused(reason),
        // The server has trouble of its own with this one, or is full.
        Some(450..=452) => Outcome::retry(reason),
        _ => Outcome::unavailable(reason),
    }
}

fn explain(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    one_line(&format!("the server: {text}"))
        .chars()
        .take(TOLD_CHARS_MAX)
        .collect()
}

fn transport(settings: EmailSettings) -> Result<AsyncSmtpTransport<Tokio1Executor>, EmailError> {
    let no_server = || EmailError::Server(settings.server.clone());
    let url = Url::parse(&settings.server).map_err(|_| no_server())?;
    let host = url.host_str().ok_or_else(no_server)?.to_owned();
    let has_more = !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty();
    if has_more || url.password().is_some() {
        return Err(no_server());
    }
    if settings.without_tls && settings.credentials.is_some() {
        return Err(EmailError::Readable);
    }
    let parameters = || {
        let mut parameters = TlsParameters::builder(host.clone());
        if let Some(pem) = &settings.ca {
            parameters = parameters.add_root_certificate(Certificate::from_pem(pem)?);
        }
        parameters.build_rustls()
    };
    let (tls, port) = match (url.scheme(), settings.without_tls) {
        ("smtps", false) => (Tls::Wrapper(parameters().map_err(EmailError::Tls)?), SUBMISSIONS_PORT),
        ("smtp", false) => (Tls::Required(parameters().map_err(EmailError::Tls)?), SUBMISSION_PORT),
        ("smtp", true) => (Tls::None, SUBMISSION_PORT),
        _ => return Err(no_server()),
    };
    let pool = lettre::transport::smtp::PoolConfig::new().max_size(CONNECTIONS_MAX);
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
        .port(url.port().unwrap_or(port))
        .tls(tls)
        .hello_name(ClientId::Domain("weir.invalid".to_owned()))
        .timeout(Some(COMMAND_TIMEOUT))
        .pool_config(pool);
    if let Some((user, password)) = settings.credentials {
        builder = builder.credentials(Credentials::new(user, password.to_string()));
    }
    Ok(builder.build())
}

fn mailbox(text: &str) -> Result<Mailbox, EmailError> {
    text.parse().map_err(|source| EmailError::Address {
        text: text.to_owned(),
        source,
    })
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn one_line(text: &str) -> String {
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().map(printable).take(SUBJECT_CHARS_MAX).collect()
}

/// Text as HTML has it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
