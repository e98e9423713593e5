//! Health and metrics.

use crate::caller::{Caller, Role};
use crate::problem::Problem;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use vestibule_gateway::Gateway;

/// The process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// New connections are welcome.
pub(crate) async fn readyz(State(gateway): State<Arc<Gateway>>) -> Response {
    match gateway.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

/// Leave to read the metrics: open, or by role.
pub(crate) struct MayMeasure;

impl FromRequestParts<Arc<Gateway>> for MayMeasure {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        if !gateway.config().api.metrics_open {
            Caller::from_request_parts(parts, gateway).await?.with(&[Role::Operator, Role::Admin])?;
        }
        Ok(Self)
    }
}

/// For Prometheus.
pub(crate) async fn metrics(State(gateway): State<Arc<Gateway>>, _: MayMeasure) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], gateway.metrics.render()).into_response()
}
