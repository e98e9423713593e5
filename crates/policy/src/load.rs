//! From policy files to a set of policies, or to everything that is wrong with them.

use crate::complaint;
use crate::duties::{Duties, Reader};
use crate::scope::Scope;
use crate::set::{Compiled, PolicySet};
use crate::source::{self, MOST_POLICIES, Piece, Source};
use crate::uses::{self, Uses};
use crate::{Known, SCHEMA, fit};
use cedar_policy::{Policy, PolicyId, PolicySet as Cedar, Schema, ValidationMode, ValidationWarning, Validator};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use vestibule_core::Problem;

/// A policy that Cedar could read, with what was found on the way.
pub(crate) struct Read<'a> {
    pub piece: Piece<'a>,
    pub policy: Policy,
    pub json: serde_json::Value,
    pub duties: Duties,
    pub scope: Scope,
}

impl PolicySet {
    /// Loads every `*.cedar` file of a directory.
    ///
    /// # Errors
    /// Everything that is wrong, sorted by file and line; nothing of the directory is then in force.
    pub fn load(dir: &Path, known: &Known) -> Result<Self, Vec<Problem>> {
        let sources = source::read(dir, ".cedar")?;
        if sources.is_empty() {
            let mend = "write one, for example `policies.cedar`; without policies nothing is permitted";
            let what = "there is no policy file (`*.cedar`) in the directory";
            return Err(vec![Problem::new(dir.display().to_string(), 0, what, mend)]);
        }
        Self::from_sources(&sources, known)
    }

    /// Loads policies from texts.
    ///
    /// # Errors
    /// Everything that is wrong, sorted by file and line.
    pub fn from_sources(sources: &[Source], known: &Known) -> Result<Self, Vec<Problem>> {
        let mut problems = source::sizes(sources);
        if !problems.is_empty() {
            return Err(problems);
        }
        let schema: Schema = SCHEMA.parse().map_err(|error| vec![ours(&format!("{error}"))])?;
        let mut policies = Vec::new();
        for source in sources {
            for piece in source::cut(source, &mut problems) {
                policies.extend(read(piece, &mut problems));
            }
        }
        amount(&policies, &mut problems);
        twice(&policies, &mut problems);
        validate(&policies, &schema, &mut problems);
        fit::check(&policies, known, &mut problems);
        problems.sort_by(|a, b| (&a.file, a.line, &a.what).cmp(&(&b.file, b.line, &b.what)));
        problems.dedup();
        if !problems.is_empty() {
            return Err(problems);
        }
        let compiled = policies.into_iter().map(compile).collect();
        Self::assemble(compiled, sources, &schema, known).map_err(|what| vec![ours(&what)])
    }
}

/// Something that is wrong with the gateway rather than with what the user wrote.
fn ours(what: &str) -> Problem {
    let what = format!("the policies cannot be put in force: {what}");
    Problem::new("(built in)", 0, what, "this is a fault of the gateway; report it with this line")
}

fn read<'a>(piece: Piece<'a>, problems: &mut Vec<Problem>) -> Option<Read<'a>> {
    let policy = match Policy::parse(Some(PolicyId::new("unnamed")), piece.text) {
        Ok(policy) => policy,
        Err(errors) => {
            problems.extend(errors.iter().map(|error| complaint::syntax(&piece, error)));
            return None;
        }
    };
    let json = match policy.to_json() {
        Ok(json) => json,
        Err(error) => {
            problems.push(piece.problem(0, error.to_string(), "write the policy in another way"));
            return None;
        }
    };
    let values: BTreeMap<&str, &str> = policy.annotations().collect();
    let permits = policy.effect() == cedar_policy::Effect::Permit;
    let duties = Reader { piece: &piece, values, permits, problems }.read();
    if let Some(name) = uses::loose_question(&json, permits) {
        problems.push(loose(&piece, permits, &name));
    }
    let scope = Scope::of(&policy);
    Some(Read { piece, policy, json, duties, scope })
}

/// Asking for one table among others says nothing of the others.
fn loose(piece: &Piece<'_>, permits: bool, name: &str) -> Problem {
    let what = if permits {
        format!("the permit asks what is among `context.{name}`, and so permits whatever else is touched as well")
    } else {
        format!("the forbid is lifted by what is among `context.{name}`, whatever else is touched as well")
    };
    piece.problem(0, what, format!("name all that may be touched: `[\"…\", \"…\"].containsAll(context.{name})`"))
}

fn amount(policies: &[Read<'_>], problems: &mut Vec<Problem>) {
    if policies.is_empty() && problems.is_empty() {
        let mend = "write a `permit`; without one nothing is permitted";
        problems.push(Problem::new("(policies)", 0, "there is no policy in the files", mend));
    }
    if let Some(first) = policies.get(MOST_POLICIES) {
        let what = format!("more than {MOST_POLICIES} policies");
        problems.push(first.piece.problem(0, what, "let one policy speak of several tables or groups"));
    }
}

fn twice(policies: &[Read<'_>], problems: &mut Vec<Problem>) {
    let mut first: HashMap<&str, &Piece<'_>> = HashMap::new();
    for Read { piece, duties, .. } in policies.iter().filter(|p| !p.duties.id.is_empty()) {
        if let Some(before) = first.get(duties.id.as_str()) {
            let at = format!("{}:{}", before.file, before.line(0));
            let what = format!("there is another policy `{}` at {at}", duties.id);
            problems.push(piece.annotated("id", what, "give each policy a name of its own"));
        } else {
            first.insert(&duties.id, piece);
        }
    }
}

/// Strict validation by Cedar. Warnings count: a policy that can never apply protects nobody.
fn validate(policies: &[Read<'_>], schema: &Schema, problems: &mut Vec<Problem>) {
    let mut set = Cedar::new();
    for (at, read) in policies.iter().enumerate() {
        if let Err(error) = set.add(read.policy.new_id(PolicyId::new(at.to_string()))) {
            problems.push(read.piece.problem(0, error.to_string(), "write the policy in another way"));
        }
    }
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let place = |id: &PolicyId| <PolicyId as AsRef<str>>::as_ref(id).parse::<usize>().ok();
    let mut wrong = BTreeSet::new();
    for error in result.validation_errors() {
        let Some(at) = place(error.policy_id()) else { continue };
        wrong.insert(at);
        problems.extend(policies.get(at).map(|read| complaint::error(&read.piece, error)));
    }
    let mut warnings: Vec<&ValidationWarning> = result.validation_warnings().collect();
    warnings.sort_by_key(|warning| !matches!(warning, ValidationWarning::InvalidActionApplication(_)));
    for warning in warnings {
        // What has been said of a policy, that it is impossible only repeats.
        let Some(at) = place(warning.policy_id()).filter(|at| !wrong.contains(at)) else { continue };
        if matches!(warning, ValidationWarning::InvalidActionApplication(_)) {
            wrong.insert(at);
        }
        problems.extend(policies.get(at).map(|read| complaint::warning(&read.piece, warning)));
    }
}

fn compile(read: Read<'_>) -> Compiled {
    let permits = read.policy.effect() == cedar_policy::Effect::Permit;
    Compiled {
        policy: read.policy.new_id(PolicyId::new(&read.duties.id)),
        permits,
        uses: Uses::of(&read.json),
        scope: read.scope,
        file: read.piece.file.to_owned(),
        line: read.piece.line(0),
        duties: read.duties,
    }
}
