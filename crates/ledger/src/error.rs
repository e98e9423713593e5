//! What can go wrong with a ledger. Every one of them means: what was to be recorded is not, so it must not run.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why the ledger did not take an entry, or does not open.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// More bytes wait to be written than [`Options::max_unflushed`](crate::Options::max_unflushed).
    #[error("the ledger's queue is full; wait for room and try again")]
    Full,
    /// A write or a sync failed. Nothing is taken any more until the process is started again.
    #[error("the ledger cannot write and takes nothing until the gateway is started again: {0}")]
    Poisoned(Arc<str>),
    /// [`Ledger::shutdown`](crate::Ledger::shutdown) was called.
    #[error("the ledger is shut down")]
    Closed,
    /// An entry without bytes; what [`SessionChain::entry`](crate::SessionChain::entry) returns for a body that has no
    /// canonical form.
    #[error("the entry is empty: its body has no canonical JSON form")]
    Empty,
    /// The entry is longer than [`MAX_ENTRY`](crate::MAX_ENTRY).
    #[error("the entry has {0} bytes; at most 65535 fit a leaf, put the rest in the recording")]
    TooLarge(usize),
    /// Another process has the directory.
    #[error("{0} is in use by another process; stop it first")]
    InUse(PathBuf),
    /// `create` on a directory that holds a ledger.
    #[error("{0} holds a ledger already; open it, or choose an empty directory")]
    Exists(PathBuf),
    /// `open` on a directory that holds none.
    #[error("{0} holds no ledger; make one with `vestibule init`")]
    Missing(PathBuf),
    /// The file with the last signed checkpoint is not there although the log is not new.
    #[error(
        "{lock} is missing but the log in {dir} has entries; put the file back, or, if you are sure that no newer \
         checkpoint was ever published, copy {dir}/checkpoint there"
    )]
    LockMissing {
        /// Where the last signed checkpoint was to be.
        lock: PathBuf,
        /// The ledger.
        dir: PathBuf,
    },
    /// The storage is older than what was signed: a restored snapshot or a lost disk. Going on would fork the log.
    #[error(
        "the log in {dir} has {have} entries but a checkpoint over {signed} was signed; restore the newer copy, or \
         start a new log under another origin"
    )]
    Behind {
        /// The ledger.
        dir: PathBuf,
        /// Entries found.
        have: u64,
        /// Size of the last signed checkpoint.
        signed: u64,
    },
    /// The storage has another history than what was signed.
    #[error(
        "the log in {dir} is not the one whose checkpoint over {signed} entries was signed; restore the right copy, \
         and keep this one as evidence"
    )]
    Forked {
        /// The ledger.
        dir: PathBuf,
        /// Size of the last signed checkpoint.
        signed: u64,
    },
    /// Another process signed in between.
    #[error("{0} was changed by somebody else; two gateways must not share a ledger")]
    LockMoved(PathBuf),
    /// A file is not what it must be.
    #[error("{path} is damaged: {what}; verify the ledger and restore the file from a copy")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The key is not usable.
    #[error("signing key {path}: {what}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The origin is not a name a signed note can carry.
    #[error(
        "origin `{0}` is empty, too long, or has a space, a plus sign, a quote, a backslash or a control character; use a name like gateway.example.org/log"
    )]
    Origin(String),
    /// The system refused.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl LedgerError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { what, path: path.to_path_buf(), source }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), what: what.into() }
    }
}
