//! How a request ends without a ruling: waiting it out, withdrawal, restart.

use crate::approvals::{Approvals, Happened, Outcome, Ticket, to_the_end};
use crate::notary::NotaryError;
use crate::rules::Approver;
use crate::{Number, RuleError};
use serde_json::json;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;
use vestibule_core::Timestamp;
use vestibule_store::{Ending, Request, RequestState, StoreError};

/// Longest a waiter sleeps without looking: the wall clock may be set forward meanwhile.
const LOOK: Duration = Duration::from_secs(15);
/// After a failing look at the store, the next one.
const RETRY: Duration = Duration::from_secs(1);

/// Why a request could not be ended in order.
#[derive(Debug, Error)]
pub enum SettleError {
    /// The ledger did not take it.
    #[error("the end of a request could not be recorded: {0}")]
    Ledger(#[from] NotaryError),
    /// The store did not take it.
    #[error("the end of a request could not be kept: {0}")]
    Store(#[from] StoreError),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

impl From<SettleError> for RuleError {
    fn from(e: SettleError) -> Self {
        match e {
            SettleError::Ledger(e) => Self::Ledger(e),
            SettleError::Store(e) => Self::Store(e),
            SettleError::Stopping => Self::Stopping,
        }
    }
}

impl Approvals {
    /// Waits until the request is settled, at the latest until it expires. May be dropped and called again: a
    /// ruling given in between is found. What cannot be learned until then is [`Outcome::Expired`].
    pub async fn wait(&self, ticket: &Ticket) -> Outcome {
        // The steady clock beside the wall clock: one that is set back does not lengthen the wait.
        let left = ticket.expires.0.saturating_sub((self.0.clock)().0);
        let deadline = Instant::now() + Duration::from_micros(u64::try_from(left).unwrap_or(0));
        let outcome = self.wait_until(ticket, deadline).await;
        self.unbell(ticket.number);
        outcome
    }

    async fn wait_until(&self, ticket: &Ticket, deadline: Instant) -> Outcome {
        loop {
            let mut bell = self.bell(ticket.number);
            let late = Instant::now() >= deadline || (self.0.clock)() >= ticket.expires;
            let mut look = LOOK;
            match self.0.store.request(ticket.number.0).await {
                Ok(Some(request)) => {
                    if let Some(outcome) = outcome(&request) {
                        return outcome;
                    }
                }
                Ok(None) => return Outcome::Withdrawn,
                Err(e) => {
                    tracing::warn!(request = %ticket.number, error = %e, "request could not be read");
                    look = RETRY;
                }
            }
            if late {
                return self.run_out(ticket).await;
            }
            let until = deadline.min(Instant::now() + look);
            // Both lead to the same: look again. A bell that is gone has rung.
            let _ = tokio::time::timeout_at(until, bell.changed()).await;
        }
    }

    /// Time is up: settles the request, unless somebody ruled in the last moment.
    async fn run_out(&self, ticket: &Ticket) -> Outcome {
        let (this, number, expires) = (self.clone(), ticket.number, ticket.expires);
        let settled = to_the_end(async move {
            let _turn = this.0.turn.lock().await;
            let request = this.0.store.request(number.0).await?;
            match request {
                Some(r) if r.state.is_settled() => Ok(outcome(&r)),
                Some(r) => this.expire_in_turn(&r, expires.max((this.0.clock)())).await.map(|()| None),
                None => Ok(None),
            }
        });
        match settled.await {
            Some(Ok(Some(outcome))) => outcome,
            Some(Ok(None)) | None => Outcome::Expired,
            // Not recorded as expired, but it cannot be approved any more either; `sweep` records it later.
            Some(Err(e)) => {
                tracing::warn!(request = %ticket.number, error = %e, "expiry could not be recorded");
                Outcome::Expired
            }
        }
    }

    /// Takes a request back: the client cancelled or went away. Returns how it stands: withdrawn, or as it
    /// was settled before.
    ///
    /// # Errors
    /// The ledger or the store failed. If it was the ledger, the request is withdrawn all the same.
    pub async fn withdraw(&self, ticket: &Ticket, why: &str) -> Result<RequestState, SettleError> {
        let (this, number, why) = (self.clone(), ticket.number, why.to_owned());
        to_the_end(async move {
            let _turn = this.0.turn.lock().await;
            let Some(request) = this.0.store.request(number.0).await? else { return Ok(RequestState::Withdrawn) };
            if request.state.is_settled() {
                return Ok(request.state);
            }
            this.withdraw_in_turn(&request, &why, (this.0.clock)()).await.map(|()| RequestState::Withdrawn)
        })
        .await
        .unwrap_or(Err(SettleError::Stopping))
    }

    /// Settles the requests whose time is up though nobody waits for them. The gateway calls it now and then.
    /// Returns how many.
    ///
    /// # Errors
    /// The ledger or the store failed; the rest stays for the next time.
    pub async fn sweep(&self) -> Result<usize, SettleError> {
        let this = self.clone();
        to_the_end(async move {
            let now = (this.0.clock)();
            let overdue = this.0.store.overdue_requests(now).await?;
            let mut swept = 0;
            for number in overdue {
                let _turn = this.0.turn.lock().await;
                if let Some(request) = this.0.store.request(number).await?.filter(|r| !r.state.is_settled()) {
                    this.expire_in_turn(&request, now).await?;
                    swept += 1;
                }
            }
            Ok(swept)
        })
        .await
        .unwrap_or(Err(SettleError::Stopping))
    }

    /// At boot, before the first session: ends what the last run left open. Returns the numbers.
    ///
    /// # Errors
    /// The ledger or the store failed; the gateway must not serve.
    pub async fn recover(&self, now: Timestamp) -> Result<Vec<Number>, SettleError> {
        let this = self.clone();
        to_the_end(async move {
            let _turn = this.0.turn.lock().await;
            let mut ended = Vec::new();
            for number in this.0.store.unsettled_requests().await? {
                let Some(request) = this.0.store.request(number).await? else { continue };
                if now >= request.asked.expires {
                    this.expire_in_turn(&request, now).await?;
                } else {
                    this.withdraw_in_turn(&request, "the gateway restarted", now).await?;
                }
                ended.push(Number(number));
            }
            Ok(ended)
        })
        .await
        .unwrap_or(Err(SettleError::Stopping))
    }

    /// Ledger first: an expiry that is not on it is tried again.
    pub(crate) async fn expire_in_turn(&self, request: &Request, now: Timestamp) -> Result<(), SettleError> {
        let number = Number(request.number);
        self.0.notary.note("approval.expired", end_of(request, "nobody answered in time", now)).await?;
        if self.0.store.settle_request(request.number, Ending::Expired, "nobody answered in time", now).await? {
            self.tell(number, Happened::Settled(RequestState::Expired));
        }
        Ok(())
    }

    /// The store even if the ledger fails: nobody waits for the answer any more, so nobody may be asked for it.
    async fn withdraw_in_turn(&self, request: &Request, why: &str, now: Timestamp) -> Result<(), SettleError> {
        let noted = self.0.notary.note("approval.withdrawn", end_of(request, why, now)).await;
        if self.0.store.settle_request(request.number, Ending::Withdrawn, why, now).await? {
            self.tell(Number(request.number), Happened::Settled(RequestState::Withdrawn));
        }
        Ok(noted?)
    }

    /// A draft the ledger never took. If this fails too, `recover` or `sweep` ends it.
    pub(crate) async fn drop_draft(&self, number: Number, now: Timestamp) {
        let why = "the request could not be recorded";
        if let Err(e) = self.0.store.settle_request(number.0, Ending::Withdrawn, why, now).await {
            tracing::warn!(request = %number, error = %e, "draft request could not be dropped");
        }
    }
}

fn end_of(request: &Request, why: &str, now: Timestamp) -> serde_json::Value {
    json!({
        "number": Number(request.number), "sid": request.asked.sid, "op": request.asked.op,
        "target": request.asked.target, "digest": request.asked.digest,
        "requester": {"id": request.asked.requester_id, "name": request.asked.requester_name},
        "reason": why, "at": now.to_string(),
    })
}

fn outcome(request: &Request) -> Option<Outcome> {
    match request.state {
        RequestState::Draft | RequestState::Pending => None,
        RequestState::Expired => Some(Outcome::Expired),
        RequestState::Withdrawn => Some(Outcome::Withdrawn),
        RequestState::Approved => {
            Some(Outcome::Approved { by: request.rulings.iter().filter(|r| r.yes).map(Approver::from).collect() })
        }
        RequestState::Denied => {
            // INVARIANT: a denied request has a no. Without one it is still not approved.
            let no = request.rulings.iter().find(|r| !r.yes);
            Some(no.map_or(Outcome::Withdrawn, |r| Outcome::Denied { by: r.into(), reason: r.reason.clone() }))
        }
    }
}
