//! What this program says. A reader that has gone away is no reason to fail.

use std::io::Write as _;

/// One line on standard output.
pub fn line(words: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{words}");
    let _ = out.flush();
}

/// The beginning of a stage.
pub fn stage(words: &str) {
    line(&format!("\n== {words}"));
}

/// One line on standard error.
pub fn error(words: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{words}");
}
