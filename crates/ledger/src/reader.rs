//! Reads the entries of a ledger in order, from entry bundles and, for what is not bundled yet, from the write-ahead
//! log. Works beside a running gateway, takes no lock, and changes nothing.
//!
//! Reading is not verifying: nothing here is checked against a checkpoint. [`crate::verify()`] does that.

use crate::Hash;
use crate::error::LedgerError;
use crate::note::Checkpoint;
use crate::tree::{WIDTH, tile_path};
use crate::wal::{Found, SegmentReader, origin_hash, segment_path, segments, wal_dir};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A ledger to be read.
#[derive(Debug, Clone)]
pub struct Reader {
    dir: PathBuf,
    checkpoint: Checkpoint,
}

impl Reader {
    /// A reader of the ledger in `dir`.
    ///
    /// # Errors
    /// There is no checkpoint, or it is not one.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join("checkpoint");
        let note = fs::read_to_string(&path).map_err(|e| LedgerError::io("cannot read", &path, e))?;
        let checkpoint = Checkpoint::peek(&note).map_err(|e| LedgerError::damaged(&path, e.to_string()))?;
        Ok(Self { dir: dir.to_path_buf(), checkpoint })
    }

    /// The published checkpoint as it was when the reader was opened, **unverified**.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The entries from index `from` on. After `None` the iterator may be asked again: the log may have grown.
    #[must_use]
    pub fn entries(&self, from: u64) -> Entries {
        Entries {
            dir: self.dir.clone(),
            origin: origin_hash(&self.checkpoint.origin),
            signed: self.checkpoint.size,
            next: from,
            bundle: Vec::new(),
            at: 0,
            segment: None,
        }
    }
}

/// Iterates over entries. Made by [`Reader::entries`].
#[derive(Debug)]
pub struct Entries {
    dir: PathBuf,
    origin: Hash,
    signed: u64,
    next: u64,
    bundle: Vec<u8>,
    at: usize,
    segment: Option<SegmentReader>,
}

/// The entry that begins at `at` in a bundle, and where the next one begins. `Err`: the bundle is cut off there.
pub(crate) fn entry_at(bundle: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, ()> {
    let rest = bundle.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(())?;
    let length = usize::from(u16::from_be_bytes(*length));
    let entry = rest.get(..length).ok_or(())?;
    Ok(Some((entry, at + 2 + length)))
}

impl Entries {
    fn step(&mut self) -> Result<Option<(u64, Vec<u8>)>, LedgerError> {
        if self.segment.is_none() && self.at >= self.bundle.len() {
            self.load(256)?;
        }
        if let Some(entry) = self.next_in_bundle()? {
            return Ok(Some(entry));
        }
        if let Some(entry) = self.next_in_segments()? {
            return Ok(Some(entry));
        }
        // A copy without the write-ahead log: the last bundle is a partial one.
        let width = self.signed.saturating_sub(self.next / WIDTH as u64 * WIDTH as u64);
        if self.next < self.signed && width < WIDTH as u64 {
            self.load(u16::try_from(width).unwrap_or_default())?;
        }
        self.next_in_bundle()
    }

    fn next_in_bundle(&mut self) -> Result<Option<(u64, Vec<u8>)>, LedgerError> {
        let found = entry_at(&self.bundle, self.at).map_err(|()| self.cut_off())?;
        let Some((entry, next)) = found else { return Ok(None) };
        let index = self.next;
        let entry = entry.to_vec();
        self.at = next;
        self.next = index.saturating_add(1);
        Ok(Some((index, entry)))
    }

    pub(crate) fn damaged(&self, what: String) -> LedgerError {
        LedgerError::damaged(&self.dir, what)
    }

    fn cut_off(&self) -> LedgerError {
        LedgerError::damaged(&self.dir.join(tile_path(None, self.next / WIDTH as u64, 256)), "an entry is cut off")
    }

    /// Loads the bundle of the next entry, if there is one of that width, and steps to the entry.
    fn load(&mut self, width: u16) -> Result<(), LedgerError> {
        self.bundle.clear();
        self.at = 0;
        let path = self.dir.join(tile_path(None, self.next / WIDTH as u64, width));
        self.bundle = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(LedgerError::io("cannot read", &path, e)),
        };
        for _ in 0..self.next % WIDTH as u64 {
            match entry_at(&self.bundle, self.at) {
                Ok(Some((_, next))) => self.at = next,
                Ok(None) => break,
                Err(()) => return Err(self.cut_off()),
            }
        }
        Ok(())
    }

    fn next_in_segments(&mut self) -> Result<Option<(u64, Vec<u8>)>, LedgerError> {
        loop {
            if self.segment.is_none() && !self.find_segment()? {
                return Ok(None);
            }
            let Some(segment) = &mut self.segment else { return Ok(None) };
            let looked = segment.next_index();
            let found = segment.advance().map_err(|e| LedgerError::io("cannot read", segment.path(), e))?;
            match found {
                Found::Frame(_) if looked < self.next => {}
                Found::Frame(_) => {
                    self.next = looked.saturating_add(1);
                    return Ok(Some((looked, segment.entry().to_vec())));
                }
                _ => {
                    let following = segment_path(&wal_dir(&self.dir), self.next);
                    if looked < self.next || segment.path() == following || !following.exists() {
                        // The end, or a frame that is being written. Looked for anew next time, since the bundle
                        // may be full by then.
                        self.segment = None;
                        return Ok(None);
                    }
                    self.segment = None;
                }
            }
        }
    }

    fn find_segment(&mut self) -> Result<bool, LedgerError> {
        let wal = wal_dir(&self.dir);
        if !wal.is_dir() {
            return Ok(false);
        }
        let found = segments(&wal)?.into_iter().rev().find(|(first, _)| *first <= self.next);
        let Some((first, path)) = found else { return Ok(false) };
        self.segment = match SegmentReader::open(&path, first, &self.origin) {
            Ok(segment) => segment,
            // Removed meanwhile: its entries are in bundles now.
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(LedgerError::io("cannot read", &path, e)),
        };
        Ok(self.segment.is_some())
    }
}

impl Iterator for Entries {
    type Item = Result<(u64, Vec<u8>), LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
