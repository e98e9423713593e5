//! The ledger: a Merkle log that anyone can verify offline, written through a group-committed write-ahead log.
//!
//! An entry is safe once it is in the write-ahead log ([`Ledger::append`], [`Ledger::safe`]); tiles and checkpoints
//! are built from that log afterwards, as a pure function of its order. What is published is the tiled log of C2SP
//! (`c2sp.org/tlog-tiles`, RFC 6962 hashing, `c2sp.org/signed-note` checkpoints), so that verifiers nobody here
//! wrote can walk it. The format, and what a verifier must do, is in `docs/spec/ledger.md`.
//!
//! Not here: what entries say (their bodies belong to the rooms that write them), recordings, evidence packs,
//! witnesses over the network. No entry may hold PHI or the bare hash of PHI: entries are never erased.

mod canonical;
mod disk;
mod entry;
mod error;
mod hash;
mod journal;
mod kinds;
mod log;
mod note;
mod proof;
mod reader;
mod scan;
mod tree;
mod verify;
mod wal;

pub use canonical::{CanonicalError, to_canonical};
pub use disk::{Disk, Op, Verdict};
pub use entry::{GATEWAY, NO_PREVIOUS, SessionChain};
pub use error::LedgerError;
pub use hash::{Hash, hex, leaf_hash, parse_hex};
pub use journal::Journal;
pub use log::{Clock, Durability, Ledger, OpenSession, Options, Receipt, Recovery};
pub use note::{Checkpoint, NoteError, SigningKey, VerifierKey};
pub use proof::{
    InclusionProof, ProofError, consistency_proof, consistent, inclusion_proof, verify_consistency, verify_inclusion,
};
pub use reader::{Entries, Reader};
pub use scan::{Envelope, Picked, ScanError, Selection, scan};
pub use tree::{Edge, tile_path};
pub use verify::{Finding, FindingKind, Older, Report, Sessions, VerifyOptions, verify};

/// Longest entry, in bytes: the entry bundles of tlog-tiles prefix each entry with a 16-bit length.
pub const MAX_ENTRY: usize = 65_535;

/// Locks a mutex whether or not a thread died holding it: what is guarded here is never left half-changed.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
