//! The full offline walk: with a public key and the files alone, is every record here that the log committed to, and
//! are all records of every session here? Reads each file once, in order; holds one tile a level and the sessions
//! that are open. Trusts nothing it reads, and changes nothing.
//!
//! Not here: what bodies say, recordings, witnesses. Steps are those of `docs/spec/ledger.md`, section 9.

mod chains;
mod frames;
mod report;
mod walk;

pub use report::{Finding, FindingKind, Report, Sessions};

use crate::error::LedgerError;
use crate::note::{Checkpoint, VerifierKey};
use crate::wal::wal_dir;
use report::Findings;
use std::fs;
use std::path::Path;

/// A checkpoint kept from earlier, outside of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// Where it is from: a file's name.
    pub from: String,
    /// The signed note.
    pub note: String,
}

/// What to verify against.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// The log's key, from elsewhere than the log.
    pub key: VerifierKey,
    /// A checkpoint kept from earlier: everything in it must still be there.
    pub older: Option<Older>,
}

impl VerifyOptions {
    /// Verifies against a key alone.
    #[must_use]
    pub fn new(key: VerifierKey) -> Self {
        Self { key, older: None }
    }

    /// Verifies against a checkpoint kept from earlier too.
    #[must_use]
    pub fn since(self, older: Older) -> Self {
        Self { older: Some(older), ..self }
    }
}

/// Verifies the ledger in `dir`, which may be a copy without its write-ahead log, or in use by a gateway.
///
/// # Errors
/// `dir` is no directory that can be read. Everything else that is wrong is a finding.
pub fn verify(dir: &Path, options: &VerifyOptions) -> Result<Report, LedgerError> {
    fs::read_dir(dir).map_err(|e| LedgerError::io("cannot read", dir, e))?;
    let mut findings = Findings::default();
    let mut report = Report { origin: options.key.name().to_owned(), ..Report::default() };
    let older = options.older.as_ref().and_then(|older| open_older(older, &options.key, &mut findings));
    if let Some(checkpoint) = open_checkpoint(dir, &options.key, &mut findings) {
        let mut walk = walk::Walk::new(dir, &checkpoint, older.as_ref(), &mut findings);
        let whole = walk.run();
        let older_met = walk.older_met();
        let mut chains = walk.into_chains();
        if whole && wal_dir(dir).is_dir() {
            report.unsigned = frames::check(dir, &checkpoint, &mut chains, &mut findings);
        }
        chains.fill(&mut report);
        report.since = older.filter(|_| older_met).map(|o| o.size);
        report.checkpoint = Some(checkpoint);
    }
    (report.findings, report.more) = findings.into_parts();
    Ok(report)
}

fn open_checkpoint(dir: &Path, key: &VerifierKey, findings: &mut Findings) -> Option<Checkpoint> {
    let path = dir.join("checkpoint");
    let note = match fs::read_to_string(&path) {
        Ok(note) => note,
        Err(error) => {
            findings.add(FindingKind::Checkpoint, None, format!("{} cannot be read: {error}", path.display()));
            return None;
        }
    };
    match Checkpoint::open(&note, key) {
        Ok(checkpoint) => Some(checkpoint),
        Err(error) => {
            findings.add(FindingKind::Checkpoint, None, format!("{}: {error}", path.display()));
            // Nothing below it is committed to by anyone; but what else is wrong is worth knowing.
            Checkpoint::peek(&note).ok()
        }
    }
}

fn open_older(older: &Older, key: &VerifierKey, findings: &mut Findings) -> Option<Checkpoint> {
    match Checkpoint::open(&older.note, key) {
        Ok(checkpoint) => Some(checkpoint),
        Err(error) => {
            findings.add(FindingKind::Older, None, format!("{}: {error}", older.from));
            None
        }
    }
}
