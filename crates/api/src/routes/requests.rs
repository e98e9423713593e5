//! Requests for approval: who waits, and the rulings.

use crate::caller::{Caller, Role};
use crate::problem::Problem;
use crate::wire::{RequestQuery, RequestView, RuledView, RulingBody, RulingView};
use axum::Json;
use axum::extract::{Path, Query, State};
use std::sync::Arc;
use vestibule_approval::{Number, Request, RequestFilter, RequestState, RuleError};
use vestibule_gateway::Gateway;

/// `GET /v1/requests`: those that the caller asked, may rule on, or sees by role.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Query(query): Query<RequestQuery>,
) -> Result<Json<Vec<RequestView>>, Problem> {
    let caller = caller.unrestricted()?;
    let state = (!query.all).then_some(RequestState::Pending);
    let filter = RequestFilter { state, limit: query.limit.unwrap_or(200), ..RequestFilter::default() };
    let found = gateway.approvals().list(&filter).await;
    let found = found.map_err(|e| Problem::fault("the requests could not be read", e))?;
    Ok(Json(found.iter().filter(|request| may_see(&caller, request)).map(view).collect()))
}

/// `GET /v1/requests/{number}`
pub(crate) async fn one(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<RequestView>, Problem> {
    let caller = caller.unrestricted()?;
    let number = parse(&number)?;
    let found = gateway.approvals().get(number).await;
    let found = found.map_err(|e| Problem::fault("the request could not be read", e))?;
    // What the caller may not see is as if it were not there.
    match found.filter(|request| may_see(&caller, request)) {
        Some(request) => Ok(Json(view(&request))),
        None => Err(Problem::not_found(format!("there is no request {number} that you may see"))),
    }
}

/// `POST /v1/requests/{number}/approve`
pub(crate) async fn approve(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(number): Path<String>,
    Json(body): Json<RulingBody>,
) -> Result<Json<RuledView>, Problem> {
    rule(&gateway, &caller, &number, true, &body.reason).await
}

/// `POST /v1/requests/{number}/deny`
pub(crate) async fn deny(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(number): Path<String>,
    Json(body): Json<RulingBody>,
) -> Result<Json<RuledView>, Problem> {
    rule(&gateway, &caller, &number, false, &body.reason).await
}

async fn rule(
    gateway: &Gateway,
    caller: &Caller,
    number: &str,
    yes: bool,
    reason: &str,
) -> Result<Json<RuledView>, Problem> {
    let now = gateway.house.now();
    let ruled = gateway.approvals().rule(parse(number)?, &caller.identity, yes, reason, now).await;
    match ruled {
        Ok(ruled) => Ok(Json(RuledView { state: ruled.state.name().to_owned(), yes: ruled.yes, quorum: ruled.quorum })),
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &RuleError) -> Problem {
    let words = error.to_string();
    match error {
        RuleError::NotFound(_) => Problem::not_found(words),
        RuleError::AlreadySettled { .. } | RuleError::AlreadyVoted => Problem::conflict(words),
        RuleError::ReasonRequired | RuleError::ReasonTooLong => Problem::bad_request(words),
        RuleError::OwnRequest
        | RuleError::OnBehalfOfRequester
        | RuleError::NotAPerson
        | RuleError::NotEligible { .. }
        | RuleError::ProofEnded => Problem::forbidden(words),
        RuleError::Ledger(_) | RuleError::Store(_) | RuleError::Stopping => {
            Problem::fault("the ruling could not be recorded, so it does not count", words)
        }
    }
}

fn parse(number: &str) -> Result<Number, Problem> {
    number.parse().map_err(|e: vestibule_approval::NotANumber| Problem::bad_request(e.to_string()))
}

fn may_see(caller: &Caller, request: &Request) -> bool {
    let mine = request.asked.requester_id == caller.identity.id();
    let may_rule = request.asked.approver_groups.iter().any(|group| caller.identity.groups.contains(group));
    mine || may_rule || caller.has(&[Role::Admin, Role::Auditor])
}

fn view(request: &Request) -> RequestView {
    let asked = &request.asked;
    RequestView {
        number: Number(request.number).to_string(),
        state: request.state.name().to_owned(),
        requester: asked.requester_id.clone(),
        requester_name: asked.requester_name.clone(),
        target: asked.target.clone(),
        effect: asked.effect.clone(),
        action: asked.action.clone(),
        statement: asked.statement.clone(),
        classes: asked.classes.clone(),
        reason: asked.reason.clone(),
        approvers: asked.approver_groups.clone(),
        quorum: asked.quorum,
        asked: asked.created.to_string(),
        expires: asked.expires.to_string(),
        sid: asked.sid.clone(),
        digest: asked.digest.clone(),
        rulings: request
            .rulings
            .iter()
            .map(|ruling| RulingView {
                by: ruling.approver_id.clone(),
                name: ruling.approver_name.clone(),
                yes: ruling.yes,
                reason: ruling.reason.clone(),
                at: ruling.at.to_string(),
            })
            .collect(),
    }
}
