//! The write-ahead log: segment files of frames. A segment is written with zeros before it is used, so that a sync of
//! new frames changes no metadata.
//!
//! ```text
//! segment = header (128 bytes) frame* zeros
//! header  = magic[8] first_index[u64] previous_leaf_hash[32] origin_hash[32] zeros[44] crc32c[u32]
//! frame   = length[u32] crc32c[u32] leaf_hash[32] entry[length]
//! ```
//! Numbers are little-endian. A frame's checksum covers its index too, so that a frame is good in one place only.
//! Not here: who waits for what ([`crate::log`]).

mod read;

pub(crate) use read::{Found, SegmentReader, used_after};

use crate::disk::{Disk, DiskFile};
use crate::error::LedgerError;
use crate::hash::{Hash, sha256};
use crate::lock;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub(crate) const HEADER: usize = 128;
pub(crate) const FRAME_HEAD: usize = 40;
const MAGIC: [u8; 8] = *b"VSTWAL\0\x01";
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Directory of the segments below the ledger's.
pub(crate) fn wal_dir(dir: &Path) -> PathBuf {
    dir.join("wal")
}

pub(crate) fn segment_path(wal: &Path, first: u64) -> PathBuf {
    wal.join(format!("{first:016x}.wal"))
}

fn spare_path(wal: &Path) -> PathBuf {
    wal.join("spare")
}

/// The segments of a ledger by first index, ascending.
pub(crate) fn segments(wal: &Path) -> Result<Vec<(u64, PathBuf)>, LedgerError> {
    let failed = |e| LedgerError::io("cannot list", wal, e);
    let mut found = Vec::new();
    for item in fs::read_dir(wal).map_err(failed)? {
        let path = item.map_err(failed)?.path();
        let stem = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".wal"));
        if let Some(first) = stem.filter(|s| s.len() == 16).and_then(|s| u64::from_str_radix(s, 16).ok()) {
            found.push((first, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

pub(crate) fn origin_hash(origin: &str) -> Hash {
    sha256(origin.as_bytes())
}

/// A segment's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub first: u64,
    pub previous: Hash,
    pub origin: Hash,
}

impl Header {
    fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&MAGIC);
        out[8..16].copy_from_slice(&self.first.to_le_bytes());
        out[16..48].copy_from_slice(&self.previous);
        out[48..80].copy_from_slice(&self.origin);
        let crc = crc32c::crc32c(&out[..124]);
        out[124..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let crc = u32::from_le_bytes(*bytes.last_chunk()?);
        let first = u64::from_le_bytes(bytes[8..16].try_into().ok()?);
        let (previous, origin) = (bytes[16..48].try_into().ok()?, bytes[48..80].try_into().ok()?);
        let good = bytes[..8] == MAGIC && crc32c::crc32c(&bytes[..124]) == crc;
        good.then_some(Self { first, previous, origin })
    }
}

/// Appends a frame whose checksum is still to be set ([`seal`]).
pub(crate) fn push_frame(buffer: &mut Vec<u8>, hash: &Hash, entry: &[u8]) {
    let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
    buffer.reserve(FRAME_HEAD + entry.len());
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(hash);
    buffer.extend_from_slice(entry);
}

fn checksum(index: u64, length: [u8; 4], hash: &[u8], entry: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&index.to_le_bytes()), &length);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, hash), entry)
}

/// Sets the checksum of the frame at the start of `frames` and returns its whole length and leaf hash.
fn seal(frames: &mut [u8], index: u64) -> Option<(usize, Hash)> {
    let (head, rest) = frames.split_first_chunk_mut::<FRAME_HEAD>()?;
    let length = [head[0], head[1], head[2], head[3]];
    let entry = rest.get(..u32::from_le_bytes(length) as usize)?;
    let mut hash = [0; 32];
    hash.copy_from_slice(&head[8..40]);
    let crc = checksum(index, length, &hash, entry);
    head[4..8].copy_from_slice(&crc.to_le_bytes());
    Some((FRAME_HEAD + entry.len(), hash))
}

/// The segment that comes next, made beforehand.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Option<DiskFile>>);

impl Spare {
    pub fn is_there(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// Makes the next segment: as many zeros as a segment has bytes, durably.
    pub fn prepare(&self, disk: &Disk, wal: &Path, bytes: u64) -> Result<(), LedgerError> {
        let file = disk.create(&spare_path(wal))?;
        zero(&file, 0, bytes)?;
        file.sync()?;
        *lock(&self.0) = Some(file);
        Ok(())
    }

    /// The spare under the name of a segment, if one is ready.
    ///
    /// INVARIANT: it is renamed under the lock. Were it taken before it has its new name, the next spare could be made
    /// in between, under the old name: in the very file that becomes the segment.
    fn take_as(&self, disk: &Disk, path: &Path) -> Result<Option<DiskFile>, LedgerError> {
        let mut spare = lock(&self.0);
        let Some(file) = spare.as_ref() else { return Ok(None) };
        disk.rename(file.path(), path)?;
        Ok(spare.take().map(|file| file.renamed(path.to_path_buf())))
    }
}

fn zero(file: &DiskFile, from: u64, to: u64) -> Result<(), LedgerError> {
    let mut at = from;
    while at < to {
        let left = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZEROS.len());
        file.write_at(at, ZEROS.get(..left).unwrap_or(&ZEROS))?;
        at = at.saturating_add(left as u64);
    }
    Ok(())
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct Wal {
    disk: Disk,
    dir: PathBuf,
    origin: Hash,
    bytes: u64,
    spare: Arc<Spare>,
    file: Arc<DiskFile>,
    at: u64,
    next: u64,
    last: Hash,
    /// Segments left behind since the last sync.
    left: Vec<Arc<DiskFile>>,
    names_changed: bool,
}

/// Where the writing end stands after recovery.
#[derive(Debug)]
pub(crate) struct Position {
    /// The segment to go on in, and the offset in it; `None`: a new one is begun.
    pub segment: Option<(PathBuf, u64)>,
    pub next: u64,
    pub last: Hash,
}

/// What makes what was written durable; owns handles, so that it can happen without a lock.
#[derive(Debug)]
pub(crate) struct Unsynced {
    files: Vec<Arc<DiskFile>>,
    names: Option<(Disk, PathBuf)>,
}

impl Unsynced {
    pub fn sync(self) -> Result<(), LedgerError> {
        for file in &self.files {
            file.sync()?;
        }
        self.names.map_or(Ok(()), |(disk, dir)| disk.sync_dir(&dir))
    }
}

impl Wal {
    pub fn open(
        disk: Disk,
        dir: PathBuf,
        origin: &str,
        bytes: u64,
        spare: Arc<Spare>,
        position: Position,
    ) -> Result<Self, LedgerError> {
        let origin = origin_hash(origin);
        let Position { segment, next, last } = position;
        let (file, at, fresh) = match segment {
            Some((path, at)) => (disk.open_existing(&path)?, at, false),
            None => (disk.create(&segment_path(&dir, next))?, 0, true),
        };
        let file = Arc::new(file);
        let mut wal =
            Self { disk, dir, origin, bytes, spare, file, at, next, last, left: Vec::new(), names_changed: false };
        if fresh {
            zero(&wal.file, 0, bytes)?;
            wal.write_header()?;
            wal.names_changed = true;
            wal.unsynced().sync()?;
        }
        Ok(wal)
    }

    fn write_header(&mut self) -> Result<(), LedgerError> {
        let header = Header { first: self.next, previous: self.last, origin: self.origin };
        self.file.write_at(0, &header.encode())?;
        self.at = HEADER as u64;
        Ok(())
    }

    /// Writes frames made by [`push_frame`], beginning new segments as needed. Not durable yet.
    pub fn write(&mut self, mut frames: &mut [u8]) -> Result<(), LedgerError> {
        while !frames.is_empty() {
            let (mut fit, mut next, mut last) = (0_usize, self.next, self.last);
            while let Some((length, hash)) = frames.get_mut(fit..).and_then(|f| seal(f, next)) {
                if self.at.saturating_add((fit + length) as u64) > self.bytes {
                    break;
                }
                (fit, next, last) = (fit + length, next.saturating_add(1), hash);
            }
            if fit == 0 {
                self.roll()?;
                continue;
            }
            let (now, later) = frames.split_at_mut_checked(fit).unwrap_or_default();
            self.file.write_at(self.at, now)?;
            self.at = self.at.saturating_add(fit as u64);
            (self.next, self.last) = (next, last);
            frames = later;
        }
        Ok(())
    }

    /// Goes on in the next segment.
    fn roll(&mut self) -> Result<(), LedgerError> {
        let path = segment_path(&self.dir, self.next);
        let file = match self.spare.take_as(&self.disk, &path)? {
            Some(spare) => spare,
            None => {
                // The spare is not ready: holes do, each sync is only slower.
                let file = self.disk.create(&path)?;
                file.set_len(self.bytes)?;
                file
            }
        };
        self.names_changed = true;
        self.left.push(std::mem::replace(&mut self.file, Arc::new(file)));
        self.write_header()
    }

    /// What must be synced for everything written so far to be durable.
    pub fn unsynced(&mut self) -> Unsynced {
        let mut files = std::mem::take(&mut self.left);
        files.push(Arc::clone(&self.file));
        let names = std::mem::take(&mut self.names_changed).then(|| (self.disk.clone(), self.dir.clone()));
        Unsynced { files, names }
    }
}

/// Overwrites `used` bytes from `from` on with zeros, durably: what a later frame could otherwise be mistaken for.
pub(crate) fn wipe(disk: &Disk, path: &Path, from: u64, used: u64) -> Result<(), LedgerError> {
    let file = disk.open_existing(path)?;
    zero(&file, from, from.saturating_add(used))?;
    file.sync()
}
