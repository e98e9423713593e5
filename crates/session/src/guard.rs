//! The guard: the one order in which access is decided, and the permit that comes out at its end.

use crate::entries::{Approved, Ruled};
use crate::log::SessionLog;
use crate::{House, Place, Rules, Seen, SessionFacts};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use vestibule_approval::{NewRequest, Outcome, Ticket};
use vestibule_core::{
    ClassSet, Decision, Denial, Hold, Mask, Obligations, OpId, Operation, Reading, Refusal, RefusalKind, Terms, traits,
};
use vestibule_ledger::Receipt;
use vestibule_policy::Request;

/// Most verdicts remembered for one session.
const REMEMBERED: usize = 1_024;

/// Leave to run one operation. Only [`Guard::clear`] makes one, and only with the receipt of its ledger entry.
///
/// INVARIANT: neither `Clone` nor constructible elsewhere; nothing is sent on behalf of an operation without it.
#[derive(Debug)]
pub struct Permit {
    receipt: Receipt,
    terms: Terms,
}

impl Permit {
    /// The receipt of the operation's entry: no byte of the response leaves before it is durable.
    #[must_use]
    pub const fn receipt(&self) -> Receipt {
        self.receipt
    }
    /// What the interpreter must obey.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }
}

/// What the rules say of an operation's shape.
struct Verdict {
    decision: Decision,
    classes: ClassSet,
    terms: Option<Terms>,
}

/// Guards one session.
pub struct Guard {
    house: Arc<House>,
    place: Arc<Place>,
    facts: SessionFacts,
    log: Arc<SessionLog>,
    watch: watch::Receiver<Arc<Rules>>,
    rules: Arc<Rules>,
    verdicts: HashMap<[u8; 16], Arc<Verdict>>,
    masks: HashMap<(ClassSet, Option<String>), Arc<dyn Mask>>,
    /// The day (from 1970-01-01, UTC) for which `masks` were planned: ages over 89 are counted from it.
    day: i64,
}

impl Guard {
    pub(crate) fn new(house: Arc<House>, place: Arc<Place>, facts: SessionFacts, log: Arc<SessionLog>) -> Self {
        let mut watch = house.rules.clone();
        let rules = Arc::clone(&watch.borrow_and_update());
        Self { house, place, facts, log, watch, rules, verdicts: HashMap::new(), masks: HashMap::new(), day: 0 }
    }

    /// Clears an operation: identify → read → decide → hold for approval → write the ruling → permit.
    ///
    /// `waiting` receives lines for the client while the operation is held. Dropping the future withdraws a pending
    /// request.
    ///
    /// # Errors
    /// A [`Refusal`] in the rule's own words; it is on the ledger before it is returned, unless the ledger itself is
    /// what failed.
    pub async fn clear(
        &mut self,
        id: OpId,
        operation: &Operation,
        waiting: &mpsc::Sender<String>,
    ) -> Result<Permit, Refusal> {
        self.identify()?;
        self.follow_rules();
        let verdict = self.decide(operation, false);
        let (verdict, approval) = match &verdict.decision {
            Decision::Permit(_) => (verdict, None),
            Decision::Deny(denial) => return Err(self.deny(id, operation, &verdict, denial).await),
            Decision::Hold(hold) => self.hold(id, operation, &verdict, hold, waiting).await?,
        };
        let (Decision::Permit(obligations), Some(terms)) = (&verdict.decision, &verdict.terms) else {
            return Err(self.incoherent(id, operation, &verdict).await);
        };
        let receipt = self.write(id, operation, verdict.classes, obligations, approval.as_ref(), None).await?;
        if operation.effect.changes_target() {
            self.log.safe(receipt).await?;
        }
        self.saw(operation, "permit");
        Ok(Permit { receipt, terms: terms.clone() })
    }

    /// The identity must still be good: a proof that ended ends what is done in its name.
    fn identify(&self) -> Result<(), Refusal> {
        let Some((why, next)) = self.unproven() else { return Ok(()) };
        Err(Refusal::new(RefusalKind::Identity, format!("refused: {why}"), next))
    }

    /// Why the proof of the identity is no longer good, and what its owner can do.
    pub(crate) fn unproven(&self) -> Option<(&'static str, &'static str)> {
        let identity = &self.facts.identity;
        if self.house.now() >= identity.expires {
            let next = "get a new one with `vestibule login` or `vestibule token`, and connect again";
            return Some(("the token of this session has expired", next));
        }
        let next = "ask whoever runs the gateway; they can restore it";
        self.house.prover.revoked(identity).then_some(("access was revoked for who opened this session", next))
    }

    /// Takes over rules that were reloaded since the last operation, and the day.
    fn follow_rules(&mut self) {
        let day = self.house.now().civil().0;
        if day != self.day {
            self.day = day;
            self.verdicts.clear();
            self.masks.clear();
        }
        if self.watch.has_changed().unwrap_or(false) {
            self.rules = Arc::clone(&self.watch.borrow_and_update());
            self.verdicts.clear();
            self.masks.clear();
            if let Some(place) = self.rules.places.get(&*self.facts.target) {
                self.place = Arc::clone(place);
            }
        }
    }

    fn decide(&mut self, operation: &Operation, approved: bool) -> Arc<Verdict> {
        let memo = operation.shape.filter(|_| !approved && !self.rules.policy.uses_time());
        if let Some(known) = memo.and_then(|shape| self.verdicts.get(&shape)) {
            return Arc::clone(known);
        }
        let classes = self.rules.map.classes(&self.facts.target, &operation.resources);
        let request = Request {
            identity: &self.facts.identity,
            target: &self.place.facts,
            operation,
            classes,
            now: self.house.now(),
            source: Some(self.facts.source),
            approved,
        };
        let decision = match self.rules.policy.decide(&request) {
            // Nothing runs yet: the hold comes when it does.
            Decision::Hold(hold) if operation.traits.has(traits::PREPARE_ONLY) => Decision::Permit(hold.obligations),
            decision => decision,
        };
        let terms = match &decision {
            Decision::Permit(obligations) => Some(self.terms(operation, classes, obligations)),
            Decision::Hold(_) | Decision::Deny(_) => None,
        };
        let verdict = Arc::new(Verdict { decision, classes, terms });
        if let Some(shape) = memo {
            if self.verdicts.len() >= REMEMBERED {
                self.verdicts.clear();
            }
            self.verdicts.insert(shape, Arc::clone(&verdict));
        }
        verdict
    }

    fn terms(&mut self, operation: &Operation, classes: ClassSet, obligations: &Obligations) -> Terms {
        let key = (obligations.reveal, obligations.profile.clone());
        let mask = self.masks.entry(key).or_insert_with(|| {
            let (_, year, month, day) = self.house.now().civil();
            let today = vestibule_phi::Day { year, month, day };
            self.rules.map.mask(
                &self.facts.target,
                obligations.reveal,
                obligations.profile.as_deref(),
                &self.rules.mask_keys,
                today,
            )
        });
        let exact = operation.reading == Reading::Exact;
        let phi = self.place.facts.phi;
        Terms {
            mask: Arc::clone(mask),
            row_limit: obligations.row_limit,
            notice: obligations.message.as_deref().map(Arc::from),
            scrub: phi && (!exact || !classes.minus(obligations.reveal).is_empty()),
        }
    }

    async fn hold(
        &mut self,
        id: OpId,
        operation: &Operation,
        verdict: &Verdict,
        hold: &Hold,
        waiting: &mpsc::Sender<String>,
    ) -> Result<(Arc<Verdict>, Option<Approved>), Refusal> {
        self.saw(operation, "hold");
        let statement = self.redacted(operation).unwrap_or_else(|| operation.action.to_string());
        let request = NewRequest {
            sid: self.facts.sid.to_string(),
            op: id,
            requester: (*self.facts.identity).clone(),
            target: self.facts.target.to_string(),
            effect: operation.effect,
            action: operation.action.to_string(),
            digest: digest_of(&self.facts.target, operation, &statement),
            statement,
            classes: verdict.classes.iter().map(|class| class.name().to_owned()).collect(),
            hold: hold.clone(),
            now: self.house.now(),
        };
        let ticket = match self.house.approvals.ask(request).await {
            Ok(ticket) => ticket,
            Err(error) => {
                tracing::error!(%error, "an approval could not be requested");
                let refusal = Refusal::new(
                    RefusalKind::Unrecorded,
                    "refused: this operation needs approval, and the request could not be recorded",
                    "tell the operators of the gateway; nothing was sent to the target",
                );
                return Err(self.refuse(id, operation, verdict.classes, &hold.obligations, refusal).await);
            }
        };
        let number = ticket.number;
        let who = &ticket.who_may;
        let line = format!(
            "vestibule: {} waits for approval as request {number}: {}. Who may approve: {who} (vestibule approve {number})",
            operation.action, hold.reason
        );
        // A full queue only means that the client has lines to read already.
        let _ = waiting.try_send(line);
        let outcome = Pending::new(&self.house, ticket).outcome().await;
        self.settled(id, operation, verdict, hold, number, outcome).await
    }

    async fn settled(
        &mut self,
        id: OpId,
        operation: &Operation,
        held: &Verdict,
        hold: &Hold,
        number: vestibule_approval::Number,
        outcome: Outcome,
    ) -> Result<(Arc<Verdict>, Option<Approved>), Refusal> {
        let refusal = match outcome {
            Outcome::Approved { by } => {
                // Rules, groups and the proof may have changed while a human thought about it.
                self.identify()?;
                self.follow_rules();
                if !self.still_enough(operation, hold) {
                    let refusal = Refusal::new(
                        RefusalKind::Policy,
                        format!(
                            "refused: the rules changed while request {number} waited, and now ask for other approvers"
                        ),
                        "run it again: it will be put before them",
                    );
                    return Err(self.refuse(id, operation, held.classes, &hold.obligations, refusal).await);
                }
                let verdict = self.decide(operation, true);
                return match &verdict.decision {
                    Decision::Permit(_) => Ok((verdict, Some(Approved { number, approvers: by }))),
                    Decision::Deny(denial) => Err(self.deny(id, operation, &verdict, denial).await),
                    Decision::Hold(_) => Err(self.incoherent(id, operation, &verdict).await),
                };
            }
            Outcome::Denied { by, reason } => Refusal::new(
                RefusalKind::Denied,
                format!("refused: request {number} was denied by {}: {reason}", by.name),
                "ask the approver what would be acceptable, or leave it",
            ),
            Outcome::Expired => Refusal::new(
                RefusalKind::Expired,
                format!("refused: nobody approved request {number} in time"),
                "run it again when an approver is there",
            ),
            Outcome::Withdrawn => Refusal::new(
                RefusalKind::Cancelled,
                format!("refused: request {number} was withdrawn"),
                "run it again if it is still wanted",
            ),
        };
        Err(self.refuse(id, operation, held.classes, &hold.obligations, refusal).await)
    }

    /// Whether those who were asked are those whom the rules in force would ask.
    fn still_enough(&mut self, operation: &Operation, asked: &Hold) -> bool {
        match &self.decide(operation, false).decision {
            Decision::Hold(now) => now.approvers == asked.approvers && now.quorum <= asked.quorum,
            Decision::Permit(_) | Decision::Deny(_) => true,
        }
    }

    async fn deny(&self, id: OpId, operation: &Operation, verdict: &Verdict, denial: &Denial) -> Refusal {
        let refusal = Refusal::new(RefusalKind::Policy, denial.message.clone(), denial.remedy.clone());
        let obligations = Obligations {
            policies: denial.policies.clone(),
            policy_version: Arc::clone(&denial.policy_version),
            ..Obligations::default()
        };
        self.refuse(id, operation, verdict.classes, &obligations, refusal).await
    }

    /// A decision that the order above cannot produce. Refused, and loud.
    async fn incoherent(&self, id: OpId, operation: &Operation, verdict: &Verdict) -> Refusal {
        tracing::error!(action = %operation.action, "an approved operation is held again; refused");
        let refusal = Refusal::new(
            RefusalKind::Policy,
            "refused: the policies hold this operation even though it was approved",
            "tell the operators of the gateway",
        );
        let obligations =
            Obligations { policy_version: Arc::clone(self.rules.policy.version()), ..Obligations::default() };
        self.refuse(id, operation, verdict.classes, &obligations, refusal).await
    }

    /// Writes a refusal, durably, and hands it back. Where even that fails, the ledger's refusal takes its place.
    async fn refuse(
        &self,
        id: OpId,
        operation: &Operation,
        classes: ClassSet,
        obligations: &Obligations,
        refusal: Refusal,
    ) -> Refusal {
        self.saw(operation, "deny");
        match self.write(id, operation, classes, obligations, None, Some(&refusal)).await {
            Err(unrecorded) => unrecorded,
            Ok(receipt) => match self.log.safe(receipt).await {
                Err(unrecorded) => unrecorded,
                Ok(()) => refusal,
            },
        }
    }

    async fn write(
        &self,
        id: OpId,
        operation: &Operation,
        classes: ClassSet,
        obligations: &Obligations,
        approval: Option<&Approved>,
        refusal: Option<&Refusal>,
    ) -> Result<Receipt, Refusal> {
        let statement = self.redacted(operation);
        let body = Ruled {
            op: id,
            effect: operation.effect.name(),
            action: &operation.action,
            resources: &operation.resources,
            statement: statement.as_deref().map(shortened),
            classes,
            traits: operation.traits.iter().collect(),
            reading: &operation.reading,
            decision: if refusal.is_some() { "deny" } else { "permit" },
            policies: &obligations.policies,
            policy_version: &obligations.policy_version,
            reveal: obligations.reveal,
            profile: obligations.profile.as_deref(),
            row_limit: obligations.row_limit,
            message: obligations.message.as_deref(),
            approval,
            refusal: refusal.map(|r| r.message.as_str()),
        };
        self.log.append(self.house.now(), "op.ruling", &body).await
    }

    /// Writes that the client withdrew an operation before it was cleared.
    pub(crate) async fn cancelled(&self, id: OpId, operation: &Operation) -> Refusal {
        let refusal = Refusal::new(RefusalKind::Cancelled, "canceling statement due to user request", "");
        let obligations =
            Obligations { policy_version: Arc::clone(self.rules.policy.version()), ..Obligations::default() };
        self.refuse(id, operation, ClassSet::EMPTY, &obligations, refusal).await
    }

    /// The operation's text as it may be stored and shown.
    #[must_use]
    pub fn redacted(&self, operation: &Operation) -> Option<String> {
        let target = &self.facts.target;
        // A literal of unknown use in a statement that touches no classified column is still PHI where the statement
        // was not fully understood.
        let doubtful = self.place.facts.phi
            && (operation.reading != Reading::Exact
                || !self.rules.map.classes(target, &operation.resources).is_empty());
        operation.redacted(doubtful, |relation, column| self.rules.map.is_phi(target, relation, column))
    }

    fn saw(&self, operation: &Operation, decision: &'static str) {
        self.house.observer.saw(Seen::Ruled {
            sid: &self.facts.sid,
            target: &self.facts.target,
            effect: operation.effect,
            decision,
        });
    }
}

/// What an approval approves: this text, on this target, and nothing else.
fn digest_of(target: &str, operation: &Operation, statement: &str) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in [target, &operation.action, operation.text.as_deref().unwrap_or(statement)] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut digest = [0_u8; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// A ledger entry holds at most 65,535 bytes; the whole statement is in the recording.
fn shortened(statement: &str) -> &str {
    const MOST: usize = 16 << 10;
    let end = (0..=MOST.min(statement.len())).rev().find(|at| statement.is_char_boundary(*at)).unwrap_or(0);
    statement.get(..end).unwrap_or_default()
}

/// A request that is withdrawn when nobody waits for it any more.
struct Pending<'a> {
    house: &'a House,
    ticket: Option<Ticket>,
}

impl<'a> Pending<'a> {
    const fn new(house: &'a House, ticket: Ticket) -> Self {
        Self { house, ticket: Some(ticket) }
    }

    async fn outcome(mut self) -> Outcome {
        let Some(ticket) = &self.ticket else { return Outcome::Withdrawn };
        let outcome = self.house.approvals.wait(ticket).await;
        self.ticket = None;
        outcome
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let approvals = Arc::clone(&self.house.approvals);
            tokio::spawn(async move { approvals.withdraw(&ticket, "the client went away or cancelled").await });
        }
    }
}
