//! The sessions that are open now: to list them, to end them, to find the one a cancel request means.

use crate::SessionFacts;
use crate::house::lock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, watch};
use vestibule_core::Refusal;

/// A handle on an open session.
#[derive(Debug)]
pub struct LiveSession {
    /// What is known of it.
    pub facts: SessionFacts,
    cut: watch::Sender<Option<Refusal>>,
    cancel: Notify,
}

impl LiveSession {
    /// A handle for a session about to start.
    #[must_use]
    pub fn new(facts: SessionFacts) -> Arc<Self> {
        Arc::new(Self { facts, cut: watch::Sender::new(None), cancel: Notify::new() })
    }
    /// Ends the session, with these words for its client. The first reason stands.
    pub fn end(&self, why: Refusal) {
        self.cut.send_if_modified(|cut| {
            let first = cut.is_none();
            if first {
                *cut = Some(why);
            }
            first
        });
    }
    pub(crate) fn cuts(&self) -> watch::Receiver<Option<Refusal>> {
        self.cut.subscribe()
    }
    pub(crate) fn cancel(&self) {
        self.cancel.notify_one();
    }
    pub(crate) async fn cancelled(&self) {
        self.cancel.notified().await;
    }
}

/// How much of a cancel key every protocol hands out; a client that can hold more is given more of it.
const KEY_FRONT: usize = 8;

/// A cancel key as far as it is looked up by, and whole.
type Keyed = (Vec<u8>, Arc<LiveSession>);

/// All open sessions of this gateway.
#[derive(Debug, Default)]
pub struct LiveSessions {
    by_sid: Mutex<HashMap<Arc<str>, Arc<LiveSession>>>,
    by_key: Mutex<HashMap<Vec<u8>, Keyed>>,
    /// Connections with entries to write, from before their first to after their last.
    writing: AtomicUsize,
    /// Whoever comes now is told so at once.
    closing: Mutex<Option<Refusal>>,
    left: Notify,
}

/// Somebody who may be writing entries, until dropped.
#[derive(Debug)]
pub(crate) struct Writing(Arc<LiveSessions>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.writing.fetch_sub(1, Ordering::SeqCst);
        self.0.left.notify_waiters();
    }
}

impl LiveSessions {
    /// The open sessions, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<LiveSession>> {
        let mut all: Vec<_> = lock(&self.by_sid).values().cloned().collect();
        all.sort_by(|a, b| (a.facts.opened, &a.facts.sid).cmp(&(b.facts.opened, &b.facts.sid)));
        all
    }

    /// Ends one session; whether there was such a session.
    pub fn end(&self, sid: &str, why: Refusal) -> bool {
        let found = lock(&self.by_sid).get(sid).cloned();
        found.inspect(|session| session.end(why)).is_some()
    }

    /// Ends every session for which `of` says so; how many.
    pub fn end_where(&self, of: impl Fn(&SessionFacts) -> bool, why: &Refusal) -> usize {
        let meant: Vec<_> = lock(&self.by_sid).values().filter(|s| of(&s.facts)).cloned().collect();
        for session in &meant {
            session.end(why.clone());
        }
        meant.len()
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.by_sid).len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends every session, and lets nobody in any more.
    pub fn close(&self, why: &Refusal) {
        *lock(&self.closing) = Some(why.clone());
        self.end_where(|_| true, why);
    }

    /// Waits until none is open and what there was to say of each is on the ledger.
    pub async fn drained(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // Enabled before looking, so that nothing is missed in between.
            left.as_mut().enable();
            if self.writing.load(Ordering::SeqCst) == 0 {
                return;
            }
            left.await;
        }
    }

    /// Says that entries are about to be written: the ledger is not closed before this is dropped.
    pub(crate) fn writing(self: &Arc<Self>) -> Writing {
        self.writing.fetch_add(1, Ordering::SeqCst);
        Writing(Arc::clone(self))
    }

    pub(crate) fn enter(&self, session: &Arc<LiveSession>, cancel_key: &[u8]) {
        lock(&self.by_sid).insert(Arc::clone(&session.facts.sid), Arc::clone(session));
        lock(&self.by_key).insert(front(cancel_key).to_vec(), (cancel_key.to_vec(), Arc::clone(session)));
        if let Some(why) = self.closing() {
            session.end(why);
        }
    }

    /// Why nobody is let in any more, if so.
    pub(crate) fn closing(&self) -> Option<Refusal> {
        lock(&self.closing).clone()
    }

    pub(crate) fn leave(&self, sid: &str, cancel_key: &[u8]) {
        lock(&self.by_key).remove(front(cancel_key));
        lock(&self.by_sid).remove(sid);
    }

    /// The session that was given this cancel key, or a key that begins so, if the request comes from where that
    /// session's client is.
    pub(crate) fn cancellable(&self, cancel_key: &[u8], source: IpAddr) -> Option<Arc<LiveSession>> {
        let keys = lock(&self.by_key);
        let (whole, session) = keys.get(front(cancel_key))?;
        let meant = cancel_key.len() >= KEY_FRONT && whole.starts_with(cancel_key) && session.facts.source == source;
        meant.then(|| Arc::clone(session))
    }
}

fn front(cancel_key: &[u8]) -> &[u8] {
    cancel_key.get(..KEY_FRONT).unwrap_or(cancel_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vestibule_core::{Identity, IdentityKind, Timestamp};

    fn session(sid: &str, source: &str) -> Arc<LiveSession> {
        let identity = Identity {
            issuer: "idp".into(),
            subject: "1".into(),
            name: "dana".into(),
            kind: IdentityKind::Person,
            groups: [].into(),
            assurance: vestibule_core::Assurance::default(),
            acting_for: Vec::new(),
            claims: [].into(),
            token_id: String::new(),
            only_target: None,
            expires: Timestamp(0),
        };
        LiveSession::new(SessionFacts {
            sid: sid.into(),
            identity: Arc::new(identity),
            target: "clinic".into(),
            protocol: "postgres",
            source: source.parse().unwrap(),
            client: "psql".into(),
            opened: Timestamp(0),
            recorded: true,
        })
    }

    #[test]
    fn a_cancel_key_is_taken_whole_or_its_front_and_from_the_clients_address_only() {
        let live = LiveSessions::default();
        let (one, two): (Vec<u8>, Vec<u8>) = ((0..32).collect(), (1..33).collect());
        live.enter(&session("a", "10.0.0.1"), &one);
        live.enter(&session("b", "10.0.0.2"), &two);
        let found =
            |key: &[u8], source: &str| live.cancellable(key, source.parse().unwrap()).map(|s| s.facts.sid.to_string());
        assert_eq!(found(&one, "10.0.0.1").as_deref(), Some("a"));
        assert_eq!(found(&one[..8], "10.0.0.1").as_deref(), Some("a"));
        assert_eq!(found(&two[..8], "10.0.0.2").as_deref(), Some("b"));
        assert_eq!(found(&one, "10.0.0.2"), None);
        for wrong in [&[][..], &one[..7], &[one.as_slice(), &[0]].concat(), &[&one[..8], &two[8..]].concat(), &[9; 8]] {
            assert_eq!(found(wrong, "10.0.0.1"), None);
        }
        live.leave("a", &one);
        assert_eq!(found(&one, "10.0.0.1"), None);
        assert_eq!(found(&two, "10.0.0.2").as_deref(), Some("b"));
    }
}
