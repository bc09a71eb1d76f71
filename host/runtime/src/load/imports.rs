//! What a component may import, and what it gets for it.
//!
//! # Invariants
//!
//! - What is not in the contract and not on the list of answered WASI interfaces is refused, by its name.
//! - Files can be asked for and there are none: no function of `wasi:filesystem/types` can be reached without a folder.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker, ResourceType};

use super::LoadError;
use crate::bindings::Router;
use crate::bindings::wasi_guest::Guest;
use crate::bindings::wasi_guest::wasi::filesystem::types::{Descriptor, DirectoryEntryStream};
use crate::bindings::wasi_guest::wasi::io::error::Error;
use crate::bindings::wasi_guest::wasi::io::poll::Pollable;
use crate::bindings::wasi_guest::wasi::io::streams::{InputStream, OutputStream};
use crate::host::Host;

/// Packages whose interfaces are known. What is missing in one of these, the linker names.
const CONTRACT: &str = "weir:plugin/";

/// Interfaces of WASI that are answered, in any version 0.2.
const ANSWERED: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    FILES,
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Can be imported, and nothing of it can be called: there is no folder to begin with.
const FILES: &str = "wasi:filesystem/types";

/// What a component is linked with.
pub(super) struct Imports {
    pub(super) linker: Arc<Linker<Host>>,
    /// It asks for the time or for random numbers, which are facts of one change. So it gets one change at a time.
    pub(super) is_of_one_change: bool,
}

/// Everything that can be imported but files, which depend on what asks for them. The same for every plugin, so it is put
/// together once.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::<Host>::new(engine);
    // Both worlds import the same.
    Router::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    Guest::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    Ok(linker)
}

/// Gives a component what it imports.
pub(super) fn imports_for(
    engine: &Engine,
    linker: &Arc<Linker<Host>>,
    component: &Component,
    world: &'static str,
) -> Result<Imports, LoadError> {
    let component_type = component.component_type();
    let names: Vec<&str> = component_type.imports(engine).map(|(name, _)| name).collect();
    let forbidden: Vec<String> = names
        .iter()
        .filter(|name| !is_allowed(name))
        .map(|name| (*name).to_owned())
        .collect();
    if !forbidden.is_empty() {
        return Err(LoadError::Forbidden { imports: forbidden });
    }
    let mut linker = Arc::clone(linker);
    if names.iter().any(|name| name.starts_with(FILES)) {
        let linked = link_files(Arc::make_mut(&mut linker), engine, component);
        linked.map_err(|source| LoadError::WrongWorld { world, source })?;
    }
    let is_fact = |name: &&str| name.starts_with("wasi:clocks/") || name.starts_with("wasi:random/");
    Ok(Imports {
        linker,
        is_of_one_change: names.iter().any(is_fact),
    })
}

fn is_allowed(name: &str) -> bool {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    name.starts_with(CONTRACT) || ANSWERED.contains(&interface) && version.starts_with("0.2.")
}

/// Fills in what a component imports of files, whichever functions these are.
fn link_files(linker: &mut Linker<Host>, engine: &Engine, component: &Component) -> wasmtime::Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(files) = import.ty else {
            continue;
        };
        if !name.starts_with(FILES) {
            continue;
        }
        linker.allow_shadowing(true);
        let mut instance = linker.instance(name)?;
        for (export, item) in files.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => instance.func_new(export, |_, _, _, _| {
                    wasmtime::bail!("the plugin uses a file (wasi:filesystem), and there are none")
                })?,
                ComponentItem::Resource(_) => instance.resource(export, resource(export), |_, _| Ok(()))?,
                _ => {}
            }
        }
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// The host's type of a resource that `wasi:filesystem/types` has or uses.
fn resource(name: &str) -> ResourceType {
    match name {
        "descriptor" => ResourceType::host::<Descriptor>(),
        "directory-entry-stream" => ResourceType::host::<DirectoryEntryStream>(),
        "input-stream" => ResourceType::host::<InputStream>(),
        "output-stream" => ResourceType::host::<OutputStream>(),
        "error" => ResourceType::host::<Error>(),
        "pollable" => ResourceType::host::<Pollable>(),
        _ => ResourceType::host::<()>(),
    }
}
