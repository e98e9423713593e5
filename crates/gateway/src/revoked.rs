//! Whose access was revoked: in memory, where sessions and the prover look; the store has it too, and a start reads it there.

use crate::Gateway;
use serde_json::json;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use thiserror::Error;
use vestibule_core::{Identity, Refusal, RefusalKind};
use vestibule_identity::Revocations;
use vestibule_ledger::LedgerError;
use vestibule_store::{Revocation, RevocationKind, StoreError};

/// The revocations in force.
#[derive(Default)]
pub(crate) struct Revoked {
    all: RwLock<HashSet<(RevocationKind, String)>>,
    any: AtomicBool,
}

impl Revoked {
    pub fn add(&self, kind: RevocationKind, subject: &str) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.insert((kind, subject.to_owned()));
        self.any.store(true, Ordering::Release);
    }

    fn remove(&self, kind: RevocationKind, subject: &str) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(kind, subject.to_owned()));
        self.any.store(!all.is_empty(), Ordering::Release);
    }

    fn has(&self, kind: RevocationKind, subject: &str) -> bool {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.contains(&(kind, subject.to_owned()))
    }
}

impl Revocations for Revoked {
    fn token(&self, id: &str) -> bool {
        !self.none() && self.has(RevocationKind::Token, id)
    }

    fn identity(&self, id: &str) -> bool {
        !self.none() && self.has(RevocationKind::Identity, id)
    }

    fn none(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }
}

/// Why a revocation, or taking one back, is not done.
#[derive(Debug, Error)]
pub enum RevokeError {
    /// Nothing was changed.
    #[error("it could not be recorded, so nothing was changed: {0}")]
    Ledger(#[from] LedgerError),
    /// Revoked, until the next start; or not restored.
    #[error("it is on the ledger, but could not be stored, so it is not for good: {0}")]
    Store(#[from] StoreError),
}

impl Gateway {
    /// Revokes the access of `identity` (`issuer|subject`) for `by`: none of its tokens is good any more, nor one of whoever acts
    /// for it, and its sessions are ended. On the ledger first. Returns how many sessions were open.
    ///
    /// # Errors
    /// [`RevokeError`]. If it could not be stored, it is in force all the same until the gateway is started again.
    pub async fn revoke(&self, identity: &str, by: &Identity, reason: &str) -> Result<usize, RevokeError> {
        // One after the other: what is in force and what is stored must not come apart.
        let _turn = self.turn.lock().await;
        self.note("access.revoked", identity, by, reason).await?;
        self.revoked.add(RevocationKind::Identity, identity);
        let mut ended = 0;
        for live in self.house.live.list().iter().filter(|live| self.house.prover.revoked(&live.facts.identity)) {
            let words = format!("{} revoked access and ended this session: {reason}", by.name);
            live.end(Refusal::new(RefusalKind::Denied, words, "ask whoever runs the gateway; they can restore it"));
            ended += 1;
        }
        let revocation = Revocation {
            kind: RevocationKind::Identity,
            subject: identity.to_owned(),
            at: self.house.now(),
            by: by.id(),
            reason: reason.to_owned(),
            until: None,
        };
        self.store.revoke(&revocation).await?;
        Ok(ended)
    }

    /// Takes the revocation of `identity` back. On the ledger first. Tokens issued before, if they have not expired, are good again.
    ///
    /// # Errors
    /// [`RevokeError`]; the identity stays revoked.
    pub async fn restore(&self, identity: &str, by: &Identity, reason: &str) -> Result<(), RevokeError> {
        let _turn = self.turn.lock().await;
        self.note("access.restored", identity, by, reason).await?;
        self.store.restore(RevocationKind::Identity, identity).await?;
        self.revoked.remove(RevocationKind::Identity, identity);
        Ok(())
    }

    async fn note(&self, kind: &'static str, identity: &str, by: &Identity, reason: &str) -> Result<(), LedgerError> {
        let body = json!({ "identity": identity, "by": by.id(), "name": by.name, "reason": reason });
        self.house.journal.note(kind, &body).await.map(drop)
    }
}
