//! What it costs to have a plugin ready that was compiled before: a start with many plugins is as many of these.
//!
//! | path | what is in it |
//! | --- | --- |
//! | `plugin_load/kept` | SHA-256 of the component, its machine code read and authenticated, mapped, linked with what it imports |
//!
//! It stands beside reading that file and hashing both, which nobody can do without who runs only what is his own. The goal is
//! 1,000 plugins in a second. The component is `plugins/shop.wasm` in the target folder: `make plugins`.

#[path = "../../evidence/benches/beside/mod.rs"]
mod beside;
mod shop;

use std::hint::black_box;
use std::process::ExitCode;

use criterion::Criterion;
use sha2::{Digest as _, Sha256};
use weir_runtime::{Limits, Runtime};

use beside::{Beside, beside};
use shop::shop;

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

    let mut criterion = Criterion::default().configure_from_args();
    beside(
        &mut criterion,
        Beside {
            path: "plugin_load/kept",
            floor: "reading and hashing the files",
            count: 1,
        },
        load,
        || {
            let code = std::fs::read(&kept).expect("it is there");
            black_box((Sha256::digest(&component), Sha256::digest(&code)))
        },
    );
    criterion.final_summary();
    ExitCode::SUCCESS
}
