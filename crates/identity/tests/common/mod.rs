//! Issuers that sign whatever a test wants, and a prover that trusts some of them.

#![expect(dead_code, reason = "each test file uses a part")]

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use vestibule_core::Timestamp;
use vestibule_identity::{Algorithm, IssuerConfig, Prover, Revocations, TokenKeys, TokenLife};

pub const NOW: Timestamp = Timestamp::from_seconds(1_795_535_742);
pub const GATEWAY: &str = "gateway.clinic.example/vestibule";
pub const STAFF: &str = "https://login.clinic.example";

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Private {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

pub struct Signer {
    pub kid: String,
    key: Private,
}

/// Made once: RSA keys take their time.
pub static RSA: LazyLock<Signer> = LazyLock::new(|| Signer {
    kid: "rsa-1".into(),
    key: Private::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
});

impl Signer {
    pub fn p256(kid: &str) -> Self {
        Self { kid: kid.into(), key: Private::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()) }
    }

    pub fn p384(kid: &str) -> Self {
        Self { kid: kid.into(), key: Private::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()) }
    }

    pub fn ed25519(kid: &str) -> Self {
        Self { kid: kid.into(), key: Private::Ed25519(Ed25519KeyPair::generate().unwrap()) }
    }

    /// The public key, without `use` and `alg`.
    pub fn bare_jwk(&self) -> Value {
        let point = |bytes: &[u8]| {
            let half = (bytes.len() - 1) / 2;
            (b64(&bytes[1..=half]), b64(&bytes[half + 1..]))
        };
        match &self.key {
            Private::Rsa(pair) => {
                let public = pair.public_key();
                let n = b64(public.modulus().big_endian_without_leading_zero());
                let e = b64(public.exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "kid": self.kid, "n": n, "e": e})
            }
            Private::P256(pair) => {
                let (x, y) = point(pair.public_key().as_ref());
                json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "x": x, "y": y})
            }
            Private::P384(pair) => {
                let (x, y) = point(pair.public_key().as_ref());
                json!({"kty": "EC", "crv": "P-384", "kid": self.kid, "x": x, "y": y})
            }
            Private::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": b64(pair.public_key().as_ref())})
            }
        }
    }

    pub fn jwk(&self, usage: &str) -> Value {
        let mut jwk = self.bare_jwk();
        jwk["use"] = json!(usage);
        jwk
    }

    pub fn raw(&self, alg: &str, signed: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |pair: &RsaKeyPair| {
            let padding: &'static dyn aws_lc_rs::signature::RsaEncoding = match alg {
                "RS384" => &RSA_PKCS1_SHA384,
                "RS512" => &RSA_PKCS1_SHA512,
                "PS256" => &RSA_PSS_SHA256,
                "PS384" => &RSA_PSS_SHA384,
                "PS512" => &RSA_PSS_SHA512,
                _ => &RSA_PKCS1_SHA256,
            };
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &random, signed.as_bytes(), &mut signature).unwrap();
            signature
        };
        match &self.key {
            Private::Rsa(pair) => rsa(pair),
            Private::P256(pair) | Private::P384(pair) => {
                pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec()
            }
            Private::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        }
    }

    /// Signs a header and claims as they are written.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let alg = serde_json::from_str::<Value>(header).map(|h| h["alg"].as_str().unwrap_or("").to_owned());
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = self.raw(&alg.unwrap_or_default(), &signed);
        format!("{signed}.{}", b64(signature))
    }

    pub fn sign(&self, alg: &str, claims: &Value) -> String {
        self.sign_text(&json!({"alg": alg, "kid": self.kid, "typ": "JWT"}).to_string(), &claims.to_string())
    }
}

pub fn hs256(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", b64(header), b64(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", b64(tag))
}

/// Claims of a good ID token.
pub fn claims() -> Value {
    json!({
        "iss": STAFF, "sub": "248289761001", "aud": "vestibule", "exp": NOW.seconds() + 600, "iat": NOW.seconds() - 5,
        "email": "alice@clinic.example", "email_verified": true, "groups": ["care", "research"], "amr": ["pwd", "otp"],
        "jti": "id-1",
    })
}

pub fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

pub fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

#[derive(Default)]
pub struct Revoked {
    pub tokens: Mutex<BTreeSet<String>>,
    pub identities: Mutex<BTreeSet<String>>,
}

impl Revocations for Revoked {
    fn token(&self, id: &str) -> bool {
        self.tokens.lock().unwrap().contains(id)
    }
    fn identity(&self, id: &str) -> bool {
        self.identities.lock().unwrap().contains(id)
    }
}

pub const LIFE: TokenLife = TokenLife { ttl: Duration::from_secs(600), max_ttl: Duration::from_secs(3_600) };

/// A prover and the files it reads.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub revoked: Arc<Revoked>,
    pub prover: Prover,
}

impl Bench {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn keys(&self, name: &str, keys: &[Value]) {
        std::fs::write(self.path(name), json!({ "keys": keys }).to_string()).unwrap();
    }
}

/// `staff` (people) has these keys; `ci` (services) one of its own.
pub fn bench(staff: &[Value], ci: &[Value]) -> Bench {
    bench_with(staff, ci, |_| {})
}

pub fn bench_with(staff: &[Value], ci: &[Value], change: impl FnOnce(&mut Vec<IssuerConfig>)) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let mut issuers = Vec::new();
    for (name, url, keys) in
        [("staff", STAFF, staff), ("ci", "https://ci.example", ci), ("mesh", "spiffe://clinic.example", ci)]
    {
        let file = dir.path().join(format!("{name}.json"));
        std::fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
        let kind = if name == "staff" { "\"person\"" } else { "\"service\"" };
        issuers.push(IssuerConfig {
            client_id: (name == "staff").then(|| "vestibule-cli".into()),
            kind: serde_json::from_str(kind).unwrap(),
            algorithms: Algorithm::ALL.to_vec(),
            jwks_file: Some(file),
            ..IssuerConfig::new(name, url, "vestibule")
        });
    }
    change(&mut issuers);
    let revoked = Arc::new(Revoked::default());
    let keys = TokenKeys::from_pem(&TokenKeys::generate().unwrap()).unwrap();
    let prover = Prover::new(GATEWAY, keys, issuers, LIFE, Arc::clone(&revoked) as Arc<dyn Revocations>).unwrap();
    Bench { dir, revoked, prover }
}
