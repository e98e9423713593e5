//! A set of policies in force, and its decisions.
//!
//! Cedar evaluates one policy after the other, so what can apply is sorted out before: by identity, target and effect,
//! from the scopes alone. What was sorted out is remembered, as are Cedar's entities for an identity and a target.
//! Not here: what follows from the policies that apply (`weigh`).

use crate::duties::Duties;
use crate::scope::{EFFECTS, Scope};
use crate::source::Source;
use crate::uses::Uses;
use crate::vocabulary::Vocabulary;
use crate::weigh::{Applying, Scale};
use crate::{Known, Request, SCHEMA, TargetFacts};
use aws_lc_rs::digest::{Context as Digest, SHA256};
use cedar_policy::{Authorizer, Entities, EntityUid, Policy, PolicySet as Cedar};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use vestibule_core::{Decision, Effect, Identity};

/// Most pairs of identity and target that are remembered.
const REMEMBERED: usize = 2_048;

/// One policy, ready for use.
pub(crate) struct Compiled {
    pub policy: Policy,
    pub permits: bool,
    pub duties: Duties,
    pub scope: Scope,
    pub uses: Uses,
    pub file: String,
    pub line: u32,
}

/// A set of policies. Deciding is pure: the same request always comes out the same.
pub struct PolicySet {
    /// Sorted by id.
    policies: Vec<Compiled>,
    places: HashMap<String, usize>,
    vocabulary: Vocabulary,
    version: Arc<str>,
    uses_time: bool,
    uses_approved: bool,
    profiles: Vec<String>,
    default_expiry: u32,
    memory: Mutex<Memory>,
}

/// What can be computed again at any time.
#[derive(Default)]
struct Memory {
    standings: HashMap<String, Arc<Standing>>,
    slices: HashMap<Vec<usize>, Arc<Slice>>,
}

/// An identity before a target.
struct Standing {
    identity: Identity,
    target: TargetFacts,
    principal: EntityUid,
    resource: EntityUid,
    entities: Entities,
    slices: [OnceLock<Arc<Slice>>; EFFECTS.len()],
}

/// The policies whose scope an operation meets.
struct Slice {
    permits: Cedar,
    forbids: Cedar,
    uses: Uses,
}

impl PolicySet {
    pub(crate) fn assemble(
        mut policies: Vec<Compiled>,
        sources: &[Source],
        schema: &cedar_policy::Schema,
        known: &Known,
    ) -> Result<Self, String> {
        policies.sort_by(|a, b| a.duties.id.cmp(&b.duties.id));
        let any = |name| policies.iter().any(|p| p.uses.has(name));
        Ok(Self {
            uses_time: any("now") || any("time"),
            uses_approved: any("approved"),
            places: policies.iter().enumerate().map(|(at, p)| (p.duties.id.clone(), at)).collect(),
            vocabulary: Vocabulary::new(schema)?,
            version: version(sources).into(),
            profiles: known.profiles.clone().unwrap_or_default(),
            default_expiry: known.default_expiry,
            memory: Mutex::default(),
            policies,
        })
    }

    /// Decides. Whatever goes wrong on the way is a denial.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let scale = self.scale(request);
        if let Some(denial) = scale.elsewhere() {
            return Decision::Deny(denial);
        }
        let applying = match self.applying(request, request.approved) {
            Ok(applying) => applying,
            Err(what) => return Decision::Deny(scale.broken(&what)),
        };
        let decision = scale.weigh(&applying, request.approved);
        let Decision::Hold(mut hold) = decision else { return decision };
        if !self.uses_approved {
            return Decision::Hold(hold);
        }
        // What an approver says yes to is what will then be: policies may look at `context.approved`.
        let after = self.applying(request, true).map(|applying| scale.weigh(&applying, true));
        match after {
            Ok(Decision::Permit(obligations)) => {
                hold.obligations = obligations;
                Decision::Hold(hold)
            }
            Ok(Decision::Deny(denial)) => Decision::Deny(denial),
            Ok(Decision::Hold(_)) => Decision::Deny(scale.broken("an approved operation is held again")),
            Err(what) => Decision::Deny(scale.broken(&what)),
        }
    }

    /// SHA-256, in hex, over the schema and every file with its name.
    #[must_use]
    pub const fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Whether any policy looks at the time, so that a decision must not be remembered.
    #[must_use]
    pub const fn uses_time(&self) -> bool {
        self.uses_time
    }

    /// How many policies there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The ids of the policies, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().map(|p| p.duties.id.as_str())
    }

    pub(crate) fn policies(&self) -> &[Compiled] {
        &self.policies
    }

    pub(crate) fn scale<'a>(&'a self, request: &'a Request<'a>) -> Scale<'a> {
        Scale {
            policies: &self.policies,
            profiles: &self.profiles,
            version: &self.version,
            default_expiry: self.default_expiry,
            request,
        }
    }

    /// The policies that apply, conditions and all.
    pub(crate) fn applying(&self, request: &Request<'_>, approved: bool) -> Result<Applying, String> {
        let standing = self.standing(request.identity, request.target)?;
        let effect = request.operation.effect;
        let slice = self.slice(&standing, effect)?;
        let context = self.vocabulary.context(request, approved, &slice.uses)?;
        let action = self.vocabulary.action(effect).ok_or("the effect has no action in the schema")?;
        let (principal, resource) = (standing.principal.clone(), standing.resource.clone());
        let asked =
            cedar_policy::Request::new(principal, action, resource, context, None).map_err(|e| e.to_string())?;
        let mut applying = Applying::default();
        for (set, permits) in [(&slice.permits, true), (&slice.forbids, false)] {
            let response = Authorizer::new().is_authorized(&asked, set, &standing.entities);
            let found = response.diagnostics();
            for id in found.reason() {
                let at = self.place(id)?;
                if permits { applying.permits.push(at) } else { applying.forbids.push(at) }
            }
            for error in found.errors() {
                let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
                applying.broken.push((self.place(error.policy_id())?, error.inner().to_string()));
            }
        }
        applying.sort();
        Ok(applying)
    }

    fn place(&self, id: &cedar_policy::PolicyId) -> Result<usize, String> {
        let id: &str = id.as_ref();
        self.places.get(id).copied().ok_or_else(|| format!("`{id}` is not a policy of this set"))
    }

    fn standing(&self, identity: &Identity, target: &TargetFacts) -> Result<Arc<Standing>, String> {
        let key = format!("{}\n{}\n{}", identity.token_id, identity.id(), target.name);
        if let Some(known) = self.memory().standings.get(&key) {
            // Names do not prove that nothing behind them changed.
            if known.identity == *identity && known.target == *target {
                return Ok(Arc::clone(known));
            }
        }
        let standing = Arc::new(Standing {
            principal: self.vocabulary.principal(identity),
            resource: self.vocabulary.resource(target),
            entities: self.vocabulary.entities(identity, target)?,
            identity: identity.clone(),
            target: target.clone(),
            slices: Default::default(),
        });
        let mut memory = self.memory();
        if memory.standings.len() >= REMEMBERED {
            *memory = Memory::default();
        }
        memory.standings.insert(key, Arc::clone(&standing));
        Ok(standing)
    }

    fn slice(&self, standing: &Standing, effect: Effect) -> Result<Arc<Slice>, String> {
        let slot = standing.slices.get(effect as usize).ok_or("the effect has no place")?;
        if let Some(slice) = slot.get() {
            return Ok(Arc::clone(slice));
        }
        let id = standing.identity.id();
        let meets = |p: &Compiled| p.scope.misses(&standing.identity, &id, effect, &standing.target.name).is_none();
        let members: Vec<usize> =
            self.policies.iter().enumerate().filter(|(_, p)| meets(p)).map(|(at, _)| at).collect();
        let known = self.memory().slices.get(&members).cloned();
        let slice = match known {
            Some(slice) => slice,
            None => {
                let slice = Arc::new(self.cut(&members)?);
                let mut memory = self.memory();
                if memory.slices.len() >= REMEMBERED {
                    memory.slices.clear();
                }
                memory.slices.insert(members, Arc::clone(&slice));
                slice
            }
        };
        Ok(Arc::clone(slot.get_or_init(|| slice)))
    }

    fn cut(&self, members: &[usize]) -> Result<Slice, String> {
        let mut slice = Slice { permits: Cedar::new(), forbids: Cedar::new(), uses: Uses::default() };
        for policy in members.iter().filter_map(|at| self.policies.get(*at)) {
            let set = if policy.permits { &mut slice.permits } else { &mut slice.forbids };
            set.add(policy.policy.clone()).map_err(|e| e.to_string())?;
            slice.uses.merge(&policy.uses);
        }
        Ok(slice)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        // Whoever panicked left at worst something that is computed again.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet").field("version", &self.version).field("len", &self.len()).finish_non_exhaustive()
    }
}

fn version(sources: &[Source]) -> String {
    // The directory is a matter of the machine; the names in it are not.
    let name = |s: &Source| s.file.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let mut files: Vec<(String, &str)> = sources.iter().map(|s| (name(s), s.text.as_str())).collect();
    files.sort();
    let mut digest = Digest::new(&SHA256);
    let parts = files.iter().flat_map(|(name, text)| [name.as_str(), *text]);
    for part in ["vestibule-policy-v1", SCHEMA].into_iter().chain(parts) {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{PolicySet, REMEMBERED};
    use crate::{Known, Request, Source, TargetFacts};
    use std::collections::{BTreeMap, BTreeSet};
    use vestibule_core::{Assurance, ClassSet, Decision, Effect, Identity, IdentityKind, Operation, Timestamp};

    fn identity(at: usize) -> Identity {
        Identity {
            issuer: "staff".into(),
            subject: at.to_string(),
            name: String::new(),
            kind: IdentityKind::Person,
            groups: BTreeSet::from([format!("g{}", at % 7)]),
            assurance: Assurance::default(),
            acting_for: Vec::new(),
            claims: BTreeMap::new(),
            token_id: at.to_string(),
            only_target: None,
            expires: Timestamp(i64::MAX),
        }
    }

    fn permitted(set: &PolicySet, at: usize) -> bool {
        let (identity, target) = (identity(at), TargetFacts { name: "clinic".into(), ..TargetFacts::default() });
        let request = Request {
            identity: &identity,
            target: &target,
            operation: &Operation::bare(Effect::Read, "SELECT"),
            classes: ClassSet::EMPTY,
            now: Timestamp(0),
            source: None,
            approved: false,
        };
        matches!(set.decide(&request), Decision::Permit(_))
    }

    /// More identities than are remembered, from several threads: what was forgotten comes out the same again.
    #[test]
    fn memory_is_bounded_and_forgetting_changes_nothing() {
        let text = "@id(\"a\") permit (principal in Group::\"g3\", action, resource);".to_owned();
        let set = PolicySet::from_sources(&[Source { file: "a.cedar".into(), text }], &Known::default()).unwrap();
        std::thread::scope(|scope| {
            for start in 0..3 {
                let set = &set;
                scope.spawn(move || {
                    for at in (start..REMEMBERED * 2).step_by(2) {
                        assert_eq!(permitted(set, at), at % 7 == 3, "{at}");
                        assert!(set.memory().standings.len() <= REMEMBERED);
                    }
                });
            }
        });
        // Everybody in a group without policies shares one slice.
        assert!(set.memory().slices.len() <= 2);
        assert!((0..14).all(|at| permitted(&set, at) == (at % 7 == 3)));
    }
}
