//! The right edge of the tree, tile by tile: all that is needed to grow it and to know its root.
//!
//! Tiles are 256 hashes wide. A tile's hashes at level `l` are the roots of full tiles at level `l - 1`
//! (`c2sp.org/tlog-tiles`). No files here.

use crate::hash::{Hash, empty_root, node_hash};

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
                let Some((before, last)) = rest.len().checked_sub(width).and_then(|at| rest.split_at_checked(at)) else {
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

#[cfg(test)]
mod tests {
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
