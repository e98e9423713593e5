//! The project's own door: `cargo xtask demo | test | check | fuzz | perf`.
fn main() {}
