//! From the policies that apply to a decision. The rules, and the reason for each, are in `docs/spec/policy.md`.

use crate::Request;
use crate::duties::{HoldDuty, Unread};
use crate::set::Compiled;
use crate::words::list;
use std::collections::BTreeSet;
use std::sync::Arc;
use vestibule_core::{ClassSet, Decision, Denial, Hold, Obligations, Reading};

/// The policies that apply, by place in the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Applying {
    pub permits: Vec<usize>,
    pub forbids: Vec<usize>,
    /// Those that could not be evaluated, and why.
    pub broken: Vec<(usize, String)>,
}

impl Applying {
    pub fn sort(&mut self) {
        self.permits.sort_unstable();
        self.forbids.sort_unstable();
        self.broken.sort_unstable();
    }
}

/// What is needed to weigh policies against each other.
pub(crate) struct Scale<'a> {
    pub policies: &'a [Compiled],
    /// Strictest first.
    pub profiles: &'a [String],
    pub version: &'a Arc<str>,
    pub default_expiry: u32,
    pub request: &'a Request<'a>,
}

impl<'a> Scale<'a> {
    pub fn weigh(&self, applying: &Applying, approved: bool) -> Decision {
        if let Some((at, why)) = applying.broken.first() {
            let ids = self.ids(&[*at]);
            let what = format!("policy {} could not be evaluated: {why}", list(&ids));
            return Decision::Deny(Denial { policies: ids, ..self.broken(&what) });
        }
        let (holding, forbidding): (Vec<&Compiled>, Vec<&Compiled>) =
            self.of(&applying.forbids).partition(|p| p.duties.hold.is_some());
        if !forbidding.is_empty() {
            return Decision::Deny(self.forbidden(&forbidding));
        }
        let permits: Vec<&Compiled> = self.of(&applying.permits).collect();
        if permits.is_empty() {
            return Decision::Deny(self.not_permitted());
        }
        let permits = match self.understood(&permits) {
            Ok(permits) => permits,
            Err(denial) => return Decision::Deny(denial),
        };
        let all: Vec<&Compiled> = permits.all.iter().chain(&holding).copied().collect();
        let obligations = match self.obligations(&all, &permits.revealing) {
            Ok(obligations) => obligations,
            Err(denial) => return Decision::Deny(denial),
        };
        if approved || all.iter().all(|p| p.duties.hold.is_none()) {
            return Decision::Permit(obligations);
        }
        self.hold(&all, obligations)
    }

    fn of(&self, places: &[usize]) -> impl Iterator<Item = &'a Compiled> {
        places.iter().filter_map(|at| self.policies.get(*at))
    }

    fn ids(&self, places: &[usize]) -> Vec<String> {
        self.of(places).map(|p| p.duties.id.clone()).collect()
    }

    /// What cannot be read reaches PHI only where a permit says so by name, and only such permits reveal then.
    fn understood<'p>(&self, permits: &'p [&'a Compiled]) -> Result<Permits<'a>, Denial> {
        let (least, how) = match &self.request.operation.reading {
            _ if !self.request.target.phi => (Unread::Refuse, String::new()),
            Reading::Exact => (Unread::Refuse, String::new()),
            Reading::Partial(why) => (Unread::Partial, format!("was understood only in part ({why})")),
            Reading::Opaque => (Unread::Allow, "was not understood".to_owned()),
        };
        let revealing: Vec<&Compiled> = permits.iter().copied().filter(|p| p.duties.unread >= least).collect();
        if revealing.is_empty() {
            let (action, target) = (&self.request.operation.action, &self.request.target.name);
            return Err(Denial {
                policies: Vec::new(),
                policy_version: Arc::clone(self.version),
                message: format!("refused: {action} {how}, and target `{target}` holds PHI"),
                remedy: "write the statement more plainly; or let a policy that permits it say `@opaque`".into(),
            });
        }
        Ok(Permits { all: permits.to_vec(), revealing })
    }

    fn obligations(&self, all: &[&Compiled], revealing: &[&Compiled]) -> Result<Obligations, Denial> {
        let mut policies: Vec<String> = all.iter().map(|p| p.duties.id.clone()).collect();
        policies.sort();
        Ok(Obligations {
            policies,
            policy_version: Arc::clone(self.version),
            reveal: revealing.iter().fold(ClassSet::EMPTY, |set, p| set.union(p.duties.reveal)),
            profile: self.profile(all)?,
            row_limit: all.iter().filter_map(|p| p.duties.rows).min(),
            message: words(all.iter().filter_map(|p| p.duties.message.as_deref())),
        })
    }

    /// The strictest of the profiles that policies ask for.
    fn profile(&self, all: &[&Compiled]) -> Result<Option<String>, Denial> {
        let asked: BTreeSet<&String> = all.iter().filter_map(|p| p.duties.mask.as_ref()).collect();
        if asked.len() < 2 {
            return Ok(asked.first().map(|name| (*name).clone()));
        }
        if let (true, Some(strictest)) =
            (asked.iter().all(|a| self.profiles.contains(a)), self.profiles.iter().find(|p| asked.contains(p)))
        {
            return Ok(Some(strictest.clone()));
        }
        let names: Vec<&str> = asked.iter().map(|a| a.as_str()).collect();
        let what = format!("policies ask for the mask profiles {}, and which is stricter is not known", list(&names));
        Err(self.clash(all.iter().filter(|p| p.duties.mask.is_some()), &what))
    }

    /// Everybody who must be asked is asked: groups that satisfy every policy, the greatest quorum, the shortest wait.
    fn hold(&self, all: &[&Compiled], obligations: Obligations) -> Decision {
        let duties: Vec<&HoldDuty> = all.iter().filter_map(|p| p.duties.hold.as_ref()).collect();
        let mut groups: Vec<String> = duties.first().map(|h| h.groups.clone()).unwrap_or_default();
        groups.retain(|group| duties.iter().all(|h| h.groups.contains(group)));
        if groups.is_empty() {
            let what = "policies hold it for different groups, and nobody may approve for all of them";
            return Decision::Deny(self.clash(all.iter().filter(|p| p.duties.hold.is_some()), what));
        }
        let effect = self.request.operation.effect.name();
        let reason = words(duties.iter().filter_map(|h| h.reason.as_deref()));
        Decision::Hold(Hold {
            obligations,
            approvers: groups,
            quorum: duties.iter().map(|h| h.quorum).max().unwrap_or(1),
            expires_after: duties.iter().filter_map(|h| h.expires).min().unwrap_or(self.default_expiry),
            reason: reason
                .unwrap_or_else(|| format!("policy asks for approval to {effect} on `{}`", self.request.target.name)),
        })
    }

    fn forbidden(&self, policies: &[&Compiled]) -> Denial {
        let ids: Vec<String> = policies.iter().map(|p| p.duties.id.clone()).collect();
        let rule = if ids.len() == 1 { "policy" } else { "policies" };
        let (action, target) = (&self.request.operation.action, &self.request.target.name);
        let effect = self.request.operation.effect.name();
        let message = words(policies.iter().filter_map(|p| p.duties.message.as_deref()));
        let remedy = words(policies.iter().filter_map(|p| p.duties.remedy.as_deref()));
        Denial {
            message: match message {
                Some(own) => format!("{own} ({rule} {})", ids.join(", ")),
                None => format!(
                    "refused: {action} (effect {effect}) on target `{target}` is forbidden by {rule} {}",
                    list(&ids)
                ),
            },
            remedy: remedy.unwrap_or_else(|| "ask those who keep the policies if it is needed".into()),
            policies: ids,
            policy_version: Arc::clone(self.version),
        }
    }

    fn not_permitted(&self) -> Denial {
        let (action, target) = (&self.request.operation.action, &self.request.target.name);
        let effect = self.request.operation.effect.name();
        self.denial(
            format!("refused: no policy permits you {action} (effect {effect}) on target `{target}`"),
            "ask those who keep the policies; `vestibule policy explain` shows which policies there are and why none applied",
        )
    }

    /// A token for one target is good for no other, whatever policies say.
    pub fn elsewhere(&self) -> Option<Denial> {
        let (only, target) = (self.request.identity.only_target.as_deref()?, &self.request.target.name);
        (only != target).then(|| {
            self.denial(
                format!("refused: your token is good for target `{only}` only, not for `{target}`"),
                "get a token for this target with `vestibule token`",
            )
        })
    }

    /// Something that should not be. Fails closed.
    pub fn broken(&self, what: &str) -> Denial {
        self.denial(format!("refused: {what}"), "tell the operators of the gateway")
    }

    fn clash<'p>(&self, policies: impl Iterator<Item = &'p &'p Compiled>, what: &str) -> Denial {
        let ids: Vec<String> = policies.map(|p| p.duties.id.clone()).collect();
        Denial {
            policies: ids.clone(),
            ..self.denial(
                format!("refused: {what} (policies {})", ids.join(", ")),
                "ask for it in smaller steps, or tell those who keep the policies",
            )
        }
    }

    fn denial(&self, message: String, remedy: &str) -> Denial {
        Denial { policies: Vec::new(), policy_version: Arc::clone(self.version), message, remedy: remedy.into() }
    }
}

/// The permits that apply, and those of them whose reveals count.
struct Permits<'a> {
    all: Vec<&'a Compiled>,
    revealing: Vec<&'a Compiled>,
}

/// Distinct words in the order of the policies, or none.
fn words<'w>(all: impl Iterator<Item = &'w str>) -> Option<String> {
    let mut distinct: Vec<&str> = Vec::new();
    for text in all {
        if !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    (!distinct.is_empty()).then(|| distinct.join("; "))
}
