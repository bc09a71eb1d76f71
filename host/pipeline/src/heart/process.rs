//! Which process a worker is, so that whoever runs on the same machine sees at once when it is gone.
//!
//! A process is known by the boot of its machine, its PID namespace, its number there and when it began. Who shares boot and
//! namespace can look it up; of others nothing is known.

use std::fs;

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
            began: began(number)?,
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

    /// Whether another one ran on this machine and is gone.
    pub(super) fn sees_the_end_of(&self, other: &str) -> bool {
        Self::parse(other)
            .is_some_and(|other| other.machine == self.machine && began(other.number) != Some(other.began))
    }
}

impl std::fmt::Display for ProcessId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}/{}", self.machine, self.number, self.began)
    }
}

/// When a process began that is alive.
fn began(number: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // Behind the program's name in brackets, which may have any characters: its state, and 19 fields later its begin (proc_pid_stat(5)).
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X");
    let began = fields.nth(18)?.parse().ok()?;
    (!is_dead).then_some(began)
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
            began: began(child.id()).unwrap(),
            ..own.clone()
        };
        assert!(!own.sees_the_end_of(&of_child.to_string()));
        drop(child.stdin.take());
        while began(child.id()).is_some() {
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
