//! Opening after a crash: find the end of the write-ahead log, and make sure that it is the log that was signed.

use super::publish::Source;
use super::{Options, Recovery, resume};
use crate::disk::Disk;
use crate::error::LedgerError;
use crate::note::Checkpoint;
use crate::tree::{WIDTH, read_tile};
use crate::wal::{Found, Position, SegmentReader, origin_hash, segments, used_after, wal_dir, wipe};
use crate::{Edge, Hash};
use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What recovery found.
pub(super) struct Recovered {
    pub recovery: Recovery,
    pub position: Position,
    /// The last signed checkpoint, and its note as it is in the lock file.
    pub signed: (Checkpoint, String),
    /// The tree up to the last full bundle below `signed`.
    pub edge: Edge,
}

pub(super) fn recover(options: &Options) -> Result<Recovered, LedgerError> {
    clear_temporary(&options.dir)?;
    let signed = last_signed(options)?;
    let wal = wal_dir(&options.dir);
    let scanned = scan_segments(&wal, &options.origin, signed.0.size / WIDTH as u64 * WIDTH as u64)?;
    if scanned.next < signed.0.size {
        return Err(LedgerError::Behind { dir: options.dir.clone(), have: scanned.next, signed: signed.0.size });
    }
    let edge = signed_edge(options, &signed.0)?;
    // Only now, when nothing that was signed is lost by it, is anything changed.
    let dropped_bytes = scanned.truncate(&options.disk)?;
    if signed.1 != read_optional(&options.lock_path())?.unwrap_or_default() {
        options.disk.replace(&options.lock_path(), signed.1.as_bytes())?;
    }
    if signed.1 != read_optional(&options.dir.join("checkpoint"))?.unwrap_or_default() {
        options.disk.replace(&options.dir.join("checkpoint"), signed.1.as_bytes())?;
    }
    let state = resume::resume(&options.dir, scanned.next)?;
    let recovery = Recovery {
        entries: scanned.next,
        dropped_bytes,
        last_index: scanned.next.checked_sub(1),
        epoch: state.epoch.saturating_add(1),
        gateway: state.gateway,
        open_sessions: state.open,
        clean: state.clean,
    };
    let position = Position { segment: scanned.end, next: scanned.next, last: scanned.last };
    Ok(Recovered { recovery, position, signed, edge })
}

fn read_optional(path: &Path) -> Result<Option<String>, LedgerError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(LedgerError::io("cannot read", path, e)),
    }
}

/// Removes what a crash left half-made, and the spare segment, which may hold only some of its zeros.
fn clear_temporary(dir: &Path) -> Result<(), LedgerError> {
    let tmp = dir.join("tmp");
    let spare = wal_dir(dir).join("spare");
    let gone = |result: io::Result<()>, path: &Path| match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(LedgerError::io("cannot clear", path, e)),
        _ => Ok(()),
    };
    gone(fs::remove_dir_all(&tmp), &tmp)?;
    gone(fs::remove_file(&spare), &spare)?;
    fs::create_dir_all(&tmp).map_err(|e| LedgerError::io("cannot create", &tmp, e))
}

/// The last checkpoint that was signed: the lock file's. The published one may lag behind it by a crash, never lead.
fn last_signed(options: &Options) -> Result<(Checkpoint, String), LedgerError> {
    let key = options.key.verifier(&options.origin);
    let open =
        |path: &Path, note: &str| Checkpoint::open(note, &key).map_err(|e| LedgerError::damaged(path, e.to_string()));
    let published_path = options.dir.join("checkpoint");
    let published_note =
        read_optional(&published_path)?.ok_or_else(|| LedgerError::damaged(&published_path, "it is missing"))?;
    let published = open(&published_path, &published_note)?;
    let lock_path = options.lock_path();
    let Some(note) = read_optional(&lock_path)? else {
        let new = published.size == 0 && segments(&wal_dir(&options.dir))?.is_empty();
        return if new {
            Ok((published, published_note))
        } else {
            Err(LedgerError::LockMissing { lock: lock_path, dir: options.dir.clone() })
        };
    };
    let signed = open(&lock_path, &note)?;
    if published.size > signed.size {
        return Err(LedgerError::damaged(&lock_path, "it is older than the published checkpoint"));
    }
    if published.size == signed.size && published.root != signed.root {
        return Err(LedgerError::Forked { dir: options.dir.clone(), signed: signed.size });
    }
    Ok((signed, note))
}

/// What the segments hold.
struct Scanned {
    next: u64,
    last: Hash,
    /// The last good segment and the offset of its end.
    end: Option<(PathBuf, u64)>,
    /// Segments after the first bad place.
    beyond: Vec<PathBuf>,
}

/// Reads all segments up to the first bad place. `needed`: entries from here on must be there.
fn scan_segments(wal: &Path, origin: &str, needed: u64) -> Result<Scanned, LedgerError> {
    let origin = origin_hash(origin);
    let all = segments(wal)?;
    let mut scanned = Scanned { next: 0, last: [0; 32], end: None, beyond: Vec::new() };
    if let Some((first, path)) = all.first()
        && *first > needed
    {
        return Err(LedgerError::damaged(path, format!("the segment before it, with entry {needed}, is missing")));
    }
    let mut stopped = false;
    for (first, path) in all {
        let read = |e| LedgerError::io("cannot read", &path, e);
        let reader = if stopped { None } else { SegmentReader::open(&path, first, &origin).map_err(read)? };
        let fits =
            |r: &SegmentReader| scanned.end.is_none() || first == scanned.next && r.header().previous == scanned.last;
        let Some(mut reader) = reader.filter(fits) else {
            stopped = true;
            scanned.beyond.push(path);
            continue;
        };
        if scanned.end.is_none() {
            (scanned.next, scanned.last) = (first, reader.header().previous);
        }
        loop {
            match reader.advance().map_err(read)? {
                Found::Frame(hash) => (scanned.next, scanned.last) = (reader.next_index(), hash),
                Found::Nothing => break,
                Found::Bad => {
                    stopped = true;
                    break;
                }
            }
        }
        scanned.end = Some((path.clone(), reader.offset()));
    }
    Ok(scanned)
}

impl Scanned {
    /// Cuts everything after the last good entry.
    fn truncate(&self, disk: &Disk) -> Result<u64, LedgerError> {
        let mut dropped = 0_u64;
        let used = |path: &Path, from| used_after(path, from).map_err(|e| LedgerError::io("cannot read", path, e));
        if let Some((path, at)) = &self.end {
            let torn = used(path, *at)?;
            if torn > 0 {
                wipe(disk, path, *at, torn)?;
                dropped = dropped.saturating_add(torn);
            }
        }
        for path in &self.beyond {
            dropped = dropped.saturating_add(used(path, 0)?);
            disk.remove(path)?;
        }
        Ok(dropped)
    }
}

/// The tree up to the last full bundle that was signed, once the signed root is found again from it and the
/// write-ahead log: so neither tiles nor entries were exchanged.
fn signed_edge(options: &Options, signed: &Checkpoint) -> Result<Edge, LedgerError> {
    let base = signed.size / WIDTH as u64 * WIDTH as u64;
    let edge = edge_from_tiles(&options.dir, base)?;
    let mut whole = edge.clone();
    let mut source = Source::new(&options.dir, &options.origin, base);
    while whole.size() < signed.size {
        let (hash, _) = source.read()?;
        let Ok(()) = whole.push(hash, |_, _, _| Ok::<_, Infallible>(()));
    }
    if whole.root() != signed.root {
        return Err(LedgerError::Forked { dir: options.dir.clone(), signed: signed.size });
    }
    Ok(edge)
}

/// The edge of a tree of `size` leaves, a multiple of 256, from the tiles above the leaves.
fn edge_from_tiles(dir: &Path, size: u64) -> Result<Edge, LedgerError> {
    let mut levels = vec![Vec::new()];
    let mut span = size / WIDTH as u64;
    for level in 1_u8.. {
        if span == 0 {
            break;
        }
        let (index, width) = (span / WIDTH as u64, u16::try_from(span % WIDTH as u64).unwrap_or_default());
        levels.push(if width == 0 { Vec::new() } else { read_tile(dir, level, index, width)? });
        span = index;
    }
    Ok(Edge::from_levels(size, levels))
}
