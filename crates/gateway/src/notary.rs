//! The ledger's journal, as approvals need it; what becomes of requests is counted on the way.

use crate::metrics::Metrics;
use serde_json::Value;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use vestibule_approval::{Notary, NotaryError};
use vestibule_ledger::Journal;

/// Writes the entries of approvals to the gateway's own chain.
pub(crate) struct LedgerNotary {
    journal: Journal,
    metrics: Arc<Metrics>,
    /// The requests that wait, by number, and since when. Their number is bounded where they are asked.
    waiting: Mutex<HashMap<String, Instant>>,
}

impl LedgerNotary {
    pub fn new(journal: Journal, metrics: Arc<Metrics>) -> Self {
        Self { journal, metrics, waiting: Mutex::default() }
    }

    /// Counts what an entry that is on the ledger now says.
    fn count(&self, kind: &str, body: &Value) {
        let Some(number) = body.get("number").and_then(Value::as_str) else { return };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if kind == "approval.requested" {
            waiting.insert(number.to_owned(), Instant::now());
        } else if let Some(outcome) = outcome(kind, body) {
            // A request of the last run has not waited in this one.
            let waited = waiting.remove(number).map(|since| since.elapsed()).unwrap_or_default();
            self.metrics.approval_settled(outcome, waited);
        }
        self.metrics.approvals_waiting(waiting.len());
    }
}

/// How an entry settles its request; `None`: it goes on waiting.
fn outcome(kind: &str, body: &Value) -> Option<&'static str> {
    match kind {
        "approval.granted" if body.get("state").and_then(Value::as_str) == Some("approved") => Some("approved"),
        "approval.denied" => Some("denied"),
        "approval.expired" => Some("expired"),
        "approval.withdrawn" => Some("withdrawn"),
        _ => None,
    }
}

impl Notary for LedgerNotary {
    fn note(
        &self,
        kind: &'static str,
        body: Value,
    ) -> Pin<Box<dyn Future<Output = Result<(), NotaryError>> + Send + '_>> {
        Box::pin(async move {
            self.journal.note(kind, &body).await.map_err(|error| NotaryError(error.to_string()))?;
            self.count(kind, &body);
            Ok(())
        })
    }
}
