//! What only e-mail does: templates, and what is refused before anything is sent.

use std::sync::{Arc, Mutex};

use expect_test::{Expect, expect};
use weir_model::Event;
use weir_sinks::{Email, EmailContent, EmailSettings, Sink as _};

use crate::smtp::{self, Mails};
use crate::support::{event, kinds, message, messages, show};

fn settings() -> EmailSettings {
    EmailSettings {
        server: "smtps://smtp.example.com".to_owned(),
        without_tls: false,
        ca: None,
        credentials: None,
        from: "Weir <weir@example.com>".to_owned(),
        to: vec!["ops@example.com".to_owned()],
        subject: "<$.detail-type>".to_owned(),
        content: EmailContent::Event,
    }
}

/// What arrives of an event.
async fn sent(event: &Event, change: impl FnOnce(&mut EmailSettings)) -> String {
    let mails: Arc<Mutex<Mails>> = Arc::default();
    let mut settings = EmailSettings {
        server: smtp::start(Arc::clone(&mails)).await,
        without_tls: true,
        ..settings()
    };
    change(&mut settings);
    let sink = Email::new(settings).unwrap();
    sink.send(&[message(&sink, 0, event)]).await;
    mails.lock().unwrap().taken.remove(0)
}

#[tokio::test]
async fn a_message_has_headers_that_say_what_it_is_and_the_event_as_json() {
    let mail = sent(&event(0), |_| {}).await;
    let (headers, _) = mail.split_once("\r\n\r\n").unwrap();
    let mut headers: Vec<&str> = headers.lines().filter(|line| !line.contains("Delivery")).collect();
    headers.sort_unstable();
    expect![[r#"
        Auto-Submitted: auto-generated
        Content-Transfer-Encoding: 7bit
        Content-Type: text/plain; charset=utf-8
        Date: Sun, 01 Mar 2026 12:00:00 +0000
        MIME-Version: 1.0
        Subject: shop-orders.modify
        To: ops@example.com"#]]
    .assert_eq(
        &headers
            .into_iter()
            .filter(|line| !line.starts_with("Message-ID") && !line.starts_with("From"))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    let content = smtp::content(&mail);
    let said: serde_json::Value = serde_json::from_str(&content).unwrap();
    assert_eq!(said["detail"]["keys"]["order_id"], "o1");
    assert!(content.lines().count() > 10, "it is to be read by people: {content}");
}

#[tokio::test]
async fn what_an_event_says_gets_into_a_subject_as_one_line_and_into_html_as_text() {
    let mut event = event(0);
    let name = "<b>Zoë</b>\r\nBcc: all@example.com";
    event.detail.insert("name".to_owned(), name.into());
    let mail = sent(&event, |settings| {
        settings.subject = "Hello <$.detail.name>".to_owned();
        settings.content = EmailContent::Html("<p><$.detail.name></p>".to_owned());
    })
    .await;
    assert_eq!(smtp::header(&mail, "Bcc"), "", "{mail}");
    assert!(smtp::header(&mail, "Content-Type").starts_with("text/html"), "{mail}");
    let content = smtp::content(&mail);
    assert!(content.contains("<p>&lt;b&gt;Zoë&lt;/b&gt;"), "{content}");
}

/// Sender, recipients and the place itself are the same for every message.
#[tokio::test]
async fn what_a_server_does_not_take_of_anybody_costs_no_message() {
    for (command, answer) in [
        ("EHLO", "554 5.3.2 no service for you"),
        ("MAIL", "550 5.7.1 not from you"),
        ("RCPT", "554 5.7.1 relay access denied"),
        ("RCPT", "450 4.2.0 greylisted"),
        ("DATA", "554 5.5.1 no valid recipients"),
    ] {
        let mails: Arc<Mutex<Mails>> = Arc::default();
        mails.lock().unwrap().says.insert(command, answer);
        let sink = Email::new(EmailSettings {
            server: smtp::start(Arc::clone(&mails)).await,
            without_tls: true,
            ..settings()
        });
        let sink = sink.unwrap();
        let outcomes = sink.send(&messages(&sink, 2)).await;
        assert_eq!(kinds(&outcomes), ["unavailable"; 2], "{command}: {answer}");
        let told = answer.split_once(' ').unwrap().1;
        assert!(show(&outcomes)[0].contains(told), "{:?}", show(&outcomes));
    }
}

/// A source says what it likes of the time.
#[tokio::test]
async fn a_change_of_before_1970_is_told_as_of_then() {
    let mut event = event(0);
    event.time = "-009999-01-02T01:59:59Z".parse().unwrap();
    let mail = sent(&event, |_| {}).await;
    assert_eq!(smtp::header(&mail, "Date"), "Thu, 01 Jan 1970 00:00:00 +0000");
    event.time = jiff::Timestamp::MAX;
    let mail = sent(&event, |_| {}).await;
    assert_eq!(smtp::header(&mail, "Date"), "Thu, 30 Dec 9999 22:00:00 +0000");
}

/// What some servers take for the end of a message and the beginning of another is neither.
#[tokio::test]
async fn no_event_can_end_a_message_and_begin_another() {
    let mut event = event(0);
    let note = "x\r.\r\nMAIL FROM:<a@example.com>\r\n.\r\n\0";
    event.detail.insert("note".to_owned(), note.into());
    let mail = sent(&event, |settings| {
        settings.content = EmailContent::Text("<$.detail.note>".to_owned());
    })
    .await;
    assert!(!mail.replace("\r\n", "").contains(['\r', '\0']), "{mail:?}");
    assert!(smtp::content(&mail).starts_with("x\r\n.\r\nMAIL FROM"), "{mail:?}");
}

#[tokio::test]
async fn lines_that_begin_with_a_dot_arrive_as_they_are() {
    let mail = sent(&event(0), |settings| {
        settings.content = EmailContent::Text("a\r\n.\r\n..b\r\n".to_owned());
    })
    .await;
    assert_eq!(smtp::content(&mail).trim_end(), "a\r\n.\r\n..b");
}

#[test]
fn what_cannot_be_used_is_said_before_anything_is_sent() {
    let refused = |change: fn(&mut EmailSettings), expected: Expect| {
        let mut settings = settings();
        change(&mut settings);
        let error = Email::new(settings).err().unwrap();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        expected.assert_eq(&text);
    };
    refused(
        |settings| settings.server = "smtp.example.com".to_owned(),
        expect!["`server` names none: write `smtps://smtp.example.com`, or `smtp://smtp.example.com` for STARTTLS"],
    );
    refused(
        |settings| settings.from = "weir at example".to_owned(),
        expect![[
            r#""weir at example" is no address: write `ops@example.com` or `Operations <ops@example.com>`: Invalid input"#
        ]],
    );
    refused(|settings| settings.to = Vec::new(), expect!["`to` names nobody"]);
    refused(
        |settings| settings.subject = "Order <$id>".to_owned(),
        expect![
            "`subject` cannot be read: byte 8 of the template: a path goes on with `.name`, `['name']` or `[0]`, and ends with `>`"
        ],
    );
    refused(
        |settings| {
            settings.without_tls = true;
            settings.server = "smtp://localhost:25".to_owned();
            settings.credentials = Some(("weir".to_owned(), "secret".to_owned().into()));
        },
        expect!["a password is not sent without TLS: leave out `tls = \"none\"`, or `username`"],
    );
}
