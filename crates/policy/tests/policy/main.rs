//! The tests of this room against its public face.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside test functions"
)]

mod common;
mod problems;
mod properties;
mod sample;
mod semantics;
