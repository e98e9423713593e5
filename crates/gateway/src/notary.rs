//! The ledger's journal, as approvals need it.

use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use vestibule_approval::{Notary, NotaryError};
use vestibule_ledger::Journal;

/// Writes the entries of approvals to the gateway's own chain.
pub(crate) struct LedgerNotary(pub Journal);

impl Notary for LedgerNotary {
    fn note(
        &self,
        kind: &'static str,
        body: Value,
    ) -> Pin<Box<dyn Future<Output = Result<(), NotaryError>> + Send + '_>> {
        Box::pin(
            async move { self.0.note(kind, &body).await.map(drop).map_err(|error| NotaryError(error.to_string())) },
        )
    }
}
