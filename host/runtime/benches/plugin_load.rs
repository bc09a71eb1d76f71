//! What it costs to have a plugin ready that was compiled before: a start with many plugins is as many of these.
//!
//! | path | what is in it |
//! | --- | --- |
//! | `plugin_load/kept` | SHA-256 of the component, its machine code read and authenticated, mapped, linked with what it imports |
//! | `plugin_load/start` | the same for 1,000, as many at once as there are cores: a start with as many routes |
//!
//! They stand beside reading that file and hashing both, on as many threads, which nobody can do without who runs only what is
//! his own. The goal is 1,000 plugins in a second. The component is `plugins/shop.wasm` in the target folder: `make plugins`.

#[path = "../../evidence/benches/beside/mod.rs"]
mod beside;
mod shop;

use std::hint::black_box;
use std::process::ExitCode;

use criterion::Criterion;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use weir_runtime::{Limits, Runtime};

use beside::{Beside, beside};
use shop::shop;

/// Plugins of a start.
const PLUGINS: u64 = 1000;

fn main() -> ExitCode {
    let Some(component) = shop() else {
        return ExitCode::FAILURE;
    };
    let host = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without I/O needs nothing");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = Runtime::start(Limits::default())
        .expect("this machine runs the engine")
        .keeping_artefacts(folder.path().to_owned(), [7; 32]);
    let load = || {
        let loaded = host.block_on(runtime.load(component.clone()));
        loaded.expect("the shop plugin fits its world")
    };
    // Compiles it, and keeps it.
    load();
    let kept = std::fs::read_dir(folder.path()).expect("it is there").next();
    let kept = kept.expect("it was kept").expect("it can be read").path();

    let hash = || {
        let code = std::fs::read(&kept).expect("it is there");
        black_box((Sha256::digest(&component), Sha256::digest(&code)))
    };

    let mut criterion = Criterion::default().configure_from_args();
    beside(
        &mut criterion,
        Beside {
            path: "plugin_load/kept",
            floor: "reading and hashing the files",
            count: 1,
        },
        load,
        hash,
    );
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let load_all = || async {
        let loads = (0..PLUGINS).map(|_| runtime.load(component.clone()));
        let loaded: Vec<_> = futures_util::stream::iter(loads)
            .buffer_unordered(cores)
            .collect()
            .await;
        assert!(loaded.iter().all(Result::is_ok), "the shop plugin fits its world");
        loaded
    };
    let mut criterion = criterion.sample_size(10);
    beside(
        &mut criterion,
        Beside {
            path: "plugin_load/start",
            floor: "reading and hashing the files",
            count: PLUGINS,
        },
        || host.block_on(load_all()),
        || {
            std::thread::scope(|scope| {
                for _ in 0..cores {
                    scope.spawn(|| (0..PLUGINS / cores as u64).for_each(|_| _ = hash()));
                }
            });
        },
    );
    criterion.final_summary();
    ExitCode::SUCCESS
}
