//! EventBridge, SNS and SQS that we did not write, as a process of its own: moto, or ministack where `WEIR_TEST_AWS` says so.

use std::process::Stdio;
use std::sync::Mutex;

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::eventually;

/// Attributes of what is FIFO.
const FIFO: &str = "FifoTopic";

/// Which one is started.
const WHICH: &str = "WEIR_TEST_AWS";

/// A server of all three. It ends with the test.
pub struct Aws {
    /// Where all of its services are.
    pub endpoint: String,
    events: aws_sdk_eventbridge::Client,
    queues: aws_sdk_sqs::Client,
    topics: aws_sdk_sns::Client,
    _server: Child,
}

impl Aws {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// It is not installed, or does not answer.
    pub async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port is free")
            .port();
        let server = server(port)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        let endpoint = format!("http://127.0.0.1:{port}");
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .endpoint_url(&endpoint)
            .region("us-east-1")
            .credentials_provider(aws_credential_types::Credentials::new(
                "test", "test", None, None, "test",
            ))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .load()
            .await;
        let aws = Self {
            endpoint,
            events: aws_sdk_eventbridge::Client::new(&config),
            queues: aws_sdk_sqs::Client::new(&config),
            topics: aws_sdk_sns::Client::new(&config),
            _server: server,
        };
        eventually("the other AWS answers", async || {
            aws.queues.list_queues().send().await.ok()
        })
        .await;
        aws
    }

    /// Settings of a sink in it.
    #[must_use]
    pub fn access(&self) -> String {
        format!("endpoint = \"{}\"\ntest_credentials = true\n", self.endpoint)
    }

    /// Makes a queue, a FIFO one if its name says so. Returns its URL.
    ///
    /// # Panics
    ///
    /// It cannot be made.
    pub async fn queue(&self, name: &str) -> String {
        let mut call = self.queues.create_queue().queue_name(name);
        if name.ends_with(".fifo") {
            call = call.attributes(aws_sdk_sqs::types::QueueAttributeName::FifoQueue, "true");
        }
        let made = call.send().await.expect("it makes queues");
        made.queue_url.expect("a queue has a URL")
    }

    /// Makes a topic, a FIFO one if its name says so, all of whose messages go to a queue as they are. Returns its ARN.
    ///
    /// # Panics
    ///
    /// It cannot be made.
    pub async fn topic_to_queue(&self, name: &str, queue: &str) -> String {
        let mut call = self.topics.create_topic().name(name);
        if name.ends_with(".fifo") {
            call = call.attributes(FIFO, "true");
        }
        let topic = call.send().await.expect("it makes topics").topic_arn;
        let topic = topic.expect("a topic has an ARN");
        let subscribed = self
            .topics
            .subscribe()
            .topic_arn(&topic)
            .protocol("sqs")
            .endpoint(self.arn_of_queue(queue).await)
            .attributes("RawMessageDelivery", "true");
        subscribed.send().await.expect("it subscribes queues");
        topic
    }

    /// Sends every event that matches to a queue.
    ///
    /// # Panics
    ///
    /// The rule cannot be made.
    pub async fn rule_to_queue(&self, queue: &str, pattern: &str) {
        let rule = self.events.put_rule().name("to-queue").event_pattern(pattern);
        rule.send().await.expect("it makes rules");
        let target = aws_sdk_eventbridge::types::Target::builder()
            .id("queue")
            .arn(self.arn_of_queue(queue).await)
            .build()
            .expect("it has an id and an ARN");
        let targets = self.events.put_targets().rule("to-queue").targets(target);
        targets.send().await.expect("it makes targets");
    }

    /// Takes messages from a queue until there are `count`, in order of their arrival.
    ///
    /// # Panics
    ///
    /// They do not come, or are no JSON.
    pub async fn receive(&self, queue: &str, count: usize) -> Vec<Value> {
        let found = Mutex::new(Vec::new());
        eventually("messages in the queue", async || {
            let taken = self.take(queue).await;
            let mut found = found.lock().expect("nobody panics here");
            found.extend(taken);
            (found.len() >= count).then_some(())
        })
        .await;
        found.into_inner().expect("nobody panics here")
    }

    /// Takes all that is in a queue.
    ///
    /// # Panics
    ///
    /// A message is no JSON.
    pub async fn drain(&self, queue: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let taken = self.take(queue).await;
            if taken.is_empty() {
                return all;
            }
            all.extend(taken);
        }
    }

    /// How many messages are in a queue.
    pub async fn length(&self, queue: &str) -> usize {
        let name = aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages;
        let call = self.queues.get_queue_attributes().queue_url(queue);
        let answer = call.attribute_names(name.clone()).send().await.ok();
        let attributes = answer.and_then(|answer| answer.attributes).unwrap_or_default();
        attributes
            .get(&name)
            .and_then(|length| length.parse().ok())
            .unwrap_or_default()
    }

    async fn arn_of_queue(&self, queue: &str) -> String {
        let name = aws_sdk_sqs::types::QueueAttributeName::QueueArn;
        let call = self.queues.get_queue_attributes().queue_url(queue);
        let answer = call.attribute_names(name.clone()).send().await;
        let attributes = answer.expect("it knows its queues").attributes.unwrap_or_default();
        attributes.get(&name).cloned().expect("a queue has an ARN")
    }

    /// Takes what is in a queue now, at most ten messages.
    async fn take(&self, queue: &str) -> Vec<Value> {
        let call = self
            .queues
            .receive_message()
            .queue_url(queue)
            .max_number_of_messages(10);
        let Ok(answer) = call.send().await else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        for message in answer.messages.unwrap_or_default() {
            let body = message.body().unwrap_or_default();
            taken.push(serde_json::from_str(body).expect("a message is JSON"));
            // Behind one that was not deleted, a FIFO queue gives nothing of its group.
            let handle = message.receipt_handle().unwrap_or_default();
            let deleted = self.queues.delete_message().queue_url(queue).receipt_handle(handle);
            deleted.send().await.expect("it deletes messages");
        }
        taken
    }
}

/// The command that starts one on this port.
fn server(port: u16) -> Command {
    let which = std::env::var(WHICH).unwrap_or_else(|_| "moto".to_owned());
    let program = |name: &str| {
        let installed = std::fs::read_dir(cache_folder()).into_iter().flatten().flatten();
        let mut servers: Vec<_> = installed.map(|folder| folder.path().join("bin").join(name)).collect();
        servers.retain(|server| server.exists());
        let program = servers.pop();
        program.unwrap_or_else(|| panic!("{name} is not there: `make test` or `make test-peers` installs it"))
    };
    match which.as_str() {
        "moto" => {
            let mut command = Command::new(program("moto_server"));
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        }
        "ministack" => {
            let mut command = Command::new(program("ministack"));
            command
                .env("BIND_HOST", "127.0.0.1")
                .env("MINISTACK_HOST", "127.0.0.1")
                .env("GATEWAY_PORT", port.to_string());
            command
        }
        other => panic!("{WHICH} is {other:?}; there are moto and ministack"),
    }
}

/// Where `tests/setup` puts what it installs.
///
/// # Panics
///
/// There is no home.
pub(crate) fn cache_folder() -> std::path::PathBuf {
    let variable = |name: &str| std::env::var(name).ok();
    let cache = variable("WEIR_CACHE").unwrap_or_else(|| {
        let home = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home + "/.cache"));
        home.expect("there is a home") + "/weir"
    });
    cache.into()
}
