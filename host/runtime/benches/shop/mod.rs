//! The component that is measured: `plugins/shop.wasm` in the target folder that the benchmark was built in.

/// Its bytes; nothing if `make plugins` did not make it.
pub(crate) fn shop() -> Option<Vec<u8>> {
    let bench = std::env::current_exe().ok()?;
    let mut files = bench.ancestors().map(|folder| folder.join("plugins/shop.wasm"));
    let Some(file) = files.find(|file| file.is_file()) else {
        eprintln!("there is no plugins/shop.wasm in the target folder: run make plugins");
        return None;
    };
    Some(std::fs::read(file).expect("the component can be read"))
}
