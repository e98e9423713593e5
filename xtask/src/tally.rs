//! The count over everything that ran, and the closing line.

use crate::say;

/// What passed, failed and was not tried.
#[derive(Debug, Default)]
pub struct Tally {
    /// Tests that passed.
    pub passed: usize,
    /// Names of those that failed, with why in a few words.
    pub failed: Vec<String>,
    /// Names of those that were not tried, with the reason.
    pub skipped: Vec<String>,
}

impl Tally {
    /// Counts a failure and says it at once.
    pub fn fail(&mut self, name: &str, why: &str) {
        say::line(&format!("not ok {name}\n    {}", why.replace('\n', "\n    ")));
        let first = why.lines().next().unwrap_or_default();
        self.failed.push(format!("{name}: {}", first.chars().take(200).collect::<String>()));
    }

    /// Counts a test that was not tried.
    pub fn skip(&mut self, name: &str, reason: &str) {
        say::line(&format!("skipped {name}: {reason}"));
        self.skipped.push(format!("{name}: {reason}"));
    }

    /// Adds another count.
    pub fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }

    /// Says what was skipped and what failed by name, and as the very last line how many of each.
    pub fn close(&self) {
        say::stage("summary");
        for name in &self.skipped {
            say::line(&format!("skipped  {name}"));
        }
        for name in &self.failed {
            say::line(&format!("FAILED   {name}"));
        }
        say::line(&format!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len()));
    }
}
