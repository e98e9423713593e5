//! Vestibule's own tokens: short, signed with Ed25519, kept compact because people paste them where a password is asked.
//!
//! `docs/spec/tokens.md` has the form. Not here: who may have one (`prover`).

use crate::error::{ProofError, ProofKind, SetupError};
use crate::jose::{self, Algorithm, Header, Parts, encode};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vestibule_core::{Assurance, Identity, IdentityKind, Timestamp};
use zeroize::Zeroizing;

/// Type of our tokens (RFC 8725, 3.11): nothing else that is signed can be taken for one.
pub(crate) const TYP: &str = "vst+jwt";
/// Their audience: the gateway as a whole. A target restricts it further.
const AUDIENCE: &str = "vestibule";

/// The keys that sign and check Vestibule's tokens.
pub struct TokenKeys {
    signing: Ed25519KeyPair,
    kid: String,
    /// Every key that a token may still be signed with, the signing one first.
    known: Vec<(String, Vec<u8>)>,
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKeys").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl TokenKeys {
    /// A new key, as PKCS#8 in PEM.
    ///
    /// # Errors
    /// If the system has no random bytes to give.
    pub fn generate() -> Result<Zeroizing<String>, SetupError> {
        let key = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1());
        let key = key.map_err(|_| SetupError("the system gave no random bytes".into()))?;
        let body = Zeroizing::new(STANDARD.encode(key.as_ref()));
        Ok(Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", body.as_str())))
    }

    /// Reads keys in PEM. The first signs; tokens of the others are still accepted, so that a key can be replaced by
    /// putting a new one before it.
    ///
    /// # Errors
    /// In words; never the content.
    pub fn from_pem(pem: &str) -> Result<Self, SetupError> {
        let mut pairs = Vec::new();
        for key in PrivatePkcs8KeyDer::pem_slice_iter(pem.as_bytes()) {
            let key = key.map_err(|_| SetupError("the token key is not PEM".into()))?;
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der());
            pairs.push(pair.map_err(|_| SetupError("the token key is not an Ed25519 key in PKCS#8".into()))?);
        }
        let known = pairs.iter().map(|pair| (key_id(pair), pair.public_key().as_ref().to_vec())).collect();
        let signing = pairs.into_iter().next();
        let signing = signing.ok_or_else(|| SetupError("there is no token key in the file".into()))?;
        Ok(Self { kid: key_id(&signing), signing, known })
    }

    /// The public keys as a key set (RFC 7517), for others who want to check our tokens.
    #[must_use]
    pub fn public(&self) -> Value {
        let keys: Vec<_> = self.known.iter().map(|(kid, key)| {
            json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": encode(key)})
        }).collect();
        json!({ "keys": keys })
    }

    pub(crate) fn sign(&self, claims: &OwnClaims) -> Result<Zeroizing<String>, ProofError> {
        let internal = || ProofError::new(ProofKind::Internal, "a token could not be written");
        let header = json!({"typ": TYP, "alg": Algorithm::EdDsa.name(), "kid": self.kid});
        let claims = Zeroizing::new(serde_json::to_vec(claims).map_err(|_| internal())?);
        let signed = Zeroizing::new(format!("{}.{}", encode(header.to_string()), encode(&*claims)));
        let signature = self.signing.try_sign(signed.as_bytes()).map_err(|_| internal())?;
        let token = Zeroizing::new(format!("{}.{}", signed.as_str(), encode(signature)));
        // What could not be read again must not be handed out.
        if token.len() > jose::MAX_TOKEN {
            return Err(ProofError::new(ProofKind::Claims, "its groups and claims are too many for a token"));
        }
        Ok(token)
    }

    fn verify(&self, token: &Parts<'_>) -> Result<(), ProofError> {
        if token.header.alg != Algorithm::EdDsa {
            return Err(ProofError::new(ProofKind::Algorithm, "a Vestibule token is signed with EdDSA only"));
        }
        let known = self.known.iter().find(|(kid, _)| token.header.kid.as_ref() == Some(kid));
        let (_, key) =
            known.ok_or_else(|| ProofError::new(ProofKind::Key, "it was signed with a key that is not ours"))?;
        UnparsedPublicKey::new(&ED25519, key)
            .verify(token.signed, &token.signature)
            .map_err(|_| ProofError::new(ProofKind::Signature, "its signature is wrong"))
    }
}

/// The beginning of the key's digest: enough to tell our keys apart, short for the token's sake.
fn key_id(pair: &Ed25519KeyPair) -> String {
    encode(digest(&SHA256, pair.public_key().as_ref()).as_ref().get(..6).unwrap_or_default())
}

/// Whether a token says of itself that it is ours.
pub(crate) fn is_ours(header: &Header) -> bool {
    header.typ.as_deref() == Some(TYP)
}

/// What a token carries. Names are RFC 7519's and OpenID Connect's where there is one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnClaims {
    iss: String,
    aud: String,
    /// `issuer|subject`.
    sub: String,
    exp: i64,
    iat: i64,
    jti: String,
    name: String,
    kind: IdentityKind,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    groups: BTreeSet<String>,
    /// The one target it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tgt: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    amr: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    /// On whose behalf, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    obo: Vec<String>,
    /// Claims of the issuer that policies may ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    clm: BTreeMap<String, String>,
    /// The tokens it was made from, nearest first: to revoke one is to revoke this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    from: Vec<String>,
}

/// A token of ours, proven.
#[derive(Debug)]
pub(crate) struct Verified {
    pub identity: Identity,
    /// The tokens it was made from, nearest first.
    pub from: Vec<String>,
}

impl OwnClaims {
    pub(crate) fn new(gateway: &str, verified: &Verified, now: Timestamp) -> Self {
        let Verified { identity: i, from } = verified;
        Self {
            iss: gateway.to_owned(),
            aud: AUDIENCE.into(),
            sub: i.id(),
            exp: i.expires.seconds(),
            iat: now.seconds(),
            jti: i.token_id.clone(),
            name: i.name.clone(),
            kind: i.kind,
            groups: i.groups.clone(),
            tgt: i.only_target.clone(),
            amr: i.assurance.amr.clone(),
            acr: i.assurance.acr.clone(),
            auth_time: i.assurance.auth_time,
            obo: i.acting_for.clone(),
            clm: i.claims.clone(),
            from: from.clone(),
        }
    }

    fn into_verified(self) -> Option<Verified> {
        // The issuer's name has no `|`; a subject may.
        let (issuer, subject) = self.sub.split_once('|')?;
        let identity = Identity {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            name: self.name,
            kind: self.kind,
            groups: self.groups,
            assurance: Assurance { amr: self.amr, acr: self.acr, auth_time: self.auth_time },
            acting_for: self.obo,
            claims: self.clm,
            token_id: self.jti,
            only_target: self.tgt,
            expires: Timestamp::from_seconds(self.exp),
        };
        Some(Verified { identity, from: self.from })
    }
}

/// Reads a token of ours. Its expiry and revocation are for the caller, each time it is used.
pub(crate) fn read(keys: &TokenKeys, gateway: &str, token: Parts<'_>) -> Result<Verified, ProofError> {
    keys.verify(&token)?;
    let bad = |kind, why: &str| Err(ProofError::new(kind, why));
    let claims: Map<String, Value> = token.claims;
    let Ok(claims) = serde_json::from_value::<OwnClaims>(Value::Object(claims)) else {
        return bad(ProofKind::Claims, "its claims are not those of a Vestibule token of this version");
    };
    if claims.iss != gateway {
        return bad(ProofKind::Issuer, "another gateway issued it");
    }
    if claims.aud != AUDIENCE {
        return bad(ProofKind::Audience, "it was made for somebody else (`aud`)");
    }
    claims.into_verified().map_or_else(|| bad(ProofKind::Claims, "its `sub` names no issuer"), Ok)
}
