//! From proof to identity.
//!
//! [`Prover`] is what the gateway asks: it accepts tokens of trusted issuers (OpenID Connect, and the workload tokens
//! of CI systems, Kubernetes and SPIFFE) and Vestibule's own short-lived ones, and exchanges the former for the latter
//! (RFC 8693). [`LoginClient`] is the other side, for the command line: authorization code with PKCE, device grant,
//! refresh.
//!
//! An [`Identity`](vestibule_core::Identity) is made nowhere else. Not here: what an identity may do (`policy`), HTTP
//! endpoints (`api`), where revocations are kept (`store`), and the clock: the time is an argument.

mod cache;
mod claims;
mod config;
mod error;
mod fetch;
mod jose;
mod json;
mod jwks;
mod keys;
mod login;
mod own;
mod prover;

pub use config::{IssuerConfig, check_jwks};
pub use error::{ProofError, ProofKind, SetupError};
pub use fetch::check_ca;
pub use jose::Algorithm;
pub use login::{CodeAnswer, CodeLogin, DeviceLogin, LoginClient, LoginError, LoginTokens, Loopback};
pub use own::TokenKeys;
pub use prover::{ExchangeRequest, Issued, Prover, Revocations, TokenLife};
