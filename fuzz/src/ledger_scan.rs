//! What a verifier of a ledger reads: entries, keys, checkpoints, proofs.
//!
//! Bytes: what it is (modulo 6), then its bytes.
//!
//! Rules: an entry that is taken is canonical JSON, byte for byte; a checkpoint that is taken is the one that was
//! signed; a key and a proof that are read are written the same; a proof of one tree holds in no other.

use crate::input::Input;
use std::sync::LazyLock;
use vestibule_ledger::{
    Checkpoint, Hash, InclusionProof, SigningKey, VerifierKey, leaf_hash, parse_hex, scan, to_canonical,
    verify_consistency, verify_inclusion,
};

/// The checkpoint of the seeds: signed with the key whose seed is 32 times 7.
const SIGNED: &str = include_str!("../files/checkpoint");
const ORIGIN: &str = "gateway.clinic.example/vestibule";

static KEY: LazyLock<VerifierKey> = LazyLock::new(|| SigningKey::from_seed(&[7; 32]).expect("a seed").verifier(ORIGIN));
static CHECKPOINT: LazyLock<Checkpoint> =
    LazyLock::new(|| Checkpoint::open(SIGNED, &KEY).expect("the checkpoint of the seeds"));

/// Reads one thing.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let what = input.byte() % 6;
    let text = std::str::from_utf8(input.0);
    match (what, text) {
        (0, _) => entry(input.0),
        (1, Ok(note)) => checkpoint(note),
        (2, Ok(line)) => key(line),
        (3, Ok(text)) => proof(text),
        (4, _) => inclusion(input),
        (5, _) => consistency(input),
        _ => {}
    }
}

fn entry(bytes: &[u8]) {
    let Ok(envelope) = scan(bytes) else { return };
    let value: serde_json::Value = serde_json::from_slice(bytes).expect("an entry that is taken is JSON");
    let canonical = to_canonical(&value).expect("an entry that is taken has a canonical form");
    assert_eq!(canonical.escape_ascii().to_string(), bytes.escape_ascii().to_string(), "not canonical");
    assert_eq!(value["at"].as_i64(), Some(envelope.at.0));
    assert_eq!(value["epoch"].as_u64(), Some(envelope.epoch));
    assert_eq!(value["seq"].as_u64(), Some(envelope.seq));
    assert_eq!(value["sid"].as_str(), Some(envelope.sid));
    assert_eq!(value["kind"].as_str(), Some(envelope.kind));
    assert_eq!(value["gateway"].as_str(), Some(envelope.gateway));
    assert_eq!(value["prev"].as_str().and_then(parse_hex), Some(envelope.prev));
}

fn checkpoint(note: &str) {
    if let Ok(read) = Checkpoint::open(note, &KEY) {
        assert_eq!(read, *CHECKPOINT, "a checkpoint that nobody signed");
    }
}

fn key(line: &str) {
    if let Ok(key) = VerifierKey::parse(line) {
        assert_eq!(key.to_line(), line.trim(), "a key is written in two ways");
        assert_eq!(VerifierKey::parse(&key.to_line()), Ok(key));
    }
}

fn proof(text: &str) {
    let Ok(proof) = InclusionProof::parse(text) else { return };
    let again = InclusionProof::parse(&proof.to_text()).ok();
    assert_eq!(again.as_ref(), Some(&proof), "a proof is read in two ways");
    if proof.verify(&leaf_hash(b"no entry of any log"), &KEY).is_ok() {
        panic!("a proof of what is in no log");
    }
}

fn hashes(input: &mut Input<'_>) -> Vec<Hash> {
    let mut found = Vec::new();
    while let (true, Ok(hash)) = (found.len() < 80, Hash::try_from(input.take(32))) {
        found.push(hash);
    }
    found
}

fn inclusion(mut input: Input<'_>) {
    let (index, size) = (input.u64(), input.u64());
    let path = hashes(&mut input);
    let root = path.last().copied().unwrap_or([0; 32]);
    let leaf = leaf_hash(b"no entry of any log");
    assert!(verify_inclusion(&leaf, index, size, &path, &root).is_err(), "a proof of what is in no log");
    // In a tree of one leaf the leaf is the root.
    assert_eq!(verify_inclusion(&leaf, index, size, &[], &leaf).is_ok(), index == 0 && size == 1);
}

fn consistency(mut input: Input<'_>) {
    let (old, new) = (input.u64(), input.u64());
    let path = hashes(&mut input);
    let roots = [leaf_hash(b"one log"), leaf_hash(b"another")];
    let [first, second] = &roots;
    assert!(verify_consistency((old.max(1), first), (new, second), &path).is_err(), "two logs are taken for one");
}
