//! The write-ahead log, where there is one: what it holds of the signed entries must be those, and what it holds
//! beyond them must be whole and go on with their chains.

use super::chains::Chains;
use super::report::{FindingKind, Findings};
use crate::Hash;
use crate::note::Checkpoint;
use crate::tree::{TileSource, WIDTH};
use crate::wal::{Found, SegmentReader, origin_hash, segments, used_after, wal_dir};
use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// A gateway may be writing: what is not good yet is looked at again so often, after such a pause.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

struct Frames<'a> {
    dir: &'a Path,
    signed: u64,
    tiles: TileSource,
    next: Option<u64>,
    last: Option<Hash>,
    unsigned: u64,
    chains: &'a mut Chains,
    findings: &'a mut Findings,
}

/// Checks all segments; how many good entries there are after the checkpoint.
pub(super) fn check(dir: &Path, checkpoint: &Checkpoint, chains: &mut Chains, findings: &mut Findings) -> u64 {
    let wal = wal_dir(dir);
    let all = match segments(&wal) {
        Ok(all) => all,
        Err(error) => {
            findings.add(FindingKind::WriteAhead, None, error.to_string());
            return 0;
        }
    };
    let tiles = TileSource::new(dir, checkpoint.size);
    let signed = checkpoint.size;
    let mut frames = Frames { dir, signed, tiles, next: None, last: None, unsigned: 0, chains, findings };
    let kept_from = all.first().map_or(0, |(first, _)| *first);
    if kept_from > signed / WIDTH as u64 * WIDTH as u64 {
        if !frames.moved_on() {
            frames.wrong(Some(kept_from), "the segment before this entry is missing".to_owned());
        }
        return 0;
    }
    let origin = origin_hash(&checkpoint.origin);
    for (first, path) in all {
        if !frames.segment(first, &path, &origin) {
            return frames.unsigned;
        }
    }
    let next = frames.next.unwrap_or_default();
    if next < signed {
        frames.wrong(None, format!("it ends before entry {next}, though {signed} entries are signed"));
    }
    frames.unsigned
}

impl Frames<'_> {
    fn wrong(&mut self, index: Option<u64>, what: String) {
        self.findings.add(FindingKind::WriteAhead, index, what);
    }

    /// Whether a gateway has published a newer checkpoint since the walk began.
    fn moved_on(&self) -> bool {
        let note = fs::read_to_string(self.dir.join("checkpoint")).unwrap_or_default();
        Checkpoint::peek(&note).is_ok_and(|checkpoint| checkpoint.size > self.signed)
    }

    /// `false`: it is of no use to go on.
    fn segment(&mut self, first: u64, path: &Path, origin: &Hash) -> bool {
        let mut reader = match open(path, first, origin) {
            Ok(Some(reader)) => reader,
            // Removed meanwhile, because everything in it is in bundles that are signed by now. What comes after it
            // can only be judged with those.
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.moved_on() => return false,
            Ok(None) => {
                self.wrong(None, format!("the header of {} is not that of a segment of this log", path.display()));
                return false;
            }
            Err(error) => {
                self.wrong(None, format!("{} cannot be read: {error}", path.display()));
                return false;
            }
        };
        let follows = self.next.is_none_or(|next| next == first);
        let known = self.last.is_none_or(|last| last == reader.header().previous);
        if !follows || !known {
            self.wrong(Some(first), format!("{} does not follow what is before it", path.display()));
            return false;
        }
        (self.next, self.last) = (Some(first), Some(reader.header().previous));
        self.frames(&mut reader, path)
    }

    fn frames(&mut self, reader: &mut SegmentReader, path: &Path) -> bool {
        let mut tries = 0;
        loop {
            let index = reader.next_index();
            let rest = match reader.advance() {
                Ok(Found::Frame(hash)) => {
                    tries = 0;
                    self.frame(index, hash, reader.entry());
                    continue;
                }
                Ok(Found::Nothing) => used_after(path, reader.offset()),
                Ok(Found::Bad) => Ok(1),
                Err(error) => Err(error),
            };
            match rest {
                Ok(0) => return true,
                Err(e) if e.kind() == io::ErrorKind::NotFound && self.moved_on() => return false,
                Ok(_) if tries < TRIES => {
                    tries += 1;
                    sleep(PAUSE);
                }
                Ok(_) => {
                    self.wrong(Some(index), format!("{} is torn or damaged there", path.display()));
                    return false;
                }
                Err(error) => {
                    self.wrong(Some(index), format!("{} cannot be read: {error}", path.display()));
                    return false;
                }
            }
        }
    }

    fn frame(&mut self, index: u64, hash: Hash, entry: &[u8]) {
        (self.next, self.last) = (Some(index.saturating_add(1)), Some(hash));
        if index >= self.signed {
            self.unsigned = self.unsigned.saturating_add(1);
            self.chains.follow(index, entry, hash, self.findings);
            return;
        }
        // A tile that cannot be read was found by the walk.
        if self.tiles.subtree(index, index.saturating_add(1)).is_ok_and(|leaf| leaf != hash) {
            self.wrong(Some(index), "the write-ahead log holds another entry than was signed".to_owned());
        }
    }
}

/// Opens a segment; one whose header is being written is looked at again.
fn open(path: &Path, first: u64, origin: &Hash) -> io::Result<Option<SegmentReader>> {
    for _ in 0..TRIES {
        match SegmentReader::open(path, first, origin) {
            Ok(None) => sleep(PAUSE),
            other => return other,
        }
    }
    SegmentReader::open(path, first, origin)
}
