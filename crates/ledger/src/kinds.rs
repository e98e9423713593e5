//! The few kinds of entries that the ledger itself must understand: where chains begin and end, and which operations
//! are under way. All others mean nothing here.

use crate::Envelope;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// First entry of a session.
pub(crate) const OPEN: &str = "session.open";
/// Last entry of a session.
pub(crate) const CLOSED: &str = "session.closed";
/// Last entry of a session that the gateway did not survive.
pub(crate) const ABANDONED: &str = "session.abandoned";
/// The gateway is up; every session of earlier epochs has an end by now.
pub(crate) const STARTED: &str = "gateway.started";
/// Last entry of the gateway's chain in an epoch that ended in order.
pub(crate) const SHUTDOWN: &str = "gateway.shutdown";

/// Whether nothing may follow in a session.
pub(crate) fn ends_session(kind: &str) -> bool {
    matches!(kind, CLOSED | ABANDONED)
}

/// What an end says of its session.
#[derive(Deserialize)]
pub(crate) struct Ending {
    /// Entries of the session, this one included.
    pub n: u64,
}

#[derive(Deserialize)]
struct Ruled<'a> {
    op: u64,
    #[serde(borrow)]
    decision: Cow<'a, str>,
    #[serde(borrow)]
    effect: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Done {
    op: u64,
}

/// Operations of a session that were permitted and are not done.
#[derive(Debug, Default)]
pub(crate) struct OpenOperations(BTreeSet<u64>);

impl OpenOperations {
    /// Takes account of an entry of the session.
    pub fn follow(&mut self, envelope: &Envelope<'_>) {
        match envelope.kind {
            "op.ruling" => {
                // Being let in discloses nothing and has no `op.done`.
                if let Ok(ruled) = serde_json::from_str::<Ruled<'_>>(envelope.body)
                    && ruled.decision == "permit"
                    && ruled.effect != "open"
                {
                    self.0.insert(ruled.op);
                }
            }
            "op.done" => {
                if let Ok(done) = serde_json::from_str::<Done>(envelope.body) {
                    self.0.remove(&done.op);
                }
            }
            _ => {}
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn into_list(self) -> Vec<u64> {
        self.0.into_iter().collect()
    }
}
