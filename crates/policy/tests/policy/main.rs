//! The tests of this room against its public face.

mod common;
mod problems;
mod properties;
mod sample;
mod semantics;
