//! DynamoDB Streams in a process of its own, so that its work is not counted as Weir's: this benchmark, started once more.
//!
//! Every table that it is asked for has a stream, and every stream one open shard with the same pages.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use weir_streams::AwsAccess;

use crate::http::{Reply, Request, Server};
use crate::pages::{self, RECORDS, SHARD};

/// Pages of a shard.
pub(crate) const PAGES: u64 = 20;

const ASKED_FOR: &str = "WEIR_BENCH_SOURCE";

/// A running source. Dropping it ends it.
pub(crate) struct SourceProcess {
    process: Child,
    endpoint: String,
}

impl SourceProcess {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program is a file"))
            .env(ASKED_FOR, "yes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let mut endpoint = String::new();
        let mut output = BufReader::new(process.stdout.take().expect("it was asked for"));
        output.read_line(&mut endpoint).expect("the source says where it is");
        Self {
            process,
            endpoint: endpoint.trim().to_owned(),
        }
    }

    pub(crate) fn access(&self) -> AwsAccess {
        AwsAccess {
            region: Some("us-east-1".to_owned()),
            endpoint: Some(self.endpoint.clone()),
            test_credentials: true,
        }
    }
}

impl Drop for SourceProcess {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().expect("the source is a process of ours");
    }
}

/// Whether this process is to be the source.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os(ASKED_FOR).is_some()
}

/// Is the source, until its input ends.
pub(crate) async fn serve() {
    let bodies: Vec<&'static str> = (0..PAGES)
        .map(|page| &*pages::page(page * RECORDS + 1, &(page + 1).to_string()).leak())
        .collect();
    let server = Server::start(move |request| answer(&request, &bodies)).await;
    writeln!(std::io::stdout(), "{}", server.endpoint()).expect("somebody listens");
    let input_ends = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    input_ends
        .await
        .expect("reading does not panic")
        .expect("the input can be read");
}

fn answer(request: &Request, bodies: &[&'static str]) -> Reply {
    let asked = |name: &str| request.body[name].as_str().unwrap_or_default();
    let answer = match request.target.rsplit('.').next() {
        Some("ListStreams") => json!({"Streams": [{"StreamArn": arn(asked("TableName"))}]}),
        Some("DescribeStream") => json!({"StreamDescription": {
            "StreamArn": asked("StreamArn"),
            "StreamStatus": "ENABLED",
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            "TableName": asked("StreamArn").split('/').nth(1),
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "Shards": [{"ShardId": SHARD, "SequenceNumberRange": {"StartingSequenceNumber": "1"}}],
        }}),
        Some("GetShardIterator") => json!({"ShardIterator": "0"}),
        _ => match asked("ShardIterator")
            .parse::<usize>()
            .ok()
            .and_then(|page| bodies.get(page))
        {
            Some(body) => return Reply::Text(200, body),
            None => json!({"Records": [], "NextShardIterator": asked("ShardIterator")}),
        },
    };
    Reply::Json(200, answer)
}

pub(crate) fn arn(table: &str) -> String {
    format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}/stream/2026-03-01T00:00:00.000")
}
