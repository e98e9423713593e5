//! What was revoked, in memory: the store has it too, and a start reads it from there.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};
use vestibule_identity::Revocations;
use vestibule_store::RevocationKind;

/// The revocations in force.
#[derive(Default)]
pub(crate) struct Revoked(RwLock<HashSet<(RevocationKind, String)>>);

impl Revoked {
    pub fn add(&self, kind: RevocationKind, subject: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert((kind, subject.to_owned()));
    }

    fn has(&self, kind: RevocationKind, subject: &str) -> bool {
        let revoked = self.0.read().unwrap_or_else(PoisonError::into_inner);
        !revoked.is_empty() && revoked.contains(&(kind, subject.to_owned()))
    }
}

impl Revocations for Revoked {
    fn token(&self, id: &str) -> bool {
        self.has(RevocationKind::Token, id)
    }

    fn identity(&self, id: &str) -> bool {
        self.has(RevocationKind::Identity, id)
    }
}
