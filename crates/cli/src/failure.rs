//! How a command fails: what, why, what to do next; and the exit code.

use std::fmt::{self, Write};
use std::process::ExitCode;
use vestibule_core::Problem;

/// What kind of failure it is: the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// What was asked about is not in order.
    NotInOrder = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Not logged in, or not allowed.
    NotAllowed = 3,
    /// There is no such thing.
    NotFound = 4,
    /// The gateway or an identity provider cannot be reached.
    Unreachable = 5,
    /// Anything else.
    Other = 6,
}

/// A command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub kind: Kind,
    /// What did not work.
    pub what: String,
    /// Why, if there is more to say.
    pub why: String,
    /// What to do next.
    pub next: String,
}

impl Failure {
    /// A failure; `why` and `next` may be empty.
    pub fn new(kind: Kind, what: impl Into<String>, why: impl fmt::Display, next: impl Into<String>) -> Self {
        Self { kind, what: what.into(), why: why.to_string(), next: next.into() }
    }

    /// Everything that is wrong with configuration, policies or data map.
    pub fn problems(problems: &[Problem]) -> Self {
        let mut why = String::new();
        for problem in problems {
            // Writing into a String cannot fail.
            let _ = writeln!(why, "{problem}");
        }
        let what = match problems.len() {
            1 => "there is 1 problem".into(),
            n => format!("there are {n} problems"),
        };
        Self { kind: Kind::NotInOrder, what, why: why.trim_end().into(), next: String::new() }
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vestibule: {}", self.what)?;
        if !self.why.is_empty() {
            let several = self.why.contains('\n');
            write!(f, "{}{}", if several { "\n" } else { ": " }, self.why)?;
        }
        if !self.next.is_empty() {
            write!(f, "\n  next: {}", self.next)?;
        }
        Ok(())
    }
}

/// What a command comes to.
pub type Done = Result<(), Failure>;

#[cfg(test)]
mod tests {
    use super::{Failure, Kind};
    use vestibule_core::Problem;

    #[test]
    fn says_what_why_and_what_next() {
        let failure = Failure::new(Kind::NotAllowed, "not logged in", "", "run `vestibule login`");
        assert_eq!(failure.to_string(), "vestibule: not logged in\n  next: run `vestibule login`");
        let failure = Failure::new(Kind::Unreachable, "the gateway cannot be reached", "refused", "");
        assert_eq!(failure.to_string(), "vestibule: the gateway cannot be reached: refused");
        let problems = [Problem::new("a.toml", 3, "wrong", "right"), Problem::new("b", 0, "wrong", "right")];
        assert_eq!(
            Failure::problems(&problems).to_string(),
            "vestibule: there are 2 problems\na.toml:3: wrong\n    mend: right\nb: wrong\n    mend: right"
        );
    }
}
