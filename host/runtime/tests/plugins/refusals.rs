//! Components that are no plugin: each is refused with an error that says why, and none brings the host down.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use weir_runtime::{Batch, DescribeError, Hook, HostError, LoadError, Runtime};

use crate::guest::{Guest, component};
use crate::support::{SMALL, built, chain, insert, load};

async fn refusal(component: Vec<u8>) -> LoadError {
    match Runtime::start(SMALL).unwrap().load(component).await {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    }
}

#[track_caller]
fn assert_names(error: &LoadError, what: &str) {
    let text = chain(error);
    assert!(text.contains(what), "{text:?} does not name {what:?}");
}

#[tokio::test]
async fn a_core_module_is_told_from_a_component() {
    for core in [
        wat::parse_str("(module)").unwrap(),
        wat::parse_str(Guest::default().core()).unwrap(),
    ] {
        let error = refusal(core).await;
        assert!(matches!(error, LoadError::CoreModule), "{}", chain(&error));
        assert_names(&error, "core Wasm module");
    }
}

#[tokio::test]
async fn what_is_no_webassembly_is_refused() {
    for bytes in [
        Vec::new(),
        b"\0".to_vec(),
        b"#!/bin/sh\nexit 0\n".to_vec(),
        b"(component)".to_vec(),
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
        vec![0xff; 4096],
    ] {
        let error = refusal(bytes.clone()).await;
        assert!(matches!(error, LoadError::NotWasm), "{bytes:?}: {}", chain(&error));
        assert_names(&error, "weir plugin build");
    }
}

#[tokio::test]
async fn what_only_begins_like_a_component_is_refused() {
    for bytes in [b"\0asm".to_vec(), b"\0asm\x0d\0\x01".to_vec()] {
        let error = refusal(bytes.clone()).await;
        assert!(matches!(error, LoadError::Invalid(_)), "{bytes:?}: {}", chain(&error));
    }
}

#[tokio::test]
async fn a_component_over_the_size_limit_is_refused_before_it_is_read() {
    let bytes = (64 << 20) + 1;
    let error = refusal(vec![0; bytes]).await;
    assert!(matches!(error, LoadError::TooLarge { .. }), "{}", chain(&error));
    assert_names(&error, &bytes.to_string());
}

#[tokio::test]
async fn an_empty_component_lacks_the_exports() {
    let error = refusal(b"\0asm\x0d\0\x01\0".to_vec()).await;
    assert!(matches!(error, LoadError::WrongWorld { .. }), "{}", chain(&error));
    assert_names(&error, "weir:plugin/lifecycle@0.1.0");
}

#[tokio::test]
async fn a_missing_export_is_named() {
    let core = wat::parse_str(Guest::default().core()).unwrap();
    let other = r"
        package test:other;
        world half {
          import weir:plugin/changes@0.1.0;
          import weir:plugin/call-context@0.1.0;
          import weir:plugin/lookup@0.1.0;
          import weir:plugin/logging@0.1.0;
          export weir:plugin/lifecycle@0.1.0;
        }";
    let error = refusal(component(core, "half", other)).await;
    assert!(matches!(error, LoadError::WrongWorld { .. }), "{}", chain(&error));
    assert_names(&error, "weir:plugin/routing@0.1.0");
}

/// A plugin for the other hook is a plugin, but not for a route.
#[tokio::test]
async fn an_annotator_is_taken_and_is_no_router() {
    let core = wat::parse_str(Guest::default().core().replace(
        "weir:plugin/routing@0.1.0#route",
        "weir:plugin/annotating@0.1.0#annotate",
    ))
    .unwrap();
    let plugin = load(component(core, "weir:plugin/annotator", ""), SMALL).await;
    assert_eq!(plugin.hook(), Hook::Intake);
    let manifest = Arc::new(plugin.describe("{}").await.unwrap());
    let batch = Batch::new(vec![insert(0, json!({}))]);
    let error = plugin.route(batch, "{}", &manifest).await.unwrap_err();
    assert!(matches!(error, HostError::OtherHook(Hook::Intake)), "{error}");
    assert!(error.to_string().contains("`annotator` of a source"), "{error}");
}

#[tokio::test]
async fn a_plugin_with_two_hooks_is_refused() {
    let with_both = Guest {
        module: "(func (export \"weir:plugin/annotating@0.1.0#annotate\") (param i32) (result i32) unreachable)",
        ..Guest::default()
    };
    let core = wat::parse_str(with_both.core()).unwrap();
    let other = r"
        package test:other;
        world both {
          include weir:plugin/router@0.1.0;
          include weir:plugin/annotator@0.1.0;
        }";
    let error = refusal(component(core, "both", other)).await;
    assert!(matches!(error, LoadError::TwoHooks), "{}", chain(&error));
}

#[tokio::test]
async fn an_import_that_there_is_not_is_named() {
    let with_more = Guest {
        module: "(func (export \"arguments\") (call $get_arguments (i32.const 128)))",
        ..Guest::default()
    };
    let import = r#"(module (import "shop:prices/catalogue@1.0.0" "get-arguments" (func $get_arguments (param i32)))"#;
    let core = wat::parse_str(with_more.core().replacen("(module", import, 1)).unwrap();
    let other = r"
        package shop:prices@1.0.0;
        interface catalogue { get-arguments: func() -> list<string>; }
        world plugin {
          import catalogue;
          export arguments: func();
          include weir:plugin/router@0.1.0;
        }";
    let error = refusal(component(core, "plugin", other)).await;
    assert!(matches!(error, LoadError::Forbidden { .. }), "{}", chain(&error));
    assert_names(&error, "shop:prices/catalogue@1.0.0");
}

/// A function of an interface that we know, which this version of it does not have.
#[tokio::test]
async fn an_import_of_another_shape_is_refused() {
    let text = r#"(component
        (import "weir:plugin/changes@0.1.0" (instance (export "operations" (func (result u32))))))"#;
    let error = refusal(wat::parse_str(text).unwrap()).await;
    assert!(matches!(error, LoadError::WrongWorld { .. }), "{}", chain(&error));
    assert_names(&error, "operations");
}

#[tokio::test]
async fn more_memory_than_there_is_from_the_start_is_refused_by_name() {
    let text = Guest::default().core();
    let text = text.replace("(memory (export \"memory\") 2)", "(memory (export \"memory\") 257)");
    let core = wat::parse_str(text).unwrap();
    let error = refusal(component(core, "weir:plugin/router", "")).await;
    assert!(matches!(error, LoadError::Invalid(_)), "{}", chain(&error));
    assert_names(&error, "memory");
}

/// Switched off because threads would make answers depend on luck: `plugins/wit` promises the same at every re-run.
#[tokio::test]
async fn shared_memory_is_refused() {
    let text = "(component (core module (memory 1 1 shared)))";
    let error = refusal(wat::parse_str(text).unwrap()).await;
    assert!(matches!(error, LoadError::Invalid(_)), "{}", chain(&error));
    assert_names(&error, "shared");
}

#[tokio::test]
async fn relaxed_simd_is_refused() {
    let text = "(component (core module (func (param v128 v128 v128) (result v128)
        (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2)))))";
    let error = refusal(wat::parse_str(text).unwrap()).await;
    assert!(matches!(error, LoadError::Invalid(_)), "{}", chain(&error));
    assert_names(&error, "relaxed");
}

/// An upload that broke off.
#[tokio::test]
async fn a_truncated_component_is_refused_wherever_it_was_cut() {
    let runtime = Runtime::start(SMALL).unwrap();
    let whole = built("poison");
    for part in 1..60 {
        let bytes = whole[..whole.len() * part / 60].to_vec();
        let Err(error) = runtime.load(bytes).await else {
            panic!("{part}/60 of it was taken")
        };
        assert!(matches!(error, LoadError::Invalid(_)), "{part}: {}", chain(&error));
    }
}

/// A flipped bit may leave a component that is valid and does something else: then it is a plugin like any other.
#[test]
fn a_component_with_a_flipped_bit_never_brings_the_host_down() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = Runtime::start(SMALL).unwrap();
    let whole = built("poison");
    let cases = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(60)
    };
    proptest!(cases, |(flips in proptest::collection::vec((0..whole.len(), 0..8_u8), 1..4))| {
        let mut bytes = whole.clone();
        for (place, bit) in &flips {
            bytes[*place] ^= 1 << bit;
        }
        match tokio.block_on(runtime.load(bytes)) {
            Err(LoadError::Ended) => prop_assert!(false, "compiling panicked"),
            Err(error) => prop_assert!(!chain(&error).is_empty()),
            Ok(plugin) => match tokio.block_on(plugin.describe("{}")) {
                Err(DescribeError::Host(HostError::ThreadEnded)) => prop_assert!(false, "describing panicked"),
                Err(_) => {}
                Ok(manifest) => {
                    let batch = Batch::new(vec![insert(0, serde_json::json!({"poison": {"S": "reject"}}))]);
                    let answers = tokio.block_on(plugin.route(batch, "{}", &manifest.into()));
                    prop_assert_eq!(answers.map(|answers| answers.len()).ok(), Some(1));
                }
            },
        }
    });
}
