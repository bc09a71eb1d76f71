//! An SMTP server, and a conversation with it (RFC 5321).
//!
//! # Invariants
//!
//! - A connection that was left in the middle of a message is closed. The answer that was still to come is nobody else's.
//! - Sender and recipients are the same for every message: that a server does not take those, or does not let us in, says nothing
//!   against a message. What it says to the message itself does.
//! - A password is not sent over a line that others can read.

use std::time::Duration;

use lettre::Address;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use reqwest::Url;

use super::{EmailError, EmailSettings};
use crate::Outcome;
use crate::outcome::one_line;

/// Ports of submission: with TLS from the beginning (RFC 8314), and with STARTTLS (RFC 6409).
const SUBMISSIONS_PORT: u16 = 465;
const SUBMISSION_PORT: u16 = 587;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Characters of an answer that are told.
const TOLD_CHARS_MAX: usize = 200;

/// Where it is, and how it is spoken to.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
}

enum Tls {
    FromTheBeginning(TlsParameters),
    AfterGreeting(TlsParameters),
    None,
}

/// A server that listens.
pub(super) struct Conversation(AsyncSmtpConnection);

impl Server {
    pub(super) fn new(settings: &EmailSettings) -> Result<Self, EmailError> {
        let url = Url::parse(&settings.server).map_err(|_| EmailError::Server)?;
        let host = url.host_str().ok_or(EmailError::Server)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let has_more = !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty();
        if has_more || url.password().is_some() {
            return Err(EmailError::Server);
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
            ("smtps", false) => (
                Tls::FromTheBeginning(parameters().map_err(EmailError::Tls)?),
                SUBMISSIONS_PORT,
            ),
            ("smtp", false) => (
                Tls::AfterGreeting(parameters().map_err(EmailError::Tls)?),
                SUBMISSION_PORT,
            ),
            ("smtp", true) => (Tls::None, SUBMISSION_PORT),
            _ => return Err(EmailError::Server),
        };
        let credentials = settings.credentials.as_ref();
        Ok(Self {
            port: url.port().unwrap_or(port),
            host,
            tls,
            credentials: credentials.map(|(user, password)| Credentials::new(user.clone(), password.to_string())),
        })
    }

    /// Connects, and is let in.
    pub(super) async fn connect(&self) -> Result<Conversation, Outcome> {
        let hello = ClientId::Domain("weir.invalid".to_owned());
        let from_the_beginning = match &self.tls {
            Tls::FromTheBeginning(parameters) => Some(parameters.clone()),
            Tls::AfterGreeting(_) | Tls::None => None,
        };
        let address = (self.host.as_str(), self.port);
        let talk = async {
            let timeout = Some(CONNECT_TIMEOUT);
            let mut connection =
                AsyncSmtpConnection::connect_tokio1(address, timeout, &hello, from_the_beginning, None).await?;
            if let Tls::AfterGreeting(parameters) = &self.tls {
                connection.starttls(parameters.clone(), &hello).await?;
            }
            if let Some(credentials) = &self.credentials {
                connection.auth(DEFAULT_MECHANISMS, credentials).await?;
            }
            Ok(Conversation(connection))
        };
        talk.await.map_err(|error: Error| unavailable(&error))
    }
}

impl Conversation {
    /// Sends one message.
    pub(super) async fn send(&mut self, envelope: &Envelope, message: &str) -> Outcome {
        if let Err(error) = self.address(envelope).await {
            return unavailable(&error);
        }
        match self.0.message(message.as_bytes()).await {
            Ok(_) => Outcome::Accepted,
            Err(error) => match error.status().map(u16::from) {
                // RFC 5321, section 3.8: it is closing down.
                Some(421) | None => unavailable(&error),
                Some(400..500) => Outcome::retry(explain(&error)),
                Some(_) => Outcome::refused(explain(&error)),
            },
        }
    }

    /// Says from whom and to whom a message is, until the server waits for it.
    async fn address(&mut self, envelope: &Envelope) -> Result<(), Error> {
        let connection = &mut self.0;
        let mut parameters = Vec::new();
        // RFC 6531: whoever does not know of such addresses has to be told.
        let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        let all_ascii = envelope.from().into_iter().chain(envelope.to()).all(is_ascii);
        if !all_ascii && connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        connection
            .command(Mail::new(envelope.from().cloned(), parameters))
            .await?;
        for to in envelope.to() {
            connection.command(Rcpt::new(to.clone(), Vec::new())).await?;
        }
        connection.command(Data).await?;
        Ok(())
    }

    /// Ends in good order. What the server says to that changes nothing.
    pub(super) async fn quit(mut self) {
        let _ = self.0.quit().await;
    }
}

fn unavailable(error: &Error) -> Outcome {
    Outcome::unavailable(explain(error))
}

fn explain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    one_line(&format!("the server: {text}"), TOLD_CHARS_MAX)
}
