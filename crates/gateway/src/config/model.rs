//! What a configuration file comes to once it is resolved: typed, with absolute paths, nothing left to look up.
//!
//! Secrets are not here, only where they are.

use super::Layout;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vestibule_core::{Limits, Protocol};
use vestibule_identity::IssuerConfig;
use vestibule_phi::DataMap;
use vestibule_policy::PolicySet;
use vestibule_upstream::Target;

/// A configuration in force, or about to be.
#[derive(Clone)]
pub struct Resolved {
    /// The file it was read from.
    pub file: PathBuf,
    /// Origin of the ledger and issuer of tokens.
    pub name: String,
    /// The data directory.
    pub layout: Layout,
    /// At shutdown, how long sessions may take to end by themselves.
    pub drain: Duration,
    /// The HTTP API.
    pub api: ApiConfig,
    /// Who is trusted to prove identities.
    pub issuers: Vec<IssuerConfig>,
    /// Where native clients connect.
    pub listeners: Vec<ListenerConfig>,
    /// What they reach, by name.
    pub targets: BTreeMap<String, Arc<TargetConfig>>,
    /// The directory of the policies.
    pub policy_dir: PathBuf,
    /// The rules.
    pub policies: Arc<PolicySet>,
    /// The file of the data map.
    pub data_map_file: PathBuf,
    /// Which column is which class of PHI.
    pub data_map: Arc<DataMap>,
    /// The log.
    pub ledger: LedgerConfig,
    /// What is kept of sessions.
    pub recording: RecordingConfig,
    /// How long a request for approval waits if the policy does not say.
    pub approval_expiry: Duration,
    /// The tokens that the gateway issues.
    pub tokens: TokenConfig,
    /// The operator's log.
    pub log: LogConfig,
    pub(super) digest: String,
}

impl Resolved {
    /// SHA-256, in hex, over the configuration file, the policies and the data map: names this version of the rules
    /// on the ledger.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The target of that name, if it speaks the protocol `id`.
    #[must_use]
    pub fn target(&self, id: &str, name: &str) -> Option<&Arc<TargetConfig>> {
        self.targets.get(name).filter(|t| t.protocol.manifest().id == id)
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolved").field("file", &self.file).field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Certificate and key that clients see, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How clients reach it, without a slash at the end.
    pub url: String,
    /// What clients see.
    pub tls: TlsFiles,
    /// Groups that may see and end every session and explain policies for others.
    pub admins: Vec<String>,
    /// Groups that may list sessions, replay and export.
    pub auditors: Vec<String>,
    /// Groups that may list and end sessions.
    pub operators: Vec<String>,
    /// Whether `/metrics` needs no token.
    pub metrics_open: bool,
}

/// Where native clients connect.
#[derive(Clone)]
pub struct ListenerConfig {
    /// Its name.
    pub name: String,
    /// What is spoken there.
    pub protocol: &'static dyn Protocol,
    /// Where it listens.
    pub listen: SocketAddr,
    /// How clients reach it: `host:port`.
    pub address: String,
    /// What clients see.
    pub tls: TlsFiles,
    /// Whether clients may come without TLS.
    pub allow_cleartext: bool,
    /// Limits on messages.
    pub limits: Limits,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Time a client has to log in.
    pub login_timeout: Duration,
}

impl fmt::Debug for ListenerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol.manifest().id;
        f.debug_struct("ListenerConfig")
            .field("name", &self.name)
            .field("protocol", &protocol)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// How grave it is if something of a target gets out unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// As usual.
    Normal,
    /// What was disclosed is durable before the last byte is released.
    High,
}

impl Risk {
    /// The name used in configuration, policies and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// A system that people and jobs reach.
#[derive(Clone)]
pub struct TargetConfig {
    /// Address, account, where its secret is, TLS.
    pub upstream: Target,
    /// What it speaks.
    pub protocol: &'static dyn Protocol,
    /// How it proves itself, in the words of the configuration: `verify-full`, `verify-ca`, `disable`.
    pub tls_mode: &'static str,
    /// Whether it holds PHI.
    pub phi: bool,
    /// How grave a leak is.
    pub risk: Risk,
    /// Whether the entry of what was disclosed is durable before the last byte is released.
    pub durable_disclosure: bool,
    /// A session without traffic for so long is ended.
    pub idle_timeout: Duration,
    /// No session is longer.
    pub max_session: Duration,
    /// Facts that policies can ask for.
    pub labels: BTreeMap<String, String>,
}

impl fmt::Debug for TargetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetConfig").field("upstream", &self.upstream).field("phi", &self.phi).finish_non_exhaustive()
    }
}

/// The log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Whether every entry waits for stable storage; otherwise those that must (writes, holds, denials) still do.
    pub durable: bool,
    /// A checkpoint is signed at least this often.
    pub checkpoint: Duration,
}

/// What is kept of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingConfig {
    /// Whether sessions are recorded.
    pub on: bool,
    /// Size at which a chunk is closed, in bytes.
    pub chunk_bytes: usize,
    /// Age at which a chunk is closed.
    pub chunk_age: Duration,
}

/// The tokens that the gateway issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenConfig {
    /// How long a token is good by default.
    pub ttl: Duration,
    /// The longest a client may ask for.
    pub max_ttl: Duration,
}

/// The operator's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// JSON lines rather than text.
    pub json: bool,
    /// `error`, `warn`, `info` or `debug`.
    pub level: &'static str,
}
