//! `cargo xtask check`: format, lints, licences and advisories, documentation.

use crate::say;
use crate::tally::Tally;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use vestibule_e2e::run::{have, run, show};
use vestibule_e2e::{Outcome, cache, failure};

/// Runs every check and says how each went.
///
/// # Errors
/// When one failed.
pub fn check() -> Outcome<()> {
    let mut tally = Tally::default();
    let format = ["fmt", "--all", "--check"];
    let lints = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    let docs = ["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"];
    step(&mut tally, "format", Command::new("cargo").args(format));
    step(&mut tally, "lints", Command::new("cargo").args(lints));
    step(&mut tally, "documentation", Command::new("cargo").args(docs).env("RUSTDOCFLAGS", "-D warnings"));
    deny(&mut tally);
    tally.close();
    if tally.failed.is_empty() { Ok(()) } else { Err(failure("not every check passed")) }
}

fn step(tally: &mut Tally, name: &str, command: &mut Command) {
    say::stage(name);
    match show(command.current_dir(cache::project())) {
        Ok(()) => tally.passed += 1,
        Err(error) => tally.fail(name, &error.0),
    }
}

/// Licences, sources and duplicates need nothing from outside; the list of advisories has to be fetched.
fn deny(tally: &mut Tally) {
    say::stage("licences, sources, duplicates, advisories");
    let program = match cargo_deny() {
        Ok(program) => program,
        Err(error) => {
            tally.skip("licences, bans, sources", &error.0);
            return tally.skip("advisories", "cargo-deny is not here");
        }
    };
    let root = cache::project();
    let deny = |what: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["--locked", "--color", "never", "check", "--hide-inclusion-graph"]).args(what);
        command.current_dir(&root);
        command
    };
    step(tally, "licences, bans, sources", &mut deny(&["licenses", "bans", "sources"]));
    let mut advisories = deny(&["advisories"]);
    match run(&mut advisories, Duration::from_secs(180)) {
        Ok(ended) if ended.success() => tally.passed += 1,
        Ok(ended) if ended.stderr.contains("error[") => tally.fail("advisories", &ended.stderr),
        Ok(ended) => {
            let why = ended.stderr.lines().next().unwrap_or("no answer in time").to_owned();
            tally.skip("advisories", &format!("the list of advisories cannot be fetched here: {why}"));
        }
        Err(error) => tally.fail("advisories", &error.0),
    }
}

/// The program, built into the cache folder when the machine has none.
fn cargo_deny() -> Outcome<PathBuf> {
    if have("cargo-deny") {
        return Ok(PathBuf::from("cargo-deny"));
    }
    let root = cache::dir().join("tools");
    let program = root.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    say::line("building cargo-deny into the cache folder (once; some minutes)");
    let mut install = Command::new("cargo");
    install.args(["install", "--quiet", "--locked", "cargo-deny", "--version", CARGO_DENY, "--root"]).arg(&root);
    install.stdout(Stdio::null()).env_remove("CARGO_TARGET_DIR");
    let ended = run(&mut install, Duration::from_secs(25 * 60))?;
    if ended.success() && program.is_file() {
        return Ok(program);
    }
    let why =
        ended.stderr.lines().rev().find(|line| line.starts_with("error")).unwrap_or("it took too long").to_owned();
    Err(failure(format!("cargo-deny could not be built: {why}")))
}

const CARGO_DENY: &str = "0.20.2";
