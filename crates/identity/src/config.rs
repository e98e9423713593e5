//! Who is trusted to prove identities, as the configuration says.

use crate::jose::Algorithm;
use crate::jwks::KeySet;
use std::path::PathBuf;
use std::time::Duration;
use vestibule_core::IdentityKind;

/// An identity provider or workload platform whose tokens are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerConfig {
    /// Its name in policies and records. Has no `|`.
    pub name: String,
    /// Its issuer URL, exactly as `iss` has it; `spiffe://trust-domain` for SPIFFE JWT-SVIDs.
    pub issuer: String,
    /// What `aud` must contain. Tokens made for `client_id` are accepted, too: that is our own client.
    pub audience: String,
    /// The public client that people log in with.
    pub client_id: Option<String>,
    /// Scopes to ask for at login; empty: those that carry what is used here, as far as the provider has them.
    pub scopes: Vec<String>,
    /// What its identities are.
    pub kind: IdentityKind,
    /// The signature algorithms it may use.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are, if not by discovery.
    pub jwks_file: Option<PathBuf>,
    /// Certificates that its web server's chain must end in, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The claim that holds the groups: a name, or a JSON pointer that begins with `/`.
    pub groups_claim: String,
    /// What is put before each group, so that groups of different issuers are not mixed up.
    pub groups_prefix: String,
    /// Claims that policies may ask for: names, or JSON pointers.
    pub claims: Vec<String>,
    /// Oldest token that is accepted, counted from its issue.
    pub max_age: Duration,
}

impl IssuerConfig {
    /// An issuer with everything else at its default.
    #[must_use]
    pub fn new(name: impl Into<String>, issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            issuer: issuer.into(),
            audience: audience.into(),
            client_id: None,
            scopes: Vec::new(),
            kind: IdentityKind::Person,
            algorithms: Algorithm::DEFAULT.to_vec(),
            jwks_file: None,
            ca_file: None,
            groups_claim: "groups".into(),
            groups_prefix: String::new(),
            claims: Vec::new(),
            max_age: Duration::from_secs(24 * 3_600),
        }
    }

    /// The trust domain with its scheme, if the issuer issues SPIFFE JWT-SVIDs.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&str> {
        self.issuer.starts_with("spiffe://").then_some(self.issuer.as_str())
    }
}

/// Whether `bytes` are a key set with at least one key that can be used. `spiffe`: the keys of a trust bundle.
///
/// # Errors
/// In words.
pub fn check_jwks(bytes: &[u8], spiffe: bool) -> Result<(), String> {
    KeySet::parse(bytes, spiffe).map(drop)
}
