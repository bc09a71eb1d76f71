//! What one plugin call may use.

use std::time::Duration;

/// Limits of one call. Going over one traps the call, never the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of the whole instance, all its memories together, in bytes.
    pub memory_bytes_max: usize,

    /// Instructions of the call, in Wasmtime fuel units. The same for a batch and for a single change: a batch that needs
    /// more is cut until its parts do not, so what a change may cost does not depend on its neighbours.
    pub fuel_max: u64,

    /// Bytes that the call may read from the host, a little for each call into it included. A batch is at most about
    /// 8 MiB, so each change can be read many times over.
    pub read_bytes_max: usize,

    /// Bytes that one answer of the plugin, or what it hands to the host in one call, may take in the host. A batch whose
    /// answers are more is cut.
    pub answer_bytes_max: usize,

    /// How often the calls that look for the changes on which a batch fails may use up what one call may, all together. One
    /// change that loops for ever takes eleven in a batch of 1,000. Past it the batch has no answer, and smaller ones do.
    pub search_calls_max: u32,

    /// Wall-clock time of the call. Protects the host from a machine that stands still; fuel ends a plugin long before.
    pub call_timeout: Duration,

    /// Log lines kept of one call. More are counted and dropped.
    pub log_lines_max: usize,

    /// Bytes kept of one log line.
    pub log_line_bytes_max: usize,
}

impl Default for Limits {
    /// 64 MiB; 100 million instructions (a filter with four fields takes a few thousand for each change); 128 MiB
    /// of reads; 16 MiB of answers; 40 calls in a search; 10 seconds; 100 lines of 1 KiB.
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 << 20,
            fuel_max: 100_000_000,
            read_bytes_max: 128 << 20,
            answer_bytes_max: 16 << 20,
            search_calls_max: 40,
            call_timeout: Duration::from_secs(10),
            log_lines_max: 100,
            log_line_bytes_max: 1 << 10,
        }
    }
}
