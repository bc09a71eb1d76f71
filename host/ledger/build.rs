//! The migrations are part of the binary: build it again when one is added.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
