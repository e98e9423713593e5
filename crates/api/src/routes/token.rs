//! Token exchange (RFC 8693): a token of a trusted issuer, or a wider one of the gateway's own, for a short-lived one.

use crate::problem::Problem;
use crate::wire::TokenAnswer;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use vestibule_gateway::Gateway;
use vestibule_identity::ExchangeRequest;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What may be handed in.
const SUBJECTS: [&str; 3] =
    ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token", ACCESS_TOKEN];

/// RFC 8693, section 2.1, and how long the token is to be good.
#[derive(Deserialize)]
pub(crate) struct Exchange {
    grant_type: String,
    subject_token: String,
    subject_token_type: String,
    /// The one target the token is to be good for.
    audience: Option<String>,
    /// Seconds.
    requested_ttl: Option<u64>,
}

/// `POST /v1/token`
pub(crate) async fn exchange(
    State(gateway): State<Arc<Gateway>>,
    Form(form): Form<Exchange>,
) -> Result<Response, Problem> {
    if form.grant_type != GRANT {
        return Err(Problem::bad_request(format!("`grant_type` must be `{GRANT}`")));
    }
    if !SUBJECTS.contains(&form.subject_token_type.as_str()) {
        return Err(Problem::bad_request(format!("`subject_token_type` must be one of: {}", SUBJECTS.join(", "))));
    }
    if let Some(target) = &form.audience
        && !gateway.config().targets.contains_key(target)
    {
        return Err(Problem::bad_request("`audience` names no target; `vestibule connect` lists them"));
    }
    let house = &gateway.house;
    let request = ExchangeRequest {
        subject_token: &form.subject_token,
        target: form.audience.as_deref(),
        ttl: form.requested_ttl.map(Duration::from_secs),
    };
    let issued = house.prover.exchange(&request, house.now()).await;
    let issued = issued.map_err(|error| {
        tracing::warn!(kind = ?error.kind, reason = %error.reason, "a token was not exchanged");
        Problem::unauthenticated(error.public)
    })?;
    let identity = &issued.identity;
    let body = json!({
        "identity": identity.id(), "name": identity.name, "kind": identity.kind, "groups": identity.groups,
        "acting_for": identity.acting_for, "token_id": identity.token_id, "target": identity.only_target,
        "expires": identity.expires.to_string(),
    });
    let noted = house.journal.note("token.issued", &body).await;
    noted.map_err(|e| Problem::fault("the token could not be recorded, so it was not issued", e))?;
    let mut answer = Json(TokenAnswer {
        access_token: issued.token.to_string(),
        issued_token_type: ACCESS_TOKEN.to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: issued.expires_in,
    })
    .into_response();
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}
