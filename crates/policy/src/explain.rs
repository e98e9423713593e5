//! What would happen to an operation, which policies decided, and why the others did not apply.

use crate::duties::{Duties, Unread};
use crate::scope::Miss;
use crate::set::Compiled;
use crate::words::{classes, list, spell};
use crate::{PolicySet, Request};
use serde::Serialize;
use std::fmt;
use vestibule_core::{ClassSet, Decision, Denial, Effect, Obligations, Reading, Resource};

/// Whether a policy applies to an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "applies", content = "why")]
pub enum Verdict {
    /// Scope and conditions are met.
    Yes,
    /// Its scope is not met.
    Scope(Miss),
    /// Its scope is met, its conditions are not.
    Conditions,
    /// It could not be evaluated; the operation is denied for that alone.
    Broken(String),
}

/// One policy of the set, and what it says of the operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// Its `@id`.
    pub id: String,
    /// Its file.
    pub file: String,
    /// Its line there.
    pub line: u32,
    /// `permit` or `forbid`.
    pub effect: &'static str,
    /// Whether it applies.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Its obligations in plain words; empty if it has none.
    pub duties: String,
}

/// Who would have to approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// Groups whose members may.
    pub approvers: Vec<String>,
    /// How many people.
    pub quorum: u32,
    /// For how long the request stands, in seconds.
    pub expires_after: u32,
    /// Why.
    pub reason: String,
}

/// What would happen to an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `permit`, `hold` or `deny`.
    pub decision: &'static str,
    /// Who asked, as `issuer|subject`.
    pub identity: String,
    /// Of which target.
    pub target: String,
    /// The worst the operation can do.
    pub effect: Effect,
    /// The protocol's word for it.
    pub action: String,
    /// How well it was understood.
    #[serde(flatten)]
    pub reading: Reading,
    /// Facts about it.
    pub traits: Vec<String>,
    /// What it touches.
    pub resources: Vec<Resource>,
    /// The classes of PHI in that.
    pub classes: ClassSet,
    /// For `permit` and `hold`: what is obliged to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obligations: Option<Obligations>,
    /// For `hold`: who would have to approve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Waits>,
    /// For `deny`: what the user would read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial: Option<Denial>,
    /// Every policy of the set, by id.
    pub policies: Vec<Considered>,
    /// SHA-256 of the policy set, in hex.
    pub policy_version: String,
}

impl PolicySet {
    /// Decides, and says why.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        let (decision, obligations, hold, denial) = match self.decide(request) {
            Decision::Permit(obligations) => ("permit", Some(obligations), None, None),
            Decision::Hold(hold) => {
                let waits = Waits {
                    approvers: hold.approvers,
                    quorum: hold.quorum,
                    expires_after: hold.expires_after,
                    reason: hold.reason,
                };
                ("hold", Some(hold.obligations), Some(waits), None)
            }
            Decision::Deny(denial) => ("deny", None, None, Some(denial)),
        };
        let operation = request.operation;
        Explanation {
            decision,
            identity: request.identity.id(),
            target: request.target.name.clone(),
            effect: operation.effect,
            action: operation.action.to_string(),
            reading: operation.reading.clone(),
            traits: operation.traits.iter().map(str::to_owned).collect(),
            resources: operation.resources.to_vec(),
            classes: request.classes,
            obligations,
            hold,
            denial,
            policies: self.considered(request),
            policy_version: self.version().to_string(),
        }
    }

    fn considered(&self, request: &Request<'_>) -> Vec<Considered> {
        let applying = self.applying(request, request.approved);
        let (id, effect) = (request.identity.id(), request.operation.effect);
        let verdict = |at: usize, policy: &Compiled| {
            if let Some(miss) = policy.scope.misses(request.identity, &id, effect, &request.target.name) {
                return Verdict::Scope(miss);
            }
            match &applying {
                Err(what) => Verdict::Broken(what.clone()),
                Ok(found) => match found.broken.iter().find(|(broken, _)| *broken == at) {
                    Some((_, what)) => Verdict::Broken(what.clone()),
                    None if found.permits.contains(&at) || found.forbids.contains(&at) => Verdict::Yes,
                    None => Verdict::Conditions,
                },
            }
        };
        let policies = self.policies().iter().enumerate();
        policies
            .map(|(at, policy)| Considered {
                id: policy.duties.id.clone(),
                file: policy.file.clone(),
                line: policy.line,
                effect: if policy.permits { "permit" } else { "forbid" },
                verdict: verdict(at, policy),
                duties: spelled(&policy.duties),
            })
            .collect()
    }
}

fn spelled(duties: &Duties) -> String {
    let mut parts = Vec::new();
    if let Some(hold) = &duties.hold {
        let people = if hold.quorum == 1 { "one member".into() } else { format!("{} members", hold.quorum) };
        parts.push(format!("held for {people} of {}", list(&hold.groups)));
    }
    if !duties.reveal.is_empty() {
        parts.push(format!("reveals {}", classes(duties.reveal)));
    }
    parts.extend(duties.mask.iter().map(|name| format!("masks with `{name}`")));
    parts.extend(duties.rows.iter().map(|rows| format!("at most {rows} rows")));
    match duties.unread {
        Unread::Refuse => {}
        Unread::Partial => parts.push("also what is understood only in part".into()),
        Unread::Allow => parts.push("also what is not understood".into()),
    }
    parts.join(", ")
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = self.effect.name();
        writeln!(f, "{}: {} (effect {effect}) on {} by {}", self.decision, self.action, self.target, self.identity)?;
        self.about(f)?;
        if let Some(denial) = &self.denial {
            writeln!(f, "  says      {}", denial.message)?;
            writeln!(f, "  remedy    {}", denial.remedy)?;
        }
        if let Some(hold) = &self.hold {
            let (groups, wait) = (list(&hold.approvers), spell(hold.expires_after));
            writeln!(f, "  approval  {} of {groups}, within {wait}: {}", hold.quorum, hold.reason)?;
        }
        if let Some(obligations) = &self.obligations {
            self.obliged(f, obligations)?;
        }
        self.decided(f)
    }
}

impl Explanation {
    fn about(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reading {
            Reading::Exact => {}
            Reading::Partial(why) => writeln!(f, "  reading   understood only in part: {why}")?,
            Reading::Opaque => writeln!(f, "  reading   not understood")?,
        }
        for resource in &self.resources {
            let columns = match resource.columns.as_slice() {
                [] => String::new(),
                columns => format!(" ({})", columns.join(", ")),
            };
            let access = format!("{:?}", resource.access).to_lowercase();
            writeln!(f, "  touches   {} {}{columns}: {access}", resource.kind, resource.name)?;
        }
        if !self.classes.is_empty() {
            writeln!(f, "  PHI       {}", classes(self.classes))?;
        }
        if !self.traits.is_empty() {
            writeln!(f, "  traits    {}", self.traits.join(", "))?;
        }
        Ok(())
    }

    fn obliged(&self, f: &mut fmt::Formatter<'_>, obligations: &Obligations) -> fmt::Result {
        let masked = self.classes.minus(obligations.reveal);
        let shown = self.classes.minus(masked);
        if !masked.is_empty() {
            let profile = obligations.profile.as_deref().unwrap_or("the default profile");
            writeln!(f, "  masked    {} (by {profile})", classes(masked))?;
        }
        if !shown.is_empty() {
            writeln!(f, "  in clear  {}", classes(shown))?;
        }
        if let Some(rows) = obligations.row_limit {
            writeln!(f, "  rows      at most {rows}")?;
        }
        match &obligations.message {
            Some(message) => writeln!(f, "  notice    {message}"),
            None => Ok(()),
        }
    }

    /// The policies that apply with all they oblige to; of the others only why not.
    fn decided(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for policy in self.policies.iter().filter(|p| matches!(p.verdict, Verdict::Yes | Verdict::Broken(_))) {
            let words = match &policy.verdict {
                Verdict::Broken(why) => format!("cannot be evaluated: {why}"),
                _ if policy.duties.is_empty() => "applies".to_owned(),
                _ => format!("applies: {}", policy.duties),
            };
            writeln!(f, "  {:<9} {} ({}:{}) {words}", policy.effect, policy.id, policy.file, policy.line)?;
        }
        let reasons = [
            (Verdict::Conditions, "conditions not met"),
            (Verdict::Scope(Miss::Target), "for other targets"),
            (Verdict::Scope(Miss::Action), "for other effects"),
            (Verdict::Scope(Miss::Principal), "for others"),
        ];
        for (verdict, words) in reasons {
            let ids: Vec<&str> = self.policies.iter().filter(|p| p.verdict == verdict).map(|p| p.id.as_str()).collect();
            if !ids.is_empty() {
                writeln!(f, "  {words}: {}", ids.join(", "))?;
            }
        }
        write!(f, "  policies  version {}", self.policy_version)
    }
}
