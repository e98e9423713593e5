//! The routes, one file a family.

mod evidence;
mod me;
mod ops;
mod policy;
mod replay;
mod requests;
mod revocations;
mod sessions;
mod token;

use crate::problem::Problem;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use std::sync::Arc;
use vestibule_gateway::Gateway;

/// Longest body of a request, in bytes.
const MAX_BODY: usize = 256 << 10;

/// Every route.
pub(crate) fn all(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/.well-known/vestibule", get(me::discovery))
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/v1/token", post(token::exchange))
        .route("/v1/whoami", get(me::whoami))
        .route("/v1/targets", get(me::targets))
        .route("/v1/requests", get(requests::list))
        .route("/v1/requests/{number}", get(requests::one))
        .route("/v1/requests/{number}/approve", post(requests::approve))
        .route("/v1/requests/{number}/deny", post(requests::deny))
        .route("/v1/sessions", get(sessions::list))
        .route("/v1/sessions/{sid}", get(sessions::one).delete(sessions::end))
        .route("/v1/sessions/{sid}/replay", get(replay::replay))
        .route("/v1/revocations", get(revocations::list).post(revocations::revoke).delete(revocations::restore))
        .route("/v1/policy/explain", post(policy::explain))
        .route("/v1/evidence", post(evidence::export))
        .fallback(|| async { Problem::not_found("there is no such route; see docs/reference/api.md") })
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&gateway), count))
        .with_state(gateway)
}

/// Counts every answer by its route's pattern, never by its path.
async fn count(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let answer = next.run(request).await;
    gateway.metrics.api_request(&route, answer.status().as_u16());
    answer
}

/// A point in time as people write it: RFC 3339 in UTC, or a date.
pub(crate) fn time(text: &str) -> Result<vestibule_core::Timestamp, Problem> {
    text.parse()
        .map_err(|_| Problem::bad_request(format!("`{text}` is no time; write `2026-11-24` or `2026-11-24T08:00:00Z`")))
}
