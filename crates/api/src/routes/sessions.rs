//! Sessions: listing and ending them.

use super::me::kind;
use super::time;
use crate::caller::{Caller, Role};
use crate::problem::Problem;
use crate::wire::{SessionQuery, SessionView};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use vestibule_core::{PhiClass, Refusal, RefusalKind};
use vestibule_gateway::Gateway;
use vestibule_store::{SessionFilter, SessionRow};

/// Longest reason, in characters.
const MAX_REASON: usize = 1_000;

/// `GET /v1/sessions`: the caller's own, or all by role.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Query(query): Query<SessionQuery>,
) -> Result<Json<Vec<SessionView>>, Problem> {
    let caller = caller.unrestricted()?;
    let everybodys = caller.has(&[Role::Admin, Role::Auditor, Role::Operator]);
    let identity = if everybodys { query.identity } else { Some(caller.identity.id()) };
    let filter = SessionFilter {
        identity,
        target: query.target,
        from: query.from.as_deref().map(time).transpose()?,
        to: query.to.as_deref().map(time).transpose()?,
        open: query.open,
        after: None,
        limit: query.limit.unwrap_or(100),
    };
    gateway.settle_index().await;
    let rows = gateway.store.sessions(&filter).await;
    let rows = rows.map_err(|e| Problem::fault("the sessions could not be read", e))?;
    Ok(Json(rows.iter().map(|row| view(&gateway, row)).collect()))
}

/// `GET /v1/sessions/{sid}`
pub(crate) async fn one(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(sid): Path<String>,
) -> Result<Json<SessionView>, Problem> {
    let caller = caller.unrestricted()?;
    let row = find(&gateway, &sid).await?;
    if row.identity_id != caller.identity.id() && !caller.has(&[Role::Admin, Role::Auditor, Role::Operator]) {
        return Err(unknown());
    }
    Ok(Json(view(&gateway, &row)))
}

fn unknown() -> Problem {
    Problem::not_found("there is no such session that you may see")
}

/// A session as listed.
pub(crate) async fn find(gateway: &Gateway, sid: &str) -> Result<SessionRow, Problem> {
    gateway.settle_index().await;
    let found = gateway.store.session(sid).await;
    found.map_err(|e| Problem::fault("the session could not be read", e))?.ok_or_else(unknown)
}

/// Why a session is ended.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ending {
    reason: String,
}

/// `DELETE /v1/sessions/{sid}`: the caller's own, or any by role. Ledger first.
pub(crate) async fn end(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(sid): Path<String>,
    Query(ending): Query<Ending>,
) -> Result<StatusCode, Problem> {
    let caller = caller.unrestricted()?;
    let reason = said(&ending.reason)?;
    let live = gateway.house.live.list().into_iter().find(|live| *live.facts.sid == *sid);
    let live = live.ok_or_else(|| Problem::not_found("no such session is open"))?;
    if live.facts.identity.id() != caller.identity.id() && !caller.has(&[Role::Admin, Role::Operator]) {
        return Err(Problem::not_found("no such session is open"));
    }
    let body = json!({
        "sid": sid, "by": caller.identity.id(), "name": caller.identity.name, "reason": reason,
        "identity": live.facts.identity.id(), "target": &*live.facts.target,
    });
    let noted = gateway.house.journal.note("session.end-asked", &body).await;
    noted.map_err(|e| Problem::fault("ending the session could not be recorded, so it goes on", e))?;
    let words = format!("{} ended this session: {reason}", caller.identity.name);
    live.end(Refusal::new(RefusalKind::Denied, words, "ask them before you connect again"));
    Ok(StatusCode::NO_CONTENT)
}

/// A reason, as it goes on the ledger.
pub(crate) fn said(reason: &str) -> Result<String, Problem> {
    let reason = vestibule_approval::visible(reason.trim());
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        return Err(Problem::bad_request(format!("say why, in at most {MAX_REASON} characters")));
    }
    Ok(reason)
}

/// A session, as clients see it; an open one with what it came to so far.
pub(crate) fn view(gateway: &Gateway, row: &SessionRow) -> SessionView {
    let counts = row.closed.is_none().then(|| gateway.counts(&row.sid)).flatten();
    let counts = counts.as_ref().unwrap_or(&row.counts);
    SessionView {
        sid: row.sid.clone(),
        identity: row.identity_id.clone(),
        name: row.identity_name.clone(),
        kind: kind(row.identity_kind).to_owned(),
        target: row.target.clone(),
        protocol: row.protocol.clone(),
        source: row.source.clone(),
        opened: row.opened.to_string(),
        closed: row.closed.map(|at| at.to_string()),
        reason: row.reason.clone(),
        recorded: row.recording.is_some(),
        operations: counts.ops,
        refused: counts.denied,
        rows: counts.rows,
        masked: names(&counts.masked),
        revealed: names(&counts.revealed),
    }
}

fn names(counts: &BTreeMap<PhiClass, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(class, count)| (class.name().to_owned(), *count)).collect()
}
