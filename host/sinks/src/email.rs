//! E-mail by SMTP: a message for each event.
//!
//! # Invariants
//!
//! - Every attempt has the same bytes: `Message-ID` is the delivery, `Date` the change's time.
//! - Nothing of an event gets into a header as more than one line, nor into HTML as markup.

mod server;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use weir_model::Event;
use weir_routing::{Template, TemplateError};
use zeroize::Zeroizing;

use self::server::Server;
use crate::outcome::one_line;
use crate::{Limits, Message, Outcome, Sink};

/// Connections of a sink and route, at most.
const CONNECTIONS_MAX: usize = 4;

/// Longest that a message takes, connection and all.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest wait for the end of a connection that is not needed any more.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest subject, in characters: what is more helps nobody, and some servers refuse it.
const SUBJECT_CHARS_MAX: usize = 200;

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
    #[error("`server` names none: write `smtps://smtp.example.com`, or `smtp://smtp.example.com` for STARTTLS")]
    Server,
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
    server: Server,
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
            server: Server::new(&settings)?,
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
            .subject(one_line(&self.subject.render(&value, str::to_owned), SUBJECT_CHARS_MAX))
            // The header knows no time before 1970; a source may.
            .date(SystemTime::from(event.time.max(Timestamp::UNIX_EPOCH)))
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
        // A line may only end as lines do: what some server takes for an end of the message would begin another one. No NUL either
        // (RFC 5322, section 2.2 and 4).
        let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}");
        let part = SinglePart::builder().header(kind).body(text);
        let message = builder.singlepart(part).expect("it has a sender and somebody gets it");
        String::from_utf8(message.formatted()).expect("what is not ASCII is encoded")
    }

    async fn send_one(&self, message: &Message) -> Outcome {
        let sending = async {
            match self.server.connect().await {
                Ok(mut conversation) => {
                    let outcome = conversation.send(&self.envelope, &message.body).await;
                    Ok((outcome, conversation))
                }
                Err(unavailable) => Err(unavailable),
            }
        };
        match tokio::time::timeout(MESSAGE_TIMEOUT, sending).await {
            Ok(Ok((outcome, conversation))) => {
                let _ = tokio::time::timeout(QUIT_TIMEOUT, conversation.quit()).await;
                outcome
            }
            Ok(Err(unavailable)) => unavailable,
            Err(_) => Outcome::unavailable("the server did not answer in time"),
        }
    }
}

impl Sink for Email {
    fn limits(&self) -> Limits {
        Limits {
            messages_max: 1,
            bytes_max: usize::MAX,
            requests_max: CONNECTIONS_MAX,
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

fn mailbox(text: &str) -> Result<Mailbox, EmailError> {
    text.parse().map_err(|source| EmailError::Address {
        text: text.to_owned(),
        source,
    })
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
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
