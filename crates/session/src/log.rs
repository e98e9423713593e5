//! A session's chain of ledger entries.

use crate::house::lock;
use crate::{House, entries};
use serde::Serialize;
use std::sync::{Arc, Mutex};
use vestibule_core::{Disclosure, OpId, Refusal, RefusalKind, Timestamp};
use vestibule_ledger::{Ledger, LedgerError, Receipt, SessionChain};
use vestibule_record::{Recorder, Sealed};

/// Appends to the ledger on behalf of one session.
pub(crate) struct SessionLog {
    house: Arc<House>,
    sid: Arc<str>,
    chain: Mutex<SessionChain>,
}

/// What the client is told when the ledger cannot write.
pub(crate) fn unrecorded(error: &LedgerError) -> Refusal {
    tracing::error!(%error, "the ledger cannot write: operations are refused until it can");
    Refusal::new(
        RefusalKind::Unrecorded,
        "refused: the gateway cannot record this operation, and what cannot be recorded does not run",
        "tell the operators of the gateway; nothing was sent to the target",
    )
}

/// What the client is told when its session cannot be recorded any more.
pub(crate) fn unrecordable(error: &vestibule_record::RecordError) -> Refusal {
    tracing::error!(%error, "a session can no longer be recorded; it is ended");
    no_longer_recorded()
}

/// The words for a session that was under way: unlike a refusal they do not say that nothing was sent to the target,
/// for that may not be so.
pub(crate) fn no_longer_recorded() -> Refusal {
    Refusal::new(
        RefusalKind::Unrecorded,
        "the gateway ended this session: it can no longer be recorded, and what cannot be recorded does not run",
        "tell the operators of the gateway",
    )
}

impl SessionLog {
    pub fn new(house: Arc<House>, sid: &str) -> Self {
        Self { house, sid: Arc::from(sid), chain: Mutex::new(SessionChain::new(sid)) }
    }

    /// Appends an entry; it is not durable yet. Waits for room where the ledger's queue is full.
    pub async fn append(&self, at: Timestamp, kind: &str, body: &impl Serialize) -> Result<Receipt, Refusal> {
        self.append_by(at, kind, body, Ledger::append).await
    }

    async fn append_by(
        &self,
        at: Timestamp,
        kind: &str,
        body: &impl Serialize,
        append: fn(&Ledger, &[u8]) -> Result<Receipt, LedgerError>,
    ) -> Result<Receipt, Refusal> {
        loop {
            match self.try_append(at, kind, body, append) {
                Err(LedgerError::Full) => self.house.ledger.room().await.map_err(|error| unrecorded(&error))?,
                other => return other.map_err(|error| unrecorded(&error)),
            }
        }
    }

    /// INVARIANT: entries reach the ledger in the order of the chain, so both happen under one lock, and the chain moves
    /// only with an entry that was taken.
    fn try_append(
        &self,
        at: Timestamp,
        kind: &str,
        body: &impl Serialize,
        append: fn(&Ledger, &[u8]) -> Result<Receipt, LedgerError>,
    ) -> Result<Receipt, LedgerError> {
        let mut chain = lock(&self.chain);
        let mut next = chain.clone();
        let leaf = next.entry(at, kind, &self.house.name, self.house.epoch, body);
        let receipt = append(&self.house.ledger, &leaf)?;
        *chain = next;
        Ok(receipt)
    }

    /// Waits until an entry is durable.
    pub async fn safe(&self, receipt: Receipt) -> Result<(), Refusal> {
        if self.house.ledger.is_safe(receipt) {
            return Ok(());
        }
        self.house.ledger.safe(receipt).await.map_err(|error| unrecorded(&error))
    }

    pub fn is_safe(&self, receipt: Receipt) -> bool {
        self.house.ledger.is_safe(receipt)
    }

    /// What an operation disclosed. Nobody waits for it unless the target is of high risk, so it goes with the next
    /// entry (promise 2): an operation costs one commit, not two.
    pub async fn done(&self, op: OpId, disclosed: &Disclosure, us: u64) -> Result<Receipt, Refusal> {
        let body = entries::Done::of(op, disclosed, us);
        self.append_by(self.house.now(), "op.done", &body, Ledger::append_unhurried).await
    }

    /// Notes the chunks of the session's recording that are on storage by now.
    pub async fn chunks(&self, recorder: &mut Recorder) -> Result<(), Refusal> {
        if recorder.has_sealed() {
            for sealed in recorder.take_sealed() {
                self.chunk(&sealed).await?;
            }
        }
        Ok(())
    }

    pub async fn chunk(&self, sealed: &Sealed) -> Result<(), Refusal> {
        self.append(self.house.now(), "record.chunk", &entries::Chunk::of(&self.sid, sealed)).await.map(drop)
    }

    /// How many entries the session has.
    pub fn entries(&self) -> u64 {
        lock(&self.chain).seq()
    }
}
