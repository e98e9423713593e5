//! Policies as text, loaded and asked.
//!
//! Bytes: the text of a `*.cedar` file.
//!
//! Rules: a decision always comes out, the same twice; what is permitted or held is permitted by a policy of the set;
//! a problem stands on a line that there is; and an explanation comes out.

use crate::clinic::{NOW, classes, operations, somebody};
use vestibule_core::{Capability, ClassSet, Decision, Identity, IdentityKind, Obligations, Operation};
use vestibule_policy::{Known, KnownTarget, PolicySet, Request, Source, TargetFacts};

fn target(name: &str, phi: bool) -> TargetFacts {
    TargetFacts {
        name: name.into(),
        protocol: "postgres".into(),
        phi,
        risk: "normal".into(),
        labels: [("env".to_owned(), "staging".to_owned())].into(),
    }
}

fn known() -> Known {
    let able = [Capability::Mask, Capability::Hold, Capability::RowLimit, Capability::Message];
    let place =
        |name, phi| KnownTarget { facts: target(name, phi), title: "PostgreSQL".into(), capabilities: able.to_vec() };
    Known {
        targets: Some(vec![place("clinic", true), place("lab", false)]),
        profiles: Some(["safe-harbor", "pseudonymised", "limited-data-set"].map(str::to_owned).into()),
        default_expiry: 900,
    }
}

fn people() -> [Identity; 4] {
    [
        somebody(IdentityKind::Person, &[]),
        somebody(IdentityKind::Person, &["analysts", "dba"]),
        somebody(IdentityKind::Service, &["ci"]),
        somebody(IdentityKind::Agent, &["agents", "clinicians"]),
    ]
}

/// Loads one file.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let source = Source { file: "policies/a.cedar".into(), text: text.to_owned() };
    let set = match PolicySet::from_sources(std::slice::from_ref(&source), &known()) {
        Ok(set) => set,
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            let lines = u32::try_from(text.lines().count() + 1).unwrap_or(u32::MAX);
            for problem in problems {
                assert!(problem.line <= lines, "a problem on a line that is not there: {problem}");
            }
            return;
        }
    };
    let ids: Vec<&str> = set.ids().collect();
    for identity in people() {
        for target in [target("clinic", true), target("lab", false)] {
            for (at, operation) in operations().iter().enumerate() {
                ask(&set, &ids, &identity, &target, operation, at % 2 == 0);
            }
        }
    }
}

fn ask(
    set: &PolicySet,
    ids: &[&str],
    identity: &Identity,
    target: &TargetFacts,
    operation: &Operation,
    approved: bool,
) {
    let classes = if target.phi { classes() } else { ClassSet::EMPTY };
    let source = Some([10, 0, 0, 1].into());
    let request = Request { identity, target, operation, classes, now: NOW, source, approved };
    let decision = set.decide(&request);
    assert_eq!(decision, set.decide(&request), "a request is decided in two ways");
    let given = |obligations: &Obligations| {
        assert!(!obligations.policies.is_empty(), "permitted by no policy");
        assert!(obligations.policies.iter().all(|id| ids.contains(&id.as_str())), "permitted by a stranger");
    };
    match &decision {
        Decision::Permit(obligations) => given(obligations),
        Decision::Hold(hold) => {
            given(&hold.obligations);
            assert!(hold.quorum > 0 && !hold.approvers.is_empty(), "held for nobody");
        }
        Decision::Deny(_) => {}
    }
    drop(set.explain(&request));
}
