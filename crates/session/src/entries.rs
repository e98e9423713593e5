//! The bodies of a session's ledger entries. Their form is `docs/spec/ledger.md`'s; nothing in them is PHI.

use serde::Serialize;
use std::collections::BTreeMap;
use vestibule_approval::Approver;
use vestibule_core::{Assurance, ClassSet, Disclosure, Identity, IdentityKind, OpId, PhiClass, Reading, Resource};

/// Who, as an entry names them.
#[derive(Serialize)]
pub(crate) struct Who<'a> {
    pub id: String,
    pub name: &'a str,
    pub kind: IdentityKind,
    pub issuer: &'a str,
    pub groups: &'a std::collections::BTreeSet<String>,
    pub acting_for: &'a [String],
    pub assurance: &'a Assurance,
    pub token_id: &'a str,
}

impl<'a> Who<'a> {
    pub fn of(identity: &'a Identity) -> Self {
        Self {
            id: identity.id(),
            name: &identity.name,
            kind: identity.kind,
            issuer: &identity.issuer,
            groups: &identity.groups,
            acting_for: &identity.acting_for,
            assurance: &identity.assurance,
            token_id: &identity.token_id,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Opened<'a> {
    pub identity: Who<'a>,
    pub target: &'a str,
    pub protocol: &'a str,
    pub source: String,
    pub client: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<&'a str>,
    pub policy_version: &'a str,
    pub recorded: bool,
}

#[derive(Serialize)]
pub(crate) struct SessionRefused<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Who<'a>>,
    pub target: &'a str,
    pub protocol: &'a str,
    pub source: String,
    pub kind: &'a str,
    pub rule: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Ruled<'a> {
    pub op: OpId,
    pub effect: &'a str,
    pub action: &'a str,
    pub resources: &'a [Resource],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<&'a str>,
    pub classes: ClassSet,
    pub traits: Vec<&'a str>,
    #[serde(flatten)]
    pub reading: &'a Reading,
    pub decision: &'a str,
    pub policies: &'a [String],
    pub policy_version: &'a str,
    #[serde(skip_serializing_if = "ClassSet::is_empty_ref")]
    pub reveal: ClassSet,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<&'a Approved>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<&'a str>,
}

/// The approval under which an operation runs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Approved {
    pub number: vestibule_approval::Number,
    pub approvers: Vec<Approver>,
}

#[derive(Serialize)]
pub(crate) struct Done<'a> {
    pub op: OpId,
    pub rows: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<u64>,
    pub bytes: u64,
    pub masked: &'a BTreeMap<PhiClass, u64>,
    pub revealed: &'a BTreeMap<PhiClass, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<&'a str>,
    pub us: u64,
}

impl<'a> Done<'a> {
    pub fn of(op: OpId, disclosed: &'a Disclosure, us: u64) -> Self {
        Self {
            op,
            rows: disclosed.rows,
            withheld: (disclosed.withheld > 0).then_some(disclosed.withheld),
            bytes: disclosed.bytes,
            masked: &disclosed.masked,
            revealed: &disclosed.revealed,
            error: disclosed.error.as_deref(),
            tag: disclosed.tag.as_deref(),
            us,
        }
    }
}

/// A chunk of the session's recording that is on storage.
#[derive(Serialize)]
pub(crate) struct Chunk<'a> {
    pub recording: &'a str,
    pub seq: u64,
    pub sha256: &'a str,
    pub bytes: u64,
    pub from_us: u64,
    pub to_us: u64,
    pub prev: &'a str,
}

impl<'a> Chunk<'a> {
    pub fn of(sid: &'a str, sealed: &'a vestibule_record::Sealed) -> Self {
        Self {
            recording: sid,
            seq: sealed.number,
            sha256: &sealed.sha256,
            bytes: sealed.bytes,
            from_us: sealed.from_us,
            to_us: sealed.to_us,
            prev: &sealed.previous,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Closed<'a> {
    pub reason: &'a str,
    pub ops: u64,
    pub n: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<&'a str>,
}
