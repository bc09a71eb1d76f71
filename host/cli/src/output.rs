//! What people and programs read: logs on standard error, answers on standard output.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

/// Logs that are shown unless `WEIR_LOG` asks for others.
const LOG_DEFAULT: &str = "info,aws_config=warn,aws_smithy_runtime=warn,sqlx=warn,dynoxide=error";

/// Switches logs on, as text or as JSON lines. `WEIR_LOG` filters them (`WEIR_LOG=debug`, `WEIR_LOG=weir_pipeline=debug`).
pub(crate) fn init_logs(json: bool) {
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        logs.json().flatten_event(true).init();
    } else {
        logs.with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
    }
}

/// Prints an error and its causes as one paragraph.
pub(crate) fn print_error(error: &anyhow::Error) {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Some libraries repeat the message of their cause in their own.
        if !parts.last().is_some_and(|last| last.contains(&text)) {
            parts.push(text);
        }
    }
    #[expect(clippy::print_stderr, reason = "this is where errors are printed")]
    {
        eprintln!("weir: {}", parts.join(": "));
    }
}

/// Prints to standard output. Nothing depends on anybody reading it (`weir history ... | head`): exit codes tell.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::output::print_line(format_args!($($argument)*))
    };
}

/// What kept an answer from being printed first.
static UNPRINTED: OnceLock<io::Error> = OnceLock::new();

pub(crate) fn print_line(line: fmt::Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        let _ = UNPRINTED.set(error);
    }
}

/// Whether nobody reads standard output any more. What never ends by itself ends then.
pub(crate) fn nobody_reads() -> bool {
    UNPRINTED
        .get()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What kept the answer from being printed, if there was something and somebody would have read it: the disk is full.
pub(crate) fn unprinted() -> Option<&'static io::Error> {
    UNPRINTED.get().filter(|_| !nobody_reads())
}

/// Text from a database or a plugin, as it may be printed: what would move the cursor or forge a line is escaped.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped: Box<dyn Iterator<Item = char>> = if character.is_control() {
                Box::new(character.escape_default())
            } else {
                Box::new(std::iter::once(character))
            };
            escaped
        })
        .collect()
}

/// A bar for work that takes long, on standard error; nothing where nobody watches.
pub(crate) fn progress_bar(length: u64, what: &'static str) -> indicatif::ProgressBar {
    let style = indicatif::ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {msg}, {eta} left");
    let bar = indicatif::ProgressBar::new(length).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Prints an answer as JSON.
pub(crate) fn print_json(answer: &impl serde::Serialize) -> anyhow::Result<()> {
    say!("{}", serde_json::to_string_pretty(answer)?);
    Ok(())
}
