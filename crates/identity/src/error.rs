//! Why a proof was not accepted: one reason for the operator, one sentence for the client.

use thiserror::Error;

/// What every client is told whose identity could not be proven, whatever the reason: an answer that differs would
/// tell an attacker which part of a forged token was already right.
const PUBLIC: &str = "your identity could not be proven";

/// What kind of flaw it was. The name is the metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProofKind {
    /// It is not a signed token, or says something twice, or is too long.
    Malformed,
    /// Its signature algorithm is not allowed.
    Algorithm,
    /// No trusted key fits it.
    Key,
    /// The signature is wrong.
    Signature,
    /// Nobody trusted issued it.
    Issuer,
    /// It was made for somebody else.
    Audience,
    /// It has expired, is not valid yet, or is too old.
    Time,
    /// What it says of the actor is missing or unusable.
    Claims,
    /// It is good for another target only.
    Target,
    /// It, what it was made from, or the actor was revoked.
    Revoked,
    /// More was asked for than the token is good for.
    Widening,
    /// The issuer's keys are not known, because it cannot be reached.
    Unavailable,
    /// The gateway itself could not do its part.
    Internal,
}

impl ProofKind {
    /// The name used in metrics and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Time => "time",
            Self::Claims => "claims",
            Self::Target => "target",
            Self::Revoked => "revoked",
            Self::Widening => "widening",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// A proof that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct ProofError {
    /// What kind of flaw.
    pub kind: ProofKind,
    /// For the operator's log. Never holds a byte of the token or a claim's value.
    pub reason: String,
    /// For the client: the same for every flaw.
    pub public: &'static str,
}

impl ProofError {
    pub(crate) fn new(kind: ProofKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), public: PUBLIC }
    }

    /// The same, with whose token it was.
    pub(crate) fn of(self, issuer: &str) -> Self {
        Self { reason: format!("{issuer}: {}", self.reason), ..self }
    }
}

/// Why a prover cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SetupError(pub(crate) String);
