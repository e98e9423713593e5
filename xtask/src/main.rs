//! The project's own door: `cargo xtask test | check | demo | fuzz | perf | setup`.
//!
//! Here: what drives the project from outside. Not here: anything of the gateway; this program builds and runs it like
//! a user would, and compiles in seconds.

mod check;
mod conversations;
mod demo;
mod fuzz;
mod perf;
mod say;
mod setup;
mod tally;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  setup   install what is missing on this machine and fetch clients and servers into the cache folder
  test    setup, build, every Rust test, every client's conversation with real servers
            --no-setup        take the machine as it is
            --only WORDS      a part: rust, clients, demo, or a client's name (several with commas)
            --servers WORDS   major versions of PostgreSQL, as in 13,15,18
  check   format, lints, licences and advisories, documentation
  demo    the whole story against a real PostgreSQL, then a running gateway to explore
  fuzz    every fuzz target, or one: [TARGET] [SECONDS]
  perf    direct, relay, pgbouncer and the gateway side by side: [quick] [--out FILE]
";

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let command = if words.is_empty() { String::new() } else { words.remove(0) };
    let outcome = match command.as_str() {
        "setup" => setup::all(),
        "test" => test::test(&words),
        "check" => check::check(),
        "demo" => demo::demo(&words),
        "fuzz" => fuzz::fuzz(&words),
        "perf" => perf::perf(&words),
        "" | "help" | "--help" | "-h" => {
            say::line(HELP);
            return ExitCode::SUCCESS;
        }
        other => {
            say::error(&format!("there is no command `{other}`\n\n{HELP}"));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&error.0);
            ExitCode::FAILURE
        }
    }
}
