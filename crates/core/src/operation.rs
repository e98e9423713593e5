//! What is asked.

use crate::Literal;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// The worst an operation can do, whatever verb was spelled. Ordered by harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Opens a session, a channel, a connection. Also session-local matters that touch no data.
    Open,
    /// Reads; cannot change the target.
    Read,
    /// Changes data.
    Write,
    /// Changes structure: tables, topics, indexes.
    Define,
    /// Runs code whose effect is not known from its text.
    Execute,
    /// Changes rights, settings, the server, or leaves it: grants, server files, programs.
    Administer,
}

impl Effect {
    /// The name used in policies and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Define => "define",
            Self::Execute => "execute",
            Self::Administer => "administer",
        }
    }
    /// Whether the target can be different afterwards. Such an operation waits for its durable entry.
    #[must_use]
    pub const fn changes_target(self) -> bool {
        !matches!(self, Self::Open | Self::Read)
    }
}

/// How a resource is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Its content flows out, or decides what flows out.
    Read,
    /// Its content changes.
    Write,
    /// It is created, altered or dropped.
    Define,
    /// It runs.
    Execute,
}

/// One thing an operation touches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// The protocol's word: `table`, `function`, `topic`, `path`.
    pub kind: Cow<'static, str>,
    /// Fully qualified, in the protocol's own spelling: `public.patient`.
    pub name: String,
    /// How it is touched.
    pub access: Access,
    /// Columns or fields touched; empty where unknown or not applicable. `*` stands for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

/// How well the interpreter understood the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "reading", content = "why")]
pub enum Reading {
    /// Everything it does is in the operation.
    Exact,
    /// Something in it is beyond the interpreter; the text says what.
    Partial(Cow<'static, str>),
    /// Not understood at all.
    Opaque,
}

/// Names of facts about an operation that a policy can ask for, common to several protocols.
pub mod traits {
    /// DELETE or UPDATE without a condition.
    pub const NO_WHERE: &str = "no-where";
    /// Moves data out in bulk.
    pub const BULK_EXPORT: &str = "bulk-export";
    /// Moves data in in bulk.
    pub const BULK_IMPORT: &str = "bulk-import";
    /// Runs text that is not in the operation.
    pub const DYNAMIC_CODE: &str = "dynamic-code";
    /// Touches the server's file system.
    pub const SERVER_FILE: &str = "server-file";
    /// Starts a program on the server.
    pub const SERVER_PROGRAM: &str = "server-program";
    /// Calls a function known to be dangerous.
    pub const DANGEROUS_FUNCTION: &str = "dangerous-function";
    /// Calls a function that is not known to be harmless.
    pub const UNKNOWN_FUNCTION: &str = "unknown-function";
    /// Destroys: DROP, TRUNCATE.
    pub const DESTRUCTIVE: &str = "destructive";
    /// Changes who may do what.
    pub const RIGHTS: &str = "rights";
    /// Changes a setting of the session or server.
    pub const SETTING: &str = "setting";
    /// Begins, ends or marks a transaction.
    pub const TRANSACTION: &str = "transaction";
    /// Only prepares: nothing is run yet.
    pub const PREPARE_ONLY: &str = "prepare-only";
    /// Reads the system catalog.
    pub const CATALOG: &str = "catalog";
    /// Changes data inside a statement that reads (data-modifying CTE, EXPLAIN ANALYZE of a write).
    pub const HIDDEN_WRITE: &str = "hidden-write";
    /// Takes explicit locks.
    pub const LOCK: &str = "lock";
    /// Writes what one column holds into another that stays: whoever may read the other would read the one.
    pub const LAUNDERS: &str = "launders";
    /// Gives something that holds data another name, or lets it be read under another's.
    pub const RENAMES: &str = "renames";
}

/// Facts about an operation, as sorted names (see [`traits`]).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpTraits(Vec<Cow<'static, str>>);

impl OpTraits {
    /// Adds a fact.
    pub fn insert(&mut self, name: &'static str) {
        if let Err(at) = self.0.binary_search_by(|have| have.as_ref().cmp(name)) {
            self.0.insert(at, Cow::Borrowed(name));
        }
    }
    /// Whether the fact holds.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.binary_search_by(|have| have.as_ref().cmp(name)).is_ok()
    }
    /// The names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// One thing a client asks of a target, read by an interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The worst it can do.
    pub effect: Effect,
    /// The protocol's own word: `SELECT`, `DELETE`, `Fetch`, `exec`.
    pub action: Cow<'static, str>,
    /// What it touches. Shared: one statement is asked many times.
    pub resources: Arc<[Resource]>,
    /// As the client wrote it.
    pub text: Option<Arc<str>>,
    /// Where the literals of `text` are, so that those of PHI columns are masked before it is stored.
    pub literals: Arc<[Literal]>,
    /// How well it was understood.
    pub reading: Reading,
    /// Facts a policy can name.
    pub traits: Arc<OpTraits>,
    /// Equal for operations that every policy must judge alike (same statement, other parameters), given the
    /// same target and identity; `None` where there is no such thing. Lets a decision be cached.
    pub shape: Option<[u8; 16]>,
}

impl Operation {
    /// An operation without resources or text: opening a session, for example.
    #[must_use]
    pub fn bare(effect: Effect, action: impl Into<Cow<'static, str>>) -> Self {
        Self {
            effect,
            action: action.into(),
            resources: Arc::from([]),
            text: None,
            literals: Arc::from([]),
            reading: Reading::Exact,
            traits: Arc::default(),
            shape: None,
        }
    }

    /// The text as it may be stored or shown to an approver: each literal that `is_phi` says belongs to a
    /// classified column, or whose column is unknown while `unknown_is_phi`, is replaced by `'…'`.
    #[must_use]
    pub fn redacted(&self, unknown_is_phi: bool, is_phi: impl Fn(&str, &str) -> bool) -> Option<String> {
        self.text.as_deref().map(|text| crate::redact_literals(text, &self.literals, unknown_is_phi, is_phi))
    }
}
