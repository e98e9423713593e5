//! Explaining: what would happen to a statement, and which policies decide. Nothing is run.

use crate::caller::{Caller, Role};
use crate::problem::Problem;
use crate::wire::ExplainBody;
use axum::Json;
use axum::extract::State;
use std::sync::Arc;
use vestibule_core::Identity;
use vestibule_gateway::Gateway;
use vestibule_policy::Explanation;

/// `POST /v1/policy/explain`: for the caller, or by role for somebody else.
pub(crate) async fn explain(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Json(body): Json<ExplainBody>,
) -> Result<Json<Vec<Explanation>>, Problem> {
    let caller = caller.unrestricted()?;
    let for_others = body.groups.is_some() || body.identity.is_some();
    if for_others && !caller.has(&[Role::Admin, Role::Auditor]) {
        return Err(Problem::forbidden("only admins and auditors may ask what would happen to somebody else"));
    }
    let identity = asked_about(&caller, &body)?;
    let explained = gateway.explain(&identity, &body.target, &body.statement);
    explained.map(Json).map_err(|refusal| Problem::bad_request(refusal.message))
}

fn asked_about(caller: &Caller, body: &ExplainBody) -> Result<Identity, Problem> {
    let mut identity = (*caller.identity).clone();
    if let Some(id) = &body.identity {
        let (issuer, subject) =
            id.split_once('|').ok_or_else(|| Problem::bad_request("`identity` is written `issuer|subject`"))?;
        (identity.issuer, identity.subject, identity.name) = (issuer.to_owned(), subject.to_owned(), id.clone());
        identity.groups.clear();
    }
    if let Some(groups) = &body.groups {
        identity.groups = groups.iter().cloned().collect();
    }
    Ok(identity)
}
