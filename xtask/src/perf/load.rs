//! The data, and the workloads of `pgbench`.

use super::ways::Way;
use crate::setup;
use std::process::Command;
use vestibule_e2e::postgres::{DATABASE, Server, login};
use vestibule_e2e::run::output;
use vestibule_e2e::{Doing as _, Outcome, failure};

/// Ten columns of text, as wide as a patient's record.
pub const BULK_SELECT: &str = "SELECT * FROM wide";
/// The same rows by COPY.
pub const BULK_COPY: &str = "COPY wide TO STDOUT";

/// What the gateway that masks is told of the tables.
pub const DATA_MAP: &str = r#"
[target.clinic]
schema = "public"

[target.clinic.relation.pgbench_accounts]
aid = "clear"
bid = "clear"
abalance = "account"
filler = "free-text"

[target.clinic.relation]
pgbench_branches = "clear"
pgbench_tellers = "clear"
pgbench_history = "clear"

[target.clinic.relation.wide]
id = "clear"
c1 = "ssn"
c2 = "clear"
c3 = "clear"
c4 = "clear"
c5 = "clear"
c6 = "clear"
c7 = "clear"
c8 = "clear"
c9 = "clear"
"#;

/// Fills the server's database.
///
/// # Errors
/// When a statement fails.
pub fn fill(server: &Server, rows: u32) -> Outcome<()> {
    let owner = login("scram-sha-256");
    let mut init =
        Command::new(setup::pgbench().ok_or_else(|| failure("there is no pgbench; run `cargo xtask setup`"))?);
    init.args(["-i", "-q", "-s", "10", "-h"]).arg(server.socket()).args(["-p", &server.port().to_string()]);
    output(init.args(["-U", "postgres", DATABASE]))?;
    let columns: Vec<String> = (1..10).map(|n| format!("md5(n::text || '{n}') AS c{n}")).collect();
    let sql = format!(
        "CREATE TABLE wide AS SELECT n AS id, {} FROM generate_series(1, {rows}) AS n; VACUUM ANALYZE wide;",
        columns.join(", ")
    );
    // VACUUM is not for a transaction, which several statements in one text are.
    for statement in sql.split_inclusive(';') {
        server.admin(DATABASE, statement)?;
    }
    for table in ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history", "wide"] {
        server.admin(DATABASE, &format!("ALTER TABLE {table} OWNER TO {owner}"))?;
        server.admin(DATABASE, &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO PUBLIC"))?;
    }
    Ok(())
}

/// One run of `pgbench`.
pub struct Bench<'a> {
    /// `simple`, `extended` or `prepared`.
    pub mode: &'a str,
    /// Connections.
    pub clients: u32,
    /// How long.
    pub seconds: u32,
    /// Whether the client asks for TLS.
    pub tls: bool,
    /// `-S` (reads) or `-N` (updates).
    pub script: &'a str,
}

/// What a run did.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Transactions.
    pub transactions: u64,
    seconds: f64,
}

impl Done {
    /// Transactions a second, connecting not counted.
    pub fn per_second(self) -> f64 {
        self.transactions as f64 / self.seconds
    }
}

/// Runs `pgbench` for some time.
///
/// # Errors
/// When it fails, or a transaction does.
pub fn pgbench(way: &Way, bench: &Bench<'_>) -> Outcome<Done> {
    let mut command = command(way, bench.tls)?;
    command.args(["-n", bench.script, "-M", bench.mode, "-T", &bench.seconds.to_string()]);
    command.args(["-c", &bench.clients.to_string(), "-j", &bench.clients.min(2).to_string()]);
    read(&output(command.arg(way.database))?)
}

/// Runs so many read transactions on so many connections, and says how many were answered.
///
/// # Errors
/// When one is not.
pub fn transactions(way: &Way, clients: u32, each: u32) -> Outcome<usize> {
    let mut command = command(way, false)?;
    command.args(["-n", "-S", "-M", "simple", "-t", &each.to_string(), "-c", &clients.to_string(), "-j", "2"]);
    let done = read(&output(command.arg(way.database))?)?;
    usize::try_from(done.transactions).doing("cannot count")
}

fn command(way: &Way, tls: bool) -> Outcome<Command> {
    let mut command = Command::new(setup::pgbench().ok_or_else(|| failure("there is no pgbench"))?);
    command.args(["-h", "127.0.0.1", "-p", &way.port.to_string(), "-U", way.user]);
    command.env("PGPASSWORD", &way.password).env("PGSSLMODE", if tls { "require" } else { "disable" });
    Ok(command)
}

fn read(said: &str) -> Outcome<Done> {
    let number = |start: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(start))?;
        line.trim_start_matches([':', '=', ' ']).split(['/', ' ']).next().map(str::to_owned)
    };
    let transactions = number("number of transactions actually processed").and_then(|text| text.parse().ok());
    let tps: Option<f64> = number("tps").and_then(|text| text.parse().ok());
    match (transactions, tps) {
        (Some(transactions), Some(tps)) if tps > 0.0 => Ok(Done { transactions, seconds: transactions as f64 / tps }),
        _ => Err(failure(format!("pgbench told no figures:\n{said}"))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn pgbench_is_read() {
        let said = "transaction type: <builtin: select only>\nnumber of transactions actually processed: 1000/1000\n\
                    latency average = 0.1 ms\ntps = 2000.000000 (without initial connection time)\n";
        let done = super::read(said).unwrap();
        assert_eq!(done.transactions, 1000);
        assert!((done.per_second() - 2000.0).abs() < 1.0);
    }
}
