//! What guests get that were built with a standard library: answers that are the same at every run.
//!
//! ```text
//! environment, arguments, folders   none                     stdin           at its end
//! wall clock                        the change's source time stdout, stderr  lines of the plugin's log
//! monotonic clock                   moves when it is waited for, never by itself, and no wait takes time
//! random numbers                    follow from the change's event id
//! exit                              ends the call, as a trap does
//! ```
//!
//! # Invariants
//!
//! - Nothing here depends on this machine, this process or the time of day.
//! - No resource has a state in the host: there is nothing that a guest could make grow.

use sha2::{Digest as _, Sha256};
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

use crate::bindings::wasi_guest::wasi::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr, terminal_stdin,
    terminal_stdout,
};
use crate::bindings::wasi_guest::wasi::clocks::{monotonic_clock, wall_clock};
use crate::bindings::wasi_guest::wasi::filesystem::{preopens, types};
use crate::bindings::wasi_guest::wasi::io::poll::Pollable;
use crate::bindings::wasi_guest::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::bindings::wasi_guest::wasi::io::{error, poll, streams};
use crate::bindings::wasi_guest::wasi::random::{insecure, insecure_seed, random};
use crate::host::Host;

/// Bytes that a stream says it takes at once.
const WRITE_BYTES: u64 = 4096;

/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;

/// What a guest takes for time and for chance.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The wall clock, in milliseconds since 1970-01-01T00:00:00Z.
    now_ms: u64,
    /// What random numbers follow from.
    seed: u64,
    /// Blocks of random numbers that were given.
    blocks: u64,
    /// The monotonic clock, in nanoseconds.
    elapsed_ns: u64,
}

impl Facts {
    pub(super) fn new(now_ms: u64, seed: u64) -> Self {
        Self {
            now_ms,
            seed,
            ..Self::default()
        }
    }

    /// The next `count` bytes of SHA-256 over seed and a counter.
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count.next_multiple_of(32));
        while bytes.len() < count {
            let hash = Sha256::new_with_prefix(b"weir/random/v1")
                .chain_update(self.seed.to_be_bytes())
                .chain_update(self.blocks.to_be_bytes());
            self.blocks += 1;
            bytes.extend_from_slice(&hash.finalize());
        }
        bytes.truncate(count);
        bytes
    }

    fn number(&mut self) -> u64 {
        let bytes = self.bytes(8);
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// A resource without state: which one it is does not matter.
fn stateless<T: 'static>() -> Resource<T> {
    Resource::new_own(0)
}

impl Host {
    /// Counts a call that hands over little.
    fn small<T>(&mut self, answer: T) -> Result<T> {
        self.hand_over(answer, |_| 8)
    }

    fn random_bytes(&mut self, count: u64) -> Result<Vec<u8>> {
        // Counted before they are made: a guest may ask for any number of them.
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.hand_over((), |()| count)?;
        Ok(self.facts.bytes(count))
    }

    fn print(&mut self, contents: &[u8]) -> Result<std::result::Result<(), StreamError>> {
        self.hand_over((), |()| contents.len())?;
        for line in String::from_utf8_lossy(contents)
            .lines()
            .filter(|line| !line.is_empty())
        {
            self.log_line("out", None, line);
        }
        Ok(Ok(()))
    }
}

impl environment::Host for Host {
    fn get_environment(&mut self) -> Result<Vec<(String, String)>> {
        self.small(Vec::new())
    }

    fn get_arguments(&mut self) -> Result<Vec<String>> {
        self.small(Vec::new())
    }

    fn initial_cwd(&mut self) -> Result<Option<String>> {
        self.small(None)
    }
}

impl exit::Host for Host {
    fn exit(&mut self, _status: std::result::Result<(), ()>) -> Result<()> {
        bail!("the plugin ended itself (wasi:cli/exit), and with it the call")
    }
}

impl stdin::Host for Host {
    fn get_stdin(&mut self) -> Result<Resource<InputStream>> {
        self.small(stateless())
    }
}

impl stdout::Host for Host {
    fn get_stdout(&mut self) -> Result<Resource<OutputStream>> {
        self.small(stateless())
    }
}

impl stderr::Host for Host {
    fn get_stderr(&mut self) -> Result<Resource<OutputStream>> {
        self.small(stateless())
    }
}

impl terminal_stdin::Host for Host {
    fn get_terminal_stdin(&mut self) -> Result<Option<Resource<terminal_input::TerminalInput>>> {
        self.small(None)
    }
}

impl terminal_stdout::Host for Host {
    fn get_terminal_stdout(&mut self) -> Result<Option<Resource<terminal_output::TerminalOutput>>> {
        self.small(None)
    }
}

impl terminal_stderr::Host for Host {
    fn get_terminal_stderr(&mut self) -> Result<Option<Resource<terminal_output::TerminalOutput>>> {
        self.small(None)
    }
}

impl terminal_input::Host for Host {}
impl terminal_output::Host for Host {}

impl terminal_input::HostTerminalInput for Host {
    fn drop(&mut self, _: Resource<terminal_input::TerminalInput>) -> Result<()> {
        Ok(())
    }
}

impl terminal_output::HostTerminalOutput for Host {
    fn drop(&mut self, _: Resource<terminal_output::TerminalOutput>) -> Result<()> {
        Ok(())
    }
}

impl wall_clock::Host for Host {
    fn now(&mut self) -> Result<wall_clock::Datetime> {
        let elapsed_s = self.facts.elapsed_ns / SECOND_NS;
        let datetime = wall_clock::Datetime {
            seconds: (self.facts.now_ms / 1000).saturating_add(elapsed_s),
            nanoseconds: u32::try_from(self.facts.now_ms % 1000).expect("below 1000") * 1_000_000,
        };
        self.small(datetime)
    }

    fn resolution(&mut self) -> Result<wall_clock::Datetime> {
        let second = wall_clock::Datetime {
            seconds: 1,
            nanoseconds: 0,
        };
        self.small(second)
    }
}

impl monotonic_clock::Host for Host {
    fn now(&mut self) -> Result<u64> {
        self.small(self.facts.elapsed_ns)
    }

    fn resolution(&mut self) -> Result<u64> {
        self.small(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<Pollable>> {
        self.facts.elapsed_ns = self.facts.elapsed_ns.max(when);
        self.small(stateless())
    }

    fn subscribe_duration(&mut self, when: u64) -> Result<Resource<Pollable>> {
        self.facts.elapsed_ns = self.facts.elapsed_ns.saturating_add(when);
        self.small(stateless())
    }
}

impl poll::Host for Host {
    /// Everything is ready: there is nothing to wait for.
    fn poll(&mut self, pollables: Vec<Resource<Pollable>>) -> Result<Vec<u32>> {
        if pollables.is_empty() {
            bail!("the plugin waits for nothing (wasi:io/poll)");
        }
        let ready = (0..).zip(&pollables).map(|(index, _)| index).collect();
        self.hand_over(ready, |ready: &Vec<u32>| 4 * ready.len())
    }
}

impl poll::HostPollable for Host {
    fn ready(&mut self, _: Resource<Pollable>) -> Result<bool> {
        self.small(true)
    }

    fn block(&mut self, _: Resource<Pollable>) -> Result<()> {
        self.small(())
    }

    fn drop(&mut self, _: Resource<Pollable>) -> Result<()> {
        Ok(())
    }
}

impl error::Host for Host {}

impl error::HostError for Host {
    fn to_debug_string(&mut self, _: Resource<error::Error>) -> Result<String> {
        self.small(String::new())
    }

    fn drop(&mut self, _: Resource<error::Error>) -> Result<()> {
        Ok(())
    }
}

impl streams::Host for Host {}

type Streamed<T> = Result<std::result::Result<T, StreamError>>;

impl streams::HostInputStream for Host {
    fn read(&mut self, _: Resource<InputStream>, _: u64) -> Streamed<Vec<u8>> {
        self.small(Err(StreamError::Closed))
    }

    fn blocking_read(&mut self, _: Resource<InputStream>, _: u64) -> Streamed<Vec<u8>> {
        self.small(Err(StreamError::Closed))
    }

    fn skip(&mut self, _: Resource<InputStream>, _: u64) -> Streamed<u64> {
        self.small(Err(StreamError::Closed))
    }

    fn blocking_skip(&mut self, _: Resource<InputStream>, _: u64) -> Streamed<u64> {
        self.small(Err(StreamError::Closed))
    }

    fn subscribe(&mut self, _: Resource<InputStream>) -> Result<Resource<Pollable>> {
        self.small(stateless())
    }

    fn drop(&mut self, _: Resource<InputStream>) -> Result<()> {
        Ok(())
    }
}

impl streams::HostOutputStream for Host {
    fn check_write(&mut self, _: Resource<OutputStream>) -> Streamed<u64> {
        self.small(Ok(WRITE_BYTES))
    }

    fn write(&mut self, _: Resource<OutputStream>, contents: Vec<u8>) -> Streamed<()> {
        self.print(&contents)
    }

    fn blocking_write_and_flush(&mut self, _: Resource<OutputStream>, contents: Vec<u8>) -> Streamed<()> {
        self.print(&contents)
    }

    fn flush(&mut self, _: Resource<OutputStream>) -> Streamed<()> {
        self.small(Ok(()))
    }

    fn blocking_flush(&mut self, _: Resource<OutputStream>) -> Streamed<()> {
        self.small(Ok(()))
    }

    fn subscribe(&mut self, _: Resource<OutputStream>) -> Result<Resource<Pollable>> {
        self.small(stateless())
    }

    fn write_zeroes(&mut self, _: Resource<OutputStream>, _: u64) -> Streamed<()> {
        self.small(Ok(()))
    }

    fn blocking_write_zeroes_and_flush(&mut self, _: Resource<OutputStream>, _: u64) -> Streamed<()> {
        self.small(Ok(()))
    }

    fn splice(&mut self, _: Resource<OutputStream>, _: Resource<InputStream>, _: u64) -> Streamed<u64> {
        self.small(Err(StreamError::Closed))
    }

    fn blocking_splice(&mut self, _: Resource<OutputStream>, _: Resource<InputStream>, _: u64) -> Streamed<u64> {
        self.small(Err(StreamError::Closed))
    }

    fn drop(&mut self, _: Resource<OutputStream>) -> Result<()> {
        Ok(())
    }
}

impl preopens::Host for Host {
    fn get_directories(&mut self) -> Result<Vec<(Resource<types::Descriptor>, String)>> {
        self.small(Vec::new())
    }
}

impl types::Host for Host {}

impl types::HostDescriptor for Host {
    fn drop(&mut self, _: Resource<types::Descriptor>) -> Result<()> {
        Ok(())
    }
}

impl types::HostDirectoryEntryStream for Host {
    fn drop(&mut self, _: Resource<types::DirectoryEntryStream>) -> Result<()> {
        Ok(())
    }
}

impl random::Host for Host {
    fn get_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        let number = self.facts.number();
        self.small(number)
    }
}

impl insecure::Host for Host {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        let number = self.facts.number();
        self.small(number)
    }
}

impl insecure_seed::Host for Host {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        let seed = (self.facts.number(), self.facts.number());
        self.small(seed)
    }
}
