//! The way to a target: its address, its credential, TLS, and the gateway's login there.
//!
//! Credentials stay in this room: they are read from their source at each login, handed to the protocol's
//! [`TargetLogin`](vestibule_core::TargetLogin) and zeroed after it. Not here: what is said after the login.

mod binding;
mod dial;
mod target;
mod transport;

pub use dial::{DialError, Upstream, cancel, connect};
pub use target::{CredentialSource, Target, TargetTls, TlsMode, TlsProblem};
pub use transport::Transport;
