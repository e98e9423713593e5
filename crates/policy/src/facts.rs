//! What a decision is made from.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use vestibule_core::{Capability, ClassSet, Identity, Operation, Timestamp};

/// What policies know of a target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TargetFacts {
    /// Its name in the configuration: `Target::"clinic"`.
    pub name: String,
    /// The id of its protocol.
    pub protocol: String,
    /// Whether it holds PHI.
    pub phi: bool,
    /// `normal` or `high`.
    pub risk: String,
    /// Its labels: `resource.getTag("env")`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What is to be decided.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub identity: &'a Identity,
    /// Of which target.
    pub target: &'a TargetFacts,
    /// What.
    pub operation: &'a Operation,
    /// The classes of PHI in what it touches.
    pub classes: ClassSet,
    /// When.
    pub now: Timestamp,
    /// From where.
    pub source: Option<IpAddr>,
    /// Whether those whom the policies' hold names have approved it.
    pub approved: bool,
}

/// A target as the loader knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTarget {
    /// What policies know of it.
    pub facts: TargetFacts,
    /// What its protocol is called: `PostgreSQL`.
    pub title: String,
    /// What its protocol can do.
    pub capabilities: Vec<Capability>,
}

/// What policies are checked against besides the schema. `None` where the caller does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The targets of the configuration.
    pub targets: Option<Vec<KnownTarget>>,
    /// The mask profiles of the data map, strictest first.
    pub profiles: Option<Vec<String>>,
    /// How long a held operation waits where its policy has no `@expires`, in seconds.
    pub default_expiry: u32,
}

impl Default for Known {
    fn default() -> Self {
        Self { targets: None, profiles: None, default_expiry: 900 }
    }
}
