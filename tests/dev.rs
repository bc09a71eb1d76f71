//! `weir dev`, as someone meets it first.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use weir_tests::{ask, component, eventually, target_folder};

/// `weir dev` in a folder of its own.
struct Dev {
    folder: TempDir,
    ports: [u16; 2],
}

impl Dev {
    fn new() -> Self {
        let open = std::fs::Permissions::from_mode(0o711);
        let folder = tempfile::Builder::new().permissions(open).tempdir().unwrap();
        let port = || {
            std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port()
        };
        Self {
            folder,
            ports: [port(), port()],
        }
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    fn start(&self, options: &[&str]) -> Child {
        let output = std::fs::File::create(self.output()).unwrap();
        Command::new(target_folder().join("debug/weir"))
            .arg("dev")
            .args([
                "--dynamodb-port",
                &self.ports[0].to_string(),
                "--api-port",
                &self.ports[1].to_string(),
            ])
            .args(options)
            .current_dir(self.folder.path())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn shows(&self, text: &str) -> String {
        eventually(text, async || {
            let output = std::fs::read_to_string(self.output()).unwrap();
            output.contains(text).then_some(output)
        })
        .await
    }

    async fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(target_folder().join("debug/weir"));
        let output = command
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .await
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }

    /// As Ctrl-C does.
    async fn interrupt(&self, mut running: Child) {
        ask(running.id().unwrap(), "INT").await;
        let status = running.wait().await.unwrap();
        assert!(status.success(), "{}", std::fs::read_to_string(self.output()).unwrap());
        assert!(
            !is_anything_left(self.folder.path()),
            "a process of the folder still runs"
        );
    }
}

/// Whether a process names the folder in its command line.
fn is_anything_left(folder: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let command_lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    command_lines
        .into_iter()
        .any(|line| line.contains(&folder.display().to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_records_routes_and_proves_a_change_and_the_next_goes_on() {
    let dev = Dev::new();
    let running = dev.start(&[]);
    let screen = dev.shows("proved").await;
    for part in [
        "recorded",
        "ledger",
        "aws dynamodb put-item",
        "weir history shop-orders",
        "weir verify",
    ] {
        assert!(screen.contains(part), "{part} is not in {screen}");
    }
    dev.shows("delivered").await;
    let (code, history) = dev.command(&["history", "shop-orders", "order-1001"]).await;
    assert!(code == Some(0) && history.contains("insert"), "{history}");
    assert_eq!(dev.command(&["verify"]).await.0, Some(0));
    dev.interrupt(running).await;

    let running = dev.start(&["--no-traffic"]);
    dev.shows("proved").await;
    let (_, again) = dev.command(&["history", "shop-orders", "order-1001"]).await;
    assert!(again.ends_with(&history[history.find("insert").unwrap()..]), "{again}");
    dev.interrupt(running).await;

    let running = dev.start(&["--no-traffic", "--fresh"]);
    dev.shows("Weir runs").await;
    let (code, verified) = dev.command(&["verify"]).await;
    assert!(
        code == Some(0) && verified.contains("proved: 1 entries"),
        "a fresh ledger has its route and nothing else: {verified}"
    );
    dev.interrupt(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_loaded_again_when_its_file_changes_and_a_broken_one_changes_nothing() {
    let dev = Dev::new();
    let plugin = dev.folder.path().join("own.wasm");
    std::fs::copy(component("shop"), &plugin).unwrap();
    let running = dev.start(&["--plugin", "own.wasm"]);
    dev.shows("version 1 of route shop").await;
    std::fs::copy(component("poison"), &plugin).unwrap();
    dev.shows("version 2 of route shop").await;
    std::fs::write(&plugin, "no plugin at all").unwrap();
    dev.shows("the one before goes on").await;
    dev.interrupt(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_with_what_to_do() {
    let dev = Dev::new();
    for (port, option) in [(dev.ports[0], "--dynamodb-port"), (dev.ports[1], "--api-port")] {
        let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        let mut running = dev.start(&[]);
        assert_eq!(running.wait().await.unwrap().code(), Some(1));
        let screen = dev.shows("weir: ").await;
        assert!(
            screen.contains(&port.to_string()) && screen.contains(option),
            "{screen}"
        );
        drop(taken);
    }
}
