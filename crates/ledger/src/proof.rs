//! Proofs that a stranger can check with a checkpoint alone: that an entry is in the log (inclusion), and that a log
//! continues an older one (consistency). Algorithms of RFC 9162 section 2.1, text form of `c2sp.org/tlog-proof`.
//!
//! A proof says nothing of what was left out; only the full walk ([`crate::verify()`]) does.

use crate::error::LedgerError;
use crate::hash::{Hash, empty_root, node_hash};
use crate::note::{Checkpoint, NoteError, VerifierKey};
use crate::tree::{TileSource, split_at};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use std::fs;
use std::path::Path;
use thiserror::Error;

/// First line of a proof (`c2sp.org/tlog-proof`).
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// A tree of 2^64 leaves has paths of 64 hashes, and consistency proofs of one more.
const MAX_HASHES: usize = 65;

/// Why a proof is none.
#[derive(Debug, Error)]
pub enum ProofError {
    /// The entry is beyond the checkpoint.
    #[error("the checkpoint covers {size} entries, numbered from 0; entry {index} is not among them yet")]
    Beyond {
        /// Which entry.
        index: u64,
        /// Size of the checkpoint.
        size: u64,
    },
    /// The older tree is larger.
    #[error("a log of {new} entries cannot continue one of {old}")]
    Shrunk {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// The hashes do not lead to the root.
    #[error("the proof does not lead to the root of the checkpoint")]
    Wrong,
    /// The text is not a proof.
    #[error("not a proof ({HEADER}): {0}")]
    Malformed(&'static str),
    /// The checkpoint is not good.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A file of the ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// That an entry is in the log, with the checkpoint that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry's place in the log.
    pub index: u64,
    /// The path from the entry to the root, leaf first.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, as it was published.
    pub checkpoint: String,
}

/// Makes the proof that entry `index` is in the published checkpoint of the ledger in `dir`.
///
/// # Errors
/// It is not in it yet, or the ledger is damaged: a proof that would not verify is not made.
pub fn inclusion_proof(dir: &Path, index: u64) -> Result<InclusionProof, ProofError> {
    let (checkpoint, note) = published(dir)?;
    let size = checkpoint.size;
    if index >= size {
        return Err(ProofError::Beyond { index, size });
    }
    let mut tiles = TileSource::new(dir, size);
    let mut hashes = Vec::new();
    path(&mut tiles, index, 0, size, &mut hashes)?;
    let leaf = tiles.subtree(index, index + 1)?;
    verify_inclusion(&leaf, index, size, &hashes, &checkpoint.root)?;
    Ok(InclusionProof { index, hashes, checkpoint: note })
}

fn published(dir: &Path) -> Result<(Checkpoint, String), ProofError> {
    let path = dir.join("checkpoint");
    let note = fs::read_to_string(&path).map_err(|e| LedgerError::io("cannot read", &path, e))?;
    Ok((Checkpoint::peek(&note)?, note))
}

/// `PATH` of RFC 9162 section 2.1.3.1, over the leaves `from..to`.
fn path(tiles: &mut TileSource, index: u64, from: u64, to: u64, out: &mut Vec<Hash>) -> Result<(), LedgerError> {
    if to - from <= 1 {
        return Ok(());
    }
    let middle = split_at(from, to);
    if index < middle {
        path(tiles, index, from, middle, out)?;
        out.push(tiles.subtree(middle, to)?);
    } else {
        path(tiles, index, middle, to, out)?;
        out.push(tiles.subtree(from, middle)?);
    }
    Ok(())
}

/// Makes the proof that the tree of `old` leaves is the beginning of the tree of `new` leaves of the ledger in `dir`,
/// which has published at least `new`.
///
/// # Errors
/// `old` is larger than `new`, `new` is not published, or a file cannot be read.
pub fn consistency_proof(dir: &Path, old: u64, new: u64) -> Result<Vec<Hash>, ProofError> {
    let (checkpoint, _) = published(dir)?;
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    if new > checkpoint.size {
        return Err(ProofError::Beyond { index: new, size: checkpoint.size });
    }
    let mut hashes = Vec::new();
    if old > 0 && old < new {
        subproof(&mut TileSource::new(dir, checkpoint.size), old, 0, new, true, &mut hashes)?;
    }
    Ok(hashes)
}

/// `SUBPROOF` of RFC 9162 section 2.1.4.1, over the leaves `from..to`; `old` counts from the log's beginning.
fn subproof(
    tiles: &mut TileSource,
    old: u64,
    from: u64,
    to: u64,
    known: bool,
    out: &mut Vec<Hash>,
) -> Result<(), LedgerError> {
    if old == to {
        if !known {
            out.push(tiles.subtree(from, to)?);
        }
        return Ok(());
    }
    let middle = split_at(from, to);
    if old <= middle {
        subproof(tiles, old, from, middle, known, out)?;
        out.push(tiles.subtree(middle, to)?);
    } else {
        subproof(tiles, old, middle, to, false, out)?;
        out.push(tiles.subtree(from, middle)?);
    }
    Ok(())
}

/// Checks an inclusion proof: RFC 9162 section 2.1.3.2.
///
/// # Errors
/// It does not lead to the root.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Beyond { index, size });
    }
    let (mut place, mut last, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if last == 0 {
            return Err(ProofError::Wrong);
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(step, &hash);
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, step);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(ProofError::Wrong) }
}

/// Checks a consistency proof: RFC 9162 section 2.1.4.2.
///
/// # Errors
/// It does not lead from the one root to the other.
pub fn verify_consistency(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> Result<(), ProofError> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size > new_size {
        return Err(ProofError::Shrunk { old: old_size, new: new_size });
    }
    let holds = if old_size == new_size {
        proof.is_empty() && old_root == new_root
    } else if old_size == 0 {
        proof.is_empty() && *old_root == empty_root()
    } else {
        consistent_path(old_size, new_size, old_root, proof).is_some_and(|(o, n)| o == *old_root && n == *new_root)
    };
    if holds { Ok(()) } else { Err(ProofError::Wrong) }
}

/// The two roots that the proof leads to, if it has the right length.
fn consistent_path(old_size: u64, new_size: u64, old_root: &Hash, proof: &[Hash]) -> Option<(Hash, Hash)> {
    let (mut place, mut last) = (old_size - 1, new_size - 1);
    while place & 1 == 1 {
        (place, last) = (place >> 1, last >> 1);
    }
    let (mut seed, mut rest) = (old_root, proof);
    if !old_size.is_power_of_two() {
        (seed, rest) = proof.split_first()?;
    }
    let (mut old, mut new) = (*seed, *seed);
    for step in rest {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            old = node_hash(step, &old);
            new = node_hash(step, &new);
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            new = node_hash(&new, step);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    (last == 0).then_some((old, new))
}

/// Checks that one checkpoint continues another.
///
/// # Errors
/// They are of different logs, or the proof does not hold.
pub fn consistent(old: &Checkpoint, new: &Checkpoint, proof: &[Hash]) -> Result<(), ProofError> {
    if old.origin != new.origin {
        return Err(NoteError::Origin { have: new.origin.clone(), want: old.origin.clone() }.into());
    }
    verify_consistency((old.size, &old.root), (new.size, &new.root), proof)
}

impl InclusionProof {
    /// The proof as text: a `.tlog-proof` file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\nindex {}\n", self.index);
        for hash in &self.hashes {
            BASE64.encode_string(hash, &mut text);
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a proof. Nothing is verified.
    ///
    /// # Errors
    /// The text is not one.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let bad = ProofError::Malformed;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(bad("it has no checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(bad("the first line is another"));
        }
        // Extra data are the application's; this one has none, and verifies without.
        if lines.peek().is_some_and(|l| l.starts_with("extra ")) {
            lines.next();
        }
        let index = lines.next().and_then(|l| l.strip_prefix("index ")).ok_or(bad("it has no index"))?;
        let plain = index.bytes().all(|b| b.is_ascii_digit()) && (index == "0" || !index.starts_with('0'));
        let index = index.parse().ok().filter(|_| plain).ok_or(bad("the index is not a number"))?;
        let mut hashes = Vec::new();
        for line in lines {
            let hash = BASE64.decode(line).ok().and_then(|h| Hash::try_from(h).ok());
            hashes.push(hash.ok_or(bad("a line is not a hash in base64"))?);
            if hashes.len() > MAX_HASHES {
                return Err(bad("it has too many hashes"));
            }
        }
        Ok(Self { index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that the entry with this leaf hash is in the log that `key` signs.
    ///
    /// # Errors
    /// It is not, or the checkpoint is not signed by `key`.
    pub fn verify(&self, leaf: &Hash, key: &VerifierKey) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, key)?;
        verify_inclusion(leaf, self.index, checkpoint.size, &self.hashes, &checkpoint.root)?;
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests;
