//! The command, as people start it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::http::{post, send};

/// A running command, which is killed at the end of its test.
struct Process {
    child: Child,
    endpoint: String,
    stream: String,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-simulator"));
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last_word = || lines.next().unwrap().unwrap().rsplit_once(' ').unwrap().1.to_owned();
        Self {
            endpoint: last_word(),
            stream: last_word(),
            child,
        }
    }

    async fn clock(&self) -> String {
        send(&self.endpoint, "GET", "/_simulator/clock", &[], "").await.body
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_clock_stands_until_it_is_stepped() {
    let process = Process::start(&["--seed", "7", "--table", "parcels"]);
    assert!(process.stream.contains(":table/parcels/stream/2026-01-01T00:00:00.000"));
    assert_eq!(process.clock().await, process.clock().await);
    post(&process.endpoint, "/_simulator/step", &[], r#"{"seconds": 1}"#).await;
    assert_eq!(process.clock().await, "{\"now\":\"2026-01-01T00:00:01Z\"}\n");
}

#[tokio::test]
async fn a_storm_waits_for_its_ticks() {
    let process = Process::start(&["--seed", "7", "--storm", "everyday"]);
    post(&process.endpoint, "/_simulator/tick", &[], r#"{"times": 20}"#).await;
    let truth = send(&process.endpoint, "GET", "/_simulator/truth", &[], "")
        .await
        .json();
    assert!(!truth["changes"].as_array().unwrap().is_empty());
    assert_eq!(process.clock().await, "{\"now\":\"2026-01-01T00:00:20Z\"}\n");
}

#[tokio::test]
async fn in_real_time_the_clock_runs() {
    let process = Process::start(&["--real-time"]);
    let first = process.clock().await;
    while process.clock().await == first {}
}

#[tokio::test]
async fn a_script_is_done_after_the_start() {
    let script = std::env::temp_dir().join(format!("weir-simulator-script-{}.json", std::process::id()));
    std::fs::write(
        &script,
        r#"[{"do": "change_some", "table": "orders", "items": 3, "changes": 20}]"#,
    )
    .unwrap();
    let process = Process::start(&["--script", script.to_str().unwrap()]);
    loop {
        let truth = send(&process.endpoint, "GET", "/_simulator/truth", &[], "")
            .await
            .json();
        if !truth["changes"].as_array().unwrap().is_empty() {
            break;
        }
    }
}
