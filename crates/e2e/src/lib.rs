//! Real servers, real clients: what proves the gateway from outside.
//!
//! Here: PostgreSQL servers started on free loopback ports ([`postgres`]), the certificates they need ([`tls`]),
//! processes that cannot outlive us ([`guarded`]), conversations held by unmodified clients ([`talk`]), and the gateway
//! itself ([`gateway`]) with somebody who proves identities ([`issuer`]).
//!
//! Not here: anything of the gateway itself. This crate knows it as a program with a command line and a port, as a
//! user does, so that a test cannot pass by agreeing with the code it tests.

pub mod cache;
pub mod gateway;
pub mod guarded;
pub mod issuer;
pub mod postgres;
pub mod run;
pub mod talk;
pub mod temp;
pub mod tls;

use std::fmt;

/// What went wrong, in words a person can act on.
#[derive(Debug, Clone)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// The result of everything here.
pub type Outcome<T> = Result<T, Failure>;

/// Says what was being done when something failed.
pub trait Doing<T> {
    /// `what` is a phrase such as `cannot read /etc/hosts`.
    ///
    /// # Errors
    /// The error it was called on, with the phrase before it.
    fn doing(self, what: impl fmt::Display) -> Outcome<T>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{what}: {error}")))
    }
}

/// A [`Failure`] from words.
pub fn failure(words: impl Into<String>) -> Failure {
    Failure(words.into())
}
