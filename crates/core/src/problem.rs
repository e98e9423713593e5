//! What is wrong in a file that a person wrote, where, and how to mend it.

use serde::Serialize;
use std::fmt;

/// One error in a configuration, policy or data-map file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: String,
    /// Line, from 1; 0 where the whole file is meant.
    pub line: u32,
    /// What is wrong.
    pub what: String,
    /// What to write instead, or to do.
    pub mend: String,
}

impl Problem {
    /// A problem at a line.
    pub fn new(file: impl Into<String>, line: u32, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { file: file.into(), line, what: what.into(), mend: mend.into() }
    }

    /// The line (from 1) of a byte offset in `text`.
    #[must_use]
    pub fn line_of(text: &str, offset: usize) -> u32 {
        let before = text.as_bytes().get(..offset.min(text.len())).unwrap_or_default();
        u32::try_from(before.iter().filter(|b| **b == b'\n').count()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}\n    mend: {}", self.file, self.what, self.mend),
            line => write!(f, "{}:{line}: {}\n    mend: {}", self.file, self.what, self.mend),
        }
    }
}
