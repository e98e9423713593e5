//! Many at once, and those who misbehave: nobody else notices, nothing is lost, nothing grows.
#![cfg(test)]

mod common;
#[path = "common/wire.rs"]
mod wire;

use common::{DATA_MAP, clinic, entries, of_kind, program, setup, token, wait_for};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use vestibule_e2e::gateway::{Gateway, PERMIT_ALL, Setup};
use vestibule_e2e::postgres::{Server, machine_installation};
use vestibule_e2e::run::run;
use wire::Wire;

const POLICY: &str = r#"
@id("all-read")
permit (principal, action in [Action::"open", Action::"read"], resource);
@id("writers")
permit (principal in Group::"writers", action == Action::"write", resource);
@id("held") @hold("approvers") @expires("10m") @reason("a test")
permit (principal in Group::"held", action == Action::"write", resource);
"#;

/// A number of kB from `/proc/PID/status`.
fn status(gateway: &Gateway, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", gateway.pid().unwrap())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

fn memory(gateway: &Gateway) -> u64 {
    status(gateway, "VmRSS")
}

fn descriptors(gateway: &Gateway) -> usize {
    fs::read_dir(format!("/proc/{}/fd", gateway.pid().unwrap())).unwrap().count()
}

fn pgbench(gateway: &Gateway, token: &str, words: &[&str]) -> Child {
    let how = format!(
        "host=localhost port={} dbname=clinic user=whoever sslmode=verify-full sslrootcert={} connect_timeout=30",
        gateway.port(),
        gateway.ca().display()
    );
    let mut pgbench = Command::new("pgbench");
    pgbench.arg("-n").args(words).arg(how).env("PGPASSWORD", token).env_remove("PGOPTIONS");
    pgbench.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How many transactions a pgbench did; none may have failed.
fn transactions(child: Child) -> u64 {
    let out = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && !stderr.contains("error"), "pgbench: {stdout}{stderr}");
    let number = |name: &str| -> Option<u64> {
        let line = stdout.lines().find_map(|line| line.strip_prefix(name))?;
        line.split(['/', ' ']).find(|word| !word.is_empty())?.parse().ok()
    };
    assert_eq!(number("number of failed transactions:").unwrap_or(0), 0, "{stdout}");
    number("number of transactions actually processed:").unwrap_or_else(|| panic!("{stdout}"))
}

/// Entries with this word in the statement, permitted; and how many of them are done. Those that only prepare a
/// statement do not count: pgbench prepares once and runs often.
fn recorded(entries: &[Value], word: &str) -> (usize, usize) {
    let mine: std::collections::BTreeSet<(String, u64)> = of_kind(entries, "op.ruling")
        .iter()
        .filter(|e| {
            e["body"]["decision"] == "permit" && e["body"]["statement"].as_str().unwrap_or_default().contains(word)
        })
        .filter(|e| !e["body"]["traits"].as_array().unwrap().iter().any(|fact| fact == "prepare-only"))
        .map(|e| (e["sid"].as_str().unwrap().to_owned(), e["body"]["op"].as_u64().unwrap()))
        .collect();
    let done = of_kind(entries, "op.done")
        .iter()
        .filter(|e| mine.contains(&(e["sid"].as_str().unwrap().to_owned(), e["body"]["op"].as_u64().unwrap())))
        .count();
    (mine.len(), done)
}

/// Writes held ones until told to stop; how many were answered. Each must be approved.
fn held_writes(port: u16, token: &str, stop: &AtomicBool) -> u64 {
    let mut wire = Wire::login(port, token, "held").unwrap();
    let mut count = 0;
    while !stop.load(Ordering::SeqCst) {
        let answer = wire.ask("UPDATE patient AS soak_held SET city = 'Salem' WHERE id = 7").unwrap();
        assert!(answer.is_good(), "{:?}", answer.error);
        count += 1;
    }
    count
}

/// Whatever fails, those who go on until told so are told.
struct Telling<'a>([&'a AtomicBool; 2]);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        for flag in self.0 {
            flag.store(true, Ordering::SeqCst);
        }
    }
}

fn approve_all(gateway: &Gateway, token: &str, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        let listed = run(&mut gateway.command(token, &["--json", "requests"]), Duration::from_secs(30)).unwrap();
        assert!(listed.success(), "{}", listed.stderr);
        for request in serde_json::from_str::<Value>(&listed.stdout).unwrap().as_array().unwrap() {
            let number = request["number"].as_str().unwrap();
            let ended = gateway.cli(token, &["approve", number, "--reason", "a test"]).unwrap();
            assert!(ended.success(), "{}", ended.stderr);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Another version of the same rules, each second; how many.
fn reload_all_the_time(gateway: &Gateway, stop: &AtomicBool) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::SeqCst) {
        count += 1;
        gateway.write("policies/test.cedar", &format!("{POLICY}// version {count}\n"), 0o644).unwrap();
        std::thread::sleep(Duration::from_millis(1_000));
    }
    count
}

/// How long two hundred clients may take to connect: pgbench counts it as time of its run.
const CONNECTING: u64 = 15;

/// Memory and descriptors once all are there, and ever after; the first is when it is warm.
fn watch(gateway: &Gateway, seconds: u64) -> Vec<(u64, usize)> {
    // Each has a connection to the client and one to the target.
    let start = Instant::now();
    while descriptors(gateway) < 400 {
        assert!(
            start.elapsed() < Duration::from_secs(CONNECTING),
            "only {} descriptors are open",
            descriptors(gateway)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(seconds) * 3 / 10);
    (0..7)
        .map(|_| {
            let look = (memory(gateway), descriptors(gateway));
            std::thread::sleep(Duration::from_secs(seconds) / 10);
            look
        })
        .collect()
}

#[test]
fn two_hundred_sessions_with_reloads_and_approvals_lose_nothing_and_nothing_grows() {
    let seconds: u64 = std::env::var("VESTIBULE_SOAK_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(10);
    let server = clinic(200);
    let rules = Setup { policy: POLICY.to_owned(), data_map: DATA_MAP.to_owned(), ..setup() };
    let mut gateway = Gateway::start(&server, &rules).unwrap();
    let (writer, held, rosa) = (
        token(&gateway, "willa", &["writers"]),
        token(&gateway, "hal", &["held"]),
        token(&gateway, "rosa", &["approvers"]),
    );
    let script = |name: &str, text: &str| {
        gateway.write(name, text, 0o644).unwrap();
        gateway.dir().join(name).to_str().unwrap().to_owned()
    };
    let id = "\\set id random(1, 200)\n";
    let read =
        script("read.sql", &format!("{id}SELECT id, last_name, ssn AS soak_read FROM patient WHERE id = :id;\n"));
    let write = script("write.sql", &format!("{id}UPDATE patient AS soak_write SET city = 'Salem' WHERE id = :id;\n"));
    let long = (seconds + CONNECTING).to_string();
    let empty = descriptors(&gateway);
    let (stop, last) = (AtomicBool::new(false), AtomicBool::new(false));
    let (answered, approved, reloads, looks) = std::thread::scope(|scope| {
        let _telling = Telling([&stop, &last]);
        let holding: Vec<_> = (0..4).map(|_| scope.spawn(|| held_writes(gateway.port(), &held, &stop))).collect();
        let approving = scope.spawn(|| approve_all(&gateway, &rosa, &stop));
        let reloading = scope.spawn(|| reload_all_the_time(&gateway, &stop));
        let common = ["-T", &long, "-j", "2"];
        let bench = |clients: &str, mode: &str, file: &str| {
            pgbench(&gateway, &writer, &[&common[..], &["-c", clients, "-M", mode, "-f", file]].concat())
        };
        let children = [bench("116", "simple", &read), bench("40", "extended", &read), bench("40", "prepared", &write)];
        let looks = watch(&gateway, seconds);
        let answered = children.map(transactions);
        stop.store(true, Ordering::SeqCst);
        let reloads = reloading.join().unwrap();
        // The held ones that still wait are approved by a last round.
        let late = scope.spawn(|| {
            approving.join().unwrap();
            approve_all(&gateway, &rosa, &last);
        });
        let approved: u64 = holding.into_iter().map(|thread| thread.join().unwrap()).sum();
        last.store(true, Ordering::SeqCst);
        late.join().unwrap();
        (answered, approved, reloads, looks)
    });
    wait_for("every session is closed", || (descriptors(&gateway) < empty + 40).then_some(()));
    let after = descriptors(&gateway);
    let log = gateway.log();
    gateway.stop("TERM").unwrap();
    gateway.verify().unwrap();
    let entries = entries(&gateway);
    let [simple, extended, writes] = answered;
    println!(
        "soak of {seconds} s: {simple} + {extended} reads, {writes} writes, {approved} held answered; {} config.loaded of {reloads}; \
         memory in kB and descriptors: {looks:?}, then {after}",
        of_kind(&entries, "config.loaded").len(),
    );
    for (word, answered) in [("soak_read", simple + extended), ("soak_write", writes), ("soak_held", approved)] {
        let (ruled, done) = recorded(&entries, word);
        assert_eq!((ruled as u64, done as u64), (answered, answered), "{word}: recorded and answered differ");
    }
    assert_eq!(of_kind(&entries, "session.open").len(), of_kind(&entries, "session.closed").len());
    assert!(of_kind(&entries, "config.loaded").len() >= 3 && approved >= 4, "hardly any reloads or approvals");
    assert!(!log.contains("panicked"), "{log}");
    // Files of recordings and calls of the API come and go: the least of the first is held against the least of the last.
    let least = |looks: &[(u64, usize)]| looks.iter().map(|look| look.1).min().unwrap();
    let ((warm, late), (before, then)) = ((looks[0].0, looks[6].0), (least(&looks[..3]), least(&looks[4..])));
    assert!(late < warm + warm / 5 + 16_000, "memory grows: {warm} kB, then {late} kB");
    assert!(then.abs_diff(before) < 30, "descriptors grow: {before}, then {then}");
}

// ---------------------------------------------------------------- those who misbehave

fn open_gateway(server: &Server, listener: &str) -> Gateway {
    let gateway = Gateway::start(server, &Setup { policy: PERMIT_ALL.to_owned(), ..Setup::open(&program()) }).unwrap();
    let mut gateway = gateway;
    gateway.stop("TERM").unwrap();
    let path = gateway.dir().join("vestibule.toml");
    let config = fs::read_to_string(&path).unwrap();
    let with = config.replace("allow_cleartext = true", &format!("allow_cleartext = true\n{listener}"));
    assert_ne!(with, config);
    fs::write(path, with).unwrap();
    gateway.run().unwrap();
    gateway
}

fn works(gateway: &Gateway, token: &str) {
    let start = Instant::now();
    let answer = Wire::login(gateway.port(), token, "well-behaved").unwrap().ask("SELECT 1").unwrap();
    assert!(answer.is_good() && answer.rows == 1, "{answer:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "others are delayed by {:?}", start.elapsed());
}

/// Whether the gateway hung up within `limit`; what it said before.
fn hung_up(stream: &mut TcpStream, limit: Duration) -> Option<Vec<u8>> {
    stream.set_read_timeout(Some(limit)).unwrap();
    let (mut said, mut chunk, end) = (Vec::new(), [0; 4096], Instant::now() + limit);
    while Instant::now() < end {
        match stream.read(&mut chunk) {
            Ok(0) => return Some(said),
            Ok(read) => said.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
            Err(_) => return Some(said),
        }
    }
    None
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_and_costs_little() {
    let server = Server::start(&machine_installation().unwrap()).unwrap();
    let mut gateway = open_gateway(&server, "");
    let token = token(&gateway, "sam", &[]);
    works(&gateway, &token);
    let before = memory(&gateway);
    let mut slow: Vec<Wire> = (0..5).map(|_| Wire::login(gateway.port(), &token, "slow").unwrap()).collect();
    for wire in &mut slow {
        wire.send(&wire::query("SELECT repeat('x', 20000) FROM generate_series(1, 10000)")).unwrap();
    }
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        works(&gateway, &token);
    }
    let grown = memory(&gateway).saturating_sub(before);
    println!("five clients that do not read 200 MB each: {grown} kB");
    assert!(grown < 60_000, "it keeps what is not read: {grown} kB");
    // One that begins to read after all gets every row.
    let mut answer = wire::Answer::default();
    let mut one = slow.pop().unwrap();
    one.until_ready(&mut answer).unwrap();
    assert!(answer.is_good() && answer.rows == 10_000, "{:?} {}", answer.error, answer.rows);
    drop((one, slow));
    works(&gateway, &token);
    gateway.stop("TERM").unwrap();
    gateway.verify().unwrap();
}

#[test]
fn garbage_and_silence_end_their_own_connection_only() {
    let server = Server::start(&machine_installation().unwrap()).unwrap();
    let mut gateway = open_gateway(&server, "login_timeout = \"2s\"");
    let token = token(&gateway, "sam", &[]);
    works(&gateway, &token);
    let before = memory(&gateway);
    let limit = Duration::from_secs(8);
    let ssl: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let http = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    let login_bombs: Vec<(&str, Vec<u8>)> = vec![
        ("says nothing", vec![]),
        ("one byte", vec![0]),
        ("half a startup", wire::startup("clinic", "half")[..20].to_vec()),
        ("a length of 1 GB", [0x40, 0, 0, 0, 0, 3, 0, 0].to_vec()),
        ("a negative length", [0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0].to_vec()),
        ("a length of 0", vec![0; 8]),
        ("http", http.clone()),
        ("noise", noise.clone()),
        ("a TLS handshake that is none", [&[0x16, 3, 1, 0xff, 0xff][..], &noise[..2_000]].concat()),
        ("TLS asked for, noise sent", [&ssl[..], &noise[..2_000]].concat()),
        ("TLS asked for, then nothing", ssl.to_vec()),
        ("TLS asked for, then http", [&ssl[..], &http[..]].concat()),
        ("a startup of 1 MB", [&[0, 16, 0, 0, 0, 3, 0, 0][..], &vec![b'a'; 1 << 20]].concat()),
    ];
    let mut waiting = Vec::new();
    for (what, bytes) in &login_bombs {
        let mut stream = Wire::silent(gateway.port()).unwrap().stream;
        // The gateway may hang up before it has been told everything.
        let _ = stream.write_all(bytes);
        waiting.push((what, stream));
    }
    works(&gateway, &token);
    for (what, stream) in &mut waiting {
        assert!(hung_up(stream, limit).is_some(), "`{what}` keeps its connection");
    }
    let after_login: Vec<(&str, Vec<u8>)> = vec![
        ("a message of 1 GB", vec![b'Q', 0x40, 0, 0, 0, b'S']),
        ("a negative length", vec![b'Q', 0xff, 0xff, 0xff, 0xff]),
        ("a length of 3", vec![b'Q', 0, 0, 0, 3]),
        ("noise", noise),
        ("http", http),
    ];
    for (what, bytes) in &after_login {
        let mut wire = Wire::login(gateway.port(), &token, "rude").unwrap();
        let _ = wire.send(bytes);
        assert!(hung_up(&mut wire.stream, limit).is_some(), "`{what}` keeps its session");
    }
    // Half a message is no offence; it must not hold up anybody.
    let mut half = Wire::login(gateway.port(), &token, "half").unwrap();
    half.send(&wire::query("SELECT 'half a message'")[..9]).unwrap();
    works(&gateway, &token);
    let grown = memory(&gateway).saturating_sub(before);
    println!("misbehaving: {grown} kB more");
    assert!(grown < 40_000, "memory grows by {grown} kB");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    drop(half);
    gateway.stop("TERM").unwrap();
    gateway.verify().unwrap();
}

#[test]
fn more_connections_than_allowed_are_turned_away_and_those_within_go_on() {
    let server = Server::start(&machine_installation().unwrap()).unwrap();
    let mut gateway = open_gateway(&server, "login_timeout = \"6s\"");
    let token = token(&gateway, "sam", &[]);
    let mut inside = Wire::login(gateway.port(), &token, "inside").unwrap();
    let before = (memory(&gateway), descriptors(&gateway));
    let silent: Vec<TcpStream> =
        (0..1_200).filter_map(|_| Wire::silent(gateway.port()).ok()).map(|w| w.stream).collect();
    assert!(silent.len() >= 1_000, "only {} connected", silent.len());
    assert!(inside.ask("SELECT 1").unwrap().is_good(), "a session within is cut");
    wait_for("some are turned away", || gateway.log().contains("too many connections").then_some(()));
    let most = (memory(&gateway), descriptors(&gateway));
    assert!(most.1 < before.1 + 1_010, "{} descriptors", most.1);
    // Silent ones run out of time, and make room.
    wait_for("others are let in again", || Wire::login(gateway.port(), &token, "after").ok());
    assert!(inside.ask("SELECT 1").unwrap().is_good());
    drop(silent);
    wait_for("their descriptors are back", || (descriptors(&gateway) < before.1 + 20).then_some(()));
    println!(
        "1,200 silent connections: memory {} kB -> {} kB, descriptors {} -> {}",
        before.0, most.0, before.1, most.1
    );
    assert!(most.0 < before.0 + 60_000, "memory grows: {before:?} {most:?}");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    gateway.stop("TERM").unwrap();
    gateway.verify().unwrap();
}
