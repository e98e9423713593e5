//! Makes a pack: verifies, follows the ledger, writes the files, and puts the directory in its place last.

use crate::checkpoint::{self, Base};
use crate::error::EvidenceError;
use crate::follow::{Follow, Followed};
use crate::html;
use crate::readme;
use crate::summary::{Counts, Summary};
use aws_lc_rs::digest::{Context, SHA256};
use serde_json::json;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use vestibule_core::Timestamp;
use vestibule_ledger::{Older, Reader, Report, VerifierKey, VerifyOptions, hex, scan};

/// The manifest: `sha256sum -c` reads it.
pub(crate) const MANIFEST: &str = "MANIFEST.sha256";

/// What a pack is to be made of.
#[derive(Debug, Clone)]
pub struct Request {
    /// The ledger's directory; it may be in use.
    pub ledger: PathBuf,
    /// The key to verify it with.
    pub key: VerifierKey,
    /// The recordings' directory, if their digests are to be checked. No recording key is needed.
    pub recordings: Option<PathBuf>,
    /// From when, and up to and without when.
    pub period: Range<Timestamp>,
    /// A checkpoint kept from earlier: everything in it must still be there.
    pub older: Option<Older>,
}

/// One file of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFile {
    /// Its name in the pack's directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// A pack that was made.
#[derive(Debug, Clone)]
pub struct Pack {
    /// Where it is.
    pub dir: PathBuf,
    /// Its files, sorted by name; the manifest is the last.
    pub files: Vec<PackFile>,
    /// What the verification of the ledger found.
    pub report: Report,
    /// What happened, in numbers.
    pub counts: Counts,
    /// First and last ledger entry of the period.
    pub range: Option<(u64, u64)>,
    /// Whether the ledger verifies, every entry could be read, and no recording is missing or differs.
    pub whole: bool,
}

/// Everything the page, the README and `pack.json` say.
pub(crate) struct Told<'a> {
    pub request: &'a Request,
    pub base: &'a Base,
    pub summary: &'a Summary,
    pub rows: &'a [(&'static str, u64)],
    pub whole: bool,
}

/// [`make`] without recordings and without an older checkpoint.
///
/// # Errors
/// As [`make`].
pub fn write(ledger: &Path, key: &VerifierKey, period: Range<Timestamp>, out: &Path) -> Result<Pack, EvidenceError> {
    make(&Request { ledger: ledger.to_path_buf(), key: key.clone(), recordings: None, period, older: None }, out)
}

/// Makes a pack in the new directory `out`. Blocks; takes as long as a full verification of the ledger.
///
/// # Errors
/// `out` exists, or something cannot be read or written. A ledger that does not verify is no error: the pack says so,
/// and [`Pack::whole`] is false.
pub fn make(request: &Request, out: &Path) -> Result<Pack, EvidenceError> {
    if request.period.start >= request.period.end {
        return Err(EvidenceError::Period);
    }
    if out.exists() {
        return Err(EvidenceError::Exists(out.to_path_buf()));
    }
    let name = out.file_name().ok_or_else(|| EvidenceError::Exists(out.to_path_buf()))?;
    let making = out.with_file_name(format!(".{}.partial", name.to_string_lossy()));
    DirBuilder::new().mode(0o700).create(&making).map_err(|e| EvidenceError::io("create", &making, e))?;
    let made = fill(request, &making).and_then(|pack| {
        fs::rename(&making, out).map_err(|e| EvidenceError::io("create", out, e))?;
        Ok(Pack { dir: out.to_path_buf(), ..pack })
    });
    if made.is_err() {
        // Half a pack must not be taken for one; that it could not be removed changes nothing about the error.
        let _ = fs::remove_dir_all(&making);
    }
    made
}

fn fill(request: &Request, dir: &Path) -> Result<Pack, EvidenceError> {
    let mut options = VerifyOptions::new(request.key.clone());
    if let Some(older) = &request.older {
        options = options.since(older.clone());
    }
    let base = checkpoint::base(&request.ledger, &options)?;
    let follow = Follow::new(dir, request.period.clone(), request.recordings.as_deref())?;
    let (summary, rows, mut files) = read(request, &base, follow)?;
    let recordings_good = summary.counts.recordings.keys().all(|state| !state.is_bad());
    let whole = base.report.is_whole() && summary.unreadable == 0 && summary.stopped.is_none() && recordings_good;
    let told = Told { request, base: &base, summary: &summary, rows: &rows, whole };
    files.push(HashedFile::whole(dir, "checkpoint", &base.note)?);
    files.push(HashedFile::whole(dir, "ledger.vkey", &format!("{}\n", request.key.to_line()))?);
    files.push(HashedFile::whole(dir, "pack.json", &summarised(&told))?);
    files.push(HashedFile::whole(dir, "README.txt", &readme::text(&told))?);
    files.push(HashedFile::whole(dir, "report.html", &html::page(&told))?);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let manifest: String = files.iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect();
    files.push(HashedFile::whole(dir, MANIFEST, &manifest)?);
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| EvidenceError::io("write", dir, e))?;
    let (counts, range) = (summary.counts.clone(), summary.range);
    Ok(Pack { dir: dir.to_path_buf(), files, report: base.report, counts, range, whole })
}

/// Reads every entry that the checkpoint covers.
fn read(request: &Request, base: &Base, mut follow: Follow<'_>) -> Result<Followed, EvidenceError> {
    let mut next = 0;
    let mut entries = Reader::open(&request.ledger)?.entries(0);
    while next < base.checkpoint.size {
        let (index, entry) = match entries.next() {
            Some(Ok(found)) => found,
            Some(Err(error)) => {
                follow.summary.stopped = Some((next, error.to_string()));
                break;
            }
            None => {
                follow.summary.stopped = Some((next, "the entries end there".to_owned()));
                break;
            }
        };
        match scan(&entry) {
            Ok(envelope) => follow.entry(index, &envelope)?,
            Err(_) => follow.summary.unreadable = follow.summary.unreadable.saturating_add(1),
        }
        next = index.saturating_add(1);
    }
    follow.finish()
}

/// `pack.json`: for programs.
fn summarised(told: &Told<'_>) -> String {
    let (report, checkpoint) = (&told.base.report, &told.base.checkpoint);
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let rows: serde_json::Map<String, serde_json::Value> =
        told.rows.iter().map(|(table, rows)| ((*table).to_owned(), json!(rows))).collect();
    let value = json!({
        "vestibule_evidence": 1,
        "log": checkpoint.origin,
        "verifier_key": told.request.key.to_line(),
        "checkpoint": {"size": checkpoint.size, "root": hex(&checkpoint.root)},
        "period": {"from": told.request.period.start.to_string(), "to": told.request.period.end.to_string()},
        "entries_of_period": told.summary.range.map(|(first, last)| json!({"first": first, "last": last})),
        "whole": told.whole,
        "ledger": {
            "verifies": report.is_whole(),
            "findings": findings,
            "further_findings": report.more,
            "entries": report.entries,
            "unsigned": report.unsigned,
            "sessions": {
                "opened": report.sessions.opened, "closed": report.sessions.closed,
                "abandoned": report.sessions.abandoned, "open": report.sessions.open,
            },
            "extent_unknown": report.extent_unknown,
            "epochs": report.epochs,
            "ends_without_shutdown": report.crashes,
            "continues_checkpoint_of_size": report.since,
        },
        "unreadable_entries": told.summary.unreadable,
        "reading_stopped": told.summary.stopped.as_ref().map(|(at, why)| json!({"entry": at, "why": why})),
        "counts": told.summary.counts,
        "rows": rows,
    });
    format!("{value:#}\n")
}

/// A file whose digest is made while it is written.
pub(crate) struct HashedFile {
    name: String,
    path: PathBuf,
    file: BufWriter<File>,
    digest: Context,
    bytes: u64,
}

impl HashedFile {
    pub fn create(dir: &Path, name: &str) -> Result<Self, EvidenceError> {
        let path = dir.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|e| EvidenceError::io("create", &path, e))?;
        let file = BufWriter::with_capacity(64 << 10, file);
        Ok(Self { name: name.to_owned(), path, file, digest: Context::new(&SHA256), bytes: 0 })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), EvidenceError> {
        self.digest.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.file.write_all(bytes).map_err(|e| EvidenceError::io("write", &self.path, e))
    }

    pub fn finish(mut self) -> Result<PackFile, EvidenceError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        synced.map_err(|e| EvidenceError::io("write", &self.path, e))?;
        let sha256 = self.digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(PackFile { name: self.name, bytes: self.bytes, sha256 })
    }

    fn whole(dir: &Path, name: &str, text: &str) -> Result<PackFile, EvidenceError> {
        let mut file = Self::create(dir, name)?;
        file.write(text.as_bytes())?;
        file.finish()
    }
}
