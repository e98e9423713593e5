//! `cargo xtask test`: everything, with one line at the end that says how it went.

mod rust;

use crate::tally::Tally;
use crate::{conversations, say, setup};
use std::time::Instant;
use vestibule_e2e::{Outcome, failure};

/// What was asked for on the command line.
#[derive(Debug, Default)]
pub struct Wanted {
    only: Vec<String>,
    servers: Vec<u32>,
    no_setup: bool,
}

impl Wanted {
    fn read(words: &[String]) -> Outcome<Self> {
        let mut wanted = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut list = || words.next().map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>());
            match word.as_str() {
                "--no-setup" => wanted.no_setup = true,
                "--only" => wanted.only = list().ok_or_else(|| failure("--only takes names"))?,
                "--servers" => {
                    let numbers = list().ok_or_else(|| failure("--servers takes numbers"))?;
                    let numbers: Result<_, _> = numbers.iter().map(|number| number.parse()).collect();
                    wanted.servers = numbers.map_err(|_| failure("--servers takes numbers, as in 13,15,18"))?;
                }
                other => return Err(failure(format!("`cargo xtask test` knows no `{other}`; see `cargo xtask help`"))),
            }
        }
        Ok(wanted)
    }

    /// Whether this part, or this client, is to run.
    pub fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == part)
    }

    /// Whether this client is to run.
    pub fn wants_client(&self, name: &str) -> bool {
        self.wants(name) || self.wants("clients")
    }

    /// Whether servers of this major version are to run.
    pub fn wants_server(&self, major: u32) -> bool {
        self.servers.is_empty() || self.servers.contains(&major)
    }
}

/// Runs everything that was asked for.
///
/// # Errors
/// When anything failed; what it was has been said.
pub fn test(words: &[String]) -> Outcome<()> {
    let wanted = Wanted::read(words)?;
    let start = Instant::now();
    let mut tally = Tally::default();
    if !wanted.no_setup
        && let Err(error) = setup::all()
    {
        tally.fail("set-up", &error.0);
    }
    if wanted.wants("rust") {
        tally.add(rust::build_and_test());
    }
    tally.add(conversations::hold_all(&wanted));
    if wanted.wants("demo") {
        say::stage("the demonstration");
        match crate::demo::as_a_test() {
            Ok(()) => tally.passed += 1,
            Err(error) => tally.fail("the demonstration", &error.0),
        }
    }
    say::line(&format!("\ntook {} s", start.elapsed().as_secs()));
    tally.close();
    if tally.failed.is_empty() && tally.passed > 0 { Ok(()) } else { Err(failure("the tests did not all pass")) }
}
