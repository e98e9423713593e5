//! The ledger from outside: what is promised of it, and everything that is tried against it.

mod common;
mod faults;
mod foreign;
mod kill;
mod spec;
mod verify;
