//! Every bundle, every entry, every tile, and the root: the whole tree is made anew from the entries and compared
//! with what is there.

use super::chains::Chains;
use super::report::{FindingKind, Findings};
use crate::note::Checkpoint;
use crate::reader::entry_at;
use crate::tree::{WIDTH, tile_path, tile_width};
use crate::{Edge, Hash, MAX_ENTRY, leaf_hash};
use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Largest bundle there can be.
const MAX_BUNDLE: usize = WIDTH * (MAX_ENTRY + 2);
const MAX_TILE: usize = WIDTH * 32;

pub(super) struct Walk<'a> {
    files: Files<'a>,
    checkpoint: &'a Checkpoint,
    older: Option<&'a Checkpoint>,
    older_met: bool,
    edge: Edge,
    chains: Chains,
    bundle: Vec<u8>,
    tile: Vec<u8>,
}

/// The files of the tree, and what is wrong with them.
struct Files<'a> {
    dir: &'a Path,
    findings: &'a mut Findings,
}

impl<'a> Walk<'a> {
    pub fn new(
        dir: &'a Path,
        checkpoint: &'a Checkpoint,
        older: Option<&'a Checkpoint>,
        findings: &'a mut Findings,
    ) -> Self {
        Self {
            files: Files { dir, findings },
            checkpoint,
            older,
            older_met: false,
            edge: Edge::new(),
            chains: Chains::new(&checkpoint.origin),
            bundle: Vec::new(),
            tile: Vec::new(),
        }
    }

    /// Walks the whole tree. `false`: so much is missing that the rest could not be walked.
    pub fn run(&mut self) -> bool {
        self.compare_older();
        for index in 0..self.checkpoint.size.div_ceil(WIDTH as u64) {
            if !self.step(index) {
                return false;
            }
        }
        self.compare_partials();
        if self.edge.root() != self.checkpoint.root {
            let what = "the entries do not lead to the root of the checkpoint".to_owned();
            self.files.findings.add(FindingKind::Root, None, what);
        }
        if let Some(older) = self.older.filter(|o| o.size > self.checkpoint.size) {
            let what = format!("it covers {} entries, the log has only {}", older.size, self.checkpoint.size);
            self.files.findings.add(FindingKind::Older, None, what);
        }
        true
    }

    pub fn older_met(&self) -> bool {
        self.older_met
    }

    pub fn into_chains(self) -> Chains {
        self.chains
    }

    /// One bundle and its tile of leaf hashes.
    fn step(&mut self, index: u64) -> bool {
        let width = tile_width(self.checkpoint.size, 0, index);
        let (mut bundle, mut tile) = (std::mem::take(&mut self.bundle), std::mem::take(&mut self.tile));
        let have_tile = self.files.tile(0, index, width, &mut tile);
        let hashes: &[Hash] = tile.as_chunks::<32>().0;
        let go_on = if self.files.bundle(index, width, &mut bundle) {
            self.entries(index, width, &bundle, if have_tile { hashes } else { &[] })
        } else if have_tile {
            // The tree can still be checked further on: from the hashes of the entries that are missing.
            hashes.iter().take(usize::from(width)).for_each(|hash| self.grow(*hash));
            true
        } else {
            let what =
                format!("neither the entries from {} on nor their hashes are there; stopped", index * WIDTH as u64);
            self.files.findings.add(FindingKind::Bundle, None, what);
            false
        };
        (self.bundle, self.tile) = (bundle, tile);
        go_on
    }

    /// The entries of one bundle, of which `hashes` are published.
    fn entries(&mut self, bundle_index: u64, width: u16, bundle: &[u8], hashes: &[Hash]) -> bool {
        let mut at = 0;
        for place in 0..u64::from(width) {
            let index = bundle_index * WIDTH as u64 + place;
            let published = usize::try_from(place).ok().and_then(|p| hashes.get(p));
            let Ok(Some((entry, next))) = entry_at(bundle, at) else {
                let what = format!("{} is cut off", tile_path(None, bundle_index, width));
                self.files.findings.add(FindingKind::Bundle, Some(index), what);
                let rest = hashes.get(usize::try_from(place).unwrap_or_default()..).unwrap_or_default();
                let missing = usize::from(width).saturating_sub(usize::try_from(place).unwrap_or_default());
                rest.iter().take(missing).for_each(|hash| self.grow(*hash));
                return rest.len() >= missing;
            };
            let leaf = leaf_hash(entry);
            if published.is_some_and(|p| *p != leaf) {
                let what = "its hash is not the one in the tile above it: the one or the other was altered".to_owned();
                self.files.findings.add(FindingKind::Entry, Some(index), what);
            }
            self.chains.count();
            self.chains.follow(index, entry, leaf, self.files.findings);
            self.grow(leaf);
            at = next;
        }
        if at < bundle.len() && !self.files.full_instead(None, bundle_index, width) {
            let what = format!("{} has more than its {width} entries", tile_path(None, bundle_index, width));
            self.files.findings.add(FindingKind::Bundle, None, what);
        }
        self.files.stale(None, bundle_index, width, bundle.get(..at).unwrap_or_default());
        if !hashes.is_empty() {
            let whole = hashes.get(..usize::from(width)).unwrap_or(hashes);
            self.files.stale(Some(0), bundle_index, width, whole.as_flattened());
        }
        true
    }

    fn grow(&mut self, leaf: Hash) {
        let Self { edge, files, .. } = self;
        let Ok(()) = edge.push(leaf, |level, index, hashes| {
            // Leaf hashes were compared one by one.
            if level > 0 {
                files.compare(level, index, hashes);
            }
            Ok::<_, Infallible>(())
        });
        self.compare_older();
    }

    fn compare_older(&mut self) {
        let Some(older) = self.older.filter(|o| o.size == self.edge.size()) else { return };
        if self.edge.root() == older.root {
            self.older_met = true;
        } else {
            let what = format!("the first {} entries are not those that it covers: history was rewritten", older.size);
            self.files.findings.add(FindingKind::Older, None, what);
        }
    }

    fn compare_partials(&mut self) {
        let Self { edge, files, .. } = self;
        for (level, index, hashes) in edge.partials().filter(|(level, ..)| *level > 0) {
            files.compare(level, index, hashes);
        }
    }
}

impl Files<'_> {
    /// Reads the file of that width, or the full one where the log has grown since the checkpoint.
    fn read(
        &mut self,
        level: Option<u8>,
        index: u64,
        width: u16,
        into: &mut Vec<u8>,
    ) -> Result<(), (PathBuf, io::Error)> {
        let max = if level.is_some() { MAX_TILE } else { MAX_BUNDLE };
        let path = self.dir.join(tile_path(level, index, width));
        match read_at_most(&path, max, into) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && usize::from(width) < WIDTH => {
                read_at_most(&self.dir.join(tile_path(level, index, 256)), max, into).map_err(|_| (path, e))
            }
            other => other.map_err(|e| (path, e)),
        }
    }

    /// Whether only the full file is there for a partial one.
    fn full_instead(&self, level: Option<u8>, index: u64, width: u16) -> bool {
        usize::from(width) < WIDTH && !self.dir.join(tile_path(level, index, width)).exists()
    }

    fn bundle(&mut self, index: u64, width: u16, into: &mut Vec<u8>) -> bool {
        let read = self.read(None, index, width, into);
        if let Err((path, error)) = &read {
            let what = format!("{} cannot be read: {error}", path.display());
            self.findings.add(FindingKind::Bundle, Some(index * WIDTH as u64), what);
        }
        read.is_ok()
    }

    fn tile(&mut self, level: u8, index: u64, width: u16, into: &mut Vec<u8>) -> bool {
        let what = match self.read(Some(level), index, width, into) {
            Err((path, error)) => format!("{} cannot be read: {error}", path.display()),
            Ok(()) if into.len() == usize::from(width) * 32 => return true,
            Ok(()) if into.len() == MAX_TILE && self.full_instead(Some(level), index, width) => return true,
            Ok(()) => format!("{} has {} bytes", tile_path(Some(level), index, width), into.len()),
        };
        self.findings.add(FindingKind::Tile, None, what);
        false
    }

    /// Compares a tile above the leaves with what it must be.
    fn compare(&mut self, level: u8, index: u64, hashes: &[Hash]) {
        let width = u16::try_from(hashes.len()).unwrap_or(u16::MAX);
        let mut bytes = Vec::new();
        if !self.tile(level, index, width, &mut bytes) {
            return;
        }
        if bytes.get(..hashes.len() * 32) != Some(hashes.as_flattened()) {
            let what = format!("{} is not what the tiles below it make", tile_path(Some(level), index, width));
            self.findings.add(FindingKind::Tile, None, what);
        }
        self.stale(Some(level), index, width, hashes.as_flattened());
    }

    /// Narrower partial files that were left behind: each must be the beginning of `bytes`.
    fn stale(&mut self, level: Option<u8>, index: u64, width: u16, bytes: &[u8]) {
        let dir = format!("{}.p", tile_path(level, index, 256));
        let Ok(names) = fs::read_dir(self.dir.join(&dir)) else { return };
        for name in names.flatten() {
            let narrow = name.file_name().to_str().and_then(|n| n.parse::<u16>().ok());
            let Some(narrow) = narrow.filter(|n| *n < width) else { continue };
            let want = match level {
                Some(_) => bytes.get(..usize::from(narrow) * 32),
                None => prefix(bytes, narrow),
            };
            let mut have = Vec::new();
            let read = read_at_most(&name.path(), MAX_BUNDLE, &mut have);
            if read.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
                // Removed meanwhile, as it should be.
                continue;
            }
            if read.is_err() || want != Some(have.as_slice()) {
                let what =
                    format!("{dir}/{narrow}, left from an earlier checkpoint, is not a beginning of what followed");
                let kind = if level.is_some() { FindingKind::Tile } else { FindingKind::Bundle };
                self.findings.add(kind, None, what);
            }
        }
    }
}

/// The first `count` entries of a bundle.
fn prefix(bundle: &[u8], count: u16) -> Option<&[u8]> {
    let mut at = 0;
    for _ in 0..count {
        at = entry_at(bundle, at).ok().flatten()?.1;
    }
    bundle.get(..at)
}

fn read_at_most(path: &Path, max: usize, into: &mut Vec<u8>) -> io::Result<()> {
    into.clear();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(into)?;
    if into.len() > max { Err(io::Error::other("it is longer than it can be")) } else { Ok(()) }
}
