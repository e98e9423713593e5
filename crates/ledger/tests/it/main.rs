//! The ledger from outside: what is promised of it, and everything that is tried against it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what fails here must fail the test; clippy knows only test functions, not their helpers"
)]

mod common;
mod faults;
mod foreign;
mod kill;
mod spec;
mod verify;
