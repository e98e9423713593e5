//! What the tests of this room share: people, places, operations.

use std::collections::BTreeMap;
use std::sync::Arc;
use vestibule_core::{
    Access, Assurance, Capability, ClassSet, Decision, Effect, Identity, IdentityKind, OpTraits, Operation, PhiClass,
    Problem, Resource, Timestamp,
};
use vestibule_policy::{Known, KnownTarget, PolicySet, Request, Source, TargetFacts};

pub(crate) fn person(groups: &[&str]) -> Identity {
    Identity {
        issuer: "staff".into(),
        subject: "ana".into(),
        name: "Ana".into(),
        kind: IdentityKind::Person,
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        assurance: Assurance::default(),
        acting_for: Vec::new(),
        claims: BTreeMap::new(),
        token_id: "t".into(),
        only_target: None,
        expires: Timestamp(i64::MAX),
    }
}

pub(crate) fn target(name: &str, phi: bool) -> TargetFacts {
    TargetFacts {
        name: name.into(),
        protocol: "postgres".into(),
        phi,
        risk: "normal".into(),
        labels: [("env".to_owned(), "production".to_owned())].into(),
    }
}

pub(crate) fn op(effect: Effect, action: &'static str, resources: Vec<Resource>, facts: &[&'static str]) -> Operation {
    let mut traits = OpTraits::default();
    facts.iter().for_each(|fact| traits.insert(fact));
    Operation { resources: resources.into(), traits: Arc::new(traits), ..Operation::bare(effect, action) }
}

pub(crate) fn table(name: &str, access: Access, columns: &[&str]) -> Resource {
    let columns = columns.iter().map(|c| (*c).to_owned()).collect();
    Resource { kind: "table".into(), name: name.into(), access, columns }
}

pub(crate) fn select(columns: &[&str]) -> Operation {
    op(Effect::Read, "SELECT", vec![table("public.patient", Access::Read, columns)], &[])
}

pub(crate) fn known() -> Known {
    let able = vec![Capability::Mask, Capability::Hold, Capability::RowLimit, Capability::Message];
    let place = |name: &str, phi, protocol: &str, title: &str, capabilities: Vec<Capability>| KnownTarget {
        facts: TargetFacts { protocol: protocol.into(), ..target(name, phi) },
        title: title.into(),
        capabilities,
    };
    Known {
        targets: Some(vec![
            place("clinic", true, "postgres", "PostgreSQL", able.clone()),
            place("lab", false, "postgres", "PostgreSQL", able),
        ]),
        profiles: Some(["safe-harbor", "pseudonymised", "limited-data-set"].map(str::to_owned).into()),
        default_expiry: 900,
    }
}

pub(crate) fn source(text: &str) -> Source {
    Source { file: "policies/a.cedar".into(), text: text.into() }
}

pub(crate) fn load(text: &str) -> Result<PolicySet, Vec<Problem>> {
    PolicySet::from_sources(&[source(text)], &known())
}

pub(crate) fn set(text: &str) -> PolicySet {
    load(text).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

/// 2026-01-05, a Monday, 10:00 UTC.
pub(crate) const MONDAY: Timestamp = Timestamp::from_seconds(1_767_607_200);

pub(crate) fn ask<'a>(identity: &'a Identity, target: &'a TargetFacts, operation: &'a Operation) -> Request<'a> {
    Request { identity, target, operation, classes: ClassSet::EMPTY, now: MONDAY, source: None, approved: false }
}

pub(crate) fn classes(classes: &[PhiClass]) -> ClassSet {
    classes.iter().copied().collect()
}

/// A decision on one line.
pub(crate) fn said(decision: &Decision) -> String {
    match decision {
        Decision::Permit(o) => format!("permit {}", obliged(o)),
        Decision::Hold(h) => format!(
            "hold {} of {} within {}s because {}; then {}",
            h.quorum,
            h.approvers.join(","),
            h.expires_after,
            h.reason,
            obliged(&h.obligations)
        ),
        Decision::Deny(d) => format!("deny by [{}]: {} | {}", d.policies.join(" "), d.message, d.remedy),
    }
}

fn obliged(o: &vestibule_core::Obligations) -> String {
    let mut out = format!("by [{}]", o.policies.join(" "));
    let reveal: Vec<_> = o.reveal.iter().map(PhiClass::name).collect();
    if !reveal.is_empty() {
        out += &format!(" reveal {}", reveal.join(","));
    }
    for (name, value) in
        [("mask", o.profile.clone()), ("rows", o.row_limit.map(|r| r.to_string())), ("notice", o.message.clone())]
    {
        if let Some(value) = value {
            out += &format!(" {name} {value}");
        }
    }
    out
}
