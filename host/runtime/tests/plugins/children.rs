//! Processes that compile: whatever becomes of one, the host says what that means, and goes on.

use std::error::Error;
use std::path::PathBuf;

use weir_runtime::{LoadError, Runtime};

use crate::guest::Guest;
use crate::support::{SMALL, chain};

/// What comes of compiling by a shell with this script.
async fn compiled_by(script: &str) -> LoadError {
    let runtime = Runtime::start(SMALL).unwrap();
    let runtime = runtime.compiling_by(PathBuf::from("/bin/sh"), &["-c", script]);
    match runtime.load(Guest::default().build()).await {
        Ok(_) => panic!("{script}: it was compiled"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_child_that_ends_early_ran_into_its_limits() {
    for script in [
        "exit 1",
        "cat >/dev/null; exit 1",
        "cat >/dev/null; kill -9 $$",
        "kill -XCPU $$",
    ] {
        let error = compiled_by(script).await;
        assert!(matches!(error, LoadError::TooDear), "{script}: {}", chain(&error));
    }
}

#[tokio::test]
async fn what_a_child_says_is_wrong_with_a_component_is_said() {
    let error = compiled_by("cat >/dev/null; printf 'no such instruction' >&2; exit 3").await;
    assert!(matches!(error, LoadError::Invalid(_)), "{}", chain(&error));
    assert_eq!(error.source().unwrap().to_string(), "no such instruction");
}

#[tokio::test]
async fn code_of_another_engine_is_not_run() {
    for script in ["cat >/dev/null", "cat >/dev/null; echo code that is none"] {
        let error = compiled_by(script).await;
        assert!(matches!(error, LoadError::OtherEngine), "{script}: {}", chain(&error));
    }
}

/// The clock leaps as soon as nothing but it is waited for.
#[tokio::test]
async fn a_child_that_does_not_end_is_given_up() {
    tokio::time::pause();
    let error = compiled_by("exec sleep 1000").await;
    assert!(matches!(error, LoadError::TooDear), "{}", chain(&error));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_the_hosts_fault() {
    let runtime = Runtime::start(SMALL).unwrap();
    let runtime = runtime.compiling_by(PathBuf::from("/nowhere/weir"), &[]);
    let Err(error) = runtime.load(Guest::default().build()).await else {
        panic!("it was compiled")
    };
    assert!(matches!(error, LoadError::Child(_)), "{}", chain(&error));
}
