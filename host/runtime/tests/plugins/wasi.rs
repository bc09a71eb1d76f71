//! Guests that were built with a standard library: what they ask WASI for is answered the same at every run, or refused.

use serde_json::json;
use weir_model::AttributedChange;
use weir_runtime::{Batch, Decision, LoadError, Runtime};

use crate::guest::{Guest, component};
use crate::support::{Answers, Loaded, SMALL, chain, insert, show};

/// WASI, as far as the guests here import it.
const WASI: &str = r"
    package weir:guest;
    world plugin {
      include weir:plugin/router@0.1.0;
      IMPORTS
    }
    package wasi:random@0.2.3 {
      interface random { get-random-u64: func() -> u64; get-random-bytes: func(len: u64) -> list<u8>; }
    }
    package wasi:clocks@0.2.3 {
      interface wall-clock {
        record datetime { seconds: u64, nanoseconds: u32 }
        now: func() -> datetime;
      }
      interface monotonic-clock {
        use wasi:io/poll@0.2.3.{pollable};
        now: func() -> u64;
        subscribe-duration: func(when: u64) -> pollable;
      }
    }
    package wasi:io@0.2.3 {
      interface poll { resource pollable { block: func(); } }
      interface error { resource error; }
      interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
      }
    }
    package wasi:cli@0.2.3 {
      interface environment {
        get-environment: func() -> list<tuple<string, string>>;
        get-arguments: func() -> list<string>;
      }
      interface exit { exit: func(status: result); }
      interface stdout { use wasi:io/streams@0.2.3.{output-stream}; get-stdout: func() -> output-stream; }
    }
    package wasi:filesystem@0.2.3 {
      interface types {
        resource descriptor {
          open-at: func(path: string) -> result<descriptor>;
        }
      }
      interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }
    }
    package wasi:sockets@0.2.3 { interface tcp { connect: func(to: string) -> bool; } }
    package wasi:http@0.2.3 { interface outgoing-handler { handle: func(url: string) -> bool; } }
";

/// A guest that imports these functions, as `(import ...)`, from these interfaces.
fn guest(interfaces: &[&str], functions: &str, module: &'static str, route: &'static str) -> Vec<u8> {
    let guest = Guest {
        module,
        route,
        ..Guest::default()
    };
    let core = guest.core().replacen("(module", &format!("(module {functions}"), 1);
    let imports: Vec<String> = interfaces
        .iter()
        .map(|interface| format!("import {interface}@0.2.3;"))
        .collect();
    let wasi = WASI.replace("IMPORTS", &imports.join("\n"));
    component(wat::parse_str(core).unwrap(), "weir:guest/plugin", &wasi)
}

/// Keeps a change if random number and time, added, are even.
fn gambler() -> Vec<u8> {
    guest(
        &["wasi:random/random", "wasi:clocks/wall-clock"],
        r#"(import "wasi:random/random@0.2.3" "get-random-u64" (func $random (result i64)))
           (import "wasi:clocks/wall-clock@0.2.3" "now" (func $now (param i32)))"#,
        "",
        r"(loop $next
            (call $now (i32.const 128))
            (i32.store8 (i32.add (i32.const 4096) (local.get $i))
              (i32.mul (i32.const 2) (i32.wrap_i64 (i64.and (i64.const 1)
                (i64.add (call $random) (i64.load (i32.const 128)))))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (local.get $count))))
          (call $keep (local.get $count))",
    )
}

fn changes(count: usize, second: i64) -> Vec<AttributedChange> {
    let change = |number| {
        let mut change = insert(number, json!({}));
        change.change.created_at += jiff::SignedDuration::from_secs(second);
        change
    };
    (0..count).map(change).collect()
}

fn kept(answers: &Answers) -> Vec<bool> {
    let kept = answers
        .iter()
        .map(|answer| matches!(answer, Ok(Decision { keep: true, .. })));
    kept.collect()
}

#[tokio::test]
async fn chance_and_time_are_facts_of_the_change_however_batches_are_cut_and_wherever_it_runs() {
    let loaded = Loaded::new(gambler(), "{}", SMALL).await;
    let batch = changes(200, 0);
    let whole = loaded.route(&batch).await;
    let even = kept(&whole).into_iter().filter(|kept| *kept).count();
    assert!((50..150).contains(&even), "{even} of 200");

    let mut split = loaded.route(&batch[..77]).await;
    split.extend(loaded.route(&batch[77..]).await);
    assert_eq!(split, whole);
    let permuted: Vec<AttributedChange> = (0..200).map(|place| batch[place * 77 % 200].clone()).collect();
    let permuted = loaded.route(&permuted).await;
    for place in 0..200 {
        assert_eq!(permuted[place], whole[place * 77 % 200], "{place}");
    }
    let probed = loaded
        .plugin
        .probe(&Batch::new(batch.clone()), "{}", &loaded.manifest)
        .await
        .unwrap();
    assert_eq!((probed.unsteady, probed.answers), (None, whole.clone()));
    // As if it had started again.
    assert_eq!(Loaded::new(gambler(), "{}", SMALL).await.route(&batch).await, whole);
    // A second later.
    let later = loaded.route(&changes(200, 1)).await;
    assert!(
        kept(&later)
            .iter()
            .zip(kept(&whole))
            .all(|(later, before)| *later != before)
    );
}

#[tokio::test]
async fn the_same_change_takes_the_same_fuel_at_every_run_and_in_every_runtime() {
    let mut fuels = Vec::new();
    for _ in 0..3 {
        let loaded = Loaded::new(gambler(), "{}", SMALL).await;
        for _ in 0..2 {
            let measured = loaded
                .plugin
                .measure(changes(1, 0).remove(0), "{}", &loaded.manifest)
                .await
                .unwrap();
            fuels.push(measured.fuel);
        }
    }
    assert!(fuels.windows(2).all(|pair| pair[0] == pair[1]), "{fuels:?}");
}

#[tokio::test]
async fn whoever_waits_finds_that_the_time_has_passed() {
    let sleeper = guest(
        &["wasi:clocks/monotonic-clock", "wasi:io/poll"],
        r#"(import "wasi:clocks/monotonic-clock@0.2.3" "now" (func $now (result i64)))
           (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration" (func $sleep (param i64) (result i32)))
           (import "wasi:io/poll@0.2.3" "[method]pollable.block" (func $block (param i32)))"#,
        "",
        // An hour.
        r"(call $block (call $sleep (i64.const 3600000000000)))
          (if (i64.lt_u (call $now) (i64.const 3600000000000)) (then unreachable))
          (call $keep (local.get $count))",
    );
    let answers = Loaded::new(sleeper, "{}", SMALL).await.route(&changes(1, 0)).await;
    assert_eq!(show(&answers), "keep");
}

#[tokio::test]
async fn there_is_no_environment_and_no_folder() {
    let curious = guest(
        &[
            "wasi:cli/environment",
            "wasi:filesystem/preopens",
            "wasi:filesystem/types",
        ],
        r#"(import "wasi:cli/environment@0.2.3" "get-environment" (func $environment (param i32)))
           (import "wasi:cli/environment@0.2.3" "get-arguments" (func $arguments (param i32)))
           (import "wasi:filesystem/preopens@0.2.3" "get-directories" (func $folders (param i32)))
           (import "wasi:filesystem/types@0.2.3" "[method]descriptor.open-at" (func $open (param i32 i32 i32 i32)))"#,
        r#"(func (export "open") (call $open (i32.const 7) (i32.const 256) (i32.const 5) (i32.const 128)))"#,
        r"(call $environment (i32.const 128))
          (if (i32.load (i32.const 132)) (then unreachable))
          (call $arguments (i32.const 128))
          (if (i32.load (i32.const 132)) (then unreachable))
          (call $folders (i32.const 128))
          (if (i32.load (i32.const 132)) (then unreachable))
          (call $keep (local.get $count))",
    );
    let answers = Loaded::new(curious, "{}", SMALL).await.route(&changes(3, 0)).await;
    assert_eq!(show(&answers), "keep\nkeep\nkeep");
}

#[tokio::test]
async fn what_is_printed_stands_in_the_log_and_an_exit_is_a_fault() {
    let quitter = guest(
        &["wasi:cli/stdout", "wasi:cli/exit", "wasi:io/streams"],
        r#"(import "wasi:cli/stdout@0.2.3" "get-stdout" (func $stdout (result i32)))
           (import "wasi:io/streams@0.2.3" "[method]output-stream.blocking-write-and-flush"
             (func $write (param i32 i32 i32 i32)))
           (import "wasi:cli/exit@0.2.3" "exit" (func $exit (param i32)))"#,
        "",
        r"(call $write (call $stdout) (i32.const 304) (i32.const 5) (i32.const 128))
          (call $exit (i32.const 0))
          unreachable",
    );
    let answers = Loaded::new(quitter, "{}", SMALL).await.route(&changes(1, 0)).await;
    let fault = answers[0].as_ref().unwrap_err();
    assert!(fault.message.contains("wasi:cli/exit"), "{}", fault.message);
    assert_eq!(fault.log, "out hello");
}

#[tokio::test]
async fn more_random_bytes_than_a_call_may_read_are_never_made() {
    let greedy = guest(
        &["wasi:random/random"],
        r#"(import "wasi:random/random@0.2.3" "get-random-bytes" (func $random (param i64 i32)))"#,
        "",
        "(call $random (i64.const -1) (i32.const 128)) unreachable",
    );
    let answers = Loaded::new(greedy, "{}", SMALL).await.route(&changes(1, 0)).await;
    assert_eq!(
        show(&answers),
        "plugin-fuel: the plugin read more from its host than it may"
    );
}

#[tokio::test]
async fn the_network_is_refused_by_name() {
    let nosy = guest(
        &["wasi:sockets/tcp", "wasi:http/outgoing-handler", "wasi:cli/environment"],
        r#"(import "wasi:sockets/tcp@0.2.3" "connect" (func $connect (param i32 i32) (result i32)))
           (import "wasi:http/outgoing-handler@0.2.3" "handle" (func $handle (param i32 i32) (result i32)))
           (import "wasi:cli/environment@0.2.3" "get-environment" (func $environment (param i32)))"#,
        "",
        r"(call $environment (i32.const 128))
          (drop (call $connect (i32.const 256) (i32.const 5)))
          (drop (call $handle (i32.const 256) (i32.const 5)))
          (call $keep (local.get $count))",
    );
    let error = match Runtime::start(SMALL).unwrap().load(nosy).await {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    };
    let LoadError::Forbidden { imports } = &error else {
        panic!("{}", chain(&error))
    };
    assert_eq!(imports, &["wasi:sockets/tcp@0.2.3", "wasi:http/outgoing-handler@0.2.3"]);
}
