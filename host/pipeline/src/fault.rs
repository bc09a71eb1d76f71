//! Fault points: places where a test has the process killed, as if the machine had lost power.
//!
//! `WEIR_FAULT=after-append:3` kills it at the third passage of `after-append`. Only with the feature `faults`; without
//! it, a point is nothing at all.

#[cfg(feature = "faults")]
pub(crate) fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static FAULT: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSAGES: AtomicU64 = AtomicU64::new(0);

    let fault = FAULT.get_or_init(|| {
        let text = std::env::var("WEIR_FAULT").ok()?;
        let (name, passage) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), passage.parse().expect("WEIR_FAULT is `point:passage`")))
    });
    if let Some((wanted, passage)) = fault
        && wanted == name
        && PASSAGES.fetch_add(1, Ordering::SeqCst) + 1 == *passage
    {
        // SIGKILL: nothing of ours runs after this, no destructor, no flush.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}

#[cfg(not(feature = "faults"))]
#[inline]
pub(crate) fn point(_name: &str) {}
