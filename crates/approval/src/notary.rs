//! Where a ruling is written down before it takes effect.

use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use thiserror::Error;

/// The ledger did not take it. Holds the ledger's words, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NotaryError(pub String);

/// What [`Approvals`](crate::Approvals) needs of the ledger. The one in production is
/// `vestibule_ledger::Journal`; tests have one that fails on demand.
pub trait Notary: Send + Sync {
    /// Writes an entry of `kind` and returns once it is durable.
    ///
    /// # Errors
    /// It is not durable: whatever it says must not happen.
    fn note(
        &self,
        kind: &'static str,
        body: Value,
    ) -> Pin<Box<dyn Future<Output = Result<(), NotaryError>> + Send + '_>>;
}
