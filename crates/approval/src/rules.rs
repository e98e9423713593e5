//! Who may rule. Pure: the request, the approver and the time decide.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use thiserror::Error;
use vestibule_core::{Identity, IdentityKind, Timestamp};
use vestibule_store::{Request, StoredRuling};

/// Somebody who ruled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approver {
    /// `issuer|subject`.
    pub id: String,
    /// What people call the approver.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// The approver's words.
    pub reason: String,
}

impl From<&StoredRuling> for Approver {
    fn from(r: &StoredRuling) -> Self {
        Self { id: r.approver_id.clone(), name: r.approver_name.clone(), at: r.at, reason: r.reason.clone() }
    }
}

/// Why an identity may not rule on a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Ineligible {
    /// It is the requester's own.
    #[error("nobody rules on their own request; ask somebody else")]
    Own,
    /// One of the two acts for the other, or both for the same.
    #[error("you and the requester act for one another; ask somebody independent")]
    OnBehalf,
    /// Jobs, services and agents do not rule, nor does anybody in another's name.
    #[error("only a person can rule, in their own name; sign in yourself")]
    NotAPerson,
    /// Not in any of the groups.
    #[error("only members of {} can rule on this request", .0.join(", "))]
    Groups(Vec<String>),
    /// The approver's own proof has ended, or is good for another target only.
    #[error("your sign-in is not good for this any more; sign in again")]
    Proof,
}

/// Whether `approver` may rule on `request` at `now`.
pub(crate) fn may_rule(request: &Request, approver: &Identity, now: Timestamp) -> Result<(), Ineligible> {
    let asked = &request.asked;
    let id = approver.id();
    if id == asked.requester_id {
        return Err(Ineligible::Own);
    }
    // Everybody who stands behind either side. One name in both, and four eyes are two.
    let behind: BTreeSet<&str> =
        asked.acting_for.iter().map(String::as_str).chain([asked.requester_id.as_str()]).collect();
    if behind.contains(id.as_str()) || approver.acting_for.iter().any(|p| behind.contains(p.as_str())) {
        return Err(Ineligible::OnBehalf);
    }
    // A delegate could be a second vote of the same person.
    if approver.kind != IdentityKind::Person || !approver.acting_for.is_empty() {
        return Err(Ineligible::NotAPerson);
    }
    if !asked.approver_groups.iter().any(|g| approver.groups.contains(g)) {
        return Err(Ineligible::Groups(asked.approver_groups.clone()));
    }
    let other_target = approver.only_target.as_ref().is_some_and(|t| *t != asked.target);
    if approver.expires <= now || other_target {
        return Err(Ineligible::Proof);
    }
    Ok(())
}

/// In words: who may approve.
pub(crate) fn who_may(groups: &[String], quorum: u32) -> String {
    let groups = groups.join(" or ");
    match quorum {
        1 => format!("one member of {groups}"),
        n => format!("{n} different members of {groups}"),
    }
}
