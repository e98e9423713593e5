//! The envelope around what an entry says, and the chain that ties the entries of one session together.
//!
//! What an entry says (its body) belongs to the room that writes it. The form is in `docs/spec/ledger.md`.

use crate::canonical::{CanonicalError, EntryWriter};
use crate::hash::{Hash, hex_bytes, leaf_hash};
use serde::Serialize;
use std::cell::RefCell;
use std::sync::Arc;
use vestibule_core::Timestamp;

/// Name of the gateway's own chain, where the entries that belong to no session are.
pub const GATEWAY: &str = "gateway";

/// What the first entry of a chain names as the one before it.
pub const NO_PREVIOUS: Hash = [0; 32];

/// Room for an entry of usual size, so that its buffer need not grow.
const USUAL: usize = 1024;

thread_local! {
    // Scratch space only: nothing in it outlives one call, so that a chain can be cloned for nothing.
    static WRITER: RefCell<EntryWriter> = RefCell::new(EntryWriter::default());
}

/// Where a chain of entries stands: makes its next one. Cheap to clone, so that an entry the ledger does not take
/// can be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionChain {
    sid: Arc<str>,
    seq: u64,
    previous: Hash,
}

impl SessionChain {
    /// A chain without entries.
    #[must_use]
    pub fn new(sid: &str) -> Self {
        Self { sid: sid.into(), seq: 0, previous: NO_PREVIOUS }
    }

    /// A chain that has `seq` entries, the last of them with the leaf hash `previous`.
    pub(crate) fn resume(sid: &str, seq: u64, previous: Hash) -> Self {
        Self { sid: sid.into(), seq, previous }
    }

    /// Whose chain it is.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// How many entries it has: the number of the next one.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Leaf hash of its last entry, or [`NO_PREVIOUS`].
    #[must_use]
    pub fn previous(&self) -> &Hash {
        &self.previous
    }

    /// The next entry, to be appended as it is. Empty, which no ledger takes, if the body has no canonical form; the
    /// chain has not moved then.
    #[must_use]
    pub fn entry(&mut self, at: Timestamp, kind: &str, gateway: &str, epoch: u64, body: &impl Serialize) -> Vec<u8> {
        match self.try_entry(at, kind, gateway, epoch, body) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::error!(sid = &*self.sid, kind, %error, "an entry has no canonical form");
                Vec::new()
            }
        }
    }

    /// As [`SessionChain::entry`], saying why there is none.
    ///
    /// # Errors
    /// The body has no canonical form.
    pub fn try_entry(
        &mut self,
        at: Timestamp,
        kind: &str,
        gateway: &str,
        epoch: u64,
        body: &impl Serialize,
    ) -> Result<Vec<u8>, CanonicalError> {
        let previous = hex_bytes(&self.previous);
        // INVARIANT: the members come in canonical order, so that nothing has to be sorted.
        let write = |writer: &mut EntryWriter| {
            writer.object(USUAL, |object| {
                object.member("at", &at)?;
                object.member("body", body)?;
                object.member("epoch", &epoch)?;
                object.member("gateway", gateway)?;
                object.member("kind", kind)?;
                object.plain("prev", &previous)?;
                object.member("seq", &self.seq)?;
                object.member("sid", &*self.sid)
            })
        };
        let entry = WRITER.with(|shared| match shared.try_borrow_mut() {
            Ok(mut writer) => write(&mut writer),
            // The body's own serialization makes an entry.
            Err(_) => write(&mut EntryWriter::default()),
        })?;
        self.previous = leaf_hash(&entry);
        self.seq = self.seq.saturating_add(1);
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::{GATEWAY, NO_PREVIOUS, SessionChain};
    use crate::{hex, leaf_hash, scan};
    use serde_json::json;
    use vestibule_core::Timestamp;

    #[test]
    fn an_entry_is_canonical_and_names_the_one_before() {
        let mut chain = SessionChain::new("s1");
        let first =
            chain.entry(Timestamp(5), "session.open", "gw.example/log", 3, &json!({"b": [true, null], "a": "é\n"}));
        let zeros = hex(&NO_PREVIOUS);
        assert_eq!(
            String::from_utf8(first.clone()).unwrap(),
            format!(
                "{{\"at\":5,\"body\":{{\"a\":\"é\\n\",\"b\":[true,null]}},\"epoch\":3,\"gateway\":\"gw.example/log\",\
                 \"kind\":\"session.open\",\"prev\":\"{zeros}\",\"seq\":0,\"sid\":\"s1\"}}"
            )
        );
        let second = chain.entry(Timestamp(6), "session.closed", "gw.example/log", 3, &json!({"n": 2}));
        let read = scan(&second).unwrap();
        assert_eq!((read.sid, read.seq, read.prev), ("s1", 1, leaf_hash(&first)));
        assert_eq!(chain.seq(), 2);
    }

    #[test]
    fn a_body_without_canonical_form_makes_no_entry_and_moves_nothing() {
        let mut chain = SessionChain::new(GATEWAY);
        let before = chain.clone();
        assert!(chain.entry(Timestamp(0), "k", "g", 1, &1.5_f64).is_empty());
        assert!(chain.entry(Timestamp(0), "k", "g", 1, &json!({"n": u64::MAX})).is_empty());
        assert_eq!(chain, before);
    }
}
