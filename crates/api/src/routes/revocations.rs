//! Revoking somebody's access, and restoring it.

use super::sessions::said;
use crate::caller::{Caller, Role};
use crate::problem::Problem;
use crate::wire::{Revocation, RevocationView, Revoked};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use std::sync::Arc;
use vestibule_gateway::{Gateway, RevokeError};
use vestibule_store::RevocationKind;

/// `GET /v1/revocations`
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
) -> Result<Json<Vec<RevocationView>>, Problem> {
    caller.with(&[Role::Admin, Role::Auditor, Role::Operator])?;
    let all = gateway.store.revocations().await.map_err(|e| Problem::fault("what is revoked could not be read", e))?;
    let identities = all.into_iter().filter(|r| r.kind == RevocationKind::Identity);
    Ok(Json(
        identities
            .map(|r| RevocationView { identity: r.subject, at: r.at.to_string(), by: r.by, reason: r.reason })
            .collect(),
    ))
}

/// `POST /v1/revocations`: by role. Ledger first.
pub(crate) async fn revoke(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Json(asked): Json<Revocation>,
) -> Result<(StatusCode, Json<Revoked>), Problem> {
    let caller = caller.with(&[Role::Admin, Role::Operator])?;
    let reason = said(&asked.reason)?;
    let identity = asked.identity.trim();
    let known = identity.split_once('|').is_some_and(|(issuer, subject)| {
        !subject.is_empty() && gateway.config().issuers.iter().any(|known| known.name == issuer)
    });
    if !known {
        return Err(Problem::bad_request(
            "name an identity as `issuer|subject`, of an issuer of this gateway: `vestibule whoami` and the sessions as JSON have it so",
        ));
    }
    if identity == caller.identity.id() {
        return Err(Problem::forbidden("nobody revokes their own access, for who would restore it? Ask somebody else"));
    }
    let sessions = gateway.revoke(identity, &caller.identity, &reason).await.map_err(fault)?;
    Ok((StatusCode::CREATED, Json(Revoked { identity: identity.to_owned(), sessions })))
}

/// `DELETE /v1/revocations`: by role. Ledger first.
pub(crate) async fn restore(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Query(asked): Query<Revocation>,
) -> Result<StatusCode, Problem> {
    let caller = caller.with(&[Role::Admin, Role::Operator])?;
    let reason = said(&asked.reason)?;
    let revoked = gateway.store.is_revoked(RevocationKind::Identity, &asked.identity).await;
    if !revoked.map_err(|e| Problem::fault("what is revoked could not be read", e))? {
        return Err(Problem::not_found("access of that identity is not revoked"));
    }
    gateway.restore(&asked.identity, &caller.identity, &reason).await.map_err(fault)?;
    Ok(StatusCode::NO_CONTENT)
}

fn fault(error: RevokeError) -> Problem {
    match error {
        RevokeError::Ledger(e) => Problem::fault("it could not be recorded, so nothing was changed", e),
        RevokeError::Store(e) => {
            Problem::fault("it is on the ledger, but could not be stored, so it is not for good", e)
        }
    }
}
