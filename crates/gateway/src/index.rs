//! The list of sessions in the store, kept up to date beside the data path.
//!
//! What is here can be made anew from the ledger; it is for lists, never for evidence. Sessions never wait for it:
//! changes gather (one a session and kind, so memory is bounded by the sessions there are) and are applied in one
//! transaction.

use crate::metrics::Metrics;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use vestibule_session::{Observer, Seen, SessionFacts, Totals};
use vestibule_store::{NewSession, SessionChange, SessionCounts, Store};

/// Changes gather for so long before they are applied.
const GATHER: Duration = Duration::from_millis(100);
/// After the store failed, the next try.
const RETRY: Duration = Duration::from_secs(1);

/// Watches sessions for the metrics and for the list.
pub(crate) struct Index {
    metrics: Arc<Metrics>,
    pending: Mutex<Vec<SessionChange>>,
    running: Mutex<BTreeMap<Arc<str>, SessionCounts>>,
    bell: Notify,
}

impl Index {
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { metrics, pending: Mutex::default(), running: Mutex::default(), bell: Notify::new() })
    }

    fn add(&self, change: SessionChange) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push(change);
        self.bell.notify_one();
    }

    fn touch(&self, sid: &Arc<str>, change: impl FnOnce(&mut SessionCounts)) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = running.get_mut(sid) {
            change(counts);
        }
    }

    fn opened(&self, facts: &SessionFacts) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(Arc::clone(&facts.sid), SessionCounts::default());
        self.add(SessionChange::Open(NewSession {
            sid: facts.sid.to_string(),
            identity_id: facts.identity.id(),
            identity_name: facts.identity.name.clone(),
            identity_kind: facts.identity.kind,
            target: facts.target.to_string(),
            protocol: facts.protocol.to_owned(),
            source: facts.source.to_string(),
            recording: facts.recorded.then(|| facts.sid.to_string()),
            opened: facts.opened,
        }));
    }

    fn closed(&self, facts: &SessionFacts, totals: &Totals, at: vestibule_core::Timestamp, reason: &str) {
        let known = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&facts.sid);
        if known.is_none() {
            // It never got as far as being open: the ledger knows why, the list shows it all the same.
            self.opened(facts);
            self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&facts.sid);
        }
        let counts = counts_of(totals);
        self.add(SessionChange::Close { sid: facts.sid.to_string(), at, reason: reason.to_owned(), counts });
    }

    /// What is known now of a session that is open.
    pub fn counts(&self, sid: &str) -> Option<SessionCounts> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).get(sid).cloned()
    }

    /// Applies changes as they come, for ever.
    pub async fn run(self: Arc<Self>, store: Store) {
        loop {
            self.bell.notified().await;
            tokio::time::sleep(GATHER).await;
            self.apply(&store).await;
        }
    }

    /// In front of what came since.
    fn put_back(&self, changes: Vec<SessionChange>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = std::mem::replace(&mut *pending, changes);
        pending.extend(newer);
    }

    /// Applies what has gathered.
    pub async fn apply(&self, store: &Store) {
        let changes = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if changes.is_empty() {
            return;
        }
        if let Err(error) = store.apply_sessions(&changes).await {
            tracing::error!(%error, "the list of sessions could not be kept up to date; trying again");
            self.metrics.fault(vestibule_core::FaultKind::Store);
            self.put_back(changes);
            tokio::time::sleep(RETRY).await;
            self.bell.notify_one();
        }
    }
}

impl Observer for Index {
    fn saw(&self, seen: Seen<'_>) {
        match &seen {
            Seen::Opened(facts) => self.opened(facts),
            Seen::Ruled { sid, decision, .. } if *decision != "hold" => self.touch(sid, |counts| {
                counts.ops = counts.ops.saturating_add(1);
                counts.denied = counts.denied.saturating_add(u64::from(*decision == "deny"));
            }),
            Seen::Done { sid, disclosed, .. } => self.touch(sid, |counts| {
                counts.rows = counts.rows.saturating_add(disclosed.rows);
                for (into, from) in
                    [(&mut counts.masked, &disclosed.masked), (&mut counts.revealed, &disclosed.revealed)]
                {
                    for (class, count) in from {
                        let have = into.entry(*class).or_default();
                        *have = have.saturating_add(*count);
                    }
                }
            }),
            Seen::Closed { facts, totals, at, reason } => self.closed(facts, totals, *at, reason),
            Seen::Ruled { .. } | Seen::TurnedAway { .. } | Seen::Fault(_) => {}
        }
        self.metrics.saw(seen);
    }
}

fn counts_of(totals: &Totals) -> SessionCounts {
    SessionCounts {
        ops: totals.operations,
        rows: totals.rows,
        denied: totals.refused,
        masked: totals.disclosed.masked.clone(),
        revealed: totals.disclosed.revealed.clone(),
    }
}
