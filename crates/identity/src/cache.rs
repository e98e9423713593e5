//! Tokens of ours whose signature was found right a moment ago, so that a client that opens a hundred connections is
//! not checked a hundred times. Only signature and form are remembered: expiry, revocation and target are judged each
//! time.
//!
//! Bounded: two generations of which the older is dropped whole. Only tokens that verified get in, so that nobody can
//! push others out with noise.

use crate::own::Verified;
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tokens a generation.
const GENERATION: usize = 4_096;

/// A token's SHA-256. The token itself is not kept.
pub(crate) type TokenDigest = [u8; 32];

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<TokenDigest, Arc<Verified>>,
    old: HashMap<TokenDigest, Arc<Verified>>,
}

#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Generations>);

impl Cache {
    pub(crate) fn key(token: &str) -> TokenDigest {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        key
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &TokenDigest) -> Option<Arc<Verified>> {
        let mut both = self.lock();
        if let Some(found) = both.young.get(key) {
            return Some(Arc::clone(found));
        }
        let found = both.old.remove(key)?;
        both.put(*key, Arc::clone(&found));
        Some(found)
    }

    pub(crate) fn put(&self, key: TokenDigest, verified: &Arc<Verified>) {
        self.lock().put(key, Arc::clone(verified));
    }

    pub(crate) fn clear(&self) {
        *self.lock() = Generations::default();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let both = self.lock();
        both.young.len() + both.old.len()
    }
}

impl Generations {
    fn put(&mut self, key: TokenDigest, verified: Arc<Verified>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, verified);
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, GENERATION};
    use crate::own::Verified;
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;
    use vestibule_core::{Assurance, Identity, IdentityKind, Timestamp};

    #[test]
    fn is_bounded_and_keeps_what_is_used() {
        let identity = Identity {
            issuer: "staff".into(),
            subject: "s".into(),
            name: "n".into(),
            kind: IdentityKind::Person,
            groups: BTreeSet::new(),
            assurance: Assurance::default(),
            acting_for: Vec::new(),
            claims: BTreeMap::new(),
            token_id: "t".into(),
            only_target: None,
            expires: Timestamp(0),
        };
        let (cache, verified) = (Cache::default(), Arc::new(Verified { identity, from: Vec::new() }));
        let used = Cache::key("used");
        cache.put(used, &verified);
        for n in 0..3 * GENERATION {
            cache.put(Cache::key(&n.to_string()), &verified);
            assert!(cache.get(&used).is_some(), "lost after {n}");
            assert!(cache.len() <= 2 * GENERATION + 1);
        }
        assert!(cache.get(&Cache::key("0")).is_none());
        cache.clear();
        assert_eq!(cache.len(), 0);
    }
}
