//! Who asks.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What kind of actor stands behind an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityKind {
    /// A human, proven by an identity provider.
    Person,
    /// A job or service, proven by a workload token.
    Service,
    /// An AI agent, proven by a workload token or acting for a person.
    Agent,
}

/// How strongly, and when, the identity was proven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assurance {
    /// Authentication methods as the issuer named them (RFC 8176 `amr`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// Authentication context class (`acr`), if the issuer gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// When the actor authenticated at the issuer (`auth_time`, POSIX seconds).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
}

/// A proven actor. Built only by the identity room, from a verified token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The issuer's name in the configuration, not its URL.
    pub issuer: String,
    /// The issuer's stable identifier of the actor (`sub`).
    pub subject: String,
    /// What people call the actor: e-mail, user name, workload name. For display; never decides.
    pub name: String,
    /// Person, service or agent.
    pub kind: IdentityKind,
    /// Groups, after the issuer's mapping.
    pub groups: BTreeSet<String>,
    /// How it was proven.
    #[serde(default)]
    pub assurance: Assurance,
    /// On whose behalf the actor acts (RFC 8693 `act`), nearest first, as `issuer|subject`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acting_for: Vec<String>,
    /// Claims that the configuration selected for use in policies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
    /// The token's identifier, so that it can be revoked and found in the ledger. Not the token.
    pub token_id: String,
    /// The one target the token is good for, if it was so restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_target: Option<String>,
    /// When the proof ends, and with it the session.
    pub expires: Timestamp,
}

impl Identity {
    /// The identity as one string, unique over all issuers: `issuer|subject`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}|{}", self.issuer, self.subject)
    }
}
