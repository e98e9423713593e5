//! `cargo xtask perf [quick] [--out FILE]`: direct, a bare relay, a pooler and the gateway side by side.
//!
//! Every figure comes from rounds in which all ways take their turn, the order reversed each round, on one machine with
//! client, proxy and server on it; what is printed is the median of the ratios within a round. Absolute numbers are for
//! this machine only.

mod load;
mod measure;
mod raw;
mod ways;

use crate::{conversations, say};
use measure::{Figures, median};
use std::fmt::Write as _;
use std::process::Command;
use vestibule_e2e::run::{output, show};
use vestibule_e2e::{Doing as _, Outcome, cache, failure};
use ways::{DURABLE, WRITTEN, Ways};

/// How much is measured.
struct Size {
    rounds: usize,
    seconds: u32,
    clients: &'static [u32],
    bulk_rows: u32,
}

const FULL: Size = Size { rounds: 3, seconds: 4, clients: &[1, 8, 32], bulk_rows: 200_000 };
const QUICK: Size = Size { rounds: 3, seconds: 3, clients: &[8], bulk_rows: 60_000 };

/// Measures, and prints ratios.
///
/// # Errors
/// When something cannot be built or started, or a workload fails.
pub fn perf(words: &[String]) -> Outcome<()> {
    let size = if words.iter().any(|word| word == "quick") { QUICK } else { FULL };
    let out = words.iter().position(|word| word == "--out").and_then(|at| words.get(at + 1));
    say::stage("build");
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--locked", "-p", "vestibule"]).current_dir(cache::project());
    show(&mut build)?;
    let program = conversations::release_program()?;
    say::stage("start");
    let server = conversations::one_server(&[("shared_buffers", "256MB"), ("jit", "off")])?;
    load::fill(&server, size.bulk_rows)?;
    let ways = Ways::start(&server, &program)?;
    let mut report = format!("{}\n", machine());
    for (title, table) in [
        ("pgbench -S, simple, plain", pgbench(&ways, &size, "simple", false)?),
        ("pgbench -S, extended, plain", pgbench(&ways, &size, "extended", false)?),
        ("pgbench -S, prepared, plain", pgbench(&ways, &size, "prepared", false)?),
        ("pgbench -S, simple, TLS", pgbench(&ways, &size, "simple", true)?),
        ("one client, SELECT 1, p50", latency(&ways, &size)?),
        ("bulk read, bytes a second", bulk(&ways, &size)?),
        ("durable before reply against written, pgbench -N at 32 clients", durable(&ways, &size)?),
    ] {
        let _ = write!(report, "\n## {title}\n{table}");
        say::line(&format!("\n## {title}\n{table}"));
    }
    let burst = burst(&ways)?;
    let _ = write!(report, "\n## burst\n{burst}");
    say::line(&format!("\n## burst\n{burst}"));
    if let Some(file) = out {
        std::fs::write(file, report).doing(format_args!("cannot write {file}"))?;
    }
    Ok(())
}

fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("machine: {cores} cores{}", model.replace('\t', ""))
}

/// Transactions a second against the direct connection, and the proxy's CPU.
fn pgbench(ways: &Ways, size: &Size, mode: &str, tls: bool) -> Outcome<String> {
    let mut table = String::new();
    for clients in size.clients {
        let taken = measure::rounds(
            ways,
            size.rounds,
            |_| true,
            |way| {
                let before = way.cpu();
                let done = load::pgbench(
                    way,
                    &load::Bench { mode, clients: *clients, seconds: size.seconds, tls, script: "-S" },
                )?;
                let cpu = way.cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
                Ok(Figures {
                    value: done.per_second(),
                    cpu_ms: cpu.map(|ticks| ticks as f64 * 10_000.0 / done.transactions as f64),
                })
            },
        )?;
        for row in &taken {
            let cpu = row.cpu_ms.map_or_else(String::new, |ms| format!("  {ms:5.1} ms CPU/1k"));
            let _ = writeln!(
                table,
                "{clients:>3} clients  {:<29} {:>9.0} tps  {:.2} × direct  {:.2} × pgbouncer{cpu}",
                row.name, row.value, row.to_direct, row.to_pooler
            );
        }
    }
    Ok(table)
}

fn latency(ways: &Ways, size: &Size) -> Outcome<String> {
    let rounds = size.rounds;
    let taken = measure::rounds(
        ways,
        rounds,
        |_| true,
        |way| Ok(Figures { value: raw::select_one_p50(way, 4_000)?, cpu_ms: None }),
    )?;
    let line = |row: &measure::Row| format!("{:<29} {:>7.1} µs  {:.2} × direct\n", row.name, row.value, row.to_direct);
    Ok(taken.iter().map(line).collect())
}

fn bulk(ways: &Ways, size: &Size) -> Outcome<String> {
    let mut table = String::new();
    for (what, sql) in [("SELECT *", load::BULK_SELECT), ("COPY OUT", load::BULK_COPY)] {
        let taken = measure::rounds(
            ways,
            size.rounds,
            |_| true,
            |way| {
                let before = way.cpu();
                let (bytes, seconds) = raw::read_all(way, sql)?;
                let cpu = way.cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
                let mb = bytes as f64 / 1e6;
                Ok(Figures { value: mb / seconds, cpu_ms: cpu.map(|ticks| ticks as f64 * 10.0 / mb) })
            },
        )?;
        for row in &taken {
            let cpu = row.cpu_ms.map_or_else(String::new, |ms| format!("  {ms:5.2} ms CPU/MB"));
            let _ = writeln!(
                table,
                "{what:<9} {:<29} {:>7.1} MB/s  {:.2} × direct{cpu}",
                row.name, row.value, row.to_direct
            );
        }
    }
    Ok(table)
}

fn durable(ways: &Ways, size: &Size) -> Outcome<String> {
    let mut ratios = Vec::new();
    let mut figures = (Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let bench = load::Bench { mode: "simple", clients: 32, seconds: size.seconds, tls: false, script: "-N" };
        let durable = load::pgbench(ways.get(DURABLE)?, &bench)?.per_second();
        let written = load::pgbench(ways.get(WRITTEN)?, &bench)?.per_second();
        ratios.push(durable / written);
        figures.0.push(durable);
        figures.1.push(written);
    }
    Ok(format!(
        "durable {:.0} tps, written {:.0} tps, ratio {:.2}\n",
        median(&mut figures.0),
        median(&mut figures.1),
        median(&mut ratios)
    ))
}

/// After a burst: every statement that was answered has its entry, and the ledger verifies.
fn burst(ways: &Ways) -> Outcome<String> {
    let way = ways.get(DURABLE)?;
    let gateway = way.gateway().ok_or_else(|| failure("this way has no gateway"))?;
    let count = || -> Outcome<usize> {
        std::thread::sleep(std::time::Duration::from_millis(2_500));
        let token = gateway.issuer().token("auditor", &["auditors"], 600)?;
        let listed = output(&mut gateway.command(&token, &["--json", "sessions", "--limit", "10000"]))?;
        let sessions: serde_json::Value = serde_json::from_str(&listed).doing("cannot read the list of sessions")?;
        let sessions = sessions.as_array().cloned().unwrap_or_default();
        let operations = sessions.iter().filter_map(|session| session.get("operations")?.as_u64());
        Ok(usize::try_from(operations.sum::<u64>()).unwrap_or(usize::MAX))
    };
    let before = count()?;
    let answered = load::transactions(way, 16, 1_000)?;
    let recorded = count()?.saturating_sub(before);
    gateway.verify()?;
    Ok(format!(
        "{answered} statements answered, {recorded} recorded: {:.3}; the ledger verifies\n",
        recorded as f64 / answered as f64
    ))
}
