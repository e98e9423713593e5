//! Conversations: the same things said by every client, unmodified, to a server or through the gateway.
//!
//! A client is a program in `tests/clients`. It is told where to go by environment variables and prints one JSON object
//! a line: `{"name": …, "ok": true, "value": …}`, `{"name": …, "ok": false, "error": …}`, `{"name": …, "skip": …}`, and
//! `{"done": N}` at its end. Each scenario checks what it sees; the values it reports are what [`compare`] holds against
//! each other: with nothing masked, a conversation through the gateway must tell the same as one without it.

use crate::run::{complaint, run};
use crate::{Outcome, cache};
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Where a conversation goes, and as whom.
#[derive(Debug, Clone)]
pub struct Address {
    /// Host name; the certificate is for it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Database, or the gateway's name for the target.
    pub database: String,
    /// The role, or the name used towards the gateway.
    pub user: String,
    /// The role's password, or a token.
    pub password: String,
    /// libpq's word: `disable`, `require`, `verify-full` …
    pub sslmode: String,
    /// The authority the client trusts.
    pub ca: PathBuf,
    /// The major version of the server at the end.
    pub major: u32,
    /// Whether this goes straight to the server or through the gateway.
    pub via: Via,
}

/// The way a conversation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Straight to the server.
    Direct,
    /// Through the gateway.
    Gateway,
}

impl fmt::Display for Via {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Direct => "direct",
            Self::Gateway => "gateway",
        })
    }
}

/// How one scenario went.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It held; what it saw.
    Passed(Value),
    /// It did not, and why.
    Failed(String),
    /// It was not tried, and why.
    Skipped(String),
}

/// One scenario of one client.
#[derive(Debug, Clone)]
pub struct Line {
    /// The scenario.
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
}

/// A client: its name and how it is started.
#[derive(Clone, Copy)]
pub struct Client {
    /// Its name, as a person knows it.
    pub name: &'static str,
    command: fn() -> Outcome<Command>,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)
    }
}

/// Every client.
pub const CLIENTS: [Client; 12] = [
    Client { name: "psql", command: || Ok(script("psql.py")) },
    Client { name: "psql-18", command: || newer("psql.py") },
    Client { name: "pgbench", command: || Ok(script("pgbench.py")) },
    Client { name: "libpq", command: libpq },
    Client { name: "libpq-18", command: || Ok(script("libpq18.py")) },
    Client { name: "jdbc", command: jdbc },
    Client { name: "psycopg2", command: || Ok(script("psycopg2_talk.py")) },
    Client { name: "psycopg3", command: || Ok(script("psycopg3_talk.py")) },
    Client { name: "asyncpg", command: || Ok(script("asyncpg_talk.py")) },
    Client { name: "node-postgres", command: || Ok(node()) },
    Client { name: "tokio-postgres", command: tokio_postgres },
    Client { name: "pg_dump", command: || newer("pg_dump.py") },
];

/// The folder of the clients' programs.
#[must_use]
pub fn folder() -> PathBuf {
    cache::project().join("tests/clients")
}

fn script(name: &str) -> Command {
    let mut command = Command::new(cache::python());
    command.arg(folder().join(name));
    command
}

fn newer(name: &str) -> Outcome<Command> {
    let bin = cache::newer_clients().join("bin");
    cache::find(&bin, "psql", "")?;
    let mut command = script(name);
    command.env("CLIENT_BIN", bin);
    Ok(command)
}

fn libpq() -> Outcome<Command> {
    Ok(Command::new(cache::find(&cache::dir().join("bin"), "libpq-conversation", "")?))
}

fn jdbc() -> Outcome<Command> {
    let mut command = Command::new("java");
    command.arg("-cp").arg(cache::find(&cache::jars(), "postgresql-", ".jar")?).arg(folder().join("Jdbc.java"));
    Ok(command)
}

fn node() -> Command {
    let mut command = Command::new("node");
    command.arg(folder().join("node.cjs")).env("NODE_PATH", cache::node_modules());
    command
}

/// The example is built beside the tests, so it is looked for where we were built ourselves.
fn tokio_postgres() -> Outcome<Command> {
    let own = std::env::current_exe().unwrap_or_default();
    let found = own.ancestors().find_map(|dir| {
        let example = dir.join("examples/talk_in_rust");
        example.is_file().then_some(example)
    });
    let hint = || crate::failure("not built; run `cargo build -p vestibule-e2e --example talk_in_rust`");
    found.map(Command::new).ok_or_else(hint)
}

/// Holds one client's conversation. Whatever happens is in the lines; a client that dies is a failed line.
#[must_use]
pub fn hold(client: &Client, address: &Address, limit: Duration) -> Vec<Line> {
    let mut command = match (client.command)() {
        Ok(command) => command,
        Err(error) => return vec![Line { name: "starts".to_owned(), verdict: Verdict::Failed(error.0) }],
    };
    tell(&mut command, client, address);
    let ended = match run(&mut command, limit) {
        Ok(ended) => ended,
        Err(error) => return vec![Line { name: "starts".to_owned(), verdict: Verdict::Failed(error.0) }],
    };
    let (mut lines, done) = read(&ended.stdout);
    if done != Some(lines.len()) || !ended.success() {
        let told = complaint(&command, &ended).0;
        lines.push(Line { name: "ends".to_owned(), verdict: Verdict::Failed(told) });
    }
    lines
}

fn tell(command: &mut Command, client: &Client, address: &Address) {
    let name: String = client.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    command.env("HOST", &address.host).env("PORT", address.port.to_string()).env("DB", &address.database);
    command.env("USER", &address.user).env("PASSWORD", &address.password).env("SSLMODE", &address.sslmode);
    command.env("CA", &address.ca).env("MAJOR", address.major.to_string()).env("VIA", address.via.to_string());
    // Conversations may overlap on one server: each client keeps to a schema and a channel of its own. They are the same
    // on both ways, since names come back in what a client sees.
    command.env("SPACE", format!("talk_{name}"));
    for name in ["PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGOPTIONS", "PGSERVICE"] {
        command.env_remove(name);
    }
}

fn read(stdout: &str) -> (Vec<Line>, Option<usize>) {
    let mut lines = Vec::new();
    let mut done = None;
    for object in stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if let Some(count) = object.get("done").and_then(Value::as_u64) {
            done = usize::try_from(count).ok();
            continue;
        }
        let Some(name) = object.get("name").and_then(Value::as_str) else { continue };
        let word = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or("without a word").to_owned();
        let verdict = match object.get("ok").and_then(Value::as_bool) {
            Some(true) => Verdict::Passed(object.get("value").cloned().unwrap_or(Value::Null)),
            Some(false) => Verdict::Failed(word("error")),
            None => Verdict::Skipped(word("skip")),
        };
        lines.push(Line { name: name.to_owned(), verdict });
    }
    (lines, done)
}

/// Holds a conversation through the gateway against the same one without it. A scenario that passed on both sides but
/// told different values, or that only one side had, is turned into a failure.
#[must_use]
pub fn compare(direct: &[Line], gateway: Vec<Line>) -> Vec<Line> {
    let find = |name: &str| direct.iter().find(|line| line.name == name).map(|line| &line.verdict);
    let mut missing: Vec<Line> = direct
        .iter()
        .filter(|line| matches!(line.verdict, Verdict::Passed(_)) && !gateway.iter().any(|told| told.name == line.name))
        .map(|line| Line {
            name: line.name.clone(),
            verdict: Verdict::Failed("was held directly but not through the gateway".to_owned()),
        })
        .collect();
    let mut lines: Vec<Line> = gateway
        .into_iter()
        .map(|line| match (&line.verdict, find(&line.name)) {
            (Verdict::Passed(here), Some(Verdict::Passed(there))) if here != there => {
                let words = format!("through the gateway: {}\ndirectly: {}", short(here), short(there));
                Line { name: line.name, verdict: Verdict::Failed(words) }
            }
            _ => line,
        })
        .collect();
    lines.append(&mut missing);
    lines
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = concat!(
        r#"{"name":"a","ok":true,"value":[1,"x"]}"#,
        "\nnoise of a library\n",
        r#"{"name":"b","ok":false,"error":"no"}"#,
        "\n",
        r#"{"name":"c","skip":"too old"}"#,
        "\n",
        r#"{"done":3}"#,
        "\n"
    );

    #[test]
    fn lines_are_read_and_noise_is_passed_over() {
        let (lines, done) = read(TOLD);
        assert_eq!(done, Some(3));
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].verdict, Verdict::Passed(serde_json::json!([1, "x"])));
        assert_eq!(lines[1].verdict, Verdict::Failed("no".to_owned()));
        assert_eq!(lines[2].verdict, Verdict::Skipped("too old".to_owned()));
    }

    #[test]
    fn a_different_value_and_a_missing_scenario_are_failures() {
        let passed = |name: &str, value: i32| Line { name: name.to_owned(), verdict: Verdict::Passed(value.into()) };
        let same = compare(&[passed("a", 1)], vec![passed("a", 1)]);
        assert!(matches!(same[0].verdict, Verdict::Passed(_)));
        let other = compare(&[passed("a", 1), passed("b", 1)], vec![passed("a", 2)]);
        assert!(matches!(other[0].verdict, Verdict::Failed(_)));
        assert_eq!(other[1].name, "b");
        assert!(matches!(other[1].verdict, Verdict::Failed(_)));
    }

    #[test]
    fn a_client_that_stops_short_is_a_failure() {
        let client = Client {
            name: "cut",
            command: || {
                let mut command = Command::new("sh");
                command.args(["-c", r#"echo '{"name":"a","ok":true}'"#]);
                Ok(command)
            },
        };
        let address = Address {
            host: "localhost".to_owned(),
            port: 1,
            database: "d".to_owned(),
            user: "u".to_owned(),
            password: "p".to_owned(),
            sslmode: "disable".to_owned(),
            ca: PathBuf::new(),
            major: 15,
            via: Via::Direct,
        };
        let lines = hold(&client, &address, Duration::from_secs(10));
        assert_eq!(lines.len(), 2);
        assert!(matches!(lines[1].verdict, Verdict::Failed(_)));
    }
}
