//! What a process takes from its machine, as Linux tells it.

use std::time::Duration;

/// Ticks of processor time a second, for everybody who asks Linux (`proc_pid_stat(5)`, `USER_HZ`).
const TICKS_PER_S: u64 = 100;

/// What a process has taken from its machine so far.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// Most memory that was resident at one time, in bytes.
    pub resident_bytes_max: u64,
    /// Processor time, of all its threads together.
    pub processor: Duration,
}

impl Footprint {
    /// Of a process that runs.
    ///
    /// # Panics
    ///
    /// It does not, or this is no Linux.
    #[must_use]
    pub fn of(process: u32) -> Self {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).expect("it runs, on Linux");
        let status = read("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes: u64 = peak
            .and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok())
            .expect("Linux tells the peak in kB");
        // The name of the program, in brackets, may have spaces; behind it, user and system time are the 12th and 13th.
        let stat = read("stat");
        let (_, fields) = stat.rsplit_once(')').expect("the name stands in brackets");
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().expect("a count")).sum();
        Self {
            resident_bytes_max: kilobytes * 1024,
            processor: Duration::from_millis(ticks * (1000 / TICKS_PER_S)),
        }
    }
}
