//! The checkpoint that a pack is made against, and the verification up to it.

use crate::error::EvidenceError;
use std::fs;
use std::path::Path;
use vestibule_ledger::{Checkpoint, Report, VerifyOptions, verify};

/// How often a gateway at work may overtake the verification.
const TRIES: usize = 5;

/// A verified beginning of a ledger.
pub(crate) struct Base {
    /// The signed note, as published.
    pub note: String,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// What the verification up to it found.
    pub report: Report,
}

/// Verifies the ledger, and gets the very note that the verification was made against.
pub(crate) fn base(ledger: &Path, options: &VerifyOptions) -> Result<Base, EvidenceError> {
    let path = ledger.join("checkpoint");
    let read = || match fs::read_to_string(&path) {
        Ok(note) => Ok(note),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidData) => {
            Err(EvidenceError::NoCheckpoint(ledger.to_path_buf()))
        }
        Err(error) => Err(EvidenceError::io("read", &path, error)),
    };
    for _ in 0..TRIES {
        let before = read()?;
        let report = verify(ledger, options)?;
        let Some(checkpoint) = report.checkpoint.clone() else {
            return Err(EvidenceError::NoCheckpoint(ledger.to_path_buf()));
        };
        // A checkpoint of the same log and size is the same, or the walk found out.
        let beginning = format!("{}\n{}\n", checkpoint.origin, checkpoint.size);
        for note in [before, read()?] {
            if note.starts_with(&beginning) {
                return Ok(Base { note, checkpoint, report });
            }
        }
    }
    Err(EvidenceError::Moving)
}
