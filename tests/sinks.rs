//! Every kind of sink at the end of a running Weir, with services at the other side that we did not write: what arrives, how
//! often, in which order, and what happens when Weir is killed in between.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Value, json};
use weir_simulator::{Setup, Simulator, TableSetup, item};
use weir_tests::{Aws, MailServer, RETRY_AFTER, Receiver, Weir, eventually, verified};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

const OLD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// Proxies that nobody listens at, and whoever uses one gets nowhere; and a variable that is there and says nothing.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("WEIR_SINK_HOOK_SECRET", ""),
    ("NO_PROXY", ""),
    ("no_proxy", ""),
    ("HTTP_PROXY", NOBODY),
    ("http_proxy", NOBODY),
    ("ALL_PROXY", NOBODY),
];

/// A source without shards that change, and `[source.shop]` for it.
async fn source() -> (Simulator, String) {
    let setup = Setup {
        tables: vec![TableSetup::new("orders")],
        ..Setup::default()
    };
    let simulator = Simulator::start(setup).await.unwrap();
    let config = format!(
        "[source.shop]\ntable = \"orders\"\nendpoint = \"{}\"\ntest_credentials = true\n",
        simulator.endpoint()
    );
    (simulator, config)
}

/// Changes three items in turns, `rounds` times.
fn change(simulator: &Simulator, rounds: usize) {
    for round in 0..rounds {
        for id in ["o1", "o2", "o3"] {
            let number = json!({ "N": round.to_string() });
            simulator.put("orders", item(id, &[("round", number)])).unwrap();
        }
    }
}

/// The rounds in which each item arrived, in order of arrival.
fn rounds(events: &[Value]) -> BTreeMap<String, Vec<u64>> {
    let mut rounds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in events {
        let new = &event["data"]["new"];
        let id = new["id"].as_str().unwrap().to_owned();
        rounds.entry(id).or_default().push(new["round"].as_u64().unwrap());
    }
    rounds
}

fn in_order(rounds: u64) -> BTreeMap<String, Vec<u64>> {
    ["o1", "o2", "o3"]
        .map(|id| (id.to_owned(), (0..rounds).collect()))
        .into()
}

/// The process is killed when something was sent and the cursor has not moved: that is sent again. A FIFO queue has each once and
/// in order; another queue has some twice, under the same id and with the same bytes.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_a_fifo_queue_has_everything_once_and_in_order_and_another_the_same_again() {
    let aws = Aws::start().await;
    let (simulator, source) = source().await;
    let queues = ["plain", "direct.fifo", "behind-topic", "behind-topic.fifo"];
    let mut urls = Vec::new();
    for queue in queues {
        urls.push(aws.queue(queue).await);
    }
    let topic = aws.topic_to_queue("orders", &urls[2]).await;
    let fifo_topic = aws.topic_to_queue("orders.fifo", &urls[3]).await;
    let access = aws.access();
    let weir = Weir::configure(&format!(
        "{source}\
         [sink.plain]\ntype = \"sqs\"\nqueue = \"{}\"\n{access}\
         [sink.fifo]\ntype = \"sqs\"\nqueue = \"{}\"\n{access}\
         [sink.topic]\ntype = \"sns\"\ntopic = \"{topic}\"\n{access}\
         [sink.fifo-topic]\ntype = \"sns\"\ntopic = \"{fifo_topic}\"\n{access}\
         [route.all]\nsource = \"shop\"\nsinks = [\"plain\", \"fifo\", \"topic\", \"fifo-topic\"]\n",
        urls[0], urls[1],
    ));
    change(&simulator, 4);
    // Nothing is sent before everything is recorded, so all of it is in one window.
    let config = std::fs::read_to_string(weir.path("weir.toml")).unwrap();
    weir.write("weir.toml", &config.replace(&aws.endpoint, NOBODY));
    let running = weir.run(None);
    weir.recorded(12).await;
    running.kill().await;
    weir.write("weir.toml", &config);
    weir.run(Some("after-send:1")).ended().await;
    let running = weir.run(None);
    let mut arrived: Vec<Vec<Value>> = vec![Vec::new(); queues.len()];
    eventually("everything arrives", async || {
        let mut are_there = true;
        for ((queue, url), events) in queues.iter().zip(&urls).zip(&mut arrived) {
            // What was taken out of a FIFO queue is not known to this one any more.
            if queue.ends_with(".fifo") {
                are_there &= aws.length(url).await >= 12;
            } else {
                events.extend(aws.drain(url).await);
                are_there &= ids(events).len() == 12;
            }
        }
        are_there.then_some(())
    })
    .await;
    running.stop().await;
    for ((queue, url), mut events) in queues.iter().zip(&urls).zip(arrived) {
        events.extend(aws.drain(url).await);
        if queue.ends_with(".fifo") {
            assert_eq!(rounds(&events), in_order(4), "{queue}");
            continue;
        }
        let bodies: HashSet<String> = events.iter().map(Value::to_string).collect();
        assert_eq!(bodies.len(), 12, "{queue}: an id has two payloads");
        assert!(events.len() > 12, "{queue}: what was sent before the kill comes again");
    }
}

/// Of deliveries.
fn ids(events: &[Value]) -> BTreeSet<&str> {
    events.iter().map(|event| event["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_arrive_in_order_of_each_item_and_another_language_verifies_them_while_secrets_change() {
    let receiver = Receiver::start().await;
    let (simulator, source) = source().await;
    let weir = Weir::configure(&format!(
        "{source}[sink.hook]\ntype = \"webhook\"\nurl = \"{}/orders\"\nallow_networks = [\"127.0.0.0/8\"]\n\
         [route.all]\nsource = \"shop\"\nsinks = [\"hook\"]\nretry = {{ first = \"10ms\" }}\n",
        receiver.endpoint()
    ));
    weir.write("hook.secret", &format!("{SECRET}\n{OLD_SECRET}\n"));
    receiver.answers(&[204, 500, 429, 503, 404]);
    change(&simulator, 4);
    let running = weir.run_with(&ENVIRONMENT);
    let deliveries = |hooks: &[weir_tests::Hook]| -> BTreeSet<String> {
        hooks.iter().map(|hook| hook.delivery().to_owned()).collect()
    };
    let hooks = eventually("every delivery and four repeats", async || {
        let hooks = receiver.hooks();
        (deliveries(&hooks).len() == 12 && hooks.len() >= 16).then_some(hooks)
    })
    .await;
    running.stop().await;

    // What failed came again, and nothing behind it went before.
    let taken: Vec<Value> = hooks
        .iter()
        .filter(|hook| hook.status == 204)
        .map(weir_tests::Hook::event)
        .collect();
    assert_eq!(rounds(&taken), in_order(4));
    // It asked to be left alone: nothing came but what was under way, at most one request of each other item.
    let throttled = hooks.iter().find(|hook| hook.status == 429).unwrap();
    let meanwhile = hooks
        .iter()
        .filter(|hook| hook.at > throttled.at && hook.at < throttled.at + RETRY_AFTER);
    assert!(meanwhile.count() <= 2);
    for hook in &hooks {
        let same = hooks.iter().filter(|other| other.delivery() == hook.delivery());
        assert!(same.into_iter().all(|other| other.body == hook.body));
    }
    for secret in [SECRET, OLD_SECRET] {
        assert_eq!(verified(secret, &hooks).await, vec!["fine"; hooks.len()]);
    }
    let mut changed = hooks[..1].to_vec();
    changed[0].body.push(' ');
    assert_ne!(verified(SECRET, &changed).await, ["fine"]);
}

/// What is wrong with a sink is said at the start, and what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_cannot_be_used_is_said_at_the_start() {
    let webhook = |more: &str| format!("[sink.hook]\ntype = \"webhook\"\n{more}\n");
    for (sink, secret, said) in [
        (
            webhook("url = \"https://169.254.169.254/\""),
            SECRET,
            "no public address",
        ),
        (
            webhook("url = \"https://0x7f.1/\""),
            SECRET,
            "127.0.0.1, which is no public address",
        ),
        (
            webhook("url = \"http://hooks.example.com/\""),
            SECRET,
            "has to begin with https://",
        ),
        (
            webhook("url = \"https://hooks.example.com/\""),
            "secret",
            "24 to 64 bytes in base64",
        ),
        (
            webhook("url = \"https://hooks.example.com/\""),
            "",
            "openssl rand -base64 32",
        ),
        (
            webhook("url = \"https://hooks.example.com/\"\nallow_networks = [\"10.0.0.0\"]"),
            SECRET,
            "\"10.0.0.0\" in `allow_networks` is no network",
        ),
        (
            webhook("url = \"https://hooks.example.com/\"\ntimeout = 3"),
            SECRET,
            "timeout",
        ),
        (
            "[sink.queue]\ntype = \"sqs\"\n".to_owned(),
            SECRET,
            "missing field `queue`",
        ),
        (
            "[sink.queue]\ntype = \"sqs\"\nqueue = \"q\"\nquue = 1\n".to_owned(),
            SECRET,
            "quue",
        ),
        ("[sink.topic]\ntype = \"snss\"\n".to_owned(), SECRET, "`sns`"),
    ] {
        let weir = Weir::configure(&sink);
        weir.write("hook.secret", secret);
        let mut ended = weir.run(None);
        assert_eq!(ended.ended().await.code(), Some(1), "{sink}");
        assert!(ended.log().contains(said), "{sink}: {}", ended.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_over_tls_with_a_password_to_a_server_of_others_and_after_a_kill_again_under_the_same_id() {
    let server = MailServer::start().await;
    let (simulator, source) = source().await;
    let weir = Weir::configure(&format!(
        "{source}{}subject = \"Order <$.detail.keys.id>, round <$.detail.new.round>\"\n\
         text = \"<$.detail.operation> at <$.time>\\n\"\n\
         [route.all]\nsource = \"shop\"\nsinks = [\"mail\"]\n",
        server.sink()
    ));
    weir.write("mail.secret", "wrong\n");
    change(&simulator, 3);
    let running = weir.run(None);
    eventually("the wrong password is said", async || {
        let sinks = weir.command(&["sink", "ls"]).await.stdout;
        (sinks.contains("TAKES NOTHING since") && sinks.contains("535")).then_some(())
    })
    .await;
    running.stop().await;
    assert!(server.mails().is_empty());

    weir.write("mail.secret", &format!("{}\n", MailServer::USER.1));
    weir.run(Some("after-send:1")).ended().await;
    let running = weir.run(None);
    let header = |mail: &str, name: &str| {
        let found = mail
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_default().to_owned()
    };
    let mails = eventually("all mails, and some again", async || {
        let mails = server.mails();
        let ids: BTreeSet<String> = mails.iter().map(|mail| header(mail, "Message-ID")).collect();
        (ids.len() == 9 && mails.len() > 9).then_some(mails)
    })
    .await;
    running.stop().await;
    let said: BTreeSet<(String, String, &str)> = mails
        .iter()
        .map(|mail| {
            let (_, body) = mail.split_once("\n\n").unwrap();
            (header(mail, "Message-ID"), header(mail, "Subject"), body)
        })
        .collect();
    assert_eq!(said.len(), 9, "an id has two messages: {said:?}");
    let subjects: BTreeSet<&str> = said.iter().map(|(_, subject, _)| subject.as_str()).collect();
    assert!(subjects.contains("Order o2, round 2"), "{subjects:?}");
    assert!(said.iter().all(|(_, _, body)| body.contains(" at 2")), "{said:?}");
}
