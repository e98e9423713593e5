//! The HTTP API: tokens, requests for approval, sessions, replay, evidence, health and metrics.
//!
//! Always over TLS. Every answer that is no success is `application/problem+json` (RFC 9457) and says what to do. What
//! people do here that an auditor must know of (rulings, ending a session, reading a recording, exporting evidence) is on
//! the ledger before it takes effect.
//!
//! Not here: what any of it means; this is a door.

mod caller;
mod problem;
mod routes;
mod server;
mod stream;
pub mod wire;

pub use server::{ServeError, Server};
