//! An issuer's public keys (RFC 7517), and whether one of them made a signature.
//!
//! Of a key set only what can be used is kept: public signature keys of sufficient size. Symmetric keys, private keys,
//! encryption keys and curves that no allowed algorithm uses are left out.

use crate::error::{ProofError, ProofKind};
use crate::jose::{Algorithm, Parts, decode};
use crate::json;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Map, Value};

/// Most keys of one issuer: each with the right `kid` may be tried.
const MAX_KEYS: usize = 64;

/// The keys of one issuer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug, PartialEq, Eq)]
struct Key {
    kid: Option<String>,
    alg: Option<Algorithm>,
    material: Material,
}

#[derive(Debug, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl KeySet {
    /// Reads a key set. `svid`: a SPIFFE bundle, whose keys for tokens are marked `jwt-svid`.
    pub(crate) fn parse(bytes: &[u8], svid: bool) -> Result<Self, String> {
        let set = json::object(bytes).ok_or("it is not a JSON object")?;
        let Some(Value::Array(listed)) = set.get("keys") else {
            return Err("it has no list `keys`".into());
        };
        if listed.len() > MAX_KEYS {
            return Err(format!("it has more than {MAX_KEYS} keys"));
        }
        let keys: Vec<_> = listed.iter().filter_map(Value::as_object).filter_map(|key| usable(key, svid)).collect();
        if keys.is_empty() {
            return Err("it has no public signature key that can be used".into());
        }
        Ok(Self { keys })
    }

    /// Whether a key of that id is here. Without an id, any set of exactly one key will do.
    pub(crate) fn knows(&self, kid: Option<&str>) -> bool {
        match kid {
            Some(_) => self.keys.iter().any(|k| k.kid.as_deref() == kid),
            None => true,
        }
    }

    /// Whether one of these keys made the signature.
    pub(crate) fn verify(&self, token: &Parts<'_>) -> Result<(), ProofError> {
        let (alg, kid) = (token.header.alg, token.header.kid.as_deref());
        let named: Vec<_> = match kid {
            Some(_) => self.keys.iter().filter(|k| k.kid.as_deref() == kid).collect(),
            None if self.keys.len() == 1 => self.keys.iter().collect(),
            None => {
                return Err(ProofError::new(ProofKind::Key, "it names no key, and its issuer has several"));
            }
        };
        if named.is_empty() {
            return Err(ProofError::new(ProofKind::Key, "its key is none of its issuer's"));
        }
        let mut fitting = named.into_iter().filter(|k| k.fits(alg)).peekable();
        if fitting.peek().is_none() {
            return Err(ProofError::new(ProofKind::Key, "its key is not of the kind that its algorithm takes"));
        }
        if fitting.any(|key| key.made(alg, token.signed, &token.signature)) {
            return Ok(());
        }
        Err(ProofError::new(ProofKind::Signature, "its signature is wrong"))
    }
}

impl Key {
    fn fits(&self, alg: Algorithm) -> bool {
        let kind = match self.material {
            Material::Rsa { .. } => matches!(
                alg,
                Algorithm::Rs256
                    | Algorithm::Rs384
                    | Algorithm::Rs512
                    | Algorithm::Ps256
                    | Algorithm::Ps384
                    | Algorithm::Ps512
            ),
            Material::P256(_) => alg == Algorithm::Es256,
            Material::P384(_) => alg == Algorithm::Es384,
            Material::Ed25519(_) => alg == Algorithm::EdDsa,
        };
        kind && self.alg.is_none_or(|own| own == alg)
    }

    fn made(&self, alg: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let plain = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match &self.material {
            Material::P256(point) => plain(&ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => plain(&ECDSA_P384_SHA384_FIXED, point),
            Material::Ed25519(key) => plain(&ED25519, key),
            Material::Rsa { n, e } => rsa(alg).is_some_and(|parameters| {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }),
        }
    }
}

fn rsa(alg: Algorithm) -> Option<&'static RsaParameters> {
    match alg {
        Algorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => None,
    }
}

fn usable(key: &Map<String, Value>, svid: bool) -> Option<Key> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    // A private key in a public set is everybody's key.
    if key.contains_key("d") || key.contains_key("k") {
        return None;
    }
    let usage = match (key.get("use"), svid) {
        (None, false) => true,
        (Some(usage), true) => usage == "jwt-svid",
        (Some(usage), false) => usage == "sig",
        (None, true) => false,
    };
    let verifies = match key.get("key_ops") {
        None => true,
        Some(ops) => ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")),
    };
    if !usage || !verifies {
        return None;
    }
    let alg = match key.get("alg") {
        None => None,
        Some(alg) => Some(alg.as_str().and_then(Algorithm::parse)?),
    };
    let kid = match key.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?.to_owned()),
    };
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => rsa_material(&decode(text("n")?)?, &decode(text("e")?)?)?,
        ("EC", Some("P-256")) => Material::P256(point(&decode(text("x")?)?, &decode(text("y")?)?, 32)?),
        ("EC", Some("P-384")) => Material::P384(point(&decode(text("x")?)?, &decode(text("y")?)?, 48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(decode(text("x")?).filter(|x| x.len() == 32)?),
        _ => return None,
    };
    Some(Key { kid, alg, material })
}

fn rsa_material(n: &[u8], e: &[u8]) -> Option<Material> {
    let trimmed = |bytes: &[u8]| bytes.iter().copied().skip_while(|b| *b == 0).collect::<Vec<_>>();
    let (n, e) = (trimmed(n), trimmed(e));
    // 2048 to 8192 bits; what is shorter can be factored, what is longer is there to cost time.
    ((256..=1024).contains(&n.len()) && (1..=8).contains(&e.len())).then_some(Material::Rsa { n, e })
}

/// The uncompressed point (SEC 1, 2.3.3).
fn point(x: &[u8], y: &[u8], len: usize) -> Option<Vec<u8>> {
    if x.len() != len || y.len() != len {
        return None;
    }
    Some([&[4_u8], x, y].concat())
}
