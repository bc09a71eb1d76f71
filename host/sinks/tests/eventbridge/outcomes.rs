//! One outcome for each event.

use std::sync::atomic::{AtomicUsize, Ordering};

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::http::Reply;
use crate::support::{Scripted, accept, accept_but, error, event, id, kinds, show};

/// Sends `count` events to a service that answers like this.
async fn check(count: usize, answer: impl Fn(&[Value]) -> Reply + Send + Sync + 'static, expect: Expect) {
    let outcomes = Scripted::start(answer).await.send(count).await;
    expect.assert_eq(&show(&outcomes).join("\n"));
}

#[tokio::test]
async fn what_is_taken_is_accepted_in_one_request() {
    let bus = Scripted::start(accept).await;
    assert_eq!(kinds(&bus.send(10).await), vec!["accepted"; 10]);
    assert_eq!(bus.ids_by_request().len(), 1);
}

#[tokio::test]
async fn nothing_to_send_is_no_request() {
    let bus = Scripted::start(accept).await;
    assert_eq!(bus.send(0).await, []);
    assert_eq!(bus.requests(), Vec::<Value>::new());
}

/// streams.md 35: HTTP 200 with failures by index; what may pass may be tried again, the rest is refused for good.
#[tokio::test]
async fn an_entry_that_failed_fails_alone() {
    let failure = |id: &str| match id {
        "e1" => Some("ThrottlingException"),
        "e2" => Some("InternalFailure"),
        "e4" => Some("MalformedDetail"),
        "e5" => Some("NotAuthorizedForSourceException"),
        "e7" => Some("SomethingNewException"),
        _ => None,
    };
    check(
        9,
        move |entries| accept_but(entries, failure),
        expect![[r#"
            accepted
            retry ThrottlingException: e1 failed
            retry InternalFailure: e2 failed
            accepted
            refused MalformedDetail: e4 failed
            refused NotAuthorizedForSourceException: e5 failed
            accepted
            refused SomethingNewException: e7 failed
            accepted"#]],
    )
    .await;
}

/// streams.md 35: "Too large can be a bare 413."
#[tokio::test]
async fn a_request_that_is_too_large_is_split_until_the_one_is_left() {
    let bus = Scripted::start(|entries| match entries.iter().any(|entry| id(entry) == "e3") {
        true => Reply::Text(413, ""),
        false => accept(entries),
    })
    .await;
    let outcomes = bus.send(10).await;
    let expected: Vec<&str> = (0..10)
        .map(|number| if number == 3 { "refused" } else { "accepted" })
        .collect();
    assert_eq!(kinds(&outcomes), expected);

    let mut taken: Vec<String> = bus
        .ids_by_request()
        .into_iter()
        .filter(|ids| !ids.contains(&"e3".to_owned()))
        .flatten()
        .collect();
    taken.sort_unstable();
    assert_eq!(
        taken,
        ["e0", "e1", "e2", "e4", "e5", "e6", "e7", "e8", "e9"],
        "each once"
    );
}

#[tokio::test]
async fn a_request_that_is_not_valid_is_split_like_one_that_is_too_large() {
    check(
        4,
        |entries| match entries.iter().any(|entry| ["e0", "e2"].contains(&id(entry).as_str())) {
            true => error(400, "ValidationException"),
            false => accept(entries),
        },
        expect![[r#"
            refused ValidationException: scripted
            accepted
            refused ValidationException: scripted
            accepted"#]],
    )
    .await;
}

/// Halves of halves: e0 and e1, then e2 and e3 in vain, and what is behind them is not sent at all.
#[tokio::test]
async fn after_a_split_each_part_has_its_own_outcome_until_the_service_is_away() {
    check(
        8,
        |entries| match entries.len() {
            8 | 4 => Reply::Text(413, "Request Entity Too Large"),
            _ if id(&entries[0]) == "e2" => error(400, "AccessDeniedException"),
            _ => accept_but(entries, |id| (id == "e1").then_some("ThrottlingException")),
        },
        expect![[r#"
            accepted
            retry ThrottlingException: e1 failed
            unavailable AccessDeniedException: scripted
            unavailable AccessDeniedException: scripted
            unavailable AccessDeniedException: scripted
            unavailable AccessDeniedException: scripted
            unavailable AccessDeniedException: scripted
            unavailable AccessDeniedException: scripted"#]],
    )
    .await;
}

/// All at once, because the client library waits for seconds between its attempts.
#[tokio::test]
async fn a_service_that_does_not_answer_is_unavailable_and_says_nothing_against_the_events() {
    type Answer = fn(&[Value]) -> Reply;
    let cases: [(&str, Answer); 7] = [
        ("500 without a code", |_| Reply::Text(500, "oops")),
        ("InternalException", |_| error(500, "InternalException")),
        ("503", |_| error(503, "ServiceUnavailable")),
        ("a reset", |_| Reply::Reset),
        ("half an answer", |entries| match accept(entries) {
            Reply::Json(status, body) => Reply::HalfOf(status, body),
            other => other,
        }),
        ("throttled", |_| error(400, "ThrottlingException")),
        ("no JSON", |_| Reply::Text(200, "<html>")),
    ];
    let runs = cases.map(|(what, answer)| async move {
        let bus = Scripted::start(answer).await;
        let outcomes = bus.send(3).await;
        assert_eq!(
            kinds(&outcomes),
            vec!["unavailable"; 3],
            "{what}: {:?}",
            show(&outcomes)
        );
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn what_an_operator_has_to_mend_is_unavailable_and_says_what() {
    for code in [
        "AccessDeniedException",
        "UnrecognizedClientException",
        "ExpiredTokenException",
        "ResourceNotFoundException",
    ] {
        let bus = Scripted::start(move |_| error(400, code)).await;
        let outcomes = show(&bus.send(2).await);
        assert_eq!(outcomes, vec![format!("unavailable {code}: scripted"); 2]);
        assert_eq!(bus.requests().len(), 1, "{code}: asking again would not help");
    }
}

/// streams.md 38: an attempt that was taken and not answered is made again, with the same event.
#[tokio::test]
async fn a_failure_that_passes_is_tried_again_with_the_same_request() {
    let attempts = AtomicUsize::new(0);
    let bus = Scripted::start(move |entries| match attempts.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Reset,
        1 => error(500, "InternalException"),
        _ => accept(entries),
    })
    .await;
    assert_eq!(kinds(&bus.send(2).await), ["accepted", "accepted"]);
    let requests = bus.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| *request == requests[0]));
}

/// streams.md 35: "A detail-type over 128 characters 'succeeds' and is thrown away."
#[tokio::test]
async fn a_detail_type_that_is_too_long_is_refused_and_not_sent() {
    let mut events: Vec<_> = (0..4).map(event).collect();
    events[1].detail_type = "x".repeat(129);
    events[2].detail_type = "\u{e9}".repeat(128);
    let bus = Scripted::start(|entries| accept_but(entries, |id| (id == "e3").then_some("ThrottlingException"))).await;
    let outcomes = bus.send_events(&events).await;
    assert_eq!(kinds(&outcomes), ["accepted", "refused", "accepted", "retry"]);
    assert!(show(&outcomes)[1].contains("129"), "{outcomes:?}");
    assert_eq!(bus.ids_by_request(), [["e0", "e2", "e3"]]);

    let bus = Scripted::start(accept).await;
    assert_eq!(kinds(&bus.send_events(&events[1..2]).await), ["refused"]);
    assert_eq!(bus.requests(), Vec::<Value>::new());
}

#[tokio::test]
async fn an_answer_that_is_not_about_every_event_is_about_none() {
    for entries in [
        json!([]),
        json!([{"EventId": "1"}]),
        json!([{"EventId": "1"}, {"EventId": "2"}, {"EventId": "3"}]),
    ] {
        let bus = Scripted::start(move |_| Reply::Json(200, json!({"FailedEntryCount": 0, "Entries": entries}))).await;
        assert_eq!(kinds(&bus.send(2).await), ["unavailable", "unavailable"]);
    }
}

/// An entry that has neither an event's id nor an error was not taken as far as anyone knows.
#[tokio::test]
async fn an_entry_that_says_nothing_was_not_taken() {
    let bus = Scripted::start(|_| Reply::Json(200, json!({"FailedEntryCount": 1, "Entries": [{}]}))).await;
    assert_eq!(kinds(&bus.send(1).await), ["unavailable"]);
}

/// Whatever the service says of each event: one outcome for each, in order.
#[test]
fn there_is_one_outcome_for_each_event_in_order() {
    const WANTED: [&str; 5] = ["accepted", "retry", "refused", "refused too large", "refused too long"];
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let cases = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(40)
    };
    proptest!(cases, |(wanted in proptest::collection::vec(0..WANTED.len(), 0..=10))| {
        let mut events: Vec<_> = (0..wanted.len()).map(event).collect();
        for (event, wanted) in events.iter_mut().zip(&wanted) {
            if WANTED[*wanted] == "refused too long" {
                event.detail_type = "x".repeat(200);
            }
        }
        let script = wanted.clone();
        let of = move |id: &str| WANTED[script[id[1..].parse::<usize>().unwrap()]];
        let outcomes = tokio.block_on(async {
            let bus = Scripted::start(move |entries| match entries.iter().any(|entry| of(&id(entry)) == "refused too large") {
                true => Reply::Text(413, ""),
                false => accept_but(entries, |id| match of(id) {
                    "retry" => Some("ThrottlingException"),
                    "refused" => Some("MalformedDetail"),
                    _ => None,
                }),
            });
            bus.await.send_events(&events).await
        });
        let expected: Vec<&str> = wanted.iter().map(|wanted| WANTED[*wanted].split(' ').next().unwrap()).collect();
        prop_assert_eq!(kinds(&outcomes), expected);
    });
}
