use super::*;
use crate::note::SigningKey;
use crate::tree::tests::naive;
use crate::tree::tile_path;
use crate::{Edge, leaf_hash};
use proptest::prelude::*;
use std::convert::Infallible;
use tempfile::TempDir;

const ORIGIN: &str = "log.example/proofs";

fn key() -> SigningKey {
    SigningKey::from_seed(&[3; 32]).unwrap()
}

fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

/// The tiles and the checkpoint of a log of these leaves.
fn published_log(leaves: &[Hash]) -> (TempDir, Checkpoint) {
    let dir = tempfile::tempdir().unwrap();
    let write = |level, index, hashes: &[Hash]| {
        let path = dir.path().join(tile_path(Some(level), index, u16::try_from(hashes.len()).unwrap()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, hashes.as_flattened()).unwrap();
    };
    let mut edge = Edge::new();
    for leaf in leaves {
        let Ok(()) = edge.push(*leaf, |level, index, hashes| {
            write(level, index, hashes);
            Ok::<_, Infallible>(())
        });
    }
    edge.partials().for_each(|(level, index, hashes)| write(level, index, hashes));
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: edge.size(), root: edge.root() };
    fs::write(dir.path().join("checkpoint"), checkpoint.sign(&key())).unwrap();
    (dir, checkpoint)
}

fn split(n: usize) -> usize {
    1 << (usize::BITS - 1 - (n - 1).leading_zeros())
}

/// `PATH(m, D[n])` of RFC 6962 section 2.1.1, word for word.
fn naive_path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (mut path, other) = if m < k {
        (naive_path(m, &leaves[..k]), naive(&leaves[k..]))
    } else {
        (naive_path(m - k, &leaves[k..]), naive(&leaves[..k]))
    };
    path.push(other);
    path
}

/// `SUBPROOF(m, D[n], b)` of RFC 6962 section 2.1.2, word for word.
fn naive_subproof(m: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if known { Vec::new() } else { vec![naive(leaves)] };
    }
    let k = split(leaves.len());
    let (mut proof, other) = if m <= k {
        (naive_subproof(m, &leaves[..k], known), naive(&leaves[k..]))
    } else {
        (naive_subproof(m - k, &leaves[k..], false), naive(&leaves[..k]))
    };
    proof.push(other);
    proof
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_are_the_naive_ones_and_nothing_else_verifies(
        size in 1_u64..700, at in any::<prop::sample::Index>(), old in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(),
    ) {
        let all = leaves(size);
        let (dir, checkpoint) = published_log(&all);
        let count = usize::try_from(size).unwrap();
        let (index, old) = (at.index(count), old.index(count) + 1);
        let proof = inclusion_proof(dir.path(), index as u64).unwrap();
        prop_assert_eq!(&proof.hashes, &naive_path(index, &all));
        let key = key().verifier(ORIGIN);
        prop_assert_eq!(&proof.verify(&all[index], &key).unwrap(), &checkpoint);
        prop_assert_eq!(&InclusionProof::parse(&proof.to_text()).unwrap(), &proof);
        prop_assert!(proof.verify(&leaf_hash(b"another"), &key).is_err());
        for other in [index.wrapping_sub(1), index + 1].into_iter().filter(|o| *o < count) {
            prop_assert!(verify_inclusion(&all[index], other as u64, size, &proof.hashes, &checkpoint.root).is_err());
        }
        let consistency = consistency_proof(dir.path(), old as u64, size).unwrap();
        prop_assert_eq!(&consistency, &naive_subproof(old, &all, true));
        let before = Checkpoint { origin: ORIGIN.into(), size: old as u64, root: naive(&all[..old]) };
        consistent(&before, &checkpoint, &consistency).unwrap();
        let forked = Checkpoint { root: leaf_hash(b"fork"), ..before.clone() };
        prop_assert!(consistent(&forked, &checkpoint, &consistency).is_err());
        for proof in [&proof.hashes, &consistency] {
            let mut longer = proof.clone();
            longer.push([0; 32]);
            prop_assert!(verify_inclusion(&all[index], index as u64, size, &longer, &checkpoint.root).is_err());
            prop_assert!(consistent(&before, &checkpoint, &longer).is_err());
            if proof.is_empty() { continue }
            let mut bent = proof.clone();
            let place = flip.index(bent.len() * 32);
            bent[place / 32][place % 32] ^= 1;
            prop_assert!(verify_inclusion(&all[index], index as u64, size, &bent, &checkpoint.root).is_err());
            prop_assert!(consistent(&before, &checkpoint, &bent).is_err());
            let shorter = &proof[..proof.len() - 1];
            prop_assert!(verify_inclusion(&all[index], index as u64, size, shorter, &checkpoint.root).is_err());
            prop_assert!(consistent(&before, &checkpoint, shorter).is_err());
        }
    }
}

#[test]
fn proofs_hold_over_three_levels_of_tiles() {
    let all = leaves(66_000);
    let (dir, checkpoint) = published_log(&all);
    for index in [0, 1, 255, 256, 65_535, 65_536, 65_791, 65_792, 65_999_u64] {
        let proof = inclusion_proof(dir.path(), index).unwrap();
        let leaf = all[usize::try_from(index).unwrap()];
        assert_eq!(proof.verify(&leaf, &key().verifier(ORIGIN)).unwrap(), checkpoint);
    }
    for old in [1_usize, 255, 256, 257, 65_535, 65_536, 65_537, 65_999, 66_000] {
        let proof = consistency_proof(dir.path(), old as u64, checkpoint.size).unwrap();
        verify_consistency((old as u64, &naive(&all[..old])), (checkpoint.size, &checkpoint.root), &proof).unwrap();
    }
}

#[test]
fn what_cannot_be_proven_is_said() {
    let (dir, checkpoint) = published_log(&leaves(10));
    assert!(matches!(inclusion_proof(dir.path(), 10), Err(ProofError::Beyond { index: 10, size: 10 })));
    assert!(matches!(consistency_proof(dir.path(), 5, 4), Err(ProofError::Shrunk { .. })));
    assert!(matches!(consistency_proof(dir.path(), 5, 11), Err(ProofError::Beyond { .. })));
    let other = Checkpoint { origin: "elsewhere.example".into(), ..checkpoint.clone() };
    assert!(matches!(consistent(&other, &checkpoint, &[]), Err(ProofError::Note(_))));
    // A damaged tile makes no proof rather than a wrong one.
    let tile = dir.path().join(tile_path(Some(0), 0, 10));
    let mut bytes = fs::read(&tile).unwrap();
    bytes[40] ^= 1;
    fs::write(&tile, bytes).unwrap();
    assert!(matches!(inclusion_proof(dir.path(), 7), Err(ProofError::Wrong)));
}

#[test]
fn only_well_formed_proofs_are_read() {
    let (dir, _) = published_log(&leaves(3));
    let text = inclusion_proof(dir.path(), 2).unwrap().to_text();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 2\n"));
    let with_extra = text.replace("index 2", "extra AAAA\nindex 2");
    assert_eq!(InclusionProof::parse(&with_extra).unwrap().index, 2);
    for bad in [
        "",
        "x\n\ny",
        &text.replace("@v1", "@v2"),
        &text.replace("index 2", "index 02"),
        &text.replace("index 2", "index +2"),
        &text.replace("index 2", "index -1"),
        &text.replace("index 2\n", ""),
        &text.replace("index 2\n", "index 2\nAAAA\n"),
        &text
            .replace("index 2\n", &format!("index 2\n{}", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n".repeat(70))),
    ] {
        assert!(InclusionProof::parse(bad).is_err(), "{bad}");
    }
}
