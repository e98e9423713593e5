//! What travels over the API, as JSON. The command line reads the same types.
//!
//! Not here: anything secret but [`TokenAnswer`], and no PHI: statements come with the literals of PHI columns
//! already masked.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /.well-known/vestibule`: what a client has to know before it can log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// The gateway's name: origin of its ledger.
    pub gateway: String,
    /// Version of the binary.
    pub version: String,
    /// Where tokens are exchanged.
    pub token_endpoint: String,
    /// Who can prove an identity here.
    pub issuers: Vec<IssuerView>,
}

/// An issuer, as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerView {
    /// Its name in the gateway's configuration.
    pub name: String,
    /// Its issuer URL.
    pub issuer: String,
    /// The public client to log in with; absent for issuers of workload tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Scopes to ask for.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// `POST /v1/token`: the answer of RFC 8693, section 2.2.1.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The token.
    pub access_token: String,
    /// Always `urn:ietf:params:oauth:token-type:access_token`.
    pub issued_token_type: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until it ends.
    pub expires_in: u64,
}

impl std::fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAnswer").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// `GET /v1/whoami`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whoami {
    /// `issuer|subject`.
    pub id: String,
    /// For display.
    pub name: String,
    /// `person`, `service` or `agent`.
    pub kind: String,
    /// Groups.
    pub groups: Vec<String>,
    /// What the groups allow at the API: `admin`, `auditor`, `operator`.
    pub roles: Vec<String>,
    /// When the proof ends, RFC 3339.
    pub expires: String,
    /// The one target the token is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_target: Option<String>,
}

/// A target, as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// Its name.
    pub name: String,
    /// The protocol's id.
    pub protocol: String,
    /// The protocol's title.
    pub title: String,
    /// Where clients connect: `host:port` of a listener.
    pub address: String,
    /// How a native client names the target.
    pub hint: String,
    /// Environment for a native client; templates with `{host}`, `{port}`, `{target}`, `{user}`, `{token}`, `{ca}`.
    pub client_env: Vec<(String, String)>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A request for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestView {
    /// `R-7`.
    pub number: String,
    /// `pending`, `approved`, `denied`, `expired`, `withdrawn`.
    pub state: String,
    /// Who asks: `issuer|subject`.
    pub requester: String,
    /// Who asks, for display.
    pub requester_name: String,
    /// The target.
    pub target: String,
    /// The operation's effect.
    pub effect: String,
    /// The protocol's word for it.
    pub action: String,
    /// The statement, without PHI literals.
    pub statement: String,
    /// PHI classes it touches.
    pub classes: Vec<String>,
    /// Why it is held.
    pub reason: String,
    /// Groups whose members may rule.
    pub approvers: Vec<String>,
    /// How many distinct people must say yes.
    pub quorum: u32,
    /// When it was asked, RFC 3339.
    pub asked: String,
    /// When the answer becomes no, RFC 3339.
    pub expires: String,
    /// The session that asks.
    pub sid: String,
    /// SHA-256 of exactly what would run, in hex.
    pub digest: String,
    /// Rulings so far.
    pub rulings: Vec<RulingView>,
}

/// A ruling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulingView {
    /// Who ruled: `issuer|subject`.
    pub by: String,
    /// Who ruled, for display.
    pub name: String,
    /// Yes or no.
    pub yes: bool,
    /// The words.
    pub reason: String,
    /// When, RFC 3339.
    pub at: String,
}

/// Body of `POST /v1/requests/{n}/approve` and `/deny`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulingBody {
    /// Why.
    pub reason: String,
}

/// What a ruling led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuledView {
    /// How the request stands.
    pub state: String,
    /// How many have said yes.
    pub yes: u32,
    /// How many must.
    pub quorum: u32,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id.
    pub sid: String,
    /// Who: `issuer|subject`.
    pub identity: String,
    /// Who, for display.
    pub name: String,
    /// `person`, `service` or `agent`.
    pub kind: String,
    /// The target.
    pub target: String,
    /// The protocol's id.
    pub protocol: String,
    /// From where.
    pub source: String,
    /// When it was opened, RFC 3339.
    pub opened: String,
    /// When it ended, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it is recorded.
    pub recorded: bool,
    /// Operations asked.
    pub operations: u64,
    /// Operations refused.
    pub refused: u64,
    /// Rows that reached the client.
    pub rows: u64,
    /// Values masked, per PHI class.
    pub masked: BTreeMap<String, u64>,
    /// Values revealed, per PHI class.
    pub revealed: BTreeMap<String, u64>,
}

/// Body of `POST /v1/revocations`, query of `DELETE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Whose access: `issuer|subject`.
    pub identity: String,
    /// Why.
    pub reason: String,
}

/// `POST /v1/revocations`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Whose access.
    pub identity: String,
    /// How many open sessions were ended.
    pub sessions: usize,
}

/// An identity whose access is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationView {
    /// `issuer|subject`.
    pub identity: String,
    /// When.
    pub at: String,
    /// By whom, as `issuer|subject`.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Query of `GET /v1/sessions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionQuery {
    /// Id or name of the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Open at or after this time: RFC 3339 or a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Opened before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Only open, or only ended ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// Most rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Query of `GET /v1/requests`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestQuery {
    /// Settled ones too.
    #[serde(default)]
    pub all: bool,
    /// Most rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One line of a replay, as NDJSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum ReplayLine {
    /// What the recording is of.
    Session(Box<SessionView>),
    /// A line that the client sent or saw.
    Line {
        /// Microseconds since the session began.
        at_us: u64,
        /// `client` or `target`.
        from: String,
        /// The text.
        text: String,
    },
    /// An operation and what was decided.
    Operation {
        /// Microseconds since the session began.
        at_us: u64,
        /// Its number in the session.
        op: u64,
        /// The text.
        text: String,
    },
    /// The recording ends here.
    End {
        /// Whether it is closed and whole; false while the session is live.
        complete: bool,
        /// In words, what is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
}

/// Body of `POST /v1/policy/explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainBody {
    /// The target.
    pub target: String,
    /// The statement.
    pub statement: String,
    /// Groups of the identity asked about; absent: the caller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Id of the identity asked about, as `issuer|subject`; absent: the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// Body of `POST /v1/evidence`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceBody {
    /// From this time on: RFC 3339 or a date.
    pub from: String,
    /// Up to and without this time.
    pub to: String,
}

/// One line of an export of evidence, as NDJSON: a piece of a file. Files come one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidencePiece {
    /// The file, relative to the evidence's folder, with `/` between names.
    pub file: String,
    /// The bytes in base64 (RFC 4648, section 4).
    pub data: String,
    /// Whether this is the file's last piece.
    pub last: bool,
    /// Whether this is the end of the export: no file, and everything was sent.
    #[serde(default)]
    pub end: bool,
}

/// An error, as RFC 9457 has it (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    /// A URI that names the kind of problem: `urn:vestibule:problem:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong in this case, and what to do.
    pub detail: String,
}
