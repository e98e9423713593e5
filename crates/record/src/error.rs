//! What can go wrong with a recording. While writing, every one of them means: the session ends, because what cannot
//! be recorded does not run.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why a recording cannot be written or read.
#[derive(Debug, Clone, Error)]
pub enum RecordError {
    /// The storage failed.
    #[error("cannot {what} {path}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What came of it.
        error: Arc<io::Error>,
    },
    /// Not the id of a session.
    #[error("`{0}` is not the id of a session: it has 32 hexadecimal digits")]
    Sid(String),
    /// The session has a recording already.
    #[error("session {0} has a recording already; nothing is written over it")]
    Exists(String),
    /// The session has no recording here.
    #[error("there is no recording of session {0} here")]
    Missing(String),
    /// More waits to be written than may.
    #[error("{waiting} bytes wait to be recorded, more than the limit of {limit}; the storage is too slow")]
    Behind {
        /// How many bytes wait.
        waiting: usize,
        /// How many may.
        limit: usize,
    },
    /// One event is longer than a chunk can be.
    #[error("an event of {size} bytes cannot be recorded; the limit is {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A key cannot be read, made or used.
    #[error("{path}: {what}")]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: &'static str,
    },
    /// None of the given keys opens the recording.
    #[error("the recording of session {sid} is sealed to the recording keys {sealed_to}; pass the file of one of them")]
    NoKey {
        /// The session.
        sid: String,
        /// The ids of the keys that open it.
        sealed_to: String,
    },
    /// There is no recording key to seal to.
    #[error("no recording key is given to seal recordings to; make one with `vestibule init`")]
    NoRecipient,
    /// Encryption failed, or the system gave no random bytes.
    #[error("{0} failed")]
    Crypto(&'static str),
    /// The recording is not what was written.
    #[error("the recording of session {sid} is damaged or was tampered with: {part} {what}")]
    Damaged {
        /// The session.
        sid: String,
        /// Which part: `its header`, `chunk 7`.
        part: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The thread that writes came to an end it must not come to.
    #[error("the recorder's thread failed inside; this is a defect of the gateway")]
    Internal,
    /// The recorder was closed before.
    #[error("the recording is closed")]
    Closed,
}

impl RecordError {
    pub(crate) fn io(what: &'static str, path: impl AsRef<Path>, error: io::Error) -> Self {
        Self::Io { what, path: path.as_ref().to_path_buf(), error: Arc::new(error) }
    }

    pub(crate) fn key(path: &Path, what: &'static str) -> Self {
        Self::Key { path: path.to_path_buf(), what }
    }

    pub(crate) fn header(sid: &str, what: &'static str) -> Self {
        Self::Damaged { sid: sid.to_owned(), part: "its header".to_owned(), what }
    }

    pub(crate) fn chunk(sid: &str, number: u64, what: &'static str) -> Self {
        Self::Damaged { sid: sid.to_owned(), part: format!("chunk {number}"), what }
    }

    /// Whether somebody or something changed the recording, in contrast to a failing disk or a wrong key.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}
