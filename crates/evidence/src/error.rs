//! Why a pack cannot be made. That a ledger does not verify is no such reason: the pack says so.

use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;
use vestibule_ledger::LedgerError;

/// Why a pack cannot be made.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// The directory to write to is there already.
    #[error("{0} exists; choose a directory that does not")]
    Exists(PathBuf),
    /// The period ends before it begins.
    #[error("the period is empty: it must begin before it ends")]
    Period,
    /// A file cannot be read or written.
    #[error("cannot {what} {path}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What came of it.
        error: io::Error,
    },
    /// The ledger cannot be read.
    #[error("the ledger cannot be read: {0}")]
    Ledger(#[from] LedgerError),
    /// There is no checkpoint, so that nothing says what the ledger is.
    #[error("{0} has no checkpoint that can be read; is it a ledger?")]
    NoCheckpoint(PathBuf),
    /// The ledger's checkpoint kept changing while the pack was made.
    #[error("the ledger's checkpoint changed again and again while it was verified; try again, or use a copy of it")]
    Moving,
    /// Something that cannot be, was.
    #[error("making the pack failed inside: {0}")]
    Internal(&'static str),
}

impl EvidenceError {
    pub(crate) fn io(what: &'static str, path: impl AsRef<Path>, error: io::Error) -> Self {
        Self::Io { what, path: path.as_ref().to_path_buf(), error }
    }
}
