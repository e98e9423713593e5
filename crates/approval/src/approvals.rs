//! The one object that asks, waits and rules.

use crate::notary::{Notary, NotaryError};
use crate::rules::{Approver, Ineligible, may_rule, who_may};
use crate::{Number, visible};
use serde_json::json;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
use tokio::sync::{broadcast, oneshot, watch};
use vestibule_core::{Effect, Hold, Identity, OpId, Timestamp};
use vestibule_store::{Recorded, Request, RequestFilter, RequestState, Store, StoreError, StoredRuling};

/// Longest statement, as JSON, that can be put before an approver; it also has to fit into a ledger entry.
pub const MAX_STATEMENT_BYTES: usize = 32 * 1024;
/// Longest reason of an approver, in characters.
pub const MAX_REASON_CHARS: usize = 1_000;
/// Most requests of one identity that wait at the same time: more would bury the one that matters.
pub const MAX_WAITING: u64 = 32;
/// Events a slow subscriber may fall behind before it misses some.
const EVENTS: usize = 256;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// An operation that a policy holds.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// The session that asks.
    pub sid: String,
    /// The operation in that session.
    pub op: OpId,
    /// Who asks.
    pub requester: Identity,
    /// The target's name.
    pub target: String,
    /// The worst the operation can do.
    pub effect: Effect,
    /// The protocol's word for it.
    pub action: String,
    /// What is asked, already without PHI literals.
    pub statement: String,
    /// SHA-256 of exactly what would run. The approval is of this and of nothing else.
    pub digest: [u8; 32],
    /// Names of the PHI classes it touches.
    pub classes: Vec<String>,
    /// What the policy demands.
    pub hold: Hold,
    /// The time.
    pub now: Timestamp,
}

/// A request that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its number, shown as `R-1042`.
    pub number: Number,
    /// Who may approve, in words.
    pub who_may: String,
    /// When the answer becomes no.
    pub expires: Timestamp,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Enough people said yes.
    Approved {
        /// Who, oldest ruling first.
        by: Vec<Approver>,
    },
    /// Somebody said no.
    Denied {
        /// Who.
        by: Approver,
        /// The approver's words.
        reason: String,
    },
    /// Nobody answered in time.
    Expired,
    /// The requester cancelled or went away, or the gateway restarted.
    Withdrawn,
}

/// What a ruling led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruled {
    /// How the request stands now: pending while more people must say yes.
    pub state: RequestState,
    /// How many have said yes.
    pub yes: u32,
    /// How many must.
    pub quorum: u32,
}

/// Why an operation could not be put before an approver. It does not run.
#[derive(Debug, Error)]
pub enum AskError {
    /// The policy names nobody.
    #[error("the policy that holds this names no approver group; name one in `@approvers`")]
    NobodyMay,
    /// Nobody can approve what cannot be shown whole.
    #[error("the statement is {bytes} bytes, and {limit} can be put before an approver; split it")]
    TooLong {
        /// Its length, as JSON.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many requests of this identity wait already.
    #[error("{0} requests of yours wait already; withdraw one or wait for an answer")]
    TooMany(u64),
    /// It could not be written to the ledger.
    #[error("the request could not be recorded: {0}")]
    Ledger(#[from] NotaryError),
    /// It could not be kept.
    #[error("the request could not be kept: {0}")]
    Store(#[from] StoreError),
    /// The gateway is stopping.
    #[error("the gateway is stopping; try again")]
    Stopping,
}

/// Why a ruling was not taken. Nothing changed, unless the ledger says so.
#[derive(Debug, Error)]
pub enum RuleError {
    /// No such request.
    #[error("there is no request {0}")]
    NotFound(Number),
    /// It is the approver's own request.
    #[error("nobody rules on their own request; ask somebody else")]
    OwnRequest,
    /// The approver and the requester act for one another.
    #[error("you and the requester act for one another; ask somebody independent")]
    OnBehalfOfRequester,
    /// Not a person in their own name.
    #[error("only a person can rule, in their own name; sign in yourself")]
    NotAPerson,
    /// Not in any of the groups.
    #[error("only members of {} can rule on this request", .groups.join(", "))]
    NotEligible {
        /// Whose members may.
        groups: Vec<String>,
    },
    /// The approver's own proof has ended, or is good for another target only.
    #[error("your sign-in is not good for this any more; sign in again")]
    ProofEnded,
    /// It is settled.
    #[error("the request is {state} already")]
    AlreadySettled {
        /// How.
        state: RequestState,
    },
    /// This approver has ruled on it.
    #[error("you have ruled on this request already")]
    AlreadyVoted,
    /// A ruling without a reason is worth little in an audit.
    #[error("a ruling needs a reason; say why")]
    ReasonRequired,
    /// The reason is too long.
    #[error("a reason has at most {MAX_REASON_CHARS} characters; shorten it")]
    ReasonTooLong,
    /// It could not be written to the ledger.
    #[error("the ruling could not be recorded, so it does not count: {0}")]
    Ledger(#[from] NotaryError),
    /// It could not be kept. The ledger may show a ruling that had no effect.
    #[error("the ruling could not be kept, so it does not count: {0}")]
    Store(#[from] StoreError),
    /// The gateway is stopping.
    #[error("the gateway is stopping; try again")]
    Stopping,
}

impl From<Ineligible> for RuleError {
    fn from(why: Ineligible) -> Self {
        match why {
            Ineligible::Own => Self::OwnRequest,
            Ineligible::OnBehalf => Self::OnBehalfOfRequester,
            Ineligible::NotAPerson => Self::NotAPerson,
            Ineligible::Groups(groups) => Self::NotEligible { groups },
            Ineligible::Proof => Self::ProofEnded,
        }
    }
}

/// Something happened to a request; [`Approvals::get`] has the details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which request.
    pub number: Number,
    /// What.
    pub what: Happened,
}

/// What happened to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// It waits for a ruling.
    Asked,
    /// Somebody said yes, and more must.
    Ruled,
    /// It is settled.
    Settled(RequestState),
}

/// Requests for approval. Clones are the same object.
#[derive(Clone)]
pub struct Approvals(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) notary: Arc<dyn Notary>,
    pub(crate) clock: Clock,
    /// Whoever changes a request holds this from reading it to keeping the change, so that the ledger's order is
    /// the order in which things took effect. People rule at human pace; one at a time is enough.
    pub(crate) turn: tokio::sync::Mutex<()>,
    waiting: Mutex<HashMap<u64, watch::Sender<()>>>,
    events: broadcast::Sender<Event>,
}

impl Approvals {
    /// Approvals kept in `store` and written to `notary`, normally the gateway's ledger journal.
    #[must_use]
    pub fn new(store: Store, notary: impl Notary + 'static, clock: Clock) -> Self {
        let (events, _) = broadcast::channel(EVENTS);
        Self(Arc::new(Inner {
            store,
            notary: Arc::new(notary),
            clock,
            turn: tokio::sync::Mutex::new(()),
            waiting: Mutex::default(),
            events,
        }))
    }

    /// Puts an operation before its approvers. Returns once the ledger knows of it.
    ///
    /// If the caller goes away meanwhile, the request is withdrawn.
    ///
    /// # Errors
    /// See [`AskError`]; the operation must not run.
    pub async fn ask(&self, request: NewRequest) -> Result<Ticket, AskError> {
        let (answer, asked) = oneshot::channel();
        let this = self.clone();
        // In a task of its own: a caller that is dropped half-way must not leave a request behind.
        tokio::spawn(async move {
            if let Err(Ok(ticket)) = answer.send(this.enter(request).await)
                && let Err(e) = this.withdraw(&ticket, "the client went away").await
            {
                tracing::warn!(request = %ticket.number, error = %e, "request could not be withdrawn");
            }
        });
        asked.await.unwrap_or(Err(AskError::Stopping))
    }

    async fn enter(&self, new: NewRequest) -> Result<Ticket, AskError> {
        let row = row(&new)?;
        let inner = &self.0;
        let waiting = inner.store.unsettled_of(&row.requester_id).await?;
        if waiting >= MAX_WAITING {
            return Err(AskError::TooMany(waiting));
        }
        let number = Number(inner.store.add_request(&row).await?);
        let body = json!({
            "number": number, "sid": row.sid, "op": row.op, "target": row.target, "effect": row.effect,
            "requester": {"id": row.requester_id, "name": row.requester_name, "acting_for": row.acting_for},
            "action": row.action, "statement": row.statement, "digest": row.digest, "classes": row.classes,
            "groups": row.approver_groups, "quorum": row.quorum, "reason": row.reason,
            "at": row.created.to_string(), "expires": row.expires.to_string(),
        });
        if let Err(e) = inner.notary.note("approval.requested", body).await {
            // The ledger never heard of it, so nobody else has to: it only must not stay open.
            self.drop_draft(number, row.created).await;
            return Err(e.into());
        }
        inner.store.publish_request(number.0).await?;
        self.tell(number, Happened::Asked);
        Ok(Ticket { number, who_may: who_may(&row.approver_groups, row.quorum), expires: row.expires })
    }

    /// Rules on a request. Returns once the ruling is on the ledger and has taken effect. A caller that goes away
    /// does not undo it.
    ///
    /// # Errors
    /// See [`RuleError`]; the ruling does not count.
    pub async fn rule(
        &self,
        number: Number,
        approver: &Identity,
        yes: bool,
        reason: &str,
        now: Timestamp,
    ) -> Result<Ruled, RuleError> {
        let reason = visible(reason.trim());
        if reason.is_empty() {
            return Err(RuleError::ReasonRequired);
        }
        if reason.chars().count() > MAX_REASON_CHARS {
            return Err(RuleError::ReasonTooLong);
        }
        let (this, approver) = (self.clone(), approver.clone());
        let ruling =
            StoredRuling { approver_id: approver.id(), approver_name: visible(&approver.name), yes, reason, at: now };
        to_the_end(async move { this.take(number, &approver, ruling).await }).await.unwrap_or(Err(RuleError::Stopping))
    }

    async fn take(&self, number: Number, approver: &Identity, ruling: StoredRuling) -> Result<Ruled, RuleError> {
        let inner = &self.0;
        let _turn = inner.turn.lock().await;
        let request = inner.store.request(number.0).await?.filter(|r| r.state != RequestState::Draft);
        let request = request.ok_or(RuleError::NotFound(number))?;
        // The later of the two clocks: neither a slow caller nor a slow clock lengthens a request's life.
        let now = ruling.at.max((inner.clock)());
        may_rule(&request, approver, now)?;
        if request.state.is_settled() {
            return Err(RuleError::AlreadySettled { state: request.state });
        }
        if now >= request.asked.expires {
            self.expire_in_turn(&request, now).await?;
            return Err(RuleError::AlreadySettled { state: RequestState::Expired });
        }
        if request.rulings.iter().any(|r| r.approver_id == ruling.approver_id) {
            return Err(RuleError::AlreadyVoted);
        }
        let ruled = foresee(&request, ruling.yes);
        inner.notary.note(kind(ruling.yes), body(&request, &ruling, ruled)).await?;
        let state = match inner.store.record_ruling(number.0, &ruling).await? {
            Recorded::Counted(state) => state,
            Recorded::AlreadyVoted => return Err(RuleError::AlreadyVoted),
            Recorded::NotPending(Some(state)) => return Err(RuleError::AlreadySettled { state }),
            Recorded::NotPending(None) => return Err(RuleError::NotFound(number)),
        };
        self.tell(number, if state.is_settled() { Happened::Settled(state) } else { Happened::Ruled });
        Ok(Ruled { state, ..ruled })
    }

    /// Requests, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list(&self, filter: &RequestFilter) -> Result<Vec<Request>, StoreError> {
        self.0.store.requests(filter).await
    }

    /// One request with its rulings.
    ///
    /// # Errors
    /// What the store says.
    pub async fn get(&self, number: Number) -> Result<Option<Request>, StoreError> {
        self.0.store.request(number.0).await
    }

    /// What happens from now on, for a console or a webhook. A subscriber that falls behind is told how far
    /// and should list again.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// Wakes whoever waits and tells the subscribers.
    pub(crate) fn tell(&self, number: Number, what: Happened) {
        let settled = matches!(what, Happened::Settled(_));
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // A settled request needs no bell any more; dropping it rings it a last time.
        if settled {
            waiting.remove(&number.0);
        } else if let Some(bell) = waiting.get(&number.0) {
            bell.send_replace(());
        }
        drop(waiting);
        // Nobody listening is no fault.
        let _ = self.0.events.send(Event { number, what });
    }

    /// A bell that rings when something happens to the request. Get it before reading the request.
    pub(crate) fn bell(&self, number: Number) -> watch::Receiver<()> {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(number.0).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    /// Nobody waits any more: forgets the bell, unless another one still waits.
    pub(crate) fn unbell(&self, number: Number) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.get(&number.0).is_some_and(|bell| bell.receiver_count() == 0) {
            waiting.remove(&number.0);
        }
    }
}

/// Runs `work` to its end even if whoever asked for it goes away: a change that is on the ledger must also
/// take effect. `None`: the runtime is stopping.
pub(crate) async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    tokio::spawn(work).await.ok()
}

fn row(new: &NewRequest) -> Result<vestibule_store::NewRequest, AskError> {
    if new.hold.approvers.is_empty() {
        return Err(AskError::NobodyMay);
    }
    let statement = visible(&new.statement);
    let bytes = json!(statement).to_string().len();
    if bytes > MAX_STATEMENT_BYTES {
        return Err(AskError::TooLong { bytes, limit: MAX_STATEMENT_BYTES });
    }
    Ok(vestibule_store::NewRequest {
        sid: new.sid.clone(),
        op: new.op.0,
        requester_id: new.requester.id(),
        requester_name: visible(&new.requester.name),
        acting_for: new.requester.acting_for.clone(),
        target: new.target.clone(),
        effect: new.effect.name().to_owned(),
        action: visible(&new.action),
        statement,
        digest: hex(&new.digest),
        classes: new.classes.clone(),
        approver_groups: new.hold.approvers.clone(),
        // A quorum of nobody would approve by itself.
        quorum: new.hold.quorum.max(1),
        reason: visible(&new.hold.reason),
        created: new.now,
        expires: new.now.plus_seconds(i64::from(new.hold.expires_after)),
    })
}

/// How the request will stand after one more ruling.
fn foresee(request: &Request, yes: bool) -> Ruled {
    let before = request.rulings.iter().filter(|r| r.yes).count();
    let now = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(u32::from(yes));
    let quorum = request.asked.quorum;
    let state = match yes {
        false => RequestState::Denied,
        true if now >= quorum => RequestState::Approved,
        true => RequestState::Pending,
    };
    Ruled { state, yes: now, quorum }
}

const fn kind(yes: bool) -> &'static str {
    if yes { "approval.granted" } else { "approval.denied" }
}

fn body(request: &Request, ruling: &StoredRuling, ruled: Ruled) -> serde_json::Value {
    json!({
        "number": Number(request.number), "sid": request.asked.sid, "op": request.asked.op,
        "target": request.asked.target, "digest": request.asked.digest,
        "requester": {"id": request.asked.requester_id, "name": request.asked.requester_name},
        "approver": {"id": ruling.approver_id, "name": ruling.approver_name},
        "reason": ruling.reason, "at": ruling.at.to_string(),
        "yes": ruled.yes, "quorum": ruled.quorum, "state": ruled.state,
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}
