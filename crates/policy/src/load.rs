//! From policy files to a set of policies, or to everything that is wrong with them.

use crate::duties::{Duties, Reader};
use crate::scope::Scope;
use crate::set::{Compiled, PolicySet};
use crate::source::{self, MOST_POLICIES, Piece, Source};
use crate::uses::{self, Uses};
use crate::{Known, SCHEMA, fit};
use cedar_policy::{Policy, PolicyId, PolicySet as Cedar, Schema, ValidationMode, Validator};
use miette::Diagnostic;
use std::collections::{BTreeMap, HashMap};
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
            problems.extend(errors.iter().map(|error| syntax(&piece, error)));
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
    if let Some(name) = uses::loose_question(&json).filter(|_| permits) {
        problems.push(piece.problem(
            0,
            format!("the permit asks what is among `context.{name}`, and so permits whatever else is touched as well"),
            format!("name all that may be touched: `[\"…\", \"…\"].containsAll(context.{name})`"),
        ));
    }
    let scope = Scope::of(&policy);
    Some(Read { piece, policy, json, duties, scope })
}

fn syntax(piece: &Piece<'_>, error: &cedar_policy::ParseError) -> Problem {
    let offset = offset(error);
    let what = format!("this is not a policy: {}", plain(error));
    piece.problem(offset, what, help(error, "compare it with the samples in the guide on policies"))
}

/// Where an error of Cedar points to in the policy.
fn offset(error: &dyn Diagnostic) -> usize {
    error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset())
}

fn help(error: &dyn Diagnostic, otherwise: &str) -> String {
    let words = error.help().map(|help| help.to_string().replace('\n', "; ")).filter(|help| !help.is_empty());
    let label = error
        .labels()
        .and_then(|mut labels| labels.next())
        .and_then(|label| label.label().map(|words| words.replace('\n', "; ")));
    words.or(label).unwrap_or_else(|| otherwise.to_owned())
}

/// Cedar's words on one line, without the name that the policy had while it was read.
fn plain(error: &dyn std::fmt::Display) -> String {
    let words = error.to_string().replace('\n', "; ");
    let cut =
        words.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, ")).map(|(_, rest)| rest.to_owned());
    cut.unwrap_or(words)
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
            problems.push(read.piece.problem(0, plain(&error), "write the policy in another way"));
        }
    }
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let of = |id: &PolicyId| <PolicyId as AsRef<str>>::as_ref(id).parse().ok().and_then(|at: usize| policies.get(at));
    for error in result.validation_errors() {
        if let Some(read) = of(error.policy_id()) {
            let mend = help(error, "see `vestibule policy schema` for what a policy can speak of");
            problems.push(read.piece.problem(offset(error), plain(error), mend));
        }
    }
    for warning in result.validation_warnings() {
        if let Some(read) = of(warning.policy_id()) {
            let mend = help(warning, "remove the policy, or mend its conditions");
            problems.push(read.piece.problem(offset(warning), plain(warning), mend));
        }
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
