//! A proof of identity.
//!
//! Bytes: what it is (modulo 3). 0: a token as it is. 1: header and claims, parted by a zero byte, with the signature
//! of a good token, or with an HMAC under the public key where bit 7 is set. 2: header and claims, signed with the
//! issuer's own key, so that claims are reached.
//!
//! Rules: a token that the issuer did not sign proves nothing, except the good one of the seeds, letter by letter; what
//! it did sign proves somebody of this issuer, for this audience, and not beyond its expiry.

use crate::clinic::NOW;
use crate::input::Input;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use vestibule_core::Identity;
use vestibule_identity::{Algorithm, IssuerConfig, Prover, Revocations, TokenKeys, TokenLife};

const ISSUER: &str = "https://login.clinic.example";
const AUDIENCE: &str = "vestibule";
/// What the good token says.
pub const HEADER: &str = r#"{"alg":"EdDSA","kid":"one","typ":"JWT"}"#;
/// What the good token says.
pub const CLAIMS: &str = r#"{"iss":"https://login.clinic.example","sub":"248289761001","aud":"vestibule","exp":1795536342,"iat":1795535737,"email":"alice@clinic.example","email_verified":true,"groups":["care","research"],"amr":["pwd","otp"],"jti":"id-1"}"#;

struct Nobody;

impl Revocations for Nobody {
    fn token(&self, _: &str) -> bool {
        false
    }
    fn identity(&self, _: &str) -> bool {
        false
    }
}

struct Bench {
    _dir: TempDir,
    key: Ed25519KeyPair,
    prover: Prover,
    runtime: Runtime,
    good: String,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let dir = TempDir::new().expect("a temporary directory");
    let key = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).expect("a seed");
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "use": "sig", "x": x}]});
    let file = dir.path().join("keys.json");
    std::fs::write(&file, jwks.to_string()).expect("a file");
    let issuer = IssuerConfig {
        algorithms: Algorithm::ALL.to_vec(),
        jwks_file: Some(file),
        ..IssuerConfig::new("staff", ISSUER, AUDIENCE)
    };
    let life = TokenLife { ttl: Duration::from_secs(600), max_ttl: Duration::from_secs(3_600) };
    let own = TokenKeys::generate().and_then(|pem| TokenKeys::from_pem(&pem)).expect("a key");
    let prover = Prover::new("gateway.clinic.example/vestibule", own, vec![issuer], life, Arc::new(Nobody));
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let good = signed(&key, HEADER.as_bytes(), CLAIMS.as_bytes());
    let bench = Bench { _dir: dir, key, prover: prover.expect("a prover"), runtime, good };
    assert!(bench.prove(&bench.good).is_some(), "the good token proves nothing");
    bench
});

fn body(header: &[u8], claims: &[u8]) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

fn signed(key: &Ed25519KeyPair, header: &[u8], claims: &[u8]) -> String {
    let body = body(header, claims);
    format!("{body}.{}", URL_SAFE_NO_PAD.encode(key.sign(body.as_bytes())))
}

impl Bench {
    fn prove(&self, token: &str) -> Option<Identity> {
        match self.runtime.block_on(self.prover.prove(token, Some("clinic"), NOW)) {
            Ok(identity) => Some(identity),
            Err(error) => {
                assert_eq!(error.public, "your identity could not be proven", "the client is told why");
                // The fuzzer writes our own words into tokens, which is no harm.
                let pieces = token.split('.').filter(|piece| piece.len() > 24 && !piece.contains(' '));
                for piece in pieces {
                    assert!(!error.reason.contains(piece), "the reason repeats the token");
                }
                None
            }
        }
    }
}

/// Judges one token.
pub fn run(data: &[u8]) {
    let (mut input, bench) = (Input(data), &*BENCH);
    let what = input.byte();
    if what % 128 % 3 == 0 {
        let Ok(token) = std::str::from_utf8(input.0) else { return };
        assert!(bench.prove(token).is_none() || token == bench.good, "something else is taken for a proof");
        return;
    }
    let cut = input.0.iter().position(|byte| *byte == 0).unwrap_or(input.0.len());
    let (header, claims) = (input.take(cut), input.0.get(1..).unwrap_or_default());
    if what % 128 % 3 == 1 {
        let forged = forged(bench, header, claims, what & 128 != 0);
        assert!(bench.prove(&forged).is_none() || forged == bench.good, "what nobody signed is a proof");
    } else if let Some(identity) = bench.prove(&signed(&bench.key, header, claims)) {
        fits(&identity, header, claims);
    }
}

fn forged(bench: &Bench, header: &[u8], claims: &[u8], hmac: bool) -> String {
    let body = body(header, claims);
    if hmac {
        let key = hmac::Key::new(hmac::HMAC_SHA256, bench.key.public_key().as_ref());
        return format!("{body}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, body.as_bytes())));
    }
    let signature = bench.good.rsplit('.').next().unwrap_or_default();
    format!("{body}.{signature}")
}

/// What was proven is what stands in the token.
fn fits(identity: &Identity, header: &[u8], claims: &[u8]) {
    let header: Value = serde_json::from_slice(header).expect("a header that is taken is JSON");
    let claims: Value = serde_json::from_slice(claims).expect("claims that are taken are JSON");
    assert!(matches!(header["alg"].as_str(), Some("EdDSA" | "Ed25519")), "an algorithm that is not the key's");
    assert_eq!(claims["iss"].as_str(), Some(ISSUER), "another issuer");
    assert_eq!(identity.issuer, "staff");
    let actor = if claims["act"].is_object() { &claims["act"] } else { &claims };
    assert_eq!(actor["sub"].as_str(), Some(identity.subject.as_str()), "another subject");
    assert!(!identity.subject.is_empty() && !identity.id().contains(['\n', '\0']), "a subject that is none");
    let ours = |audience: &Value| audience.as_str() == Some(AUDIENCE);
    let audience = &claims["aud"];
    assert!(ours(audience) || audience.as_array().is_some_and(|list| list.iter().any(ours)), "another audience");
    assert!(identity.expires > NOW, "it is over");
    let expires = claims["exp"].as_f64().expect("a time");
    assert!(identity.expires.seconds() as f64 <= expires, "good for longer than it says");
}
