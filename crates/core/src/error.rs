//! The three ways something goes wrong, kept apart because three different people must act on them.

use std::borrow::Cow;
use std::fmt;
use thiserror::Error;

/// The peer's fault: bytes that break the protocol. Ends the session.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// The bytes are not what the protocol allows here.
    #[error("malformed {protocol} message: {what}")]
    Malformed {
        /// The protocol's id.
        protocol: &'static str,
        /// What is wrong, without any of the bytes.
        what: Cow<'static, str>,
    },
    /// A frame is longer than the configured limit.
    #[error(
        "message of {size} bytes is over the limit of {limit}; raise `max_message_bytes` of the listener if it is meant"
    )]
    TooLarge {
        /// What the peer announced.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The bytes would lead to where the interpreter cannot see.
    #[error("{0} is not allowed through the gateway, which could not see inside it")]
    Escape(Cow<'static, str>),
    /// The peer stopped in the middle of a message.
    #[error("the connection ended inside a message")]
    Truncated,
}

/// What kind of no it is. Protocols map it to their own codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// A policy forbids it, or none permits it.
    Policy,
    /// A human said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The client withdrew it.
    Cancelled,
    /// Who asks could not be proven, or no longer is.
    Identity,
    /// It could not be recorded, so it does not run.
    Unrecorded,
    /// It could not be understood, or its result not masked.
    NotUnderstood,
    /// The target cannot be reached or used.
    Target,
}

impl RefusalKind {
    /// The name used in records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Identity => "identity",
            Self::Unrecorded => "unrecorded",
            Self::NotUnderstood => "not-understood",
            Self::Target => "target",
        }
    }
}

/// Policy's word, shown to the user in the protocol's own error frame. Holds no PHI and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of no it is.
    pub kind: RefusalKind,
    /// What was refused and by which rule.
    pub message: String,
    /// What to do next; may be empty.
    pub remedy: String,
}

impl Refusal {
    /// A refusal in plain words.
    #[must_use]
    pub fn new(kind: RefusalKind, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, message: message.into(), remedy: remedy.into() }
    }
}

/// Whose part of the house failed; the label of the fault metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The ledger could not write.
    Ledger,
    /// The recorder could not write.
    Record,
    /// The state store failed.
    Store,
    /// The target could not be reached or refused the gateway's credential.
    Upstream,
    /// An identity provider could not be reached.
    Issuer,
    /// Something that cannot be, was.
    Internal,
}

impl FaultKind {
    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Record => "record",
            Self::Store => "store",
            Self::Upstream => "upstream",
            Self::Issuer => "issuer",
            Self::Internal => "internal",
        }
    }
}

/// Our fault. Logged once, where it is handled; the client is told only the kind.
#[derive(Debug)]
pub struct Fault {
    /// Whose part failed.
    pub kind: FaultKind,
    /// What failed, for the operator. No secrets, no PHI.
    pub what: String,
}

impl Fault {
    /// A fault in words for the operator.
    #[must_use]
    pub fn new(kind: FaultKind, what: impl fmt::Display) -> Self {
        Self { kind, what: what.to_string() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.what)
    }
}

impl std::error::Error for Fault {}
