//! Annotations: what a policy obliges to, besides permitting or forbidding.

use crate::source::Piece;
use crate::words::{list, nearest, seconds};
use std::collections::BTreeMap;
use vestibule_core::{ClassSet, PhiClass, Problem};

/// The annotations that are known, with what each is.
pub(crate) const ANNOTATIONS: [(&str, &str); 12] = [
    ("id", "the policy's name, in every record of what it decided"),
    ("description", "for readers of the file"),
    ("message", "words for the user"),
    ("remedy", "what the user can do after a refusal"),
    ("hold", "groups, one of whose members must approve"),
    ("quorum", "how many of them"),
    ("expires", "how long a held operation waits"),
    ("reason", "why it is held"),
    ("reveal", "classes of PHI shown in clear"),
    ("mask", "the mask profile for the rest"),
    ("rows", "most rows that leave"),
    ("opaque", "lets what was not wholly understood reach PHI: `partial` or `allow`"),
];

const MOST_TEXT: usize = 500;
const MOST_QUORUM: u32 = 10;
const SHORTEST: u32 = 10;
const LONGEST: u32 = 86_400;

/// Who must say yes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HoldDuty {
    /// Sorted.
    pub groups: Vec<String>,
    pub quorum: u32,
    pub expires: Option<u32>,
    pub reason: Option<String>,
}

/// How far a permit goes on what the interpreter did not wholly understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Unread {
    #[default]
    Refuse,
    Partial,
    Allow,
}

/// What a policy obliges to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Duties {
    pub id: String,
    pub message: Option<String>,
    pub remedy: Option<String>,
    pub hold: Option<HoldDuty>,
    pub reveal: ClassSet,
    pub mask: Option<String>,
    pub rows: Option<u64>,
    pub unread: Unread,
}

/// Reads the annotations of one policy.
pub(crate) struct Reader<'a> {
    pub piece: &'a Piece<'a>,
    pub values: BTreeMap<&'a str, &'a str>,
    pub permits: bool,
    pub problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    pub fn read(mut self) -> Duties {
        self.known();
        self.fitting();
        Duties {
            id: self.id(),
            message: self.text("message"),
            remedy: self.text("remedy"),
            hold: self.hold(),
            reveal: self.reveal(),
            mask: self.text("mask"),
            rows: self.rows(),
            unread: self.unread(),
        }
    }

    fn complain(&mut self, name: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.problems.push(self.piece.annotated(name, what, mend));
    }

    fn known(&mut self) {
        let given: Vec<&str> = self.values.keys().copied().collect();
        for name in given {
            let names = || ANNOTATIONS.iter().map(|(n, _)| *n);
            if names().any(|n| n == name) {
                continue;
            }
            let mend = match nearest(name, names()) {
                Some(near) => format!("write `@{near}`"),
                None => format!("remove it; annotations are {}", list(&names().collect::<Vec<_>>())),
            };
            self.complain(name, format!("unknown annotation `@{name}`"), mend);
        }
        for name in ["message", "remedy", "reason", "description", "mask"] {
            self.plain(name);
        }
    }

    /// Words reach terminals and records: no control characters, no essays.
    fn plain(&mut self, name: &'static str) {
        let Some(text) = self.values.get(name) else { return };
        if text.trim().is_empty() {
            self.complain(name, format!("`@{name}` is empty"), "write words, or remove it");
        } else if text.chars().any(char::is_control) {
            let what = format!("`@{name}` contains a control character");
            self.complain(name, what, "write it on one line, without escapes");
        } else if text.len() > MOST_TEXT {
            let what = format!("`@{name}` is longer than {MOST_TEXT} bytes");
            self.complain(name, what, "say it in fewer words");
        }
    }

    /// Annotations that mean nothing where they stand.
    fn fitting(&mut self) {
        if !self.permits {
            for name in ["reveal", "mask", "rows", "opaque"] {
                if self.values.contains_key(name) {
                    let what = format!("`@{name}` on a `forbid`, which lets nothing through");
                    self.complain(name, what, "put it on a `permit`, or remove it");
                }
            }
        }
        let held = self.values.contains_key("hold");
        for name in ["quorum", "expires", "reason"] {
            if self.values.contains_key(name) && !held {
                let mend = format!("add `@hold(\"…\")` with the groups that approve, or remove `@{name}`");
                self.complain(name, format!("`@{name}` without `@hold`"), mend);
            }
        }
        if self.values.contains_key("remedy") && (self.permits || held) {
            let what = "`@remedy` on a policy that never refuses by itself";
            self.complain("remedy", what, "put it on a `forbid` without `@hold`, or remove it");
        }
    }

    fn id(&mut self) -> String {
        let Some(id) = self.values.get("id").copied() else {
            let mend = "write `@id(\"a-name\")` before it: records name the policies that decided";
            self.problems.push(self.piece.problem(0, "the policy has no `@id`", mend));
            return String::new();
        };
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let first = id.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !first || id.len() > 64 || !id.bytes().all(good) {
            let mend = "begin with a letter or digit; then letters, digits, `-`, `_` and `.`, at most 64";
            self.complain("id", format!("`{}` is not a name for a policy", id.escape_debug()), mend);
        }
        id.to_owned()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).map(|text| text.trim().to_owned())
    }

    /// Names between commas.
    fn names(&mut self, name: &'static str, of: &str) -> Vec<String> {
        let text = self.values.get(name).copied().unwrap_or_default();
        let mut names: Vec<String> = text.split(',').map(|n| n.trim().to_owned()).collect();
        if names.iter().any(|n| n.is_empty() || n.chars().any(char::is_control)) {
            let mend = format!("write `@{name}(\"one,another\")`");
            self.complain(name, format!("`@{name}` lacks the name of a {of}"), mend);
        }
        let given = names.len();
        names.sort();
        names.dedup();
        if names.len() < given {
            self.complain(name, format!("`@{name}` names a {of} twice"), "name it once");
        }
        names
    }

    fn hold(&mut self) -> Option<HoldDuty> {
        self.values.get("hold")?;
        let groups = self.names("hold", "group");
        Some(HoldDuty { groups, quorum: self.quorum(), expires: self.expires(), reason: self.text("reason") })
    }

    fn quorum(&mut self) -> u32 {
        let Some(text) = self.values.get("quorum") else { return 1 };
        let number = digits(text).and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=MOST_QUORUM).contains(n));
        if number.is_none() {
            let what = format!("`@quorum(\"{}\")` is not a number of people", text.escape_debug());
            self.complain("quorum", what, format!("write a whole number from 1 to {MOST_QUORUM}"));
        }
        number.unwrap_or(1)
    }

    fn expires(&mut self) -> Option<u32> {
        let text = self.values.get("expires")?;
        let length = seconds(text).filter(|s| (SHORTEST..=LONGEST).contains(s));
        if length.is_none() {
            let what = format!("`@expires(\"{}\")` is not a length of time", text.escape_debug());
            self.complain("expires", what, "write a whole number and a unit, from `10s` to `1d`: `15m`, `1h`");
        }
        length
    }

    fn reveal(&mut self) -> ClassSet {
        if !self.values.contains_key("reveal") {
            return ClassSet::EMPTY;
        }
        let mut set = ClassSet::EMPTY;
        for name in self.names("reveal", "class") {
            match name.parse::<PhiClass>() {
                Ok(class) => set.insert(class),
                Err(()) if name.is_empty() => {}
                Err(()) => {
                    let known = PhiClass::ALL.iter().map(|c| c.name());
                    let mend = match nearest(&name, known.clone()) {
                        Some(near) => format!("write `{near}`"),
                        None => format!("classes are {}", list(&known.collect::<Vec<_>>())),
                    };
                    self.complain("reveal", format!("`{}` is not a class of PHI", name.escape_debug()), mend);
                }
            }
        }
        set
    }

    fn rows(&mut self) -> Option<u64> {
        let text = self.values.get("rows")?;
        let rows = digits(text).filter(|n| *n > 0);
        if rows.is_none() {
            let what = format!("`@rows(\"{}\")` is not a number of rows", text.escape_debug());
            self.complain("rows", what, "write a whole number greater than 0; to let nothing out, forbid it");
        }
        rows
    }

    fn unread(&mut self) -> Unread {
        match self.values.get("opaque").copied() {
            None => Unread::Refuse,
            Some("partial") => Unread::Partial,
            Some("allow") => Unread::Allow,
            Some(other) => {
                let what = format!("`@opaque(\"{}\")` is neither `partial` nor `allow`", other.escape_debug());
                let mend = "`partial` lets through what was read in part, `allow` what was not read at all, too";
                self.complain("opaque", what, mend);
                Unread::Refuse
            }
        }
    }
}

/// A whole number in digits only: no sign, no blanks.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
