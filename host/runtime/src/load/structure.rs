//! How large a component may be made, counted before anything is compiled: what is cheap to write may be dear to compile.
//!
//! # Invariants
//!
//! - Counting takes one pass over the bytes, and memory that does not grow with them.

use wasmparser::{Encoding, Operator, Parser, Payload};

use super::LoadError;

/// What is counted over the whole component.
#[derive(Clone, Copy)]
struct Cap {
    /// What it is called.
    what: &'static str,
    /// So many at most.
    max: usize,
}

/// Core modules. A guest with a runtime of its own has one for the runtime and some for its libraries.
const MODULES: Cap = cap("core modules", 64);
/// Components, the outer one counted.
const COMPONENTS: Cap = cap("components", 64);
/// Components inside of each other.
const DEPTH: Cap = cap("components inside of each other", 8);
/// Functions with a body. A guest in Python has 13,379, one in JavaScript 12,730.
const FUNCTIONS: Cap = cap("functions", 32_768);
/// Bytes of one body: compilers take more than linear time. The largest of a guest in Python has 426,843.
const BODY_BYTES: Cap = cap("bytes in one function", 1 << 20);
/// Locals of one function.
const LOCALS: Cap = cap("locals in one function", 10_000);
/// Blocks inside of each other. A guest in Python has 781.
const NESTING: Cap = cap("blocks inside of each other", 2_000);
/// Targets of one `br_table`. A guest in Python has 3,202.
const BRANCHES: Cap = cap("targets of one branch", 16_384);
/// Types of core modules and components.
const TYPES: Cap = cap("types", 20_000);
/// Imports and exports of core modules and components. A guest in Python has 6,567.
const NAMES: Cap = cap("imports and exports", 20_000);
/// Instances that are made when the component is. A guest in Python has 71.
const INSTANCES: Cap = cap("instances", 512);
/// Aliases and canonical functions.
const ITEMS: Cap = cap("aliases and adapters", 50_000);
/// Linear memories.
const MEMORIES: Cap = cap("memories", 8);
/// Tables.
const TABLES: Cap = cap("tables", 16);
/// Elements that tables have from the start.
const TABLE_ELEMENTS: Cap = cap("elements in one table", 100_000);
/// Globals.
const GLOBALS: Cap = cap("globals", 10_000);
/// Segments that fill memories and tables. A guest in JavaScript has 10,002, what its memory was when it was built.
const SEGMENTS: Cap = cap("data and element segments", 100_000);

const fn cap(what: &'static str, max: usize) -> Cap {
    Cap { what, max }
}

/// Counts of one component.
#[derive(Default)]
struct Counts {
    modules: usize,
    components: usize,
    depth: usize,
    functions: usize,
    types: usize,
    names: usize,
    instances: usize,
    items: usize,
    memories: usize,
    tables: usize,
    globals: usize,
    segments: usize,
}

/// Refuses a component that has more of something than is taken.
pub(super) fn check(component: &[u8]) -> Result<(), LoadError> {
    let mut counts = Counts::default();
    for payload in Parser::new(0).parse_all(component) {
        counts.add(&payload.map_err(invalid)?)?;
    }
    Ok(())
}

fn invalid(error: wasmparser::BinaryReaderError) -> LoadError {
    LoadError::Invalid(wasmtime::Error::msg(error.to_string()))
}

/// Adds to a count, and refuses what is too much.
fn more(count: &mut usize, more: u32, cap: Cap) -> Result<(), LoadError> {
    *count = count.saturating_add(more as usize);
    within(*count, cap)
}

fn within(count: usize, cap: Cap) -> Result<(), LoadError> {
    if count > cap.max {
        return Err(LoadError::TooComplex {
            count,
            what: cap.what,
            max: cap.max,
        });
    }
    Ok(())
}

impl Counts {
    fn add(&mut self, payload: &Payload<'_>) -> Result<(), LoadError> {
        match payload {
            Payload::Version { encoding, .. } => {
                self.depth += 1;
                match encoding {
                    Encoding::Module => more(&mut self.modules, 1, MODULES),
                    Encoding::Component => {
                        within(self.depth, DEPTH)?;
                        more(&mut self.components, 1, COMPONENTS)
                    }
                }
            }
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            Payload::TypeSection(section) => more(&mut self.types, section.count(), TYPES),
            Payload::CoreTypeSection(section) => more(&mut self.types, section.count(), TYPES),
            Payload::ComponentTypeSection(section) => more(&mut self.types, section.count(), TYPES),
            Payload::ImportSection(section) => more(&mut self.names, section.count(), NAMES),
            Payload::ExportSection(section) => more(&mut self.names, section.count(), NAMES),
            Payload::ComponentImportSection(section) => more(&mut self.names, section.count(), NAMES),
            Payload::ComponentExportSection(section) => more(&mut self.names, section.count(), NAMES),
            Payload::InstanceSection(section) => more(&mut self.instances, section.count(), INSTANCES),
            Payload::ComponentInstanceSection(section) => more(&mut self.instances, section.count(), INSTANCES),
            Payload::ComponentAliasSection(section) => more(&mut self.items, section.count(), ITEMS),
            Payload::ComponentCanonicalSection(section) => more(&mut self.items, section.count(), ITEMS),
            Payload::MemorySection(section) => more(&mut self.memories, section.count(), MEMORIES),
            Payload::TableSection(section) => {
                for table in section.clone() {
                    let elements = table.map_err(invalid)?.ty.initial;
                    within(usize::try_from(elements).unwrap_or(usize::MAX), TABLE_ELEMENTS)?;
                }
                more(&mut self.tables, section.count(), TABLES)
            }
            Payload::GlobalSection(section) => more(&mut self.globals, section.count(), GLOBALS),
            Payload::ElementSection(section) => more(&mut self.segments, section.count(), SEGMENTS),
            Payload::DataSection(section) => more(&mut self.segments, section.count(), SEGMENTS),
            Payload::FunctionSection(section) => more(&mut self.functions, section.count(), FUNCTIONS),
            Payload::CodeSectionEntry(body) => {
                within(body.range().len(), BODY_BYTES)?;
                check_body(body)
            }
            _ => Ok(()),
        }
    }
}

fn check_body(body: &wasmparser::FunctionBody<'_>) -> Result<(), LoadError> {
    let mut locals = 0;
    for group in body.get_locals_reader().map_err(invalid)? {
        let (count, _) = group.map_err(invalid)?;
        more(&mut locals, count, LOCALS)?;
    }
    let mut depth = 0_usize;
    let mut operators = body.get_operators_reader().map_err(invalid)?;
    while !operators.eof() {
        match operators.read().map_err(invalid)? {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => more(&mut depth, 1, NESTING)?,
            Operator::End => depth = depth.saturating_sub(1),
            Operator::BrTable { targets } => within(targets.len() as usize, BRANCHES)?,
            _ => {}
        }
    }
    Ok(())
}
