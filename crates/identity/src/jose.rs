//! The outer form of a token (RFC 7515 compact, RFC 7519) and the signature algorithms that may stand in it.
//!
//! Keys come from the configuration or from where it points to, never from a token: a header that brings or names a key
//! of its own is refused, as is one that asks for an extension (`crit`). Not here: whose keys (`jwks`), what the claims
//! mean (`claims`).

use crate::error::{ProofError, ProofKind};
use crate::json;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Longest token that is looked at. Tokens with hundreds of groups are about half as long.
pub(crate) const MAX_TOKEN: usize = 16 << 10;

/// A signature algorithm (RFC 7518, RFC 8037) that an issuer may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Those that an issuer may use if its configuration names none.
    pub const DEFAULT: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// Its registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name. Neither `none` nor a symmetric one has a place here. `Ed25519` is RFC 9864's name
    /// for what `EdDSA` means here.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Self::EdDsa),
            _ => Self::ALL.into_iter().find(|a| a.name() == name),
        }
    }
}

/// What the protected header says.
#[derive(Debug)]
pub(crate) struct Header {
    pub alg: Algorithm,
    pub kid: Option<String>,
    pub typ: Option<String>,
}

/// A token taken apart. Nothing in it is proven.
pub(crate) struct Parts<'t> {
    pub header: Header,
    pub claims: Map<String, Value>,
    /// What the signature is over.
    pub signed: &'t [u8],
    pub signature: Vec<u8>,
}

/// Takes a token apart.
pub(crate) fn parse(token: &str) -> Result<Parts<'_>, ProofError> {
    let malformed = |why: &str| ProofError::new(ProofKind::Malformed, why);
    if token.len() > MAX_TOKEN {
        return Err(malformed("the token is too long"));
    }
    let (signed, signature) = token.rsplit_once('.').ok_or_else(|| malformed("it is not a token"))?;
    let (header, payload) = signed.split_once('.').ok_or_else(|| malformed("it is not a token"))?;
    if payload.contains('.') {
        return Err(malformed("it is not a signed token; an encrypted one is of no use here"));
    }
    let header =
        decode(header).as_deref().and_then(json::object).ok_or_else(|| malformed("its header is no object"))?;
    let header = read_header(&header)?;
    let claims = decode(payload).as_deref().and_then(json::object);
    let claims = claims.ok_or_else(|| malformed("its claims are no object, or one of them stands there twice"))?;
    let signature = decode(signature).filter(|s| !s.is_empty()).ok_or_else(|| malformed("it has no signature"))?;
    Ok(Parts { header, claims, signed: signed.as_bytes(), signature })
}

/// Unpadded base64url, canonical: two spellings of one token would be two keys of the cache.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_header(header: &Map<String, Value>) -> Result<Header, ProofError> {
    if let Some(name) = ["crit", "b64", "zip", "enc"].into_iter().find(|n| header.contains_key(*n)) {
        return Err(ProofError::new(ProofKind::Malformed, format!("its header asks for an extension (`{name}`)")));
    }
    if let Some(name) = ["jku", "jwk", "x5u", "x5c"].into_iter().find(|n| header.contains_key(*n)) {
        return Err(ProofError::new(ProofKind::Key, format!("its header brings a key of its own (`{name}`)")));
    }
    Ok(Header { alg: algorithm(header)?, kid: text(header, "kid", 256)?, typ: text(header, "typ", 64)? })
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, ProofError> {
    let name = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    Algorithm::parse(name).ok_or_else(|| {
        let why = match name {
            "" => "it names no signature algorithm",
            _ if name.eq_ignore_ascii_case("none") => "it is unsigned (`alg` is `none`)",
            "HS256" | "HS384" | "HS512" => "its signature algorithm is symmetric, which is never allowed",
            _ => "its signature algorithm is not one that is supported",
        };
        ProofError::new(ProofKind::Algorithm, why)
    })
}

fn text(header: &Map<String, Value>, name: &str, longest: usize) -> Result<Option<String>, ProofError> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= longest => Ok(Some(text.clone())),
        Some(_) => Err(ProofError::new(ProofKind::Malformed, format!("`{name}` of its header is not a short text"))),
    }
}
