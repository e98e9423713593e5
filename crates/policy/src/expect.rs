//! Expectations kept beside the policies, as `*.test.toml`: what should happen to a statement, and whether it does.
//!
//! Turning a statement into operations needs a protocol and a data map, which the caller has: see [`Ask`].

use crate::source::{self, Source};
use crate::{Explanation, PolicySet, Request, TargetFacts};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use toml::Spanned;
use vestibule_core::{Assurance, ClassSet, Identity, IdentityKind, Operation, PhiClass, Problem, Timestamp};

/// What a statement comes to on a target.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The target.
    pub target: TargetFacts,
    /// The operations in the order of the statement, each with the classes of PHI in what it touches.
    pub operations: Vec<(Operation, ClassSet)>,
}

/// Reads a statement: `(target, statement)` to what it comes to, or why not, in plain words.
pub type Ask<'a> = dyn FnMut(&str, &str) -> Result<Asked, String> + 'a;

/// What was expected and what came out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Checked {
    /// The file.
    pub file: String,
    /// The line of the expectation.
    pub line: u32,
    /// Its name.
    pub name: String,
    /// What is not as expected; empty: all is.
    pub differences: Vec<String>,
}

/// A file of expectations.
#[derive(Debug, Clone)]
pub struct Expectations {
    file: String,
    text: String,
    tests: Vec<Spanned<Test>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    test: Vec<Spanned<Test>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Permit,
    Hold,
    Deny,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: String,
    #[serde(default = "somebody")]
    identity: String,
    #[serde(default = "person")]
    kind: IdentityKind,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    #[serde(default)]
    amr: Vec<String>,
    acr: Option<String>,
    #[serde(default)]
    acting_for: Vec<String>,
    target: String,
    statement: String,
    at: Option<toml::value::Datetime>,
    source: Option<IpAddr>,
    #[serde(default)]
    approved: bool,
    expect: Outcome,
    policies: Option<BTreeSet<String>>,
    hold: Option<BTreeSet<String>>,
    quorum: Option<u32>,
    reveal: Option<BTreeSet<PhiClass>>,
    mask: Option<String>,
    rows: Option<u64>,
    message: Option<String>,
}

fn somebody() -> String {
    "somebody|somebody".into()
}

const fn person() -> IdentityKind {
    IdentityKind::Person
}

impl Expectations {
    /// Reads every `*.test.toml` file of a directory.
    ///
    /// # Errors
    /// Everything that is wrong in them.
    pub fn load(dir: &Path) -> Result<Vec<Self>, Vec<Problem>> {
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for source in source::read(dir, ".test.toml")? {
            match Self::parse(source) {
                Ok(expectations) => all.push(expectations),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(all) } else { Err(problems) }
    }

    /// Reads one file.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn parse(source: Source) -> Result<Self, Vec<Problem>> {
        let Source { file, text } = source;
        let tests = match toml::from_str::<File>(&text) {
            Ok(read) => read.test,
            Err(error) => {
                let line = error.span().map_or(0, |span| Problem::line_of(&text, span.start));
                let what = format!("this is not an expectation: {}", error.message().replace('\n', "; "));
                let mend = "see the section on tests in docs/spec/policy.md";
                return Err(vec![Problem::new(file, line, what, mend)]);
            }
        };
        let mut problems = Vec::new();
        if tests.is_empty() {
            problems.push(Problem::new(
                &file,
                0,
                "there is no `[[test]]` in the file",
                "write one, or remove the file",
            ));
        }
        for test in &tests {
            let line = Problem::line_of(&text, test.span().start);
            let flaws = test.get_ref().flaws();
            problems.extend(flaws.into_iter().map(|(what, mend)| Problem::new(&file, line, what, mend)));
        }
        if problems.is_empty() { Ok(Self { file, text, tests }) } else { Err(problems) }
    }

    /// Runs the expectations against a set of policies.
    #[must_use]
    pub fn run(&self, policies: &PolicySet, ask: &mut Ask<'_>) -> Vec<Checked> {
        self.tests
            .iter()
            .map(|test| Checked {
                file: self.file.clone(),
                line: Problem::line_of(&self.text, test.span().start),
                name: test.get_ref().name.clone(),
                differences: test.get_ref().differences(policies, ask),
            })
            .collect()
    }
}

impl Test {
    /// What makes an expectation one that cannot be met, or that says nothing.
    fn flaws(&self) -> Vec<(String, String)> {
        let mut flaws = Vec::new();
        let mut flaw = |what: &str, mend: &str| flaws.push((format!("`{}`: {what}", self.name), mend.to_owned()));
        if !self.identity.contains('|') {
            flaw("the identity is not `issuer|subject`", "write both, with `|` between");
        }
        if self.at.is_some() && self.now().is_none() {
            flaw("`at` is not a point in time", "write a date and time in UTC: `at = 2026-11-25T09:30:00Z`");
        }
        if self.expect == Outcome::Deny && (self.reveal.is_some() || self.mask.is_some() || self.rows.is_some()) {
            flaw("`reveal`, `mask` and `rows` mean nothing where it is denied", "remove them");
        }
        if self.expect != Outcome::Hold && (self.hold.is_some() || self.quorum.is_some()) {
            flaw("`hold` and `quorum` mean nothing where it is not held", "remove them, or write `expect = \"hold\"`");
        }
        flaws
    }

    fn now(&self) -> Option<Timestamp> {
        let Some(at) = self.at else { return Some(Timestamp::from_seconds(1_767_607_200)) };
        let (date, time) = (at.date?, at.time?);
        let minutes = match at.offset? {
            toml::value::Offset::Z => 0,
            toml::value::Offset::Custom { minutes } => i64::from(minutes),
        };
        let days = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
        let second = i64::from(time.second.unwrap_or(0));
        let of_day = i64::from(time.hour) * 3_600 + (i64::from(time.minute) - minutes) * 60 + second;
        Some(Timestamp::from_seconds(days * 86_400 + of_day))
    }

    fn who(&self) -> Identity {
        let (issuer, subject) = self.identity.split_once('|').unwrap_or((&self.identity, ""));
        Identity {
            issuer: issuer.into(),
            subject: subject.into(),
            name: subject.into(),
            kind: self.kind,
            groups: self.groups.clone(),
            assurance: Assurance { amr: self.amr.clone(), acr: self.acr.clone(), auth_time: None },
            acting_for: self.acting_for.clone(),
            claims: self.claims.clone(),
            token_id: "test".into(),
            only_target: None,
            expires: Timestamp(i64::MAX),
        }
    }

    fn differences(&self, policies: &PolicySet, ask: &mut Ask<'_>) -> Vec<String> {
        let asked = match ask(&self.target, &self.statement) {
            Ok(asked) if asked.operations.is_empty() => return vec!["the statement comes to no operation".into()],
            Ok(asked) => asked,
            Err(why) => return vec![format!("the statement cannot be read: {why}")],
        };
        let identity = self.who();
        let explained = asked.operations.iter().map(|(operation, classes)| {
            policies.explain(&Request {
                identity: &identity,
                target: &asked.target,
                operation,
                classes: *classes,
                now: self.now().unwrap_or(Timestamp(0)),
                source: self.source,
                approved: self.approved,
            })
        });
        // Of several statements in one message none runs if one is refused, so the worst is what happens.
        let worst = explained.min_by_key(|e| ["deny", "hold", "permit"].iter().position(|d| *d == e.decision));
        worst.map(|explanation| self.compare(&explanation)).unwrap_or_default()
    }

    fn compare(&self, got: &Explanation) -> Vec<String> {
        let mut found = Vec::new();
        let says = got.denial.as_ref().map(|d| format!("{}; {}", d.message, d.remedy));
        if got.decision != self.expect.name() {
            let why = says.as_deref().map(|words| format!(" ({words})")).unwrap_or_default();
            found.push(format!("expected {}, got {}{why}", self.expect.name(), got.decision));
            return found;
        }
        let obligations = got.obligations.as_ref();
        let determined = obligations
            .map(|o| &o.policies)
            .or(got.denial.as_ref().map(|d| &d.policies))
            .map(|ids| ids.iter().cloned().collect::<BTreeSet<_>>());
        differ(&mut found, "policies", self.policies.as_ref(), determined.as_ref());
        let approvers = got.hold.as_ref().map(|h| h.approvers.iter().cloned().collect::<BTreeSet<_>>());
        differ(&mut found, "hold", self.hold.as_ref(), approvers.as_ref());
        differ(&mut found, "quorum", self.quorum.as_ref(), got.hold.as_ref().map(|h| &h.quorum));
        let names = |set: &BTreeSet<PhiClass>| set.iter().map(|class| class.name()).collect::<Vec<_>>();
        let revealed = obligations.map(|o| names(&o.reveal.iter().collect()));
        differ(&mut found, "reveal", self.reveal.as_ref().map(names).as_ref(), revealed.as_ref());
        differ(&mut found, "mask", self.mask.as_ref(), obligations.and_then(|o| o.profile.as_ref()));
        differ(&mut found, "rows", self.rows.as_ref(), obligations.and_then(|o| o.row_limit.as_ref()));
        let notice = obligations.and_then(|o| o.message.clone());
        let reason = got.hold.as_ref().map(|h| h.reason.clone());
        let words = [says, notice, reason].into_iter().flatten().collect::<Vec<_>>().join("; ");
        if let Some(part) = self.message.as_ref().filter(|part| !words.contains(part.as_str())) {
            found.push(format!("expected the words `{part}`, got `{words}`"));
        }
        found
    }
}

fn differ<T: PartialEq + std::fmt::Debug>(found: &mut Vec<String>, what: &str, expected: Option<&T>, got: Option<&T>) {
    let Some(expected) = expected else { return };
    match got {
        Some(got) if got == expected => {}
        Some(got) => found.push(format!("expected {what} {expected:?}, got {got:?}")),
        None => found.push(format!("expected {what} {expected:?}, got none")),
    }
}

/// Days from 1970-01-01 to a civil date.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - (month <= 2) as i64;
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl std::fmt::Display for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.differences.is_empty() { "ok" } else { "FAILED" };
        write!(f, "{word:<6} {} ({}:{})", self.name, self.file, self.line)?;
        self.differences.iter().try_for_each(|line| write!(f, "\n       {line}"))
    }
}
