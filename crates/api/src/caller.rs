//! Who calls: the bearer token, and what the caller's groups allow here.

use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use std::sync::Arc;
use vestibule_core::Identity;
use vestibule_gateway::Gateway;

/// What a group allows at the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sees and ends every session, explains policies for others.
    Admin,
    /// Lists sessions, replays recordings, exports evidence.
    Auditor,
    /// Lists and ends sessions; reads no recording.
    Operator,
}

impl Role {
    const ALL: [Self; 3] = [Self::Admin, Self::Auditor, Self::Operator];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }
}

/// The proven caller.
pub(crate) struct Caller {
    pub identity: Arc<Identity>,
    pub roles: Vec<Role>,
}

impl Caller {
    pub fn has(&self, any: &[Role]) -> bool {
        self.roles.iter().any(|role| any.contains(role))
    }

    /// The caller, if one of these roles is among the caller's.
    pub fn with(self, any: &[Role]) -> Result<Self, Problem> {
        if self.identity.only_target.is_some() {
            return Err(Problem::forbidden("this token is good for one target only; use the one of your login"));
        }
        if self.has(any) {
            return Ok(self);
        }
        let names: Vec<_> = any.iter().map(|role| role.name()).collect();
        Err(Problem::forbidden(format!(
            "this takes the role {}; your groups give you none of them (`[api]` in the gateway's configuration says which do)",
            names.join(" or ")
        )))
    }

    /// The caller, in their own name and not with a token made for one target.
    pub fn unrestricted(self) -> Result<Self, Problem> {
        if self.identity.only_target.is_some() {
            return Err(Problem::forbidden("this token is good for one target only; use the one of your login"));
        }
        Ok(self)
    }
}

impl FromRequestParts<Arc<Gateway>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let token = bearer(parts)?;
        // What a token restricted to one target may do here is little; see `unrestricted`.
        let proven = gateway.house.prover.recognise(token, gateway.house.now()).await;
        let identity = proven.map_err(|error| {
            tracing::warn!(kind = ?error.kind, reason = %error.reason, "a proof was refused at the API");
            Problem::unauthenticated(error.public)
        })?;
        let api = &gateway.config().api;
        let of = |role: &Role| match role {
            Role::Admin => &api.admins,
            Role::Auditor => &api.auditors,
            Role::Operator => &api.operators,
        };
        let roles = Role::ALL.into_iter().filter(|role| of(role).iter().any(|g| identity.groups.contains(g))).collect();
        Ok(Self { identity: Arc::new(identity), roles })
    }
}

fn bearer(parts: &Parts) -> Result<&str, Problem> {
    let missing = || Problem::unauthenticated("send `Authorization: Bearer` with a token; `vestibule login` gets one");
    let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(missing()) }
}
