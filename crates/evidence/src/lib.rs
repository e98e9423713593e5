//! Evidence packs: what happened in a period, taken from the ledger alone, in files that an auditor opens without us
//! and verifies without trusting us.
//!
//! A pack is a directory: tables as CSV and JSON Lines, one page to read (`report.html`), the signed checkpoint, the
//! verifier key's line, and a manifest of digests. It is a pure function of the ledger up to that checkpoint, of the
//! period, and of what is found of the recordings: made twice, it is the same. `docs/spec/evidence.md` says what each
//! file and column means.
//!
//! Not here: whether the ledger is right ([`vestibule_ledger::verify`] says), who may export (api), what recordings
//! show (record; only their digests are looked at), and PHI: there is none on the ledger.

mod body;
mod cell;
mod checkpoint;
mod error;
mod follow;
mod html;
mod pack;
mod readme;
mod recordings;
mod rows;
mod session;
mod summary;
mod tables;

pub use error::EvidenceError;
pub use pack::{Pack, PackFile, Request, make, write};
pub use summary::{Counts, RecordingState};
