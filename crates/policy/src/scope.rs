//! The scope of a policy, compiled: whether it can apply at all, before Cedar evaluates its conditions.
//!
//! INVARIANT: `Scope::misses` says so only where Cedar would find the policy not satisfied. A test compares every
//! decision with that of Cedar over all policies.

use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, Policy, PrincipalConstraint, ResourceConstraint};
use serde::Serialize;
use vestibule_core::{Effect, Identity, IdentityKind};

/// All effects, in the order of harm.
pub(crate) const EFFECTS: [Effect; 6] =
    [Effect::Open, Effect::Read, Effect::Write, Effect::Define, Effect::Execute, Effect::Administer];

/// Cedar's type of an identity.
pub(crate) const fn kind_name(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::Person => "Person",
        IdentityKind::Service => "Service",
        IdentityKind::Agent => "Agent",
    }
}

/// Which part of a policy's scope keeps it from applying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Miss {
    /// It is for other identities.
    Principal,
    /// It is for other effects.
    Action,
    /// It is for other targets.
    Target,
}

/// Who or what a scope names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    kind: Box<str>,
    id: Box<str>,
}

/// The scope of one policy.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    principal_kind: Option<Box<str>>,
    principal: Option<Named>,
    /// One bit an effect.
    effects: u8,
    resource_kind: Option<Box<str>>,
    resource: Option<Named>,
}

impl Scope {
    pub fn of(policy: &Policy) -> Self {
        let (principal_kind, principal) = match policy.principal_constraint() {
            PrincipalConstraint::Any => (None, None),
            PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) => (None, Some(named(&uid))),
            PrincipalConstraint::Is(kind) => (Some(kind_of(&kind)), None),
            PrincipalConstraint::IsIn(kind, uid) => (Some(kind_of(&kind)), Some(named(&uid))),
        };
        let (resource_kind, resource) = match policy.resource_constraint() {
            ResourceConstraint::Any => (None, None),
            ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) => (None, Some(named(&uid))),
            ResourceConstraint::Is(kind) => (Some(kind_of(&kind)), None),
            ResourceConstraint::IsIn(kind, uid) => (Some(kind_of(&kind)), Some(named(&uid))),
        };
        let effects = match policy.action_constraint() {
            ActionConstraint::Any => u8::MAX,
            ActionConstraint::Eq(uid) => effects_of(&uid, false),
            ActionConstraint::In(uids) => uids.iter().fold(0, |bits, uid| bits | effects_of(uid, true)),
        };
        Self { principal_kind, principal, effects, resource_kind, resource }
    }

    /// The first part that keeps the policy from applying.
    pub fn misses(&self, identity: &Identity, id: &str, effect: Effect, target: &str) -> Option<Miss> {
        let kind = kind_name(identity.kind);
        let other_kind = self.principal_kind.as_deref().is_some_and(|k| k != kind);
        let other = self.principal.as_ref().is_some_and(|named| match &*named.kind {
            "Group" => !identity.groups.contains(&*named.id),
            other => other != kind || &*named.id != id,
        });
        if other_kind || other {
            return Some(Miss::Principal);
        }
        if self.effects & bit(effect) == 0 {
            return Some(Miss::Action);
        }
        (!self.reaches(target)).then_some(Miss::Target)
    }

    /// Whether it can apply to this target.
    pub fn reaches(&self, target: &str) -> bool {
        self.resource_kind.as_deref().is_none_or(|k| k == "Target")
            && self.resource.as_ref().is_none_or(|named| &*named.kind == "Target" && &*named.id == target)
    }
}

const fn bit(effect: Effect) -> u8 {
    1 << effect as u8
}

fn kind_of(kind: &EntityTypeName) -> Box<str> {
    kind.to_string().into()
}

fn named(uid: &EntityUid) -> Named {
    Named { kind: kind_of(uid.type_name()), id: uid.id().unescaped().into() }
}

/// The effects an action stands for. `==` names one; `in` also those below a group.
fn effects_of(uid: &EntityUid, below: bool) -> u8 {
    if uid.type_name().to_string() != "Action" {
        return 0;
    }
    let name = uid.id().unescaped();
    EFFECTS
        .iter()
        .filter(|e| e.name() == name || (below && name == "change" && e.changes_target()))
        .fold(0, |bits, e| bits | bit(*e))
}
