//! A notary that remembers and fails on demand, a clock that is set by hand, and the people of a clinic.

use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use vestibule_approval::{Clock, NewRequest, Notary, NotaryError};
use vestibule_core::{Assurance, Effect, Hold, Identity, IdentityKind, Obligations, OpId, Timestamp};

/// Remembers every entry. Clones share it.
#[derive(Clone, Default)]
pub struct Book {
    pub entries: Arc<Mutex<Vec<(&'static str, Value)>>>,
    pub failing: Arc<AtomicBool>,
}

impl Notary for Book {
    fn note(
        &self,
        kind: &'static str,
        body: Value,
    ) -> Pin<Box<dyn Future<Output = Result<(), NotaryError>> + Send + '_>> {
        Box::pin(async move {
            // Gives way, as a real disk would: others get a chance to come in between.
            tokio::task::yield_now().await;
            if self.failing.load(Ordering::SeqCst) {
                return Err(NotaryError("no space left on device".into()));
            }
            self.entries.lock().unwrap().push((kind, body));
            Ok(())
        })
    }
}

/// Seconds, set by hand.
#[derive(Clone, Default)]
pub struct Hand(pub Arc<AtomicI64>);

impl Hand {
    pub fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
    pub fn tick(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
    pub fn clock(&self) -> Clock {
        let hand = self.clone();
        Arc::new(move || hand.now())
    }
}

pub fn identity(subject: &str, kind: IdentityKind, groups: &[&str], acting_for: &[&str]) -> Identity {
    Identity {
        issuer: "okta".into(),
        subject: subject.into(),
        name: format!("{subject}@clinic.example"),
        kind,
        groups: groups.iter().map(ToString::to_string).collect(),
        assurance: Assurance::default(),
        acting_for: acting_for.iter().map(ToString::to_string).collect(),
        claims: BTreeMap::new(),
        token_id: "t".into(),
        only_target: None,
        expires: Timestamp(i64::MAX),
    }
}

pub fn new_request(requester: Identity, quorum: u32, now: Timestamp) -> NewRequest {
    NewRequest {
        sid: "s1".into(),
        op: OpId(4),
        requester,
        target: "clinic".into(),
        effect: Effect::Write,
        action: "DELETE".into(),
        statement: "DELETE FROM patient WHERE id = '…'".into(),
        digest: [0xab; 32],
        classes: vec!["ssn".into()],
        hold: Hold {
            obligations: Obligations::default(),
            approvers: vec!["dba".into(), "privacy".into()],
            quorum,
            expires_after: 300,
            reason: "writes need a second person".into(),
        },
        now,
    }
}
