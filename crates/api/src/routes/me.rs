//! What a client has to know: issuers, who it is, which targets there are.

use crate::caller::{Caller, Role};
use crate::wire::{Discovery, IssuerView, TargetView, Whoami};
use axum::Json;
use axum::extract::State;
use std::sync::Arc;
use vestibule_gateway::Gateway;

/// `GET /.well-known/vestibule`
pub(crate) async fn discovery(State(gateway): State<Arc<Gateway>>) -> Json<Discovery> {
    let config = gateway.config();
    Json(Discovery {
        gateway: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        token_endpoint: format!("{}/v1/token", config.api.url),
        issuers: config
            .issuers
            .iter()
            .map(|issuer| IssuerView {
                name: issuer.name.clone(),
                issuer: issuer.issuer.clone(),
                client_id: issuer.client_id.clone(),
                scopes: issuer.scopes.clone(),
            })
            .collect(),
    })
}

/// `GET /v1/whoami`
pub(crate) async fn whoami(caller: Caller) -> Json<Whoami> {
    let identity = &caller.identity;
    Json(Whoami {
        id: identity.id(),
        name: identity.name.clone(),
        kind: kind(identity.kind).to_owned(),
        groups: identity.groups.iter().cloned().collect(),
        roles: caller.roles.iter().map(|role: &Role| role.name().to_owned()).collect(),
        expires: identity.expires.to_string(),
        only_target: identity.only_target.clone(),
    })
}

/// The word for a kind of identity.
pub(crate) const fn kind(kind: vestibule_core::IdentityKind) -> &'static str {
    match kind {
        vestibule_core::IdentityKind::Person => "person",
        vestibule_core::IdentityKind::Service => "service",
        vestibule_core::IdentityKind::Agent => "agent",
    }
}

/// `GET /v1/targets`
pub(crate) async fn targets(State(gateway): State<Arc<Gateway>>, caller: Caller) -> Json<Vec<TargetView>> {
    let config = gateway.config();
    let mine = |name: &str| caller.identity.only_target.as_deref().is_none_or(|only| only == name);
    let view = |target: &Arc<vestibule_gateway::config::TargetConfig>| {
        let manifest = target.protocol.manifest();
        let listener = config.listeners.iter().find(|listener| listener.protocol.manifest().id == manifest.id)?;
        Some(TargetView {
            name: target.upstream.name.clone(),
            protocol: manifest.id.to_owned(),
            title: manifest.title.to_owned(),
            address: listener.address.clone(),
            hint: manifest.target_hint.to_owned(),
            client_env: manifest.client_env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            labels: target.labels.clone(),
        })
    };
    Json(config.targets.values().filter(|target| mine(&target.upstream.name)).filter_map(view).collect())
}
