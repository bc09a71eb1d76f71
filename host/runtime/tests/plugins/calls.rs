//! Instances, threads, and callers that come all at once or go away; and what a failing call leaves in the log.

use serde_json::json;
use tokio::task::JoinSet;
use weir_model::AttributedChange;
use weir_runtime::{Batch, Fault, FaultCode};

use crate::guest::Guest;
use crate::support::{Loaded, SMALL, built, insert};

/// Fails if a global or a byte of memory is not as it was after `init`.
#[tokio::test]
async fn every_call_gets_a_fresh_instance() {
    let guest = Guest {
        module: "(global $calls (mut i32) (i32.const 0))",
        route: r"
            (if (i32.or (global.get $calls) (i32.load (i32.const 32768)))
              (then (return (call $failed (i32.const 304) (i32.const 5)))))
            (global.set $calls (i32.const 1))
            (i32.store (i32.const 32768) (i32.const 1))
            (call $keep (local.get $count))",
        ..Guest::default()
    };
    let loaded = Loaded::new(guest.build(), "{}", SMALL).await;
    for _ in 0..20 {
        assert!(loaded.route(&[insert(0, json!({}))]).await[0].is_ok());
    }
}

#[tokio::test]
async fn init_runs_before_the_batch_with_the_configuration() {
    // Remembers the first byte of the configuration, and answers with an error unless it was a `{`.
    let guest = Guest {
        module: "(global $first (mut i32) (i32.const 0))",
        init: "(global.set $first (i32.load8_u (local.get 0))) (call $ok)",
        route: r"
            (if (i32.ne (global.get $first) (i32.const 123))
              (then (return (call $failed (i32.const 304) (i32.const 5)))))
            (call $keep (local.get $count))",
        ..Guest::default()
    };
    let loaded = Loaded::new(guest.build(), "{}", SMALL).await;
    assert!(loaded.route(&[insert(0, json!({}))]).await[0].is_ok());

    let refuses = Guest {
        init: "(call $failed (i32.const 304) (i32.const 5))",
        ..Guest::default()
    };
    let loaded = Loaded::new(refuses.build(), "{}", SMALL).await;
    let fault = loaded.route(&[insert(0, json!({}))]).await.remove(0).unwrap_err();
    assert_eq!((fault.code, fault.message.as_str()), (FaultCode::Error, "hello"));
}

#[tokio::test]
async fn a_batch_of_nothing_has_no_answers() {
    let loaded = Loaded::new(built("poison"), "{}", SMALL).await;
    assert_eq!(loaded.route(&[]).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_at_once_are_all_answered() {
    let loaded = std::sync::Arc::new(Loaded::new(built("poison"), "{}", SMALL).await);
    let mut calls = JoinSet::new();
    for caller in 0..100 {
        let loaded = loaded.clone();
        calls.spawn(async move {
            let kind = ["keep", "trap", "memory", "error", "reject"][caller % 5];
            let changes: Vec<AttributedChange> = (0..20)
                .map(|place| {
                    insert(
                        place,
                        json!({"poison": {"S": if place == caller % 20 { kind } else { "keep" }}}),
                    )
                })
                .collect();
            let answers = loaded.route(&changes).await;
            let faults: Vec<usize> = (0..20).filter(|place| answers[*place].is_err()).collect();
            (caller, answers.len(), faults)
        });
    }
    let mut answered = 0;
    while let Some(call) = calls.join_next().await {
        let (caller, count, faults) = call.unwrap();
        let expected = if caller % 5 == 0 { vec![] } else { vec![caller % 20] };
        assert_eq!((count, faults), (20, expected), "caller {caller}");
        answered += 1;
    }
    assert_eq!(answered, 100);
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nothing_with_it() {
    let loaded = Loaded::new(built("poison"), "{}", SMALL).await;
    for _ in 0..10 {
        let batch = Batch::new(vec![insert(0, json!({"poison": {"S": "loop"}}))]);
        let call = loaded.plugin.route(batch, "{}", &loaded.manifest);
        tokio::select! {
            biased;
            () = std::future::ready(()) => {}
            _ = call => {}
        }
    }
    assert!(loaded.route(&[insert(0, json!({}))]).await[0].is_ok());
}

/// Logs a line for each change, then traps.
const LOGS_AND_TRAPS: &str = r"
    (loop $next
      (call $log (i32.const 2) (i32.const 1) (local.get $i) (i32.const 304) (i32.const 5))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (local.get $count))))
    (call $log (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 272) (i32.const 5))
    (unreachable)";

async fn faults(route: &'static str, count: usize) -> Vec<Fault> {
    let guest = Guest {
        route,
        ..Guest::default()
    };
    let loaded = Loaded::new(guest.build(), "{}", SMALL).await;
    let changes: Vec<AttributedChange> = (0..count).map(|number| insert(number, json!({}))).collect();
    loaded
        .route(&changes)
        .await
        .into_iter()
        .map(Result::unwrap_err)
        .collect()
}

#[tokio::test]
async fn a_fault_comes_with_the_log_of_its_call_alone() {
    for fault in faults(LOGS_AND_TRAPS, 3).await {
        assert_eq!(fault.log, "warn hello\nerror 1.0.0");
    }
}

/// The call went on to its end, with neighbours: only the lines about the change itself are about the fault.
#[tokio::test]
async fn a_rejection_comes_with_the_lines_about_its_change() {
    let rejects_all = r"
        (call $log (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256) (i32.const 5))
        (loop $next
          (call $log (i32.const 0) (i32.const 1) (local.get $i) (i32.const 304) (local.get $i))
          (i32.store8 offset=4096 (local.get $i) (i32.const 3))
          (call $rejection (local.get $i) (local.get $i))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $i) (local.get $count))))
        (call $decided (local.get $count) (i32.const 0) (local.get $count))";
    let faults = faults(rejects_all, 3).await;
    for fault in &faults {
        assert_eq!(fault.code, FaultCode::Rejected("guest".to_owned()));
        assert_eq!(fault.message, "hello");
    }
    let logs: Vec<&str> = faults.iter().map(|fault| fault.log.as_str()).collect();
    assert_eq!(logs, ["debug ", "debug h", "debug he"]);
}

#[tokio::test]
async fn lines_over_the_budget_are_counted_and_dropped() {
    let chatters = r"
        (loop $next
          (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 304) (i32.const 5))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $i) (i32.const 25))))
        (unreachable)";
    let log = faults(chatters, 1).await.remove(0).log;
    assert_eq!(
        log.lines().filter(|line| *line == "info hello").count(),
        SMALL.log_lines_max
    );
    assert!(log.lines().last().unwrap().contains("15"), "{log}");
}

/// The limit is in bytes, whatever the characters; a character is never cut in two.
#[tokio::test]
async fn a_long_line_is_cut_at_its_limit_in_bytes() {
    // 10 times U+20AC, three bytes each.
    let says_much = r#"
        (loop $next
          (i32.store16 (i32.add (i32.const 32768) (i32.mul (local.get $i) (i32.const 3))) (i32.const 0x82e2))
          (i32.store8 offset=2 (i32.add (i32.const 32768) (i32.mul (local.get $i) (i32.const 3))) (i32.const 0xac))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $i) (i32.const 10))))
        (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 32768) (i32.const 30))
        (unreachable)"#;
    let log = faults(says_much, 1).await.remove(0).log;
    assert_eq!(log, format!("info {}", "\u{20ac}".repeat(6)));
}

/// A log is one line for each message, or a plugin could make what looks like the line of another change.
#[tokio::test]
async fn a_line_break_in_a_message_begins_no_other_line() {
    let forges = r"
        (i32.store8 (i32.const 306) (i32.const 10))
        (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 304) (i32.const 5))
        (unreachable)";
    assert_eq!(faults(forges, 1).await.remove(0).log, "info he\\nlo");
}
