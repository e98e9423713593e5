//! What a protocol must offer, besides its interpreter: the two logins, the crawl of the target's catalog, and the
//! transcript for replay. All of it without I/O.

use crate::{Interpreter, Manifest, Operation, Refusal, Secret, Side, WireError};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Random bytes handed in by the driver, fresh for every use.
pub type Nonce = [u8; 32];

/// Limits a conversation must keep.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest message before login, in bytes.
    pub max_login_bytes: usize,
    /// Longest message after login, in bytes.
    pub max_message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_login_bytes: 64 << 10, max_message_bytes: 64 << 20 }
    }
}

/// What the client chose and claimed in its login.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// The target's name, in the client's own words (for PostgreSQL: the database).
    pub target: String,
    /// The user name the client gave. Never trusted; recorded.
    pub user: String,
    /// Session parameters to repeat towards the target, already filtered by the protocol.
    pub parameters: BTreeMap<String, String>,
}

/// What a greeting asks of the driver.
#[derive(Debug)]
pub enum Greet {
    /// Write these bytes to the client.
    Write(Vec<u8>),
    /// Go on inside TLS, with the listener's certificate. Bytes consumed so far are in the clear; none may follow.
    StartTls,
    /// Judge this proof; [`Greeting::proven`] follows. `token` is whatever the client passed for a password.
    Prove {
        /// Target and parameters.
        chosen: Chosen,
        /// A Vestibule token, or a token of a trusted issuer.
        token: Secret,
    },
    /// A request to cancel what another session runs, with the key that session was given. Answer: close.
    Cancel(Vec<u8>),
    /// The client went away.
    Goodbye,
}

/// What the client is told when the login is complete.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// What the target told the gateway at its own login.
    pub established: Arc<Established>,
    /// The key with which this client may ask to cancel, made by the gateway, never the target's.
    pub cancel_key: Vec<u8>,
}

/// The conversation with the client before its first operation.
pub trait Greeting: Send {
    /// Reads the client's bytes; returns how many are consumed. `tls` says whether they came inside TLS.
    ///
    /// # Errors
    /// [`WireError`] ends the connection.
    fn receive(&mut self, bytes: &[u8], tls: bool, out: &mut Vec<Greet>) -> Result<usize, WireError>;

    /// The answer to [`Greet::Prove`]: writes the end of the login, or the refusal, into `reply`.
    /// After `Ok` the connection belongs to the interpreter; after `Err` it is closed.
    fn proven(&mut self, verdict: Result<&Welcome, &Refusal>, reply: &mut Vec<u8>);
}

/// A credential for the target. The client never sees it.
#[derive(Debug, Clone)]
pub enum Credential {
    /// No secret: the target trusts the gateway, for example by its client certificate in TLS.
    None,
    /// A password.
    Password(Secret),
}

/// What a target login asks of the driver.
#[derive(Debug)]
pub enum Login {
    /// Write these bytes to the target.
    Write(Vec<u8>),
    /// Go on inside TLS.
    StartTls,
    /// Done.
    Ready(Established),
}

/// A session with the target.
#[derive(Clone, Default)]
pub struct Established {
    /// What the target said of itself (for PostgreSQL: ParameterStatus).
    pub parameters: BTreeMap<String, String>,
    /// The target's own cancel key: never shown to a client.
    pub cancel_key: Vec<u8>,
    /// Minor protocol version or the like, where the two sides must agree on it.
    pub version: u32,
}

impl fmt::Debug for Established {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Established").field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

/// The gateway's own login at the target.
pub trait TargetLogin: Send {
    /// The first bytes.
    fn start(&mut self, out: &mut Vec<Login>);

    /// TLS is up, as [`Login::StartTls`] asked. `binding` is the `tls-server-end-point` channel binding data of the
    /// target's certificate (RFC 5929), where its hash is defined.
    fn secured(&mut self, binding: Option<Vec<u8>>, out: &mut Vec<Login>);

    /// Reads the target's bytes; returns how many are consumed.
    ///
    /// # Errors
    /// A [`Refusal`] of kind `Target`, in words that carry no secret.
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<Login>) -> Result<usize, Refusal>;
}

/// What a target is made of, at one moment. Only its own protocol can look inside.
#[derive(Clone)]
pub struct Snapshot {
    /// Grows with every crawl of this target.
    pub version: u64,
    /// SHA-256 of the content, in hex.
    pub digest: Arc<str>,
    /// The protocol's own type.
    pub content: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("version", &self.version).field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Reads the target's catalog over a session of the gateway's own.
pub trait Crawl: Send {
    /// The first bytes to send.
    fn start(&mut self, out: &mut Vec<u8>);
    /// Reads the target's bytes; returns how many are consumed, and the content (with its digest in hex) once it is
    /// complete. Appends to `out` what is to be sent next.
    ///
    /// # Errors
    /// A [`Refusal`] of kind `Target` if the target answers with an error or something else than expected.
    #[expect(clippy::type_complexity, reason = "one use, and its parts are named above")]
    fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<(Arc<dyn Any + Send + Sync>, String)>), Refusal>;
}

/// What an interpreter is opened with.
#[derive(Debug, Clone)]
pub struct OpenSession {
    /// What the client chose.
    pub chosen: Chosen,
    /// What the target said.
    pub established: Arc<Established>,
    /// The catalog; `None` for protocols without one.
    pub catalog: Option<Snapshot>,
    /// Limits on messages.
    pub limits: Limits,
    /// Whether the target holds PHI: what is not understood is then refused by the guard, and what is not known
    /// to be clean is masked.
    pub phi: bool,
}

/// One line of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptLine {
    /// For people, without line ends.
    pub text: String,
}

/// Turns the recorded (masked) bytes that a client received into what a person reads.
pub trait Transcript: Send {
    /// Reads recorded bytes in order, as they were written to the side `to`; a frame may span calls.
    fn read(&mut self, to: Side, bytes: &[u8], out: &mut Vec<TranscriptLine>);
}

/// A protocol.
pub trait Protocol: Send + Sync + 'static {
    /// What it says of itself.
    fn manifest(&self) -> &'static Manifest;

    /// The conversation with a new client. `nonce` is fresh.
    fn greet(&self, limits: Limits, nonce: Nonce) -> Box<dyn Greeting>;

    /// The gateway's login at the target.
    fn login(&self, login: LoginRequest) -> Box<dyn TargetLogin>;

    /// The conversation that, on a new connection to the target, cancels what `established` runs. It ends with
    /// [`Login::Ready`]; nothing is to be read after it. `tls`: ask for TLS and accept nothing less.
    fn cancel(&self, established: &Established, tls: bool) -> Box<dyn TargetLogin>;

    /// The crawl of the catalog, for protocols that need one.
    fn crawl(&self) -> Option<Box<dyn Crawl>>;

    /// The interpreter for a session after both logins.
    fn open(&self, session: OpenSession) -> Box<dyn Interpreter>;

    /// For replay.
    fn transcript(&self) -> Box<dyn Transcript>;

    /// What a statement asks, without running it: for `policy explain` and `policy test`.
    ///
    /// # Errors
    /// A [`Refusal`] of kind `NotUnderstood` where the text is no statement, or the protocol knows none.
    fn read(&self, statement: &str, session: &OpenSession) -> Result<Vec<Operation>, Refusal> {
        let _ = (statement, session);
        let what = format!("{} has no statements that can be read by themselves", self.manifest().title);
        Err(Refusal::new(crate::RefusalKind::NotUnderstood, what, ""))
    }
}

/// How to log in at a target.
#[derive(Debug, Clone)]
pub struct LoginRequest {
    /// The account at the target.
    pub user: String,
    /// Its secret.
    pub credential: Credential,
    /// Protocol-specific settings of the target (see [`Manifest::target_settings`]).
    pub settings: BTreeMap<String, String>,
    /// Session parameters from the client, already filtered.
    pub parameters: BTreeMap<String, String>,
    /// Whether TLS is required.
    pub tls: bool,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// Limits.
    pub limits: Limits,
}
