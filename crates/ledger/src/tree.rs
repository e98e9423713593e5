//! The right edge of the tree, tile by tile: all that is needed to grow it and to know its root; and the nodes of a
//! published tree, read from its tiles.
//!
//! Tiles are 256 hashes wide. A tile's hashes at level `l` are the roots of full tiles at level `l - 1`
//! (`c2sp.org/tlog-tiles`). Nothing is written here.

use crate::error::LedgerError;
use crate::hash::{Hash, empty_root, node_hash};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Width of a tile, in hashes.
pub(crate) const WIDTH: usize = 256;

/// The unfinished tile of each level, from leaves upwards.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
    scratch: Vec<Hash>,
}

impl Edge {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a tree whose unfinished tiles are known, leaves first. INVARIANT: widths are the base-256 digits
    /// of `size`.
    pub(crate) fn from_levels(size: u64, levels: Vec<Vec<Hash>>) -> Self {
        Self { size, levels, scratch: Vec::new() }
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf. `full` is told of every tile that this completes: level, index within the level, 256 hashes.
    ///
    /// # Errors
    /// What `full` returns.
    pub fn push<E>(&mut self, leaf: Hash, mut full: impl FnMut(u8, u64, &[Hash]) -> Result<(), E>) -> Result<(), E> {
        self.size = self.size.saturating_add(1);
        let mut carry = leaf;
        let mut span = self.size;
        for level in 0_u8.. {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::with_capacity(WIDTH));
            }
            let Some(tile) = self.levels.get_mut(usize::from(level)) else { break };
            tile.push(carry);
            if tile.len() < WIDTH {
                break;
            }
            span /= 256;
            full(level, span - 1, tile)?;
            carry = perfect(tile, &mut self.scratch);
            tile.clear();
        }
        Ok(())
    }

    /// The unfinished tiles that are not empty: level, index within the level, hashes.
    pub fn partials(&self) -> impl Iterator<Item = (u8, u64, &[Hash])> {
        let mut span = self.size;
        self.levels.iter().zip(0_u8..).filter_map(move |(tile, level)| {
            span /= 256;
            (!tile.is_empty()).then_some((level, span, tile.as_slice()))
        })
    }

    /// The root: `MTH` of RFC 6962 section 2.1.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut scratch = Vec::new();
        let mut right: Option<Hash> = None;
        for tile in &self.levels {
            let mut rest = tile.as_slice();
            for bit in 0..8_u32 {
                let width = 1_usize << bit;
                if rest.len() & width == 0 {
                    continue;
                }
                // INVARIANT: the lower bits were cut off before, so at least `width` hashes are left.
                let Some((before, last)) = rest.len().checked_sub(width).and_then(|at| rest.split_at_checked(at))
                else {
                    break;
                };
                let left = perfect(last, &mut scratch);
                right = Some(right.map_or(left, |right| node_hash(&left, &right)));
                rest = before;
            }
        }
        right.unwrap_or_else(empty_root)
    }
}

/// The root over a power of two of hashes.
pub(crate) fn perfect(hashes: &[Hash], scratch: &mut Vec<Hash>) -> Hash {
    scratch.clear();
    scratch.extend_from_slice(hashes);
    while scratch.len() > 1 {
        let half = scratch.len() / 2;
        for at in 0..half {
            let (Some(left), Some(right)) = (scratch.get(2 * at), scratch.get(2 * at + 1)) else { break };
            let node = node_hash(left, right);
            if let Some(slot) = scratch.get_mut(at) {
                *slot = node;
            }
        }
        scratch.truncate(half);
    }
    scratch.first().copied().unwrap_or_else(empty_root)
}

/// Path of a tile below the log's directory. `level: None` is an entry bundle; `width` 256 is a full tile.
#[must_use]
pub fn tile_path(level: Option<u8>, index: u64, width: u16) -> String {
    let mut groups = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        groups = format!("x{:03}/{groups}", rest % 1000);
        rest /= 1000;
    }
    let level = level.map_or_else(|| "entries".to_owned(), |l| l.to_string());
    if width < 256 { format!("tile/{level}/{groups}.p/{width}") } else { format!("tile/{level}/{groups}") }
}

/// Where the leaves `from..to` are split in two: after the largest power of two that leaves something over.
/// INVARIANT: at least two leaves.
pub(crate) fn split_at(from: u64, to: u64) -> u64 {
    let width = to.saturating_sub(from).saturating_sub(1).max(1);
    from.saturating_add(1 << width.ilog2())
}

/// Hashes of the inner nodes of a published tree, from its tiles.
#[derive(Debug)]
pub(crate) struct TileSource {
    dir: PathBuf,
    size: u64,
    tiles: HashMap<(u8, u64), Vec<Hash>>,
    scratch: Vec<Hash>,
}

/// Tiles kept at once: a proof needs a few a level.
const KEPT: usize = 64;

impl TileSource {
    pub fn new(dir: &Path, size: u64) -> Self {
        Self { dir: dir.to_path_buf(), size, tiles: HashMap::new(), scratch: Vec::new() }
    }

    /// Root of the subtree over the leaves `from..to`. INVARIANT: `from..to` is a node of the tree of RFC 6962.
    pub fn subtree(&mut self, from: u64, to: u64) -> Result<Hash, LedgerError> {
        let width = to.saturating_sub(from);
        if width.is_power_of_two() && from.is_multiple_of(width) {
            return self.perfect_node(width.trailing_zeros(), from);
        }
        let middle = split_at(from, to);
        Ok(node_hash(&self.subtree(from, middle)?, &self.subtree(middle, to)?))
    }

    /// Root of the `2^height` leaves from `from` on: the root of a few neighbours in one tile.
    fn perfect_node(&mut self, height: u32, from: u64) -> Result<Hash, LedgerError> {
        let level = u8::try_from(height / 8).unwrap_or(u8::MAX);
        let (first, count) = (from >> (8 * u32::from(level)), 1_usize << (height % 8));
        let at = usize::try_from(first % WIDTH as u64).unwrap_or_default();
        self.load(level, first / WIDTH as u64)?;
        let Self { tiles, scratch, dir, .. } = self;
        let hashes = tiles.get(&(level, first / WIDTH as u64)).and_then(|t| t.get(at..at.saturating_add(count)));
        match hashes {
            Some(hashes) => Ok(perfect(hashes, scratch)),
            None => Err(LedgerError::damaged(dir, format!("a tile of level {level} is too short"))),
        }
    }

    fn load(&mut self, level: u8, index: u64) -> Result<(), LedgerError> {
        if self.tiles.contains_key(&(level, index)) {
            return Ok(());
        }
        if self.tiles.len() >= KEPT {
            self.tiles.clear();
        }
        let tile = read_tile(&self.dir, level, index, tile_width(self.size, level, index))?;
        self.tiles.insert((level, index), tile);
        Ok(())
    }
}

/// How many hashes of a tile a tree of `size` leaves has.
pub(crate) fn tile_width(size: u64, level: u8, index: u64) -> u16 {
    let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or_default();
    let left = hashes.saturating_sub(index.saturating_mul(WIDTH as u64)).min(WIDTH as u64);
    u16::try_from(left).unwrap_or_default()
}

/// The first `width` hashes of a tile: from the partial tile of that width, or, where the log has grown meanwhile,
/// from the full one.
pub(crate) fn read_tile(dir: &Path, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, LedgerError> {
    let partial = dir.join(tile_path(Some(level), index, width));
    let full = dir.join(tile_path(Some(level), index, 256));
    let (path, want, bytes) = match fs::read(&partial) {
        Ok(bytes) => (partial, usize::from(width), bytes),
        Err(e) => match fs::read(&full) {
            Ok(bytes) => (full, WIDTH, bytes),
            Err(_) => return Err(LedgerError::io("cannot read", &partial, e)),
        },
    };
    let (hashes, rest) = bytes.as_chunks::<32>();
    match hashes.get(..usize::from(width)) {
        Some(wanted) if rest.is_empty() && hashes.len() == want => Ok(wanted.to_vec()),
        _ => Err(LedgerError::damaged(&path, "it has not the length of its width")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Edge, tile_path};
    use crate::hash::{Hash, empty_root, leaf_hash, node_hash};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    /// RFC 6962 section 2.1, word for word.
    pub(crate) fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            _ => {
                let split = 1 << (usize::BITS - 1 - (leaves.len() - 1).leading_zeros());
                node_hash(&naive(&leaves[..split]), &naive(&leaves[split..]))
            }
        }
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(tile_path(Some(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile_path(None, 273, 112), "tile/entries/273.p/112");
        assert_eq!(tile_path(Some(1), 0, 256), "tile/1/000");
    }

    #[test]
    fn seventy_thousand_entries_make_the_tiles_the_specification_names() {
        let mut edge = Edge::new();
        let mut full: BTreeMap<u8, u64> = BTreeMap::new();
        for n in 0..70_000_u64 {
            edge.push(leaf_hash(&n.to_be_bytes()), |level, index, _| {
                assert_eq!(index, *full.get(&level).unwrap_or(&0));
                *full.entry(level).or_default() += 1;
                Ok::<_, Infallible>(())
            })
            .unwrap();
        }
        assert_eq!(full, BTreeMap::from([(0, 273), (1, 1)]));
        let partial: Vec<_> = edge.partials().map(|(l, i, h)| (l, i, h.len())).collect();
        assert_eq!(partial, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
    }

    proptest! {
        #[test]
        fn root_is_the_naive_root(size in 0_usize..1400) {
            let leaves: Vec<Hash> = (0..size as u64).map(|n| leaf_hash(&n.to_be_bytes())).collect();
            let mut edge = Edge::new();
            for leaf in &leaves {
                edge.push(*leaf, |_, _, _| Ok::<_, Infallible>(())).unwrap();
            }
            prop_assert_eq!(edge.root(), naive(&leaves));
        }
    }

    #[test]
    fn root_is_the_naive_root_over_three_levels() {
        let mut edge = Edge::new();
        let mut leaves = Vec::new();
        for n in 0..66_000_u64 {
            let leaf = leaf_hash(&n.to_be_bytes());
            leaves.push(leaf);
            edge.push(leaf, |_, _, _| Ok::<_, Infallible>(())).unwrap();
            if matches!(n + 1, 255 | 256 | 257 | 65_535 | 65_536 | 65_537 | 66_000) {
                assert_eq!(edge.root(), naive(&leaves), "at {}", n + 1);
            }
        }
    }
}
