//! The peer: a consumer for Node on the same page, in a process of its own that stays and reads the page when told to.
//!
//! Its libraries are installed once, into Weir's cache beside what the tests need.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/node");

/// A running consumer. Dropping it ends it.
pub(crate) struct NodeConsumer {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// `v20.20.2`.
    pub(crate) version: String,
}

impl NodeConsumer {
    /// Starts a consumer of the page that is in a file.
    ///
    /// # Errors
    ///
    /// What is missing, as a sentence.
    pub(crate) fn start(page: &Path) -> Result<Self, String> {
        let version = output_of(Command::new("node").arg("--version"))?;
        let mut process = Command::new("node")
            .arg("--no-warnings")
            .arg(format!("{FOLDER}/consumer.cjs"))
            .arg(page)
            .env("NODE_PATH", libraries()?.join("node_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("node does not start: {error}"))?;
        Ok(Self {
            input: process.stdin.take().expect("it was asked for"),
            output: BufReader::new(process.stdout.take().expect("it was asked for")),
            process,
            version: version.trim().to_owned(),
        })
    }

    /// Has the page read once, and says how many records it had.
    pub(crate) fn read(&mut self) -> usize {
        self.input.write_all(b"read\n").expect("the consumer listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the consumer answers");
        let records = line.split(' ').next().and_then(|count| count.parse().ok());
        records.expect("the consumer reads pages")
    }
}

impl Drop for NodeConsumer {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        ended.expect("the consumer is a process of ours");
    }
}

/// Where the libraries are, after installing them if they are not: those that `package.json` names.
fn libraries() -> Result<PathBuf, String> {
    let folder = cache()?.join("node-consumer");
    let wanted = std::fs::read(format!("{FOLDER}/package.json")).expect("it is beside this file");
    let installed = folder.join("installed.json");
    if std::fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", folder.display());
    std::fs::create_dir_all(&folder).map_err(failed)?;
    std::fs::write(folder.join("package.json"), &wanted).map_err(failed)?;
    let arguments = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"];
    output_of(Command::new("npm").args(arguments).current_dir(&folder))?;
    std::fs::write(installed, wanted).map_err(failed)?;
    Ok(folder)
}

/// As `tests/setup` has it.
fn cache() -> Result<PathBuf, String> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
    of("WEIR_CACHE")
        .or_else(|| Some(of("XDG_CACHE_HOME")?.join("weir")))
        .or_else(|| Some(of("HOME")?.join(".cache/weir")))
        .ok_or_else(|| "there is no folder for its libraries: WEIR_CACHE and HOME are not set".to_owned())
}

fn output_of(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name} cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} failed: {}", said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
