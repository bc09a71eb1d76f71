//! Compiled plugins: made in a process of its own, kept by every process, and run only if nobody touched them.

use weir_runtime::{Limits, LoadError, Runtime};
use weir_tests::{component, eventually};

use crate::World;

/// Whoever leads next runs it without compiling it first.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_uploaded_to_one_process_is_compiled_by_all_and_run_by_the_next_that_leads() {
    let world = World::new("[plugins]\ncompiled = \"compiled/main\"\n").await;
    let first = world.running().await;
    let second = world.weir.run_beside("second");
    let digest = world.push(0).await;
    world.plugin_json(&["promote", &digest, "--grant"]).await;
    let compiled = |name: &str| {
        let files = std::fs::read_dir(world.weir.path(&format!("compiled/{name}")));
        files.map_or(0, |files| {
            files
                .filter(|file| {
                    file.as_ref()
                        .unwrap()
                        .path()
                        .extension()
                        .is_some_and(|ending| ending == "cwasm")
                })
                .count()
        })
    };
    eventually("the other process compiles it", async || {
        (compiled("second") == 1).then_some(())
    })
    .await;
    assert_eq!(compiled("main"), 1);
    first.kill().await;
    world.put("order-1", None).await;
    eventually("a delivery by the other", async || {
        (world.bus.deliveries() >= 1).then_some(())
    })
    .await;
    assert_eq!(world.bus.received()[0].detail["plugin"], *digest);
    second.stop().await;
}

/// Machine code cannot be checked, so what is not ours is never run.
#[tokio::test(flavor = "multi_thread")]
async fn a_compiled_plugin_that_was_tampered_with_is_thrown_away_and_compiled_again() {
    let world = World::new("").await;
    let running = world.running().await;
    world.push(0).await;
    world.plugin_json(&["promote", "poison", "--grant"]).await;
    running.stop().await;
    let folder = world.weir.path("weir.plugins");
    let kept = || std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    assert_eq!(kept().count(), 1);
    let file = kept().next().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut tampered = whole.clone();
    tampered[whole.len() / 2] ^= 1;
    std::fs::write(&file, &tampered).unwrap();

    let running = world.running().await;
    world.put("order-1", None).await;
    eventually("a delivery", async || (world.bus.deliveries() >= 1).then_some(())).await;
    let log = running.log();
    assert!(
        log.contains("this compiled plugin is not what was written here"),
        "{log}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), whole);
    running.stop().await;
}

/// What `weir run` compiles plugins with: it reads a component and answers machine code, or says what is wrong.
#[tokio::test]
async fn a_plugin_is_compiled_in_a_process_of_its_own() {
    let compile = async |component: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("component");
        std::fs::write(&file, component).unwrap();
        let mut command = weir_tests::binary(folder.path(), &["compile-for-parent"]);
        command.stdin(std::fs::File::open(&file).unwrap());
        let output = command.output().await.unwrap();
        (
            output.status.code(),
            output.stdout.len(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let whole = std::fs::read(component("shop")).unwrap();
    let (code, bytes, message) = compile(&whole).await;
    assert_eq!((code, message.as_str()), (Some(0), ""));
    assert!(bytes > whole.len(), "{bytes}");
    let (code, bytes, message) = compile(&whole[..whole.len() / 2]).await;
    assert_eq!((code, bytes), (Some(3), 0), "{message}");
    assert!(message.contains("out of bounds"), "{message}");
}

/// It dies of its limits, and nobody with it.
#[tokio::test]
async fn a_plugin_that_is_too_dear_to_compile_is_given_up() {
    let weir = weir_tests::binary(std::path::Path::new("."), &[]);
    let weir = weir.as_std().get_program().to_str().unwrap().to_owned();
    let shop = std::fs::read(component("shop")).unwrap();
    // KiB of data: an engine alone needs more than the second.
    for (data, is_enough) in [("unlimited", true), ("20000", false)] {
        let script = format!("ulimit -d {data}; exec {weir} compile-for-parent");
        let runtime = Runtime::start(Limits::default()).unwrap();
        let runtime = runtime.compiling_by("/bin/sh".into(), &["-c", &script]);
        match runtime.load(shop.clone()).await {
            Ok(_) => assert!(is_enough, "it was compiled"),
            Err(LoadError::TooDear) => assert!(!is_enough, "it was given up"),
            Err(error) => panic!("{error}"),
        }
    }
}
