//! Components written by hand: a core module in text, made a component under the contract of `plugins/wit`.
//!
//! ```text
//! 64      what an export returns, 24 bytes             4096    verdicts, all `keep`
//! 128     what an import returns                       8192    outputs, rejections
//! 256     texts: see `TEXTS`                           65536   what the host hands over, and free memory
//! ```
//!
//! Offsets in records are those of the component model's canonical ABI (`CanonicalABI.md`).

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = include_str!("../../../../plugins/wit/plugin.wit");

/// Texts in a guest's memory: address and length are what its code names them by.
const TEXTS: [(usize, &str); 8] = [
    (256, "guest"),
    (272, "1.0.0"),
    (288, "/value"),
    (304, "hello"),
    (320, "/values"),
    (336, "/other"),
    (352, "/value/inner"),
    (384, "{\"made\":true}"),
];

/// A guest that accepts every configuration, reads `/value` of the new image and keeps every change, but for what is
/// set here. Each function is the body of one of type `(param i32 i32) (result i32)` or, for `route`,
/// `(param $count i32) (result i32)`, with the locals `$i` and `$n`.
#[derive(Clone, Copy)]
pub(crate) struct Guest {
    pub(crate) world: &'static str,
    pub(crate) module: &'static str,
    pub(crate) describe: &'static str,
    pub(crate) init: &'static str,
    pub(crate) route: &'static str,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            world: "weir:plugin/router",
            module: "",
            describe: "(call $manifest)",
            init: "(call $ok)",
            route: "(call $keep (local.get $count))",
        }
    }
}

impl Guest {
    /// The component.
    pub(crate) fn build(self) -> Vec<u8> {
        let core = wat::parse_str(self.core()).unwrap_or_else(|error| panic!("{error}"));
        component(core, self.world, "")
    }

    /// The text of its core module.
    pub(crate) fn core(self) -> String {
        let texts: Vec<String> = TEXTS
            .iter()
            .map(|(address, text)| format!("(data (i32.const {address}) \"{}\")", text.replace('"', "\\\"")))
            .collect();
        let Self {
            module,
            describe,
            init,
            route,
            ..
        } = self;
        format!(
            r#"(module
              {IMPORTS}
              (memory (export "memory") 2)
              {}
              {FUNCTIONS}
              {module}
              (func (export "weir:plugin/lifecycle@0.1.0#describe") (param i32 i32) (result i32) {describe})
              (func (export "weir:plugin/lifecycle@0.1.0#init") (param i32 i32) (result i32) {init})
              (func (export "weir:plugin/routing@0.1.0#route") (param $count i32) (result i32) (local $i i32) (local $n i32)
                {route}))"#,
            texts.join("\n")
        )
    }
}

/// Makes a component of a core module, under a world of the contract or of `other`, WIT text of another package.
pub(crate) fn component(mut core: Vec<u8>, world: &str, other: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let mut package = resolve.push_str("plugin.wit", CONTRACT).unwrap();
    if !other.is_empty() {
        package = resolve.push_str("other.wit", other).unwrap();
    }
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
    let mut encoder = ComponentEncoder::default().validate(true).module(&core).unwrap();
    encoder.encode().unwrap_or_else(|error| panic!("{error:#}"))
}

/// Those that a module does not call are left out of the component.
const IMPORTS: &str = r#"
    (import "weir:plugin/changes@0.1.0" "operations" (func $operations (param $to i32)))
    (import "weir:plugin/changes@0.1.0" "actors" (func $actors (param $to i32)))
    (import "weir:plugin/changes@0.1.0" "texts"
      (func $texts (param $part i32) (param $path i32) (param $path_len i32) (param $to i32)))
    (import "weir:plugin/changes@0.1.0" "numbers"
      (func $numbers (param $part i32) (param $path i32) (param $path_len i32) (param $to i32)))
    (import "weir:plugin/changes@0.1.0" "get"
      (func $get (param $index i32) (param $part i32) (param $path i32) (param $path_len i32) (param $to i32)))
    (import "weir:plugin/changes@0.1.0" "json"
      (func $json (param $index i32) (param $part i32) (param $path i32) (param $path_len i32) (param $to i32)))
    (import "weir:plugin/changes@0.1.0" "changed" (func $changed (param $index i32) (param $to i32)))
    (import "weir:plugin/call-context@0.1.0" "now-ms" (func $now_ms (param $index i32) (result i64)))
    (import "weir:plugin/call-context@0.1.0" "seed" (func $seed (param $index i32) (result i64)))
    (import "weir:plugin/lookup@0.1.0" "get"
      (func $lookup (param $table i32) (param $table_len i32) (param $key i32) (param $key_len i32) (param $to i32)))
    (import "weir:plugin/logging@0.1.0" "log" (func $log
      (param $level i32) (param $has_index i32) (param $index i32) (param $message i32) (param $message_len i32)))
"#;

const FUNCTIONS: &str = r#"
    ;; One field: part `new`, path "/value".
    (data (i32.const 512) "\02\00\00\00\20\01\00\00\06\00\00\00")

    (global $free (mut i32) (i32.const 65536))
    (func $allocate (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (if (i32.gt_u (global.get $free) (i32.mul (memory.size) (i32.const 65536)))
        (then (if (i32.eq (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1)))
                          (i32.const -1))
          (then (unreachable)))))
      (local.get $at))

    ;; result<manifest, list<config-problem>>
    (func $manifest (result i32)
      (call $pair (i32.const 0) (i32.const 0) (i32.const 0))
      (call $pair (i32.const 4) (i32.const 256) (i32.const 5))
      (call $pair (i32.const 12) (i32.const 272) (i32.const 5))
      (call $pair (i32.const 20) (i32.const 256) (i32.const 5))
      (call $pair (i32.const 28) (i32.const 512) (i32.const 1))
      (call $pair (i32.const 36) (i32.const 0) (i32.const 0))
      (call $pair (i32.const 40) (i32.const 0) (i32.const 0))
      (call $pair (i32.const 48) (i32.const 0) (i32.const 0))
      (i32.const 64))
    ;; result<_, string>
    (func $ok (result i32) (i32.store (i32.const 64) (i32.const 0)) (i32.const 64))
    (func $failed (param $text i32) (param $len i32) (result i32)
      (i32.store (i32.const 64) (i32.const 1))
      (call $pair (i32.const 4) (local.get $text) (local.get $len))
      (i32.const 64))
    ;; result<decisions, string>
    (func $decided (param $verdicts i32) (param $outputs i32) (param $rejections i32) (result i32)
      (i32.store (i32.const 64) (i32.const 0))
      (call $pair (i32.const 4) (i32.const 4096) (local.get $verdicts))
      (call $pair (i32.const 12) (i32.const 8192) (local.get $outputs))
      (call $pair (i32.const 20) (i32.const 12288) (local.get $rejections))
      (i32.const 64))
    (func $keep (param $count i32) (result i32)
      (call $decided (local.get $count) (i32.const 0) (i32.const 0)))

    ;; Output number `at` of the change `index`, for every sink: detail type "guest".
    (func $output (param $at i32) (param $index i32) (param $detail i32) (param $detail_len i32)
      (local.set $at (i32.add (i32.const 8192) (i32.mul (local.get $at) (i32.const 32))))
      (i32.store (local.get $at) (local.get $index))
      (i32.store offset=4 (local.get $at) (i32.const 0))
      (i32.store offset=16 (local.get $at) (i32.const 256))
      (i32.store offset=20 (local.get $at) (i32.const 5))
      (i32.store offset=24 (local.get $at) (local.get $detail))
      (i32.store offset=28 (local.get $at) (local.get $detail_len)))
    ;; Output number `at` of the change `index`, whose detail type is this text.
    (func $echo (param $at i32) (param $index i32) (param $text i32) (param $text_len i32)
      (call $output (local.get $at) (local.get $index) (i32.const 384) (i32.const 13))
      (local.set $at (i32.add (i32.const 8192) (i32.mul (local.get $at) (i32.const 32))))
      (i32.store offset=16 (local.get $at) (local.get $text))
      (i32.store offset=20 (local.get $at) (local.get $text_len)))
    ;; Rejection number `at`: code "guest", message "hello".
    (func $rejection (param $at i32) (param $index i32)
      (local.set $at (i32.add (i32.const 12288) (i32.mul (local.get $at) (i32.const 20))))
      (i32.store (local.get $at) (local.get $index))
      (i32.store offset=4 (local.get $at) (i32.const 256))
      (i32.store offset=8 (local.get $at) (i32.const 5))
      (i32.store offset=12 (local.get $at) (i32.const 304))
      (i32.store offset=16 (local.get $at) (i32.const 5)))

    (func $pair (param $at i32) (param $first i32) (param $second i32)
      (i32.store offset=64 (local.get $at) (local.get $first))
      (i32.store offset=68 (local.get $at) (local.get $second)))
"#;
