//! Webhooks: what is on the wire, what each answer means, and where nothing goes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest of it")]
mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use weir_sinks::{Outcome, Sink as _, Webhook, WebhookSettings};

use self::support::http::{Reply, Request, Server};
use self::support::{delivery, kinds, messages, show};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A receiver, and what it was sent.
struct Receiver {
    server: Server,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    async fn start(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = Arc::clone(&requests);
        let server = Server::start(move |request| {
            let mut seen = seen.lock().unwrap();
            seen.push(request);
            answer(seen.len() - 1)
        })
        .await;
        Self { server, requests }
    }

    fn webhook(&self, secrets: &[&str]) -> Webhook {
        Webhook::new(WebhookSettings {
            url: format!("{}/hooks?team=orders", self.server.endpoint()),
            secrets: secrets.iter().map(|secret| (*secret).to_owned().into()).collect(),
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        })
        .unwrap()
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn send(webhook: &Webhook, count: usize) -> Vec<Outcome> {
    webhook.send(&messages(webhook, count)).await
}

/// What becomes of a message that is answered like this, and how long the endpoint asks to be left alone.
async fn outcome(reply: Reply) -> (String, Option<Duration>) {
    let receiver = Receiver::start(move |_| reply.clone()).await;
    let outcome = send(&receiver.webhook(&[SECRET]), 1).await.remove(0);
    let after = match &outcome {
        Outcome::Retry { after, .. } | Outcome::Unavailable { after, .. } => *after,
        _ => None,
    };
    (show(&[outcome]).remove(0), after)
}

#[tokio::test]
async fn each_status_says_whether_it_is_about_the_message_or_about_the_endpoint() {
    for (statuses, expected) in [
        (&[200_u16, 201, 202, 204][..], "accepted"),
        (&[413, 414, 415, 431], "refused"),
        (&[429, 502, 503, 504, 410], "unavailable"),
        (
            &[
                400, 422, 301, 302, 307, 308, 401, 403, 404, 405, 408, 409, 418, 422, 425, 500, 501, 599,
            ],
            "retry",
        ),
    ] {
        for status in statuses {
            let (said, _) = outcome(Reply::Text(*status, "")).await;
            assert!(said.starts_with(expected), "{status}: {said}");
            assert!(said == "accepted" || said.contains(&status.to_string()), "{said}");
        }
    }
}

#[tokio::test]
async fn what_the_endpoint_says_is_told_and_how_long_it_asks_to_be_left_alone_is_heard() {
    let with = |status, after: &str| Reply::With(status, ("Retry-After", after.to_owned()), "too much");
    let expected = |text: &str, seconds| (text.to_owned(), Some(Duration::from_secs(seconds)));
    assert_eq!(
        outcome(with(429, "7")).await,
        expected("unavailable the endpoint answered 429 Too Many Requests: too much", 7)
    );
    assert_eq!(
        outcome(with(500, "90000")).await,
        expected("retry the endpoint answered 500 Internal Server Error: too much", 3600)
    );
    assert_eq!(outcome(with(503, "yesterday")).await.1, None);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start(|_| Reply::Text(200, "")).await;
    let location = ("Location", format!("{}/stolen", elsewhere.server.endpoint()));
    let (said, _) = outcome(Reply::With(307, location, "")).await;
    assert!(said.contains("redirects are not followed"), "{said}");
    assert_eq!(elsewhere.requests().len(), 0);
}

/// Standard Webhooks: "410 Gone" means that nothing more is wanted.
#[tokio::test]
async fn an_endpoint_that_is_gone_is_not_asked_again() {
    let receiver = Receiver::start(|_| Reply::Text(410, "")).await;
    let webhook = receiver.webhook(&[SECRET]);
    for _ in 0..3 {
        let outcomes = send(&webhook, 2).await;
        assert_eq!(kinds(&outcomes), ["unavailable", "unavailable"]);
        assert!(show(&outcomes)[0].contains("410 Gone"), "{outcomes:?}");
    }
    assert_eq!(receiver.requests().len(), 1);
}

/// It may have been taken: nothing counts against it, and it comes again.
#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_given_up_in_time() {
    let receiver = Receiver::start(|_| Reply::Hang).await;
    let begun = Instant::now();
    let outcomes = send(&receiver.webhook(&[SECRET]), 1).await;
    assert_eq!(show(&outcomes), ["unavailable the endpoint did not answer in time"]);
    assert!(begun.elapsed() < Duration::from_secs(40));
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_nobody_listens_at_is_not_there() {
    let webhook = Webhook::new(WebhookSettings {
        url: "http://127.0.0.1:1/".to_owned(),
        secrets: vec![SECRET.to_owned().into()],
        allow_networks: vec!["127.0.0.1/32".parse().unwrap()],
    });
    let outcomes = send(&webhook.unwrap(), 1).await;
    let said = &show(&outcomes)[0];
    assert!(
        said.starts_with("unavailable the endpoint cannot be reached: "),
        "{said}"
    );
    assert!(!said.contains("127.0.0.1:1/"), "{said}");
}

/// Standard Webhooks, "Webhook headers".
#[tokio::test]
async fn a_request_carries_one_event_under_the_delivery_s_id_with_a_signature_of_each_secret() {
    let receiver = Receiver::start(|_| Reply::Text(200, "")).await;
    let old = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    let webhook = receiver.webhook(&[SECRET, old]);
    assert_eq!(webhook.limits().messages_max, 1);
    send(&webhook, 2).await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    for (number, request) in requests.iter().enumerate() {
        let header = |name: &str| request.headers[name].clone();
        assert_eq!(header("content-type"), "application/cloudevents+json; charset=utf-8");
        assert!(header("user-agent").starts_with("weir/"));
        assert_eq!(header("webhook-id"), delivery(number).to_string());
        assert_eq!(request.body["id"], header("webhook-id"));
        assert_eq!(request.body["specversion"], "1.0");
        let made_at = Timestamp::from_second(header("webhook-timestamp").parse().unwrap()).unwrap();
        assert!(Timestamp::now().duration_since(made_at) < SignedDuration::from_secs(60));
        let signatures = header("webhook-signature");
        let signatures: Vec<&str> = signatures.split(' ').collect();
        assert_eq!(signatures.len(), 2);
        // By a library that we did not write.
        for (secret, signature) in [SECRET, old].into_iter().zip(signatures) {
            let theirs = standardwebhooks::Webhook::new(secret).unwrap();
            let expected = theirs.sign(&header("webhook-id"), made_at.as_second(), request.text.as_bytes());
            assert_eq!(signature, expected.unwrap());
        }
    }
}
