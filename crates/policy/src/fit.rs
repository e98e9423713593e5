//! Whether policies fit the targets and mask profiles of the configuration: a rule that cannot be enforced is refused
//! when it is loaded.

use crate::load::Read;
use crate::uses;
use crate::words::{list, nearest};
use crate::{Known, KnownTarget};
use std::collections::BTreeSet;
use vestibule_core::{Capability, Problem};

pub(crate) fn check(policies: &[Read<'_>], known: &Known, problems: &mut Vec<Problem>) {
    for read in policies {
        if let Some(targets) = &known.targets {
            named_targets(read, targets, problems);
            named_protocols(read, targets, problems);
            capabilities(read, targets, problems);
        }
        if let Some(profiles) = &known.profiles {
            named_profile(read, profiles, problems);
        }
    }
}

fn named_profile(read: &Read<'_>, profiles: &[String], problems: &mut Vec<Problem>) {
    let Some(mask) = read.duties.mask.as_ref().filter(|mask| !profiles.contains(mask)) else { return };
    let mend = match nearest(mask, profiles.iter().map(String::as_str)) {
        Some(near) => format!("write `{near}`"),
        None => format!("profiles of the data map are {}", list(profiles)),
    };
    problems.push(read.piece.annotated("mask", format!("there is no mask profile `{mask}`"), mend));
}

fn named_targets(read: &Read<'_>, targets: &[KnownTarget], problems: &mut Vec<Problem>) {
    let literals = read.policy.entity_literals();
    let named: BTreeSet<&str> =
        literals.iter().filter(|uid| uid.type_name().to_string() == "Target").map(|uid| uid.id().unescaped()).collect();
    for name in named {
        if targets.iter().any(|t| t.facts.name == name) {
            continue;
        }
        let names: Vec<&str> = targets.iter().map(|t| t.facts.name.as_str()).collect();
        let mend = match nearest(name, names.iter().copied()) {
            Some(near) => format!("write `Target::\"{near}\"`"),
            None => format!("targets of the configuration are {}", list(&names)),
        };
        let at = read.piece.text.find(name).unwrap_or_default();
        problems.push(read.piece.problem(at, format!("there is no target `{}`", name.escape_debug()), mend));
    }
}

fn named_protocols(read: &Read<'_>, targets: &[KnownTarget], problems: &mut Vec<Problem>) {
    for name in uses::protocols(&read.json).unwrap_or_default() {
        if targets.iter().any(|t| t.facts.protocol == name) {
            continue;
        }
        let spoken: BTreeSet<&str> = targets.iter().map(|t| t.facts.protocol.as_str()).collect();
        let mend = format!("protocols of the targets are {}", list(&spoken.into_iter().collect::<Vec<_>>()));
        let what = format!("no target speaks the protocol `{}`", name.escape_debug());
        problems.push(read.piece.problem(read.piece.text.find(&name).unwrap_or_default(), what, mend));
    }
}

/// What the policy asks of a protocol, with the annotation that asks it.
fn asks(read: &Read<'_>) -> impl Iterator<Item = (&'static str, Capability, &'static str)> {
    let duties = &read.duties;
    let permits = read.policy.effect() == cedar_policy::Effect::Permit;
    [
        (duties.hold.is_some(), "hold", Capability::Hold, "let an operation wait"),
        (!duties.reveal.is_empty(), "reveal", Capability::Mask, "mask values"),
        (duties.mask.is_some(), "mask", Capability::Mask, "mask values"),
        (duties.rows.is_some(), "rows", Capability::RowLimit, "limit rows"),
        // What a refusal says travels as the protocol's own error; a notice needs more.
        (
            duties.message.is_some() && (permits || duties.hold.is_some()),
            "message",
            Capability::Message,
            "show a notice",
        ),
    ]
    .into_iter()
    .filter(|(asked, ..)| *asked)
    .map(|(_, name, capability, words)| (name, capability, words))
}

fn capabilities(read: &Read<'_>, targets: &[KnownTarget], problems: &mut Vec<Problem>) {
    let only = uses::protocols(&read.json);
    for (name, capability, words) in asks(read) {
        let unable: Vec<&KnownTarget> = targets
            .iter()
            .filter(|t| read.scope.reaches(&t.facts.name))
            .filter(|t| only.as_ref().is_none_or(|only| only.contains(&t.facts.protocol)))
            .filter(|t| !t.capabilities.contains(&capability))
            .collect();
        let Some(first) = unable.first() else { continue };
        let names: Vec<&str> = unable.iter().map(|t| t.facts.name.as_str()).collect();
        let what = format!("`@{name}` reaches {}, but {} cannot {words}", list(&names), first.title);
        let mend = "name the targets it is meant for, or add `when { resource.protocol == \"…\" }`";
        problems.push(read.piece.annotated(name, what, mend));
    }
}
