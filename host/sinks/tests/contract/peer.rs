//! The other side of each sink: the simulated services of AWS, a receiver of webhooks, an SMTP server, a file.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use weir_simulator::{EntryFailure, Fate, Fault, FaultRule, Setup, Simulator};
use weir_sinks::{
    AwsAccess, Email, EmailContent, EmailSettings, EventBridge, Log, Sink, Sns, Sqs, Webhook, WebhookSettings,
};

use crate::smtp::{self, Mails};
use crate::support::delivery;
use crate::support::http::{Reply, Request, Server};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    EventBridge,
    Sns,
    SnsFifo,
    Sqs,
    SqsFifo,
    Webhook,
    Email,
    Log,
}

/// What goes wrong at the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Of the next messages, the one of this number fails in a way that passes, and the other one for what it is.
    TwoFail { passing: usize, lasting: usize },
    /// Every request is answered with an error of the place, until it is calm.
    Down,
    /// Every connection is reset, until it is calm.
    Reset,
    /// Every request is one too many, until it is calm.
    Throttles,
    /// Requests of more bytes are refused: by the service, or by something before it that says nothing but 413.
    TakesAtMost { bytes: usize, says_nothing: bool },
    /// The next request is taken, and the connection reset in place of an answer.
    TakesAndHangsUpOnce,
}

/// One message as it arrived.
pub(crate) struct Received {
    pub(crate) delivery: String,
    pub(crate) detail_type: String,
    pub(crate) detail: Value,
    pub(crate) body: String,
    pub(crate) group_and_deduplication: Option<(String, String)>,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A sink and the other side of it.
pub(crate) struct Peer {
    kind: Kind,
    pub(crate) sink: Arc<dyn Sink>,
    side: Side,
}

enum Side {
    Aws(Simulator),
    /// The server ends with the test.
    Http {
        hooks: Arc<Mutex<Hooks>>,
        _server: Server,
    },
    Smtp(Arc<Mutex<Mails>>),
    File(tempfile::TempDir),
}

#[derive(Default)]
struct Hooks {
    requests: u64,
    taken: Vec<Request>,
    /// Until it is calm.
    always: Option<Reply>,
    /// For messages of these ids, once.
    once: HashMap<String, u16>,
    bytes_max: Option<usize>,
    hangs_up: bool,
}

impl Peer {
    pub(crate) async fn start(kind: Kind) -> Self {
        match kind {
            Kind::Log => {
                let folder = tempfile::tempdir().unwrap();
                let sink = Log::open(&folder.path().join("events.jsonl")).await.unwrap();
                Self {
                    kind,
                    sink: Arc::new(sink),
                    side: Side::File(folder),
                }
            }
            Kind::Webhook => {
                let hooks: Arc<Mutex<Hooks>> = Arc::default();
                let answering = Arc::clone(&hooks);
                let server = Server::start(move |request| answering.lock().unwrap().answer(request)).await;
                let settings = WebhookSettings {
                    url: format!("{}/hooks", server.endpoint()),
                    secrets: vec!["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz".to_owned().into()],
                    allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
                };
                Self {
                    kind,
                    sink: Arc::new(Webhook::new(settings).unwrap()),
                    side: Side::Http { hooks, _server: server },
                }
            }
            Kind::Email => {
                let mails: Arc<Mutex<Mails>> = Arc::default();
                let settings = EmailSettings {
                    server: smtp::start(Arc::clone(&mails)).await,
                    without_tls: true,
                    ca: None,
                    credentials: None,
                    from: "Weir <weir@example.com>".to_owned(),
                    to: vec!["ops@example.com".to_owned()],
                    subject: "<$.detail-type>".to_owned(),
                    content: EmailContent::Text("<$.detail>".to_owned()),
                };
                Self {
                    kind,
                    sink: Arc::new(Email::new(settings).unwrap()),
                    side: Side::Smtp(mails),
                }
            }
            _ => Self::in_aws(kind).await,
        }
    }

    async fn in_aws(kind: Kind) -> Self {
        let simulator = Simulator::start(Setup::default()).await.unwrap();
        let access = AwsAccess {
            region: Some("us-east-1".to_owned()),
            endpoint: Some(simulator.endpoint()),
            test_credentials: true,
        };
        let queue = "https://sqs.us-east-1.amazonaws.com/000000000000/orders";
        let topic = "arn:aws:sns:us-east-1:000000000000:orders";
        let sink: Arc<dyn Sink> = match kind {
            Kind::EventBridge => Arc::new(EventBridge::new(&access, "orders", None).await),
            Kind::Sns => Arc::new(Sns::new(&access, topic, None).await),
            Kind::SnsFifo => Arc::new(Sns::new(&access, &format!("{topic}.fifo"), None).await),
            Kind::Sqs => Arc::new(Sqs::new(&access, queue, None).await),
            _ => Arc::new(Sqs::new(&access, &format!("{queue}.fifo"), None).await),
        };
        Self {
            kind,
            sink,
            side: Side::Aws(simulator),
        }
    }

    fn operation(&self) -> &'static str {
        match self.kind {
            Kind::EventBridge => "PutEvents",
            Kind::Sns | Kind::SnsFifo => "PublishBatch",
            _ => "SendMessageBatch",
        }
    }

    pub(crate) fn trouble(&self, trouble: Trouble) {
        match &self.side {
            Side::Aws(simulator) => self.trouble_aws(simulator, trouble),
            Side::Http { hooks, .. } => hooks.lock().unwrap().trouble(trouble),
            Side::Smtp(mails) => mails.lock().unwrap().trouble(trouble),
            Side::File(_) => panic!("a file has no trouble"),
        }
    }

    fn trouble_aws(&self, simulator: &Simulator, trouble: Trouble) {
        let operation = self.operation();
        let always = |fault| {
            simulator.queue_fault(FaultRule {
                operation: Some(operation.to_owned()),
                ..FaultRule::random(1.0, fault)
            });
        };
        match trouble {
            Trouble::TwoFail { passing, lasting } => simulator.fail_entries(
                operation,
                vec![
                    failure(passing, "InternalFailure", false),
                    failure(lasting, "MalformedDetail", true),
                ],
            ),
            Trouble::Down => always(Fault::Error {
                status: 503,
                code: "ServiceUnavailable".to_owned(),
            }),
            Trouble::Reset => always(Fault::Reset),
            Trouble::Throttles => always(Fault::Throttling),
            Trouble::TakesAtMost { bytes, says_nothing } => simulator.sinks(|settings| {
                settings.eventbridge_bytes_max = bytes;
                settings.sns_bytes_max = bytes;
                settings.sqs_bytes_max = bytes;
                settings.bare_413 = says_nothing;
            }),
            Trouble::TakesAndHangsUpOnce => {
                simulator.queue_fault(FaultRule::next(operation, Fault::Reset).after_effect());
            }
        }
    }

    /// A message of the next batch fails with this code, which the service says is our fault.
    pub(crate) fn fails_with(&self, code: &str) {
        let Side::Aws(simulator) = &self.side else {
            panic!("only AWS has such codes")
        };
        simulator.fail_entries(self.operation(), vec![failure(0, code, true)]);
    }

    pub(crate) fn calm(&self) {
        match &self.side {
            Side::Aws(simulator) => simulator.clear_faults(),
            Side::Http { hooks, .. } => hooks.lock().unwrap().always = None,
            Side::Smtp(mails) => mails.lock().unwrap().calm(),
            Side::File(_) => {}
        }
    }

    /// Requests that arrived.
    pub(crate) fn requests(&self) -> u64 {
        match &self.side {
            Side::Aws(simulator) => simulator.calls().values().map(|count| count.calls).sum(),
            Side::Http { hooks, .. } => hooks.lock().unwrap().requests,
            Side::Smtp(mails) => mails.lock().unwrap().requests,
            Side::File(_) => self.received().len() as u64,
        }
    }

    /// Messages that were taken and that the other side knew already.
    pub(crate) fn repeats_dropped(&self) -> usize {
        match &self.side {
            Side::Aws(simulator) => {
                let received = simulator.received();
                received
                    .iter()
                    .filter(|received| received.fate == Fate::Duplicate)
                    .count()
            }
            _ => 0,
        }
    }

    /// All that was taken, in order, repeats too.
    pub(crate) fn received(&self) -> Vec<Received> {
        match &self.side {
            Side::Aws(simulator) => {
                let received = simulator.received().into_iter();
                received.map(|received| self.read_entry(&received.entry)).collect()
            }
            Side::Http { hooks, .. } => {
                let hooks = hooks.lock().unwrap();
                hooks.taken.iter().map(read_hook).collect()
            }
            Side::Smtp(mails) => mails.lock().unwrap().taken.iter().map(|mail| read_mail(mail)).collect(),
            Side::File(folder) => {
                let text = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
                text.lines().map(read_line).collect()
            }
        }
    }

    fn read_entry(&self, entry: &Value) -> Received {
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        if self.kind == Kind::EventBridge {
            let body = text("Detail").unwrap();
            let detail: Value = serde_json::from_str(&body).unwrap();
            return Received {
                delivery: detail["delivery"].as_str().unwrap().to_owned(),
                detail_type: text("DetailType").unwrap(),
                detail,
                body,
                group_and_deduplication: None,
                attributes: BTreeMap::new(),
            };
        }
        let attributes = entry["MessageAttributes"].as_object().into_iter().flatten();
        let attribute =
            |(name, value): (&String, &Value)| (name.clone(), value["StringValue"].as_str().unwrap().to_owned());
        Received {
            group_and_deduplication: text("MessageGroupId").zip(text("MessageDeduplicationId")),
            attributes: attributes.map(attribute).collect(),
            ..read_cloud_event(text("MessageBody").or_else(|| text("Message")).unwrap())
        }
    }
}

impl Hooks {
    fn answer(&mut self, request: Request) -> Reply {
        self.requests += 1;
        if let Some(reply) = &self.always {
            return reply.clone();
        }
        if self.bytes_max.is_some_and(|max| request.text.len() > max) {
            return Reply::Text(413, "");
        }
        if let Some(status) = self.once.remove(&request.headers["webhook-id"]) {
            return Reply::Text(status, "not this one");
        }
        self.taken.push(request);
        if std::mem::take(&mut self.hangs_up) {
            return Reply::Reset;
        }
        Reply::Text(204, "")
    }

    fn trouble(&mut self, trouble: Trouble) {
        let id = |number| delivery(number).to_string();
        match trouble {
            Trouble::TwoFail { passing, lasting } => self.once = [(id(passing), 500), (id(lasting), 415)].into(),
            Trouble::Down => self.always = Some(Reply::Text(503, "back soon")),
            Trouble::Reset => self.always = Some(Reply::Reset),
            Trouble::Throttles => self.always = Some(Reply::Text(429, "")),
            Trouble::TakesAtMost { bytes, .. } => self.bytes_max = Some(bytes),
            Trouble::TakesAndHangsUpOnce => self.hangs_up = true,
        }
    }
}

fn failure(index: usize, code: &str, sender_fault: bool) -> EntryFailure {
    EntryFailure {
        index,
        code: code.to_owned(),
        sender_fault,
    }
}

fn read_hook(request: &Request) -> Received {
    let received = read_cloud_event(request.text.clone());
    assert_eq!(received.delivery, request.headers["webhook-id"]);
    received
}

fn read_mail(mail: &str) -> Received {
    let delivery = smtp::header(mail, "X-Weir-Delivery");
    assert_eq!(smtp::header(mail, "Message-ID"), format!("<{delivery}@weir>"));
    Received {
        delivery,
        detail_type: smtp::header(mail, "Subject"),
        detail: serde_json::from_str(&smtp::content(mail)).unwrap(),
        body: mail.to_owned(),
        group_and_deduplication: None,
        attributes: BTreeMap::new(),
    }
}

fn read_cloud_event(body: String) -> Received {
    let envelope: Value = serde_json::from_str(&body).unwrap();
    Received {
        delivery: envelope["id"].as_str().unwrap().to_owned(),
        detail_type: envelope["type"].as_str().unwrap().to_owned(),
        detail: envelope["data"].clone(),
        body,
        group_and_deduplication: None,
        attributes: BTreeMap::new(),
    }
}

fn read_line(line: &str) -> Received {
    let event: Value = serde_json::from_str(line).unwrap();
    Received {
        delivery: event["detail"]["delivery"].as_str().unwrap().to_owned(),
        detail_type: event["detail-type"].as_str().unwrap().to_owned(),
        detail: event["detail"].clone(),
        body: line.to_owned(),
        group_and_deduplication: None,
        attributes: BTreeMap::new(),
    }
}
