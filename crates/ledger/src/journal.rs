//! The gateway's own chain: what belongs to no session. One a ledger; clones write to the same chain.

use crate::error::LedgerError;
use crate::log::{Clock, Ledger, OpenSession, Receipt};
use crate::{SessionChain, lock};
use serde::Serialize;
use std::sync::{Arc, Mutex};

/// Writes entries of the gateway's own chain.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Ledger,
    now: Clock,
    chain: Mutex<SessionChain>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("ledger", &self.inner.ledger).finish_non_exhaustive()
    }
}

/// The body of `session.abandoned`.
#[derive(Serialize)]
struct Abandoned<'a> {
    reason: &'a str,
    /// Entries of the session, this one included.
    n: u64,
    /// Operations that were permitted and of which nothing is known since.
    extent_unknown: &'a [u64],
}

impl Journal {
    /// The journal of a ledger, going on with the chain that [`Recovery::gateway`](crate::Recovery::gateway) names.
    /// Make one only: two would write two chains that claim to be one.
    #[must_use]
    pub fn new(ledger: Ledger, gateway: SessionChain) -> Self {
        let now = ledger.clock();
        Self { inner: Arc::new(Inner { ledger, now, chain: Mutex::new(gateway) }) }
    }

    /// Writes an entry and returns once it is on stable storage.
    ///
    /// # Errors
    /// It is not: whatever it says must not happen.
    pub async fn note(&self, kind: &str, body: &impl Serialize) -> Result<Receipt, LedgerError> {
        self.append(&self.inner.chain, kind, body).await
    }

    /// Ends the chain of a session that was open when the gateway died, and returns once that is on stable storage.
    ///
    /// # Errors
    /// It is not.
    pub async fn abandon(&self, session: OpenSession) -> Result<Receipt, LedgerError> {
        let body = Abandoned {
            reason: "the gateway ended while the session was open",
            n: session.chain.seq().saturating_add(1),
            extent_unknown: &session.operations,
        };
        self.append(&Mutex::new(session.chain), "session.abandoned", &body).await
    }

    async fn append(
        &self,
        chain: &Mutex<SessionChain>,
        kind: &str,
        body: &impl Serialize,
    ) -> Result<Receipt, LedgerError> {
        let ledger = &self.inner.ledger;
        let receipt = loop {
            match self.try_append(chain, kind, body) {
                Err(LedgerError::Full) => ledger.room().await?,
                other => break other?,
            }
        };
        ledger.durable(receipt).await?;
        Ok(receipt)
    }

    fn try_append(
        &self,
        chain: &Mutex<SessionChain>,
        kind: &str,
        body: &impl Serialize,
    ) -> Result<Receipt, LedgerError> {
        let ledger = &self.inner.ledger;
        // INVARIANT: entries reach the ledger in the order of the chain, so both happen under one lock, and the chain
        // moves only with an entry that was taken.
        let mut chain = lock(chain);
        let mut next = chain.clone();
        let leaf = next.entry((self.inner.now)(), kind, ledger.origin(), ledger.epoch(), body);
        let receipt = ledger.append(&leaf)?;
        *chain = next;
        Ok(receipt)
    }
}
