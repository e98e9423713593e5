//! What all sessions share.

use crate::LiveSessions;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use vestibule_approval::Approvals;
use vestibule_core::{Capability, Disclosure, Effect, FaultKind, Identity, Protocol, RefusalKind, Snapshot, Timestamp};
use vestibule_identity::Prover;
use vestibule_ledger::{Journal, Ledger};
use vestibule_phi::{DataMap, MaskKeys};
use vestibule_policy::{PolicySet, TargetFacts};
use vestibule_upstream::Target;

/// Policies, data map and targets of one version. Replaced whole on reload.
pub struct Rules {
    /// The policies.
    pub policy: Arc<PolicySet>,
    /// Which column is which class.
    pub map: Arc<DataMap>,
    /// The keys of tokens.
    pub mask_keys: MaskKeys,
    /// The targets by name.
    pub places: BTreeMap<String, Arc<Place>>,
}

/// A target as sessions see it.
pub struct Place {
    /// How it is reached.
    pub target: Target,
    /// What policies know of it.
    pub facts: TargetFacts,
    /// How it is spoken to.
    pub protocol: &'static dyn Protocol,
    /// Its catalog, kept fresh by the gateway.
    pub catalogs: Arc<Catalogs>,
    /// The entry on what was disclosed is durable, too, before the last byte of a response is released.
    pub durable_disclosure: bool,
    /// Whether sessions are recorded.
    pub record: bool,
    /// A session without traffic ends after this time.
    pub idle_timeout: Option<Duration>,
    /// A session ends after this time in any case.
    pub max_session: Option<Duration>,
}

impl Place {
    /// Whether the protocol can do this.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        self.protocol.manifest().capabilities.contains(&capability)
    }
}

/// The newest catalog of a target, and a bell to ask for a newer one.
#[derive(Debug)]
pub struct Catalogs {
    newest: watch::Sender<Option<Snapshot>>,
    bell: Notify,
}

impl Default for Catalogs {
    fn default() -> Self {
        Self { newest: watch::Sender::new(None), bell: Notify::new() }
    }
}

impl Catalogs {
    /// The newest snapshot, and those to come.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Snapshot>> {
        self.newest.subscribe()
    }
    /// Puts a newer snapshot in force.
    pub fn publish(&self, snapshot: Snapshot) {
        self.newest.send_replace(Some(snapshot));
    }
    /// Asks for a newer snapshot.
    pub fn ring(&self) {
        self.bell.notify_one();
    }
    /// Waits until somebody asked for a newer snapshot.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }
}

/// What is known of a session from its opening on.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    /// The session's id.
    pub sid: Arc<str>,
    /// Who.
    pub identity: Arc<Identity>,
    /// Where to.
    pub target: Arc<str>,
    /// By which protocol.
    pub protocol: &'static str,
    /// From where.
    pub source: IpAddr,
    /// The client's own words: user and application name.
    pub client: Arc<str>,
    /// When.
    pub opened: Timestamp,
    /// Whether it is recorded.
    pub recorded: bool,
}

/// What a session came to.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Operations ruled on.
    pub operations: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Rows disclosed.
    pub rows: u64,
    /// Values masked and revealed, rows, bytes over all operations.
    pub disclosed: Disclosure,
}

impl Totals {
    pub(crate) fn add(&mut self, disclosed: &Disclosure) {
        self.rows = self.rows.saturating_add(disclosed.rows);
        let sum = &mut self.disclosed;
        sum.rows = sum.rows.saturating_add(disclosed.rows);
        sum.withheld = sum.withheld.saturating_add(disclosed.withheld);
        sum.bytes = sum.bytes.saturating_add(disclosed.bytes);
        for (into, from) in [(&mut sum.masked, &disclosed.masked), (&mut sum.revealed, &disclosed.revealed)] {
            for (class, count) in from {
                let have = into.entry(*class).or_default();
                *have = have.saturating_add(*count);
            }
        }
    }
}

/// Something that metrics or the list of sessions want to know.
pub enum Seen<'a> {
    /// A session was opened.
    Opened(&'a SessionFacts),
    /// A connection was turned away before it became a session.
    TurnedAway {
        /// The protocol.
        protocol: &'static str,
        /// Why.
        kind: RefusalKind,
    },
    /// An operation was ruled on: `permit`, `deny` or `hold`.
    Ruled {
        /// The session.
        sid: &'a Arc<str>,
        /// The target.
        target: &'a str,
        /// The effect.
        effect: Effect,
        /// The decision.
        decision: &'static str,
    },
    /// An operation is over.
    Done {
        /// The session.
        sid: &'a Arc<str>,
        /// The target.
        target: &'a str,
        /// What was disclosed.
        disclosed: &'a Disclosure,
        /// How long it took.
        took: Duration,
    },
    /// A session is over.
    Closed {
        /// Which.
        facts: &'a SessionFacts,
        /// What it came to.
        totals: &'a Totals,
        /// When.
        at: Timestamp,
        /// Why.
        reason: &'a str,
    },
    /// Something of ours failed.
    Fault(FaultKind),
}

/// Watches sessions: metrics, the list of sessions. Must not block.
pub trait Observer: Send + Sync {
    /// Told of everything worth counting.
    fn saw(&self, seen: Seen<'_>);
}

/// What all sessions of a gateway share.
pub struct House {
    /// This gateway's name, the origin of its ledger.
    pub name: Arc<str>,
    /// How often this gateway has been started.
    pub epoch: u64,
    /// Where rulings are written.
    pub ledger: Ledger,
    /// Where the gateway's own entries are written.
    pub journal: Journal,
    /// The rules in force.
    pub rules: watch::Receiver<Arc<Rules>>,
    /// Who is asked when policy says hold.
    pub approvals: Arc<Approvals>,
    /// Where recordings are written.
    pub records: vestibule_record::Writer,
    /// Who proves identities.
    pub prover: Arc<Prover>,
    /// The sessions that are open.
    pub live: Arc<LiveSessions>,
    /// The time.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

impl House {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Fresh random bytes.
///
/// # Errors
/// A fault if the system has none to give; nothing may go on without.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], vestibule_core::Fault> {
    let mut bytes = [0_u8; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| vestibule_core::Fault::new(FaultKind::Internal, "the system gave no random bytes"))?;
    Ok(bytes)
}

/// A lock whose holder cannot leave it in a state that harms the next one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
