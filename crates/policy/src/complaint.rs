//! What Cedar complains of, in the words of this project.

use crate::source::Piece;
use cedar_policy::{ParseError, ValidationError, ValidationWarning};
use miette::Diagnostic;
use vestibule_core::Problem;

/// A policy that cannot be parsed.
pub(crate) fn syntax(piece: &Piece<'_>, error: &ParseError) -> Problem {
    let what = format!("this is not a policy: {}", plain(error));
    piece.problem(offset(error), what, help(error, "compare it with the examples in docs/spec/policy.md"))
}

/// A policy that does not fit the schema.
pub(crate) fn error(piece: &Piece<'_>, error: &ValidationError) -> Problem {
    let (words, help) = (plain(error), help(error, "see `vestibule policy schema` for what a policy can speak of"));
    // One of a list of names: say which there are, in fewer words.
    if let (Some((name, _)), Some(names)) =
        (words.split_once(" is of an enumerated entity type"), help.strip_prefix("valid entity eids: "))
    {
        let what = format!("there is no {}", name.trim_start_matches("entity "));
        return piece.problem(offset(error), what, format!("write one of {names}"));
    }
    // Cedar's guesses differ from run to run.
    let mend = match error {
        ValidationError::UnrecognizedActionId(_) => {
            "actions are `open`, `read`, `write`, `define`, `execute`, `administer`, and `change` for the last four together"
        }
        ValidationError::UnrecognizedEntityType(_) => {
            "types are `Person`, `Service`, `Agent`, `Group`, `Target`, `Action`, `Class`, `Trait`, `Reading` and `Risk`"
        }
        _ if help.starts_with("did you mean") => "see `vestibule policy schema` for what there is",
        _ => &help,
    };
    piece.problem(offset(error), words, mend)
}

/// A policy that protects nobody, or does not say what it seems to say.
pub(crate) fn warning(piece: &Piece<'_>, warning: &ValidationWarning) -> Problem {
    let (what, mend) = match warning {
        ValidationWarning::ImpossiblePolicy(_) => (
            "the policy can never apply: its conditions contradict each other".to_owned(),
            "mend them, or remove the policy",
        ),
        ValidationWarning::InvalidActionApplication(_) => (
            "the policy can never apply: nobody and nothing fits its principal, action and resource".to_owned(),
            "name people with `==` or `is`, and groups with `in`; the resource is a `Target`",
        ),
        other => (plain(other), "write it with the letters of one alphabet, from left to right"),
    };
    piece.problem(offset(warning), what, mend)
}

/// Where Cedar points to in the policy.
fn offset(error: &dyn Diagnostic) -> usize {
    error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset())
}

fn help(error: &dyn Diagnostic, otherwise: &str) -> String {
    let words = error.help().map(|help| one_line(&help.to_string())).filter(|help| !help.is_empty());
    let label = error.labels().and_then(|mut labels| labels.next()).and_then(|label| label.label().map(one_line));
    words.or(label).unwrap_or_else(|| otherwise.to_owned())
}

/// Cedar's words, without the name that the policy had while it was read, and once for all actions.
fn plain(error: &dyn std::fmt::Display) -> String {
    let mut words = one_line(&error.to_string());
    if let Some((_, rest)) = words.strip_prefix("for policy `").and_then(|rest| rest.split_once('`')) {
        words = rest.trim_start_matches([',', ':', ' ']).to_owned();
    }
    match words.split_once(" for Action::\"") {
        Some((before, after)) => {
            let rest = after.split_once('"').map(|(_, rest)| rest).unwrap_or_default();
            format!("{before}{rest}")
        }
        None => words,
    }
}

/// On one line, and with nothing that could be taken for something else.
fn one_line(words: &str) -> String {
    words.replace('\n', "; ").chars().fold(String::with_capacity(words.len()), |mut out, c| {
        if c.is_ascii() && !c.is_control() {
            out.push(c)
        } else {
            out.extend(c.escape_unicode())
        }
        out
    })
}
