//! What a plugin says about itself under a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_runtime::{DescribeError, FaultCode, LookupTable};

use crate::guest::Guest;
use crate::support::{SMALL, load};

async fn fault(describe: &'static str) -> weir_runtime::Fault {
    let guest = Guest {
        describe,
        ..Guest::default()
    };
    match load(guest.build(), SMALL).await.describe("{}").await {
        Err(DescribeError::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

/// The digest is what names a plugin everywhere: that of the bytes that were uploaded.
#[tokio::test]
async fn the_digest_is_that_of_the_component() {
    let component = Guest::default().build();
    let plugin = load(component.clone(), SMALL).await;
    let again = load(component, SMALL).await;
    assert_eq!(plugin.digest(), again.digest());
    let other = Guest {
        route: "(call $keep (i32.const 0))",
        ..Guest::default()
    };
    assert_ne!(plugin.digest(), load(other.build(), SMALL).await.digest());
}

/// Both runs get a fresh instance, so a plugin that counts its calls says the same twice. `DescribeError::Unstable`
/// is for what a later engine may let a plugin see; with this one no plugin can tell the runs apart.
#[tokio::test]
async fn the_second_description_knows_nothing_of_the_first() {
    let counts = Guest {
        module: "(global $calls (mut i32) (i32.const 0))",
        describe: r"
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (i32.store8 (i32.const 256) (i32.add (i32.const 64) (global.get $calls)))
            (call $manifest)",
        ..Guest::default()
    };
    let plugin = load(counts.build(), SMALL).await;
    for _ in 0..2 {
        assert_eq!(plugin.describe("{}").await.unwrap().name, "Auest");
    }
}

/// The contract: "Pure: every import traps."
#[tokio::test]
async fn a_description_may_ask_for_nothing() {
    for import in [
        "(call $operations (i32.const 128))",
        "(call $texts (i32.const 2) (i32.const 288) (i32.const 6) (i32.const 128))",
        "(drop (call $now_ms (i32.const 0)))",
        "(drop (call $seed (i32.const 0)))",
        "(call $lookup (i32.const 256) (i32.const 5) (i32.const 256) (i32.const 5) (i32.const 128))",
        "(call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 304) (i32.const 5))",
    ] {
        let fault = fault(Box::leak(format!("{import} (call $manifest)").into_boxed_str())).await;
        assert_eq!(fault.code, FaultCode::Trap, "{import}");
        assert!(fault.message.contains("describe"), "{import}: {}", fault.message);
    }
}

/// Whoever reads a table that is not there would fail on every change.
#[tokio::test]
async fn a_plugin_is_given_the_tables_that_it_asks_for_or_told_which_are_missing() {
    let guest = Guest {
        describe: r"
            (drop (call $manifest))
            (i32.store (i32.const 600) (i32.const 256))
            (i32.store (i32.const 604) (i32.const 5))
            (call $pair (i32.const 48) (i32.const 600) (i32.const 1))
            (i32.const 64)",
        ..Guest::default()
    };
    let manifest = load(guest.build(), SMALL).await.describe("{}").await.unwrap();
    assert_eq!(manifest.lookups, ["guest"]);
    let missing = manifest.clone().with_tables(&BTreeMap::new()).unwrap_err();
    assert_eq!(missing.0, ["guest"]);
    let table = Arc::new(LookupTable::parse("{}").unwrap());
    let tables = ["guest", "another"].map(|name| (name.to_owned(), Arc::clone(&table)));
    manifest.with_tables(&BTreeMap::from(tables)).unwrap();
}

#[tokio::test]
async fn a_description_has_the_limits_of_a_call() {
    assert_eq!(
        fault("(loop $for_ever (br $for_ever)) (unreachable)").await.code,
        FaultCode::Fuel
    );
    assert_eq!(
        fault("(drop (call $allocate (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 33554432))) (unreachable)")
            .await
            .code,
        FaultCode::Memory
    );
    assert_eq!(fault("(unreachable)").await.code, FaultCode::Trap);
}

/// Text that is not UTF-8, and lists that lie outside the memory.
#[tokio::test]
async fn a_description_that_cannot_be_read_is_a_fault() {
    let trap = fault("(i32.store8 (i32.const 256) (i32.const 255)) (call $manifest)").await;
    assert_eq!(trap.code, FaultCode::Trap);
    let trap =
        fault("(drop (call $manifest)) (call $pair (i32.const 28) (i32.const 512) (i32.const -1)) (i32.const 64)");
    assert_eq!(trap.await.code, FaultCode::Trap);
    assert_eq!(fault("(i32.const -4)").await.code, FaultCode::Trap);
}
