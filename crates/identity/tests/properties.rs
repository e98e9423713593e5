//! A token that was changed anywhere proves nothing, and no text makes the prover panic; keys in files follow the files.

#![cfg(test)]
#![expect(clippy::string_slice, reason = "tokens are ASCII")]

mod common;

use common::{Bench, NOW, RSA, Signer, b64, bench, claims, with};
use proptest::prelude::*;
use serde_json::json;
use std::sync::LazyLock;
use vestibule_identity::{ExchangeRequest, ProofKind};

struct Ready {
    bench: Bench,
    /// One of each signature algorithm, and one of ours.
    tokens: Vec<String>,
    runtime: tokio::runtime::Runtime,
}

static READY: LazyLock<Ready> = LazyLock::new(|| {
    let (es, p384, ed) = (Signer::p256("es"), Signer::p384("p384"), Signer::ed25519("ed"));
    let bench = bench(&[RSA.jwk("sig"), es.jwk("sig"), p384.jwk("sig"), ed.jwk("sig")], &[es.jwk("sig")]);
    let mut tokens = vec![
        RSA.sign("RS256", &claims()),
        RSA.sign("PS384", &claims()),
        es.sign("ES256", &claims()),
        p384.sign("ES384", &claims()),
        ed.sign("EdDSA", &claims()),
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let request = ExchangeRequest { subject_token: &tokens[0], target: Some("clinic"), ttl: None };
    let ours = runtime.block_on(bench.prover.exchange(&request, NOW)).unwrap().token.to_string();
    tokens.push(ours);
    Ready { bench, tokens, runtime }
});

fn proves(token: &str) -> bool {
    let ready = &*READY;
    let proven = ready.runtime.block_on(ready.bench.prover.prove(token, Some("clinic"), NOW));
    let exchanged = ready
        .runtime
        .block_on(ready.bench.prover.exchange(&ExchangeRequest { subject_token: token, target: None, ttl: None }, NOW));
    assert_eq!(proven.is_ok(), exchanged.is_ok());
    proven.is_ok()
}

#[test]
fn the_unchanged_tokens_prove() {
    assert!(READY.tokens.iter().all(|token| proves(token)));
}

#[test]
fn every_prefix_and_every_single_bit() {
    for token in &READY.tokens {
        for end in 0..token.len() {
            assert!(!proves(&token[..end]), "a prefix of {end} characters proves");
        }
        for at in 0..token.len() {
            for bit in 0..7 {
                let mut bytes = token.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(!proves(&changed), "bit {bit} of character {at} does not matter");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_token_never_proves(which in 0_usize..6, cut in any::<prop::sample::Index>(), gone in 0_usize..40,
                                    put in "[A-Za-z0-9._=-]{0,40}") {
        let token = &READY.tokens[which];
        let at = cut.index(token.len());
        let rest = &token[(at + gone).min(token.len())..];
        let changed = format!("{}{put}{rest}", &token[..at]);
        prop_assume!(changed != *token);
        prop_assert!(!proves(&changed));
    }

    #[test]
    fn parts_of_different_tokens_never_prove(a in 0_usize..6, b in 0_usize..6, c in 0_usize..6) {
        let part = |which: usize, n: usize| READY.tokens[which].split('.').nth(n).unwrap().to_owned();
        let mixed = format!("{}.{}.{}", part(a, 0), part(b, 1), part(c, 2));
        // The claims of the issuer's tokens are the same; header and signature must still be of one token.
        prop_assume!(!READY.tokens.contains(&mixed));
        prop_assert!(!proves(&mixed));
    }

    #[test]
    fn arbitrary_text_never_proves(text in any::<String>(), header in any::<String>(), claims in any::<String>()) {
        prop_assert!(!proves(&text));
        let forged = format!("{}.{}.{}", b64(&header), b64(&claims), b64(&text));
        prop_assert!(!proves(&forged));
    }

    #[test]
    fn arbitrary_claims_never_panic(name in "iss|sub|aud|azp|exp|iat|nbf|jti|groups|email|act|amr|acr|auth_time|name",
                                    value in json_value()) {
        static KEY: LazyLock<(Signer, Bench)> = LazyLock::new(|| {
            let key = Signer::ed25519("k");
            let bench = bench(&[key.jwk("sig")], &[key.jwk("sig")]);
            (key, bench)
        });
        let token = KEY.0.sign("EdDSA", &with(claims(), &name, value));
        if let Ok(identity) = READY.runtime.block_on(KEY.1.prover.prove(&token, None, NOW)) {
            // Whatever was accepted can be exchanged and read again, unchanged.
            let request = ExchangeRequest { subject_token: &token, target: None, ttl: None };
            let issued = READY.runtime.block_on(KEY.1.prover.exchange(&request, NOW)).unwrap();
            let again = READY.runtime.block_on(KEY.1.prover.prove(&issued.token, None, NOW)).unwrap();
            prop_assert_eq!((again.id(), again.name, again.groups), (identity.id(), identity.name, identity.groups));
            prop_assert!(!again.subject.chars().any(char::is_control));
        }
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        any::<String>().prop_map(|s| json!(s)),
        "(https://login.clinic.example|vestibule|staff\\|x|bot)".prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!(list)),
            prop::collection::btree_map("sub|iss|act|a", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

#[tokio::test]
async fn keys_in_a_file_follow_the_file() {
    let (old, new) = (Signer::p256("old"), Signer::p256("new"));
    let bench = bench(&[old.jwk("sig")], &[old.jwk("sig")]);
    let (with_old, with_new) = (old.sign("ES256", &claims()), new.sign("ES256", &claims()));
    let ask = async |token: &str, seconds: i64| {
        bench.prover.prove(token, None, NOW.plus_seconds(seconds)).await.map(drop).map_err(|e| e.kind)
    };
    assert_eq!(ask(&with_old, 0).await, Ok(()));
    bench.keys("staff.json", &[old.jwk("sig"), new.jwk("sig")]);
    assert_eq!(ask(&with_new, 5).await, Err(ProofKind::Key), "asked again too soon");
    assert_eq!(ask(&with_new, 10).await, Ok(()));
    // A file that was half written, or is gone, does not take the keys away at once.
    std::fs::write(bench.path("staff.json"), "{\"keys\":[").unwrap();
    assert_eq!(ask(&with_old, 599).await, Ok(()));
    bench.keys("staff.json", &[new.jwk("sig")]);
    // After a while it is read again even if nothing is missing.
    let long = |signer: &Signer| signer.sign("ES256", &with(claims(), "exp", json!(NOW.seconds() + 80_000)));
    assert_eq!(ask(&long(&old), 620).await, Err(ProofKind::Key));
    std::fs::remove_file(bench.path("staff.json")).unwrap();
    assert_eq!(ask(&long(&new), 620 + 4 * 3_600 - 1).await, Ok(()));
    assert_eq!(ask(&long(&new), 620 + 4 * 3_600).await, Err(ProofKind::Unavailable));
}

#[tokio::test]
async fn key_sets_are_read_strictly() {
    let key = Signer::p256("k");
    let reject = |what: serde_json::Value| {
        let text = json!({ "keys": [what] }).to_string();
        assert!(vestibule_identity::check_jwks(text.as_bytes(), false).is_err(), "{text}");
    };
    let changed = |name: &str, value: serde_json::Value| with(key.jwk("sig"), name, value);
    reject(changed("use", json!("enc")));
    reject(changed("d", json!("AAAA")));
    reject(changed("crv", json!("P-384")));
    reject(changed("crv", json!("secp256k1")));
    reject(changed("x", json!("AAAA")));
    reject(changed("alg", json!("HS256")));
    reject(changed("key_ops", json!(["encrypt"])));
    reject(json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}));
    reject(json!({"kty": "RSA", "n": b64([0xff; 128]), "e": "AQAB"}));
    for text in ["", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}"] {
        assert!(vestibule_identity::check_jwks(text.as_bytes(), false).is_err(), "{text}");
    }
    let good = json!({ "keys": [key.jwk("sig"), {"kty": "unheard of"}] }).to_string();
    assert_eq!(vestibule_identity::check_jwks(good.as_bytes(), false), Ok(()));
    assert!(vestibule_identity::check_jwks(good.as_bytes(), true).is_err(), "no key for JWT-SVIDs");
}
