//! Cargo's part: build, test, and read what the test runner says while showing it.

use crate::say;
use crate::tally::Tally;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use vestibule_e2e::temp::TempDir;
use vestibule_e2e::{Doing as _, Outcome};

/// Builds the workspace, then runs every Rust test and the documentation's examples.
pub fn build_and_test() -> Tally {
    let mut tally = Tally::default();
    say::stage("build");
    let build = stream("cargo build --workspace --all-targets --locked 2>&1", None, |_| {});
    if !build.is_ok_and(|success| success) {
        tally.fail("cargo build --workspace --all-targets", "did not build; the compiler's words are above");
        return tally;
    }
    say::stage("Rust tests");
    let skips = TempDir::new("skips");
    let skips = skips.as_ref().ok().map(|dir| dir.path().join("skips"));
    let mut reader = Reader::default();
    let line = "cargo test --workspace --locked --no-fail-fast 2>&1";
    let ended = stream(line, skips.as_deref(), |line| reader.read(line));
    let words = skips.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    let skipped: Vec<String> = words.lines().map(str::to_owned).collect();
    tally.passed = reader.passed.saturating_sub(skipped.len());
    tally.skipped = reader.ignored;
    tally.skipped.extend(skipped);
    tally.failed = reader.failed;
    match ended {
        Ok(true) => {}
        // A test binary that is killed or aborts prints no closing line of its own.
        Ok(false) if tally.failed.is_empty() => tally.fail(line, "ended with an error outside its tests; see above"),
        Ok(false) => {}
        Err(error) => tally.fail(line, &error.0),
    }
    tally
}

/// Runs a shell line, shows what it prints as it prints it, and hands each line on. The tests find in `VESTIBULE_SKIPS`
/// where to write the name and reason of what cannot be tried on this machine.
fn stream(line: &str, skips: Option<&std::path::Path>, mut each: impl FnMut(&str)) -> Outcome<bool> {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::piped()).env("CARGO_TERM_COLOR", "never");
    if let Some(file) = skips {
        shell.env("VESTIBULE_SKIPS", file);
    }
    let mut child = shell.spawn().doing("cannot run sh")?;
    if let Some(pipe) = child.stdout.take() {
        for line in BufReader::new(pipe).split(b'\n') {
            let line = line.doing("cannot read what cargo says")?;
            let line = String::from_utf8_lossy(&line);
            say::line(&line);
            each(&line);
        }
    }
    Ok(child.wait().doing("cannot wait for cargo")?.success())
}

/// Reads the lines of Rust's test runner.
#[derive(Debug, Default)]
struct Reader {
    suite: String,
    passed: usize,
    failed: Vec<String>,
    ignored: Vec<String>,
}

impl Reader {
    fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(suite) = line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests ")) {
            self.suite = suite_name(suite);
        } else if let Some(test) = line.strip_prefix("test ")
            && let Some((name, verdict)) = test.split_once(" ... ")
        {
            let name = format!("{} {name}", self.suite);
            if verdict == "FAILED" {
                self.failed.push(name);
            } else if let Some(reason) = verdict.strip_prefix("ignored") {
                let reason = reason.trim_start_matches(", ");
                self.ignored.push(format!("{name}: {}", if reason.is_empty() { "ignored" } else { reason }));
            }
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let count = |word: &str| {
                result.split(';').find_map(|part| part.trim().strip_suffix(word)?.rsplit(' ').next()?.parse().ok())
            };
            self.passed += count(" passed").unwrap_or(0_usize);
        }
    }
}

/// `unittests src/lib.rs (target/debug/deps/vestibule_core-0123abcd)` is `vestibule_core`.
fn suite_name(words: &str) -> String {
    let inside = words.rsplit_once('/').map_or(words, |(_, file)| file).trim_end_matches(')');
    inside.rsplit_once('-').map_or(inside, |(name, _)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_lines_are_counted() {
        let mut reader = Reader::default();
        for line in [
            "     Running unittests src/lib.rs (target/debug/deps/vestibule_core-0123abcd)",
            "running 4 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test a::d ... ignored, takes a day",
            "test a::e ... ignored",
            "test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "   Doc-tests vestibule_sql",
            "test crates/sql/src/lib.rs - x (line 3) ... ok",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            reader.read(line);
        }
        assert_eq!(reader.passed, 13);
        assert_eq!(reader.failed, ["vestibule_core a::c"]);
        assert_eq!(reader.ignored, ["vestibule_core a::d: takes a day", "vestibule_core a::e: ignored"]);
    }
}
