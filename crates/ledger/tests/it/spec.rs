//! The vectors of `docs/spec/ledger.md` are what this code makes and reads.

use serde_json::Value;
use std::convert::Infallible;
use vestibule_core::Timestamp;
use vestibule_ledger::{
    Checkpoint, Edge, InclusionProof, SessionChain, SigningKey, VerifierKey, hex, leaf_hash, scan, to_canonical,
};

const PAGE: &str = include_str!("../../../../docs/spec/ledger.md");

/// The block fenced as `text vector=NAME`.
fn vector(name: &str) -> &'static str {
    let fence = format!("```text vector={name}\n");
    let (_, rest) = PAGE.split_once(&fence).unwrap_or_else(|| panic!("the page has no vector {name}"));
    rest.split_once("```").unwrap().0
}

fn lines(name: &str) -> Vec<&'static str> {
    vector(name).lines().collect()
}

const ORIGIN: &str = "gateway.example/vestibule";

/// The three entries of the example session.
fn entries() -> Vec<Vec<u8>> {
    let bodies: [(&str, Value); 3] = [
        (
            "session.open",
            serde_json::json!({
                "identity": {"acting_for": [], "assurance": {"amr": ["mfa"]}, "groups": ["clinicians"], "id": "idp|dana",
                             "issuer": "idp", "kind": "person", "name": "dana@example.org", "token_id": "t-1"},
                "target": "clinic", "protocol": "postgres", "source": "192.0.2.7", "client": "dana psql",
                "policy_version": "p-1", "recorded": true
            }),
        ),
        (
            "op.ruling",
            serde_json::json!({
                "op": 1, "effect": "read", "action": "SELECT",
                "resources": [{"kind": "table", "name": "public.patient", "access": "read", "columns": ["name"]}],
                "statement": "SELECT name FROM patient WHERE mrn = '…'", "classes": ["name"], "traits": [],
                "reading": "exact", "decision": "permit", "policies": ["clinicians-read"], "policy_version": "p-1"
            }),
        ),
        ("session.closed", serde_json::json!({"reason": "the client left", "ops": 1, "n": 3})),
    ];
    let mut chain = SessionChain::new("0198f1c2a3b400112233445566778899aabb");
    let mut at = 1_795_535_742_123_456;
    bodies
        .iter()
        .map(|(kind, body)| {
            at += 1_000;
            chain.entry(Timestamp(at), kind, ORIGIN, 1, body)
        })
        .collect()
}

fn key() -> SigningKey {
    SigningKey::from_seed(&(0..32).collect::<Vec<u8>>()).unwrap()
}

#[test]
fn the_example_entries_are_what_is_written() {
    let written: Vec<String> = entries().into_iter().map(|e| String::from_utf8(e).unwrap()).collect();
    assert_eq!(lines("entries"), written);
    let hashes: Vec<String> = written.iter().map(|e| hex(&leaf_hash(e.as_bytes()))).collect();
    assert_eq!(lines("leaf-hashes"), hashes);
    for (n, entry) in written.iter().enumerate() {
        let envelope = scan(entry.as_bytes()).unwrap();
        assert_eq!(envelope.seq, n as u64);
        let before = n.checked_sub(1).map_or("0".repeat(64), |b| hashes[b].clone());
        assert_eq!(hex(&envelope.prev), before);
    }
}

#[test]
fn the_example_checkpoint_and_proof_verify() {
    assert_eq!(vector("verifier-key").trim_end(), key().verifier_line(ORIGIN));
    let vkey = VerifierKey::parse(vector("verifier-key")).unwrap();
    let mut edge = Edge::new();
    for entry in entries() {
        edge.push(leaf_hash(&entry), |_, _, _| Ok::<_, Infallible>(())).unwrap();
    }
    let checkpoint = Checkpoint::open(vector("checkpoint"), &vkey).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (3, edge.root()));
    let proof = InclusionProof::parse(vector("proof")).unwrap();
    assert_eq!(proof.index, 1);
    assert_eq!(proof.verify(&leaf_hash(&entries()[1]), &vkey).unwrap(), checkpoint);
    assert_eq!(proof.to_text(), vector("proof"));
}

#[tokio::test]
async fn a_ledger_of_the_example_publishes_the_example() {
    let dir = crate::common::temp();
    let log = dir.path().join("l");
    vestibule_ledger::Ledger::create(&log, ORIGIN, &key()).unwrap();
    let mut options = crate::common::options(&log);
    (options.origin, options.key) = (ORIGIN.to_owned(), key());
    let (ledger, _) = crate::common::reopen(options).unwrap();
    for entry in entries() {
        ledger.append(&entry).unwrap();
    }
    ledger.shutdown().await.unwrap();
    let proof = vestibule_ledger::inclusion_proof(&log, 1).unwrap().to_text();
    assert_eq!(std::fs::read_to_string(log.join("checkpoint")).unwrap(), vector("checkpoint"));
    assert_eq!(proof, vector("proof"));
}

#[test]
fn canonical_json_of_the_page_is_what_is_written_and_nothing_else_is_read() {
    for line in lines("canonical") {
        let (input, canonical) = line.split_once(" => ").unwrap();
        let value: Value = serde_json::from_str(input).unwrap();
        assert_eq!(String::from_utf8(to_canonical(&value).unwrap()).unwrap(), canonical);
    }
    let good = String::from_utf8(entries()[2].clone()).unwrap();
    for line in lines("not-entries") {
        let (from, to) = line.split_once(" => ").unwrap();
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from} is not in the entry");
        assert!(scan(bad.as_bytes()).is_err(), "{bad}");
    }
}
