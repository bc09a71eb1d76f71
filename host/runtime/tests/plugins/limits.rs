//! Memory, fuel, time and log of a call.

use std::time::Duration;

use serde_json::json;
use weir_model::AttributedChange;
use weir_runtime::{Batch, Fault, FaultCode, HostError, Limits};

use crate::guest::Guest;
use crate::support::{Answers, Loaded, SMALL, insert, load};

const SPIN: &str = "(loop $for_ever (br $for_ever)) (unreachable)";

async fn fault(guest: Guest, limits: Limits) -> Fault {
    let loaded = Loaded::new(guest.build(), "{}", limits).await;
    loaded.route(&[insert(0, json!({}))]).await.remove(0).unwrap_err()
}

#[tokio::test]
async fn a_loop_uses_up_the_fuel_wherever_it_stands() {
    for guest in [
        Guest {
            route: SPIN,
            ..Guest::default()
        },
        Guest {
            init: SPIN,
            ..Guest::default()
        },
    ] {
        assert_eq!(fault(guest, SMALL).await.code, FaultCode::Fuel);
    }
}

/// The start function runs before any export, also for `describe`.
#[tokio::test]
async fn a_module_that_loops_when_it_starts_does_not_describe_itself() {
    let guest = Guest {
        module: "(func $start (loop $for_ever (br $for_ever))) (start $start)",
        ..Guest::default()
    };
    let plugin = load(guest.build(), SMALL).await;
    let error = plugin.describe("{}").await.unwrap_err();
    let weir_runtime::DescribeError::Fault(fault) = error else {
        panic!("{error}")
    };
    assert_eq!(fault.code, FaultCode::Fuel);
}

#[tokio::test]
async fn memory_ends_at_the_limit_and_not_before() {
    // 256 pages are the 16 MiB of the limits; the guest has 2 of them.
    let grow = |pages: u32| {
        Guest {
        route: Box::leak(
            format!("(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then (unreachable))) (call $keep (local.get $count))")
                .into_boxed_str(),
        ),
        ..Guest::default()
    }
    };
    let loaded = Loaded::new(grow(254).build(), "{}", SMALL).await;
    assert!(loaded.route(&[insert(0, json!({}))]).await[0].is_ok());
    assert_eq!(fault(grow(255), SMALL).await.code, FaultCode::Memory);
}

/// The contract of `Limits`: all memories of the instance together.
#[tokio::test]
async fn two_memories_share_the_limit() {
    // 200 pages beside the 2 of the guest, of 256.
    let with_second_memory = |route| {
        let guest = Guest {
            route,
            ..Guest::default()
        };
        build_beside(
            guest,
            "(component (core module $m (memory 200)) (core instance (instantiate $m)))",
        )
    };
    let cases = [
        ("(call $keep (local.get $count))", None),
        (GROW_100_PAGES, Some(FaultCode::Memory)),
    ];
    for (route, expected) in cases {
        let loaded = Loaded::new(with_second_memory(route), "{}", SMALL).await;
        let answer = loaded.route(&[insert(0, json!({}))]).await.remove(0);
        assert_eq!(answer.err().map(|fault| fault.code), expected, "{route}");
    }
}

const GROW_100_PAGES: &str = r"
    (if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then (unreachable)))
    (call $keep (local.get $count))";

#[tokio::test]
async fn a_guest_that_takes_no_for_an_answer_is_decided() {
    let guest = Guest {
        route: "(drop (memory.grow (i32.const 60000))) (call $keep (local.get $count))",
        ..Guest::default()
    };
    let loaded = Loaded::new(guest.build(), "{}", SMALL).await;
    assert!(loaded.route(&[insert(0, json!({}))]).await[0].is_ok());
}

#[tokio::test]
async fn recursion_without_end_is_a_trap() {
    let guest = Guest {
        module: "(func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0))))",
        route: "(call $deeper (local.get $count))",
        ..Guest::default()
    };
    let fault = fault(guest, SMALL).await;
    assert_eq!(fault.code, FaultCode::Trap);
    assert!(fault.message.contains("stack"), "{}", fault.message);
}

/// The clock protects the host and says nothing about the plugin.
#[tokio::test]
async fn the_wall_clock_is_never_the_plugins_fault() {
    let limits = Limits {
        fuel_max: u64::MAX / 2,
        call_timeout: Duration::from_millis(50),
        ..SMALL
    };
    let guest = Guest {
        route: SPIN,
        ..Guest::default()
    };
    let batch = Batch::new(vec![insert(0, json!({}))]);
    let error = route_in_time(guest, limits, batch).await.unwrap_err();
    assert!(matches!(error, HostError::TooSlow), "{error}");
}

/// Invariant 6 of the design: a decision depends on nothing but the change. So a change has the same fuel alone and among
/// neighbours, and neighbours that need more together than one call has are all decided.
#[tokio::test]
async fn what_a_change_may_cost_does_not_depend_on_its_neighbours() {
    // Spins as often as `/value` says.
    let guest = Guest {
        route: r"
            (call $numbers (i32.const 2) (i32.const 288) (i32.const 6) (i32.const 128))
            (loop $next
              (local.set $n (i32.trunc_f64_u
                (f64.load offset=8 (i32.add (i32.load (i32.const 128)) (i32.mul (local.get $i) (i32.const 16))))))
              (block $done (loop $spin
                (br_if $done (i32.eqz (local.get $n)))
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br $spin)))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $next (i32.lt_u (local.get $i) (local.get $count))))
            (call $keep (local.get $count))",
        ..Guest::default()
    };
    let limits = Limits {
        fuel_max: 200_000,
        ..SMALL
    };
    let loaded = Loaded::new(guest.build(), "{}", limits).await;
    let spinning = |number, turns: u32| insert(number, json!({"value": {"N": turns.to_string()}}));
    let mut changes: Vec<AttributedChange> = (0..20).map(|number| spinning(number, 10_000)).collect();
    assert!(loaded.route(&changes).await.iter().all(Result::is_ok));

    changes.insert(7, spinning(20, 100_000));
    let codes: Vec<_> = loaded
        .route(&changes)
        .await
        .into_iter()
        .map(|answer| answer.err().map(|fault| fault.code))
        .collect();
    assert_eq!(codes.iter().flatten().count(), 1);
    assert_eq!(codes[7], Some(FaultCode::Fuel));
}

/// Calls into the host cost it more than they cost the guest in fuel, so what they hand over is counted too.
#[tokio::test]
async fn a_guest_that_keeps_the_host_busy_has_used_up_what_it_may_read() {
    // Memory is given out once and used again and again: reading costs the guest nearly nothing.
    let guest = Guest {
        route: r"
            (loop $for_ever
              (global.set $free (i32.const 65536))
              (call $json (i32.const 0) (i32.const 2) (i32.const 288) (i32.const 6) (i32.const 128))
              (br $for_ever))
            (unreachable)",
        ..Guest::default()
    };
    let large: Vec<_> = (0..20_000).map(|number| json!({"N": number.to_string()})).collect();
    let batch = Batch::new(vec![insert(0, json!({"value": {"L": large}}))]);
    let answers = route_in_time(guest, SMALL, batch).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap_err().code, FaultCode::Fuel);
}

/// Routes with little time; the description has as much as it needs.
async fn route_in_time(guest: Guest, limits: Limits, batch: Batch) -> Result<Answers, HostError> {
    let manifest = Loaded::new(guest.build(), "{}", SMALL).await.manifest;
    load(guest.build(), limits).await.route(batch, "{}", &manifest).await
}

/// Lists of a guest may overlap: 300 outputs of one text of 8 MiB are 2.4 GB for the host, and 10 KB for the guest.
#[tokio::test]
async fn an_answer_that_swells_when_it_is_read_is_a_fault() {
    let guest = Guest {
        route: r"
            (local.set $n (call $allocate (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8388608)))
            (memory.fill (local.get $n) (i32.const 32) (i32.const 8388608))
            (loop $next
              (call $output (local.get $i) (i32.const 0) (local.get $n) (i32.const 8388608))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $next (i32.lt_u (local.get $i) (i32.const 300))))
            (call $decided (local.get $count) (i32.const 300) (i32.const 0))",
        ..Guest::default()
    };
    let fault = fault(guest, SMALL).await;
    assert_eq!(fault.code, FaultCode::Trap, "{}", fault.message);
}

/// The guest's component, with another one inside that it only instantiates.
fn build_beside(guest: Guest, other: &str) -> Vec<u8> {
    /// Components that the encoder puts inside: one for each exported interface.
    const COMPONENTS_INSIDE: u8 = 2;
    let other = wat::parse_str(other).unwrap();
    let mut component = guest.build();
    // A section of one component, then one of one instance of it without arguments (component model, Binary.md).
    component.push(4);
    component.extend([other.len() % 128 + 128, other.len() / 128].map(|byte| u8::try_from(byte).unwrap()));
    component.extend(other);
    component.extend([5, 4, 1, 0, COMPONENTS_INSIDE, 0]);
    component
}
