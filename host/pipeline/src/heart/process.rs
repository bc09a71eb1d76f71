//! Which process a worker is, so that whoever runs on the same machine sees at once when it is gone.
//!
//! A process is known by the boot of its machine, its PID namespace, its number there and when it began. Who shares boot and
//! namespace can look it up; of others nothing is known.

use std::fs;
use std::io::ErrorKind;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// A process, as it is told to others: `<boot id>/<PID namespace>/<number>/<begin, in clock ticks since boot>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProcessId {
    /// Boot and namespace.
    machine: String,
    number: u32,
    began: u64,
}

impl ProcessId {
    /// This one; `None` where the system does not tell (`/proc` is not there).
    pub(super) fn own() -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
        let number = std::process::id();
        Some(Self {
            machine: format!("{}/{}", boot.trim(), namespace.display()),
            number,
            began: match state(number) {
                State::Alive { began } => began,
                State::Gone | State::Unknown => return None,
            },
        })
    }

    fn parse(told: &str) -> Option<Self> {
        let mut parts = told.rsplitn(3, '/');
        let (began, number, machine) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            machine: machine.to_owned(),
            number: number.parse().ok()?,
            began: began.parse().ok()?,
        })
    }

    /// Whether another one ran on this machine and is gone, as far as can be told.
    pub(super) fn sees_the_end_of(&self, other: &str) -> bool {
        let other = Self::parse(other).filter(|other| other.machine == self.machine);
        other.is_some_and(|other| match state(other.number) {
            State::Alive { began } => began != other.began,
            State::Gone => true,
            State::Unknown => false,
        })
    }
}

impl std::fmt::Display for ProcessId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}/{}", self.machine, self.number, self.began)
    }
}

/// What the system tells of a number.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// A process has it that began then.
    Alive { began: u64 },
    /// No process has it, or one that has ended and was not asked for its status.
    Gone,
    /// Others' processes may be hidden, and this one may be out of files.
    Unknown,
}

fn state(number: u32) -> State {
    let told = match fs::read_to_string(format!("/proc/{number}/stat")) {
        Ok(stat) => read_stat(&stat),
        // A hidden process can be asked for, and is not there to be read.
        Err(error) if error.kind() == ErrorKind::NotFound && !exists(number) => Some(State::Gone),
        Err(_) => None,
    };
    told.unwrap_or(State::Unknown)
}

/// Behind the program's name in brackets, which may have any characters: its state, and 19 fields later its begin
/// (`proc_pid_stat(5)`).
fn read_stat(stat: &str) -> Option<State> {
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X");
    let began = fields.nth(18)?.parse().ok()?;
    Some(if is_dead { State::Gone } else { State::Alive { began } })
}

/// Whether a process can be asked for, also where it may not be sent anything.
fn exists(number: u32) -> bool {
    let number = i32::try_from(number).ok().and_then(Pid::from_raw);
    number.is_none_or(|number| test_kill_process(number) != Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_what_it_tells() {
        let own = ProcessId::own().unwrap();
        assert_eq!(ProcessId::parse(&own.to_string()), Some(own.clone()));
        assert!(!own.sees_the_end_of(&own.to_string()));
    }

    #[test]
    fn one_that_ended_is_gone_also_while_nobody_asked_for_its_status_or_its_number_is_another_s() {
        let own = ProcessId::own().unwrap();
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read _"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let of_child = ProcessId {
            number: child.id(),
            began: match state(child.id()) {
                State::Alive { began } => began,
                other => panic!("{other:?}"),
            },
            ..own.clone()
        };
        assert!(!own.sees_the_end_of(&of_child.to_string()));
        drop(child.stdin.take());
        while state(child.id()) != State::Gone {
            std::thread::yield_now();
        }
        assert!(own.sees_the_end_of(&of_child.to_string()));
        child.wait().unwrap();
        assert!(own.sees_the_end_of(&of_child.to_string()));
        let began_later = ProcessId {
            began: own.began + 1,
            ..own.clone()
        };
        assert!(own.sees_the_end_of(&began_later.to_string()));
    }

    #[test]
    fn of_one_on_another_machine_nothing_is_known() {
        let own = ProcessId::own().unwrap();
        let elsewhere = ProcessId {
            machine: format!("{}0", own.machine),
            number: 1,
            began: 0,
        };
        for told in [elsewhere.to_string().as_str(), "", "nonsense", "a/b/c"] {
            assert!(!own.sees_the_end_of(told), "{told}");
        }
    }
}
