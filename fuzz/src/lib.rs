//! What the fuzz targets do with the fuzzer's bytes: one module a target. A finding is a panic.
//!
//! Each module says at its top how it reads the bytes, and which rules it holds the code to besides that nothing
//! panics. Not here: the fuzzer, which is libFuzzer (`targets/`), and seeds (`seeds/`).

#![forbid(unsafe_code)]

pub mod clinic;
pub mod config;
pub mod data_map;
pub mod input;
pub mod ledger_scan;
pub mod policy_load;
pub mod postgres_greeting;
pub mod postgres_login;
pub mod postgres_wire;
pub mod recording;
pub mod sql_read;
pub mod token;
