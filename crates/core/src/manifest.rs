//! What a protocol says of itself. The console, `vestibule connect`, the configuration's schema and the reference
//! docs are drawn from it, so that nothing outside the protocol's folder has to name it.

/// How a protocol moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Framed duplex bytes.
    Stream,
    /// A request and a streamed response.
    Http,
    /// Terminated, multiplexed, interactive.
    Channels,
}

/// What policies may ask of a protocol. A policy that asks for more is refused at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Values can be masked.
    Mask,
    /// An operation can wait for a human while the client stays connected.
    Hold,
    /// The number of rows (records) can be limited.
    RowLimit,
    /// A line can be shown to the user.
    Message,
}

/// One protocol-specific key of a `[[target]]`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// What it means, with its unit and default.
    pub help: &'static str,
    /// Whether the gateway does not start without it.
    pub required: bool,
}

/// A protocol, described.
#[derive(Debug)]
pub struct Manifest {
    /// The id used in configuration: `postgres`.
    pub id: &'static str,
    /// For people: `PostgreSQL`.
    pub title: &'static str,
    /// The registered port.
    pub default_port: u16,
    /// How it moves.
    pub shape: Shape,
    /// What policies may ask of it.
    pub capabilities: &'static [Capability],
    /// Its own keys in a `[[target]]`.
    pub target_settings: &'static [Setting],
    /// How the client names a target, in one sentence.
    pub target_hint: &'static str,
    /// Environment for a native client, as `(variable, template)`; templates know `{host}`, `{port}`, `{target}`,
    /// `{user}`, `{token}` and `{ca}`.
    pub client_env: &'static [(&'static str, &'static str)],
    /// First bytes of a direct TLS handshake are accepted with this ALPN protocol.
    pub direct_tls_alpn: Option<&'static str>,
}
