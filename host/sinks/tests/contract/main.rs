//! What every sink does, whatever is on the other side: the same sentences for all of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod email;
mod peer;
mod smtp;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest of it")]
mod support;

use weir_sinks::Outcome;

use self::peer::{Kind, Peer, Trouble};
use self::support::{delivery, event, kinds, message, messages, show};

const ALL: [Kind; 8] = [
    Kind::EventBridge,
    Kind::Sns,
    Kind::SnsFifo,
    Kind::Sqs,
    Kind::SqsFifo,
    Kind::Webhook,
    Kind::Email,
    Kind::Log,
];

/// Those of which a message may fail alone.
fn all_but_log() -> impl Iterator<Item = Kind> {
    ALL.into_iter().filter(|kind| *kind != Kind::Log)
}

impl Peer {
    /// Sends so many messages, in requests of the sink's size, one after the other.
    async fn send(&self, count: usize) -> Vec<Outcome> {
        let messages = messages(&*self.sink, count);
        let mut outcomes = Vec::new();
        for request in messages.chunks(self.sink.limits().messages_max) {
            outcomes.extend(self.sink.send(request).await);
        }
        outcomes
    }

    fn deliveries(&self) -> Vec<String> {
        self.received().into_iter().map(|received| received.delivery).collect()
    }
}

fn ids(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| delivery(number).to_string()).collect()
}

#[tokio::test]
async fn what_is_accepted_is_at_the_other_side_in_order_with_all_that_the_event_says() {
    for kind in ALL {
        let peer = Peer::start(kind).await;
        assert_eq!(kinds(&peer.send(10).await), vec!["accepted"; 10], "{kind:?}");
        assert_eq!(peer.deliveries(), ids(0..10), "{kind:?}");
        for (number, received) in peer.received().into_iter().enumerate() {
            let event = event(number).delivered_as(&delivery(number));
            assert_eq!(received.detail, event.to_json()["detail"], "{kind:?}");
            assert_eq!(received.detail_type, "shop-orders.modify", "{kind:?}");
        }
    }
}

#[tokio::test]
async fn nothing_to_send_is_no_request() {
    for kind in ALL {
        let peer = Peer::start(kind).await;
        assert_eq!(peer.sink.send(&[]).await, [], "{kind:?}");
        assert_eq!(peer.requests(), 0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_message_that_fails_fails_alone_and_what_may_pass_is_told_from_what_may_not() {
    for kind in all_but_log() {
        let peer = Peer::start(kind).await;
        peer.trouble(Trouble::TwoFail { passing: 1, lasting: 3 });
        let outcomes = peer.send(5).await;
        let expected = ["accepted", "retry", "accepted", "refused", "accepted"];
        assert_eq!(kinds(&outcomes), expected, "{kind:?}: {:?}", show(&outcomes));
        assert_eq!(peer.deliveries(), ids([0, 2, 4]), "{kind:?}");
    }
}

/// All at once, because the client library waits for seconds between its attempts.
#[tokio::test]
async fn a_place_that_is_not_there_says_nothing_against_the_messages() {
    let troubles = [Trouble::Down, Trouble::Reset, Trouble::Throttles];
    let cases = all_but_log().flat_map(|kind| troubles.map(|trouble| (kind, trouble)));
    let runs = cases.map(|(kind, trouble)| async move {
        let peer = Peer::start(kind).await;
        peer.trouble(trouble);
        let outcomes = peer.send(3).await;
        let told = show(&outcomes);
        assert_eq!(
            kinds(&outcomes),
            vec!["unavailable"; 3],
            "{kind:?}, {trouble:?}: {told:?}"
        );
        assert_eq!(peer.deliveries(), Vec::<String>::new(), "{kind:?}, {trouble:?}");
        peer.calm();
        assert_eq!(kinds(&peer.send(3).await), vec!["accepted"; 3], "{kind:?}, {trouble:?}");
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_those_beside_it_are_not() {
    for kind in all_but_log() {
        for says_nothing in [false, true] {
            let peer = Peer::start(kind).await;
            peer.trouble(Trouble::TakesAtMost {
                bytes: 6000,
                says_nothing,
            });
            let mut large = event(2);
            large.detail.insert("more".to_owned(), "x".repeat(8000).into());
            let mut messages = messages(&*peer.sink, 4);
            messages[2] = message(&*peer.sink, 2, &large);
            let mut outcomes = Vec::new();
            for request in messages.chunks(peer.sink.limits().messages_max) {
                outcomes.extend(peer.sink.send(request).await);
            }
            let expected = ["accepted", "accepted", "refused", "accepted"];
            assert_eq!(kinds(&outcomes), expected, "{kind:?}: {:?}", show(&outcomes));
            assert_eq!(peer.deliveries(), ids([0, 1, 3]), "{kind:?}");
        }
    }
}

/// What a request may hold is reckoned before it is sent, so it has to be reckoned as the service does.
#[tokio::test]
async fn a_message_has_as_many_bytes_as_the_other_side_counts() {
    for kind in all_but_log() {
        for (less, expected) in [(0, "accepted"), (1, "refused")] {
            let peer = Peer::start(kind).await;
            let message = messages(&*peer.sink, 1);
            let bytes = peer.sink.size(&message[0]) - less;
            peer.trouble(Trouble::TakesAtMost {
                bytes,
                says_nothing: false,
            });
            let outcomes = peer.sink.send(&message).await;
            assert_eq!(kinds(&outcomes), [expected], "{kind:?}: {:?}", show(&outcomes));
        }
    }
}

/// SQS and SNS API references, errors of a batch's entries: the service counts them as the sender's fault.
#[tokio::test]
async fn what_an_operator_has_to_mend_costs_no_message() {
    for kind in [Kind::Sns, Kind::Sqs] {
        for code in [
            "KMS.DisabledException",
            "KMSThrottling",
            "AccessDenied",
            "AuthorizationError",
        ] {
            let peer = Peer::start(kind).await;
            peer.fails_with(code);
            let outcomes = peer.send(2).await;
            assert_eq!(kinds(&outcomes), ["unavailable", "accepted"], "{kind:?}, {code}");
        }
    }
}

/// What was too much at a time says nothing about the message, though it counts as the sender's fault.
#[tokio::test]
async fn a_message_of_a_batch_that_is_throttled_is_sent_again() {
    for kind in [Kind::Sns, Kind::Sqs] {
        for code in ["RequestThrottled", "ThrottlingException", "Throttled"] {
            let peer = Peer::start(kind).await;
            peer.fails_with(code);
            let outcomes = peer.send(2).await;
            assert_eq!(kinds(&outcomes), ["retry", "accepted"], "{kind:?}, {code}");
        }
    }
}

/// streams.md 38: taken, and nobody was told. What comes again is the same, under the same id.
#[tokio::test]
async fn a_message_that_was_taken_and_not_acknowledged_comes_again_with_the_same_bytes() {
    for kind in all_but_log() {
        let peer = Peer::start(kind).await;
        peer.trouble(Trouble::TakesAndHangsUpOnce);
        if kinds(&peer.send(1).await) != ["accepted"] {
            // The client library of AWS does that by itself.
            assert_eq!(kinds(&peer.send(1).await), ["accepted"], "{kind:?}");
        }
        let received = peer.received();
        assert_eq!(received.len(), 2, "{kind:?}");
        assert_eq!(received[0].body, received[1].body, "{kind:?}");
        assert_eq!(peer.deliveries(), ids([0, 0]), "{kind:?}");
        // A FIFO target knows it again.
        let is_fifo = matches!(kind, Kind::SnsFifo | Kind::SqsFifo);
        assert_eq!(peer.repeats_dropped(), usize::from(is_fifo), "{kind:?}");
    }
}

/// SQS Developer Guide, "Message group ID": order holds in a group, so an item is one; and a delivery is told once.
#[tokio::test]
async fn a_fifo_target_is_told_item_and_delivery_and_no_other_is() {
    for (kind, is_fifo) in [
        (Kind::Sns, false),
        (Kind::SnsFifo, true),
        (Kind::Sqs, false),
        (Kind::SqsFifo, true),
    ] {
        let peer = Peer::start(kind).await;
        peer.send(2).await;
        for (number, received) in peer.received().into_iter().enumerate() {
            let expected = is_fifo.then(|| (format!("item-{number}"), delivery(number).to_string()));
            assert_eq!(received.group_and_deduplication, expected, "{kind:?}");
            assert_eq!(received.attributes["type"], "shop-orders.modify", "{kind:?}");
            assert_eq!(received.attributes["source"], "weir.orders", "{kind:?}");
        }
    }
}

/// SQS API reference, `SendMessage`: two characters of Unicode are refused that JSON leaves as they are.
#[tokio::test]
async fn what_a_queue_does_not_take_is_written_otherwise() {
    for kind in [Kind::Sns, Kind::Sqs] {
        let peer = Peer::start(kind).await;
        let mut event = event(0);
        let odd = "\u{fffe}a\u{ffff}\u{1}\u{10ffff}";
        event.detail.insert("odd".to_owned(), odd.into());
        event.detail_type = "odd\u{ffff}".to_owned();
        let outcomes = peer.sink.send(&[message(&*peer.sink, 0, &event)]).await;
        assert_eq!(kinds(&outcomes), ["accepted"]);
        let received = peer.received().remove(0);
        assert!(!received.body.contains(['\u{fffe}', '\u{ffff}', '\u{1}']), "{kind:?}");
        assert_eq!(received.detail["odd"], odd, "{kind:?}");
        assert_eq!(received.attributes.get("type"), None, "{kind:?}");
    }
}
