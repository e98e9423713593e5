//! What happens when something breaks: the gateway is killed, its disk is full or closed, its state is damaged, the
//! target goes away. Nothing that a client received is without its record, and what cannot be recorded does not run.
#![cfg(test)]

mod common;
#[path = "common/wire.rs"]
mod wire;

use common::{DATA_MAP, clinic, json, program, setup, token, wait_for};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use vestibule_e2e::gateway::{Gateway, Setup};
use vestibule_e2e::postgres::{DATABASE, Server, machine_installation};
use vestibule_e2e::run::run;
use wire::{Answer, SYNC, Wire};

/// Those who load it read and write freely; what the held write waits for somebody.
const POLICY: &str = r#"
@id("all-read") @opaque("allow")
permit (principal, action in [Action::"open", Action::"read"], resource);
@id("writers")
permit (principal in Group::"writers", action == Action::"write", resource);
@id("held") @hold("approvers") @expires("10m") @reason("a test")
permit (principal in Group::"held", action == Action::"write", resource);
"#;

const TABLE: &str = "CREATE TABLE kill_log (marker text PRIMARY KEY); ALTER TABLE kill_log OWNER TO clinic_app";

fn number_of(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Notes a test that could not be run.
fn skip(name: &str, why: &str) {
    use std::io::Write as _;
    println!("skipped {name}: {why}");
    if let Some(file) = std::env::var_os("VESTIBULE_SKIPS") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(file, "{name}: {why}").unwrap();
    }
}

/// xorshift: moments that differ from run to run, and can be had again.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seed = number_of("VESTIBULE_SEED", u64::from(since.subsec_nanos()));
        println!("VESTIBULE_SEED={seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

// ---------------------------------------------------------------- kill -9

/// What the clients of the killed gateway have in common.
#[derive(Default)]
struct Load {
    /// Markers of statements of whose response something was received.
    received: Mutex<BTreeSet<String>>,
    statements: AtomicU64,
    responses: AtomicU64,
    /// Clients may connect.
    open: AtomicBool,
    stop: AtomicBool,
    connected: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Read,
    ReadExtended,
    Write,
    Pipeline,
    Held,
}

fn statement(work: Work, marker: &str) -> Vec<u8> {
    let read = format!("SELECT id, last_name, ssn AS {marker} FROM patient ORDER BY id LIMIT 20");
    let write = |marker: &str| format!("INSERT INTO kill_log AS {marker} (marker) VALUES ('{marker}')");
    match work {
        Work::Read => wire::query(&read),
        Work::ReadExtended => [wire::execute(&read), SYNC.to_vec()].concat(),
        Work::Write | Work::Held => wire::query(&write(marker)),
        // Three writes in one implicit transaction.
        Work::Pipeline => {
            let mut all: Vec<u8> = (0..3).flat_map(|at| wire::execute(&write(&format!("{marker}_{at}")))).collect();
            all.extend(SYNC);
            all
        }
    }
}

/// Connects, asks, and begins again when the connection breaks.
fn worker(load: &Load, port: u16, token: &str, work: Work, name: usize) {
    let mut count = 0_u64;
    while !load.stop.load(Ordering::SeqCst) {
        if !load.open.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        load.connected.fetch_add(1, Ordering::SeqCst);
        // The gateway may have been killed in between: that is what this is about.
        if let Ok(mut wire) = Wire::login(port, token, "kills") {
            loop {
                count += 1;
                let marker = format!("kk_{name}_{count}");
                let mut answer = Answer::default();
                load.statements.fetch_add(1, Ordering::SeqCst);
                let outcome = wire.converse(&statement(work, &marker), &mut answer);
                if answer.is_response() {
                    load.responses.fetch_add(1, Ordering::SeqCst);
                    load.received.lock().unwrap().insert(marker);
                }
                if outcome.is_err() || load.stop.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
        load.connected.fetch_sub(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says yes to every other request, as fast as the command line goes.
fn approver(load: &Load, mut commands: impl FnMut(&[&str]) -> Command) {
    let mut turn = 0_u64;
    while !load.stop.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(50));
        if !load.open.load(Ordering::SeqCst) {
            continue;
        }
        let Ok(listed) = run(&mut commands(&["--json", "requests"]), Duration::from_secs(20)) else { continue };
        let Ok(requests) = serde_json::from_str::<serde_json::Value>(&listed.stdout) else { continue };
        for request in requests.as_array().into_iter().flatten() {
            turn += 1;
            if turn.is_multiple_of(2) {
                let number = request["number"].as_str().unwrap_or_default();
                let _ = run(&mut commands(&["approve", number, "--reason", "a test"]), Duration::from_secs(20));
            }
        }
    }
}

/// What is known from the ledger so far.
#[derive(Default)]
struct Known {
    next: u64,
    ruled: BTreeSet<String>,
    open: BTreeSet<String>,
    /// Permitted and not done, by session.
    under_way: BTreeMap<String, BTreeSet<u64>>,
    abandoned: usize,
    started: usize,
    rulings: usize,
}

impl Known {
    fn read(&mut self, dir: &Path) {
        let reader = vestibule_ledger::Reader::open(dir).unwrap();
        for entry in reader.entries(self.next) {
            let (index, bytes) = entry.unwrap();
            assert_eq!(index, self.next);
            self.next += 1;
            self.take(&serde_json::from_slice(&bytes).unwrap());
        }
    }

    fn take(&mut self, entry: &serde_json::Value) {
        let sid = entry["sid"].as_str().unwrap_or_default().to_owned();
        let body = &entry["body"];
        match entry["kind"].as_str().unwrap() {
            "session.open" => assert!(self.open.insert(sid), "a session is opened twice"),
            "session.closed" => {
                assert!(self.open.remove(&sid), "a session that is not open is closed");
                self.under_way.remove(&sid);
            }
            "session.abandoned" => {
                assert!(self.open.remove(&sid), "a session that is not open is abandoned");
                let unknown: BTreeSet<u64> =
                    body["extent_unknown"].as_array().unwrap().iter().map(|op| op.as_u64().unwrap()).collect();
                let left = self.under_way.remove(&sid).unwrap_or_default();
                assert_eq!(unknown, left, "session {sid}: what is said of it is not what was left");
                self.abandoned += 1;
            }
            "op.ruling" => {
                self.rulings += 1;
                let statement = body["statement"].as_str().unwrap_or_default();
                self.ruled.extend(markers(statement));
                // 0 is the session's own opening, which discloses nothing.
                if body["decision"] == "permit" && body["op"] != 0 {
                    self.under_way.entry(sid).or_default().insert(body["op"].as_u64().unwrap());
                }
            }
            "op.done" => {
                let op = body["op"].as_u64().unwrap();
                assert!(
                    self.under_way.entry(sid).or_default().remove(&op),
                    "an operation is done that was not permitted"
                );
            }
            "gateway.started" => self.started += 1,
            _ => {}
        }
    }
}

fn markers(statement: &str) -> impl Iterator<Item = String> + '_ {
    statement
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("kk_"))
        .map(str::to_owned)
}

fn spawn_load(gateway: &Gateway, load: &Arc<Load>) -> Vec<JoinHandle<()>> {
    let writer = token(gateway, "willa", &["writers"]);
    let held = token(gateway, "hal", &["held"]);
    let rosa = token(gateway, "rosa", &["approvers"]);
    let works =
        [Work::Read, Work::Read, Work::ReadExtended, Work::Write, Work::Write, Work::Pipeline, Work::Held, Work::Held];
    let mut threads: Vec<JoinHandle<()>> = works
        .into_iter()
        .enumerate()
        .map(|(name, work)| {
            let (load, port) = (Arc::clone(load), gateway.port());
            let token = if work == Work::Held { held.clone() } else { writer.clone() };
            std::thread::spawn(move || worker(&load, port, &token, work, name))
        })
        .collect();
    let (load, dir, api, ca) = (Arc::clone(load), gateway.dir(), gateway.api(), gateway.ca());
    threads.push(std::thread::spawn(move || {
        approver(&load, |words| {
            let mut command = Command::new(program());
            command.args(["--gateway", &api, "--config"]).arg(dir.join("vestibule.toml")).arg("--ca").arg(&ca);
            command.args(words).env("VESTIBULE_TOKEN", &rosa).env("XDG_CONFIG_HOME", dir.join("config"));
            command
        });
    }));
    threads
}

/// Starts it and kills it while it starts.
fn kill_in_the_start(gateway: &Gateway, after: Duration) {
    let mut serve = Command::new(program());
    serve.arg("--config").arg(gateway.dir().join("vestibule.toml")).arg("serve");
    let mut child = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What must hold whenever the gateway has been killed and is back.
fn check_after_kill(gateway: &Gateway, server: &Server, load: &Load, known: &mut Known, auditor: &str) {
    gateway.verify().unwrap();
    known.read(&gateway.ledger());
    assert!(known.open.is_empty(), "sessions were left open: {:?}", known.open);
    let missing = |marker: &String| !known.ruled.contains(marker) && !known.ruled.contains(&format!("{marker}_0"));
    let lost: Vec<String> = load.received.lock().unwrap().iter().filter(|m| missing(m)).cloned().collect();
    assert!(lost.is_empty(), "responses without a record: {lost:?}");
    let stored = server.admin(DATABASE, "SELECT marker FROM kill_log").unwrap();
    let unrecorded: Vec<&str> = stored.lines().filter(|marker| !known.ruled.contains(*marker)).collect();
    assert!(unrecorded.is_empty(), "writes without a record: {unrecorded:?}");
    assert!(
        json(gateway, auditor, &["sessions", "--open"]).as_array().unwrap().is_empty(),
        "the list has open sessions"
    );
    let held = json(gateway, auditor, &["requests"]);
    assert!(held.as_array().unwrap().is_empty(), "requests are left: {held}");
}

#[test]
fn killed_at_any_moment_every_response_received_has_its_record() {
    let server = clinic(50);
    server.admin(DATABASE, TABLE).unwrap();
    let rules = Setup { policy: POLICY.to_owned(), data_map: DATA_MAP.to_owned(), ..setup() };
    let mut gateway = Gateway::start(&server, &rules).unwrap();
    let auditor = token(&gateway, "carla", &["auditors", "approvers", "admins"]);
    let load = Arc::new(Load::default());
    let threads = spawn_load(&gateway, &load);
    let (kills, mut chance, mut known) = (number_of("VESTIBULE_KILLS", 12), Chance::new(), Known::default());
    let start = Instant::now();
    load.open.store(true, Ordering::SeqCst);
    let mut killed = 0;
    while killed < kills {
        std::thread::sleep(Duration::from_millis(50 + chance.below(900)));
        assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
        gateway.stop("KILL").unwrap();
        load.open.store(false, Ordering::SeqCst);
        killed += 1;
        if chance.below(4) == 0 {
            kill_in_the_start(&gateway, Duration::from_millis(chance.below(500)));
            killed += 1;
        }
        wait_for("every client has read what there was", || (load.connected.load(Ordering::SeqCst) == 0).then_some(()));
        wait_for("the target is quiet", || {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'clinic_app'";
            (server.admin(DATABASE, sql).unwrap().trim() == "0").then_some(())
        });
        gateway.run().unwrap();
        check_after_kill(&gateway, &server, &load, &mut known, &auditor);
        load.open.store(true, Ordering::SeqCst);
    }
    load.stop.store(true, Ordering::SeqCst);
    // Whoever is held waits for the end of the gateway.
    std::thread::sleep(Duration::from_millis(200));
    gateway.stop("TERM").unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    gateway.verify().unwrap();
    println!(
        "{killed} kills in {:?}: {} statements sent, {} responses received, {} rulings on the ledger, {} writes at the target, {} sessions abandoned, {} starts",
        start.elapsed(),
        load.statements.load(Ordering::SeqCst),
        load.responses.load(Ordering::SeqCst),
        known.rulings,
        server.admin(DATABASE, "SELECT count(*) FROM kill_log").unwrap().trim(),
        known.abandoned,
        known.started,
    );
    assert!(known.abandoned >= 8 && load.responses.load(Ordering::SeqCst) > 20 * kills, "there was hardly any load");
}

// ---------------------------------------------------------------- a disk that is full or closed

/// Something mounted, until the value is dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(words: &[&str], at: &Path) -> Option<Mounted> {
    let ended = run(Command::new("mount").args(words).arg(at), Duration::from_secs(10)).ok()?;
    ended.success().then(|| Mounted(at.to_owned()))
}

/// What is in `folder` goes on on a disk of this size.
fn onto_small_disk(folder: &Path, size: &str) -> Option<Mounted> {
    let aside = folder.with_extension("aside");
    fs::rename(folder, &aside).unwrap();
    fs::create_dir(folder).unwrap();
    let mounted = mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"], folder);
    if mounted.is_some() {
        let mut copy = Command::new("cp");
        assert!(copy.arg("-a").arg(aside.join(".")).arg(folder).status().unwrap().success());
    } else {
        fs::remove_dir(folder).unwrap();
        fs::rename(&aside, folder).unwrap();
    }
    mounted
}

/// Nothing new can be made in `folder`, not even by root.
fn closed(folder: &Path) -> Option<Mounted> {
    let path = folder.to_str().unwrap();
    let mounted = mount(&["--bind", path], folder)?;
    let again = run(Command::new("mount").args(["-o", "remount,ro,bind"]).arg(folder), Duration::from_secs(10)).ok()?;
    again.success().then_some(mounted)
}

/// Writes until nothing goes any more.
fn fill(file: &Path) {
    use std::io::Write as _;
    let mut filler = fs::File::create(file).unwrap();
    for size in [1 << 16, 1 << 10, 1] {
        while filler.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

fn open_gateway(server: &Server) -> Gateway {
    server.admin(DATABASE, TABLE).unwrap();
    Gateway::start(server, &Setup::open(&program())).unwrap()
}

fn writer(gateway: &Gateway) -> String {
    token(gateway, "willa", &["writers"])
}

fn insert(marker: &str) -> String {
    format!("INSERT INTO kill_log AS {marker} (marker) VALUES ('{marker}')")
}

const REFUSED: &str = "what cannot be recorded does not run";
const NOTHING_SENT: &str = "nothing was sent to the target";

/// What became of writes while the gateway could not record.
#[derive(Default, Debug)]
struct Fate {
    done: BTreeSet<String>,
    refused: BTreeSet<String>,
    cut: BTreeSet<String>,
}

/// Writes, again and again, until so many were refused.
fn write_until_refused(gateway: &Gateway, token: &str, refusals: usize) -> Fate {
    let (mut fate, end) = (Fate::default(), Instant::now() + Duration::from_secs(60));
    let mut count = 0;
    while fate.refused.len() < refusals {
        assert!(Instant::now() < end, "it is not refused: {} done, {:?} refused", fate.done.len(), fate.refused);
        let mut wire = match Wire::login(gateway.port(), token, "disk") {
            Ok(wire) => wire,
            Err(error) => {
                let words = error.to_string();
                assert!(words.contains(REFUSED), "{words}");
                fate.refused.insert(format!("login-{}", fate.refused.len()));
                continue;
            }
        };
        while fate.refused.len() < refusals && Instant::now() < end {
            count += 1;
            let marker = format!("kk_{count}");
            let mut answer = Answer::default();
            let outcome = wire.converse(&wire::query(&insert(&marker)), &mut answer);
            match answer.error {
                None if outcome.is_ok() => drop(fate.done.insert(marker)),
                Some(words) if words.contains(NOTHING_SENT) => {
                    assert!(words.contains(REFUSED), "{words}");
                    fate.refused.insert(marker);
                }
                Some(words) => {
                    assert!(words.contains(REFUSED), "{words}");
                    fate.cut.insert(marker);
                }
                None => drop(fate.cut.insert(marker)),
            }
            if outcome.is_err() {
                break;
            }
        }
    }
    fate
}

fn stored(server: &Server) -> BTreeSet<String> {
    server.admin(DATABASE, "SELECT marker FROM kill_log").unwrap().lines().map(str::to_owned).collect()
}

fn recorded(gateway: &Gateway) -> BTreeSet<String> {
    let mut known = Known::default();
    known.read(&gateway.ledger());
    known.ruled
}

/// Nothing that was refused reached the target, and what reached it is on the record.
fn check_fate(gateway: &Gateway, server: &Server, fate: &Fate) {
    let (stored, recorded) = (stored(server), recorded(gateway));
    assert!(fate.done.is_subset(&stored), "what was confirmed is not there");
    let reached: Vec<_> = stored.intersection(&fate.refused).collect();
    assert!(reached.is_empty(), "refused, and done all the same: {reached:?}");
    let unrecorded: Vec<_> = stored.difference(&recorded).collect();
    assert!(unrecorded.is_empty(), "done without a record: {unrecorded:?}");
}

fn ready(gateway: &Gateway) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "10", "-w", " %{http_code}", "--cacert"]).arg(gateway.ca());
    run(curl.arg(format!("{}/readyz", gateway.api())), Duration::from_secs(20)).unwrap().stdout
}

#[test]
fn on_a_full_disk_nothing_runs_and_with_room_again_it_goes_on() {
    let server = Server::start(&machine_installation().unwrap()).unwrap();
    let mut gateway = open_gateway(&server);
    let token = writer(&gateway);
    gateway.stop("TERM").unwrap();
    let data = gateway.dir().join("data");
    let Some(_disk) = onto_small_disk(&data, "64m") else {
        return skip("on_a_full_disk_nothing_runs_and_with_room_again_it_goes_on", "mounting needs root");
    };
    gateway.run().unwrap();
    let mut live = Wire::login(gateway.port(), &token, "disk").unwrap();
    assert!(live.ask(&insert("kk_before")).unwrap().is_good());
    let fate = std::thread::scope(|scope| {
        let writing = scope.spawn(|| write_until_refused(&gateway, &token, 20));
        std::thread::sleep(Duration::from_millis(500));
        fill(&data.join("filler"));
        writing.join().unwrap()
    });
    assert!(!fate.done.is_empty(), "the disk was full before anything ran");
    let mut answer = Answer::default();
    let _ = live.converse(&wire::query(&insert("kk_live")), &mut answer);
    assert!(answer.error.unwrap().contains(REFUSED));
    assert!(!stored(&server).contains("kk_live"));
    let word = ready(&gateway);
    assert!(word.contains("503") && word.contains("ledger"), "{word}");
    assert!(gateway.log().contains("No space left on device"), "the operator is not told why");
    check_fate(&gateway, &server, &fate);
    fs::remove_file(data.join("filler")).unwrap();
    gateway.stop("TERM").unwrap();
    gateway.run().unwrap();
    gateway.verify().unwrap();
    check_fate(&gateway, &server, &fate);
    let mut after = Wire::login(gateway.port(), &token, "disk").unwrap();
    assert!(after.ask(&insert("kk_after")).unwrap().is_good());
    drop(after);
    gateway.stop("TERM").unwrap();
    gateway.verify().unwrap();
    println!("full disk: {} done before, {} refused, {} cut", fate.done.len(), fate.refused.len(), fate.cut.len());
}

#[test]
fn without_a_place_for_recordings_no_session_begins_or_goes_on() {
    let server = Server::start(&machine_installation().unwrap()).unwrap();
    let mut gateway = open_gateway(&server);
    let token = writer(&gateway);
    let mut live = Wire::login(gateway.port(), &token, "disk").unwrap();
    assert!(live.ask(&insert("kk_before")).unwrap().is_good());
    let Some(shut) = closed(&gateway.dir().join("data/recordings")) else {
        return skip("without_a_place_for_recordings_no_session_begins_or_goes_on", "mounting needs root");
    };
    let refused = Wire::login(gateway.port(), &token, "disk").err().unwrap().to_string();
    assert!(refused.contains("cannot be recorded") || refused.contains("no longer be recorded"), "{refused}");
    // A session's chunk is stored once it is full or old enough; from then on it cannot go on.
    let end = Instant::now() + Duration::from_secs(40);
    let text = "x".repeat(60_000);
    let words = loop {
        assert!(Instant::now() < end, "a session goes on without its recording");
        let mut answer = Answer::default();
        let outcome = live.converse(&wire::query(&format!("SELECT '{text}', random()")), &mut answer);
        match (answer.error, outcome) {
            (Some(words), _) => break words,
            (None, Err(error)) => break error.to_string(),
            (None, Ok(())) => {}
        }
    };
    assert!(words.contains(REFUSED), "{words}");
    drop(shut);
    let mut again = Wire::login(gateway.port(), &token, "disk").unwrap();
    assert!(again.ask(&insert("kk_after")).unwrap().is_good());
    drop(again);
    gateway.stop("TERM").unwrap();
    gateway.verify().unwrap();
    assert!(!gateway.log().contains("panicked"));
}

#[test]
fn a_ledger_that_takes_nothing_more_stops_everything_until_it_does() {
    let server = Server::start(&machine_installation().unwrap()).unwrap();
    let mut gateway = open_gateway(&server);
    let token = writer(&gateway);
    let Some(shut) = closed(&gateway.ledger()) else {
        return skip("a_ledger_that_takes_nothing_more_stops_everything_until_it_does", "mounting needs root");
    };
    let fate = write_until_refused(&gateway, &token, 5);
    let word = ready(&gateway);
    assert!(word.contains("503"), "{word}");
    drop(shut);
    // It does not guess whether what it wrote is there: it goes on after a start, which looks.
    assert!(Wire::login(gateway.port(), &token, "disk").is_err());
    gateway.stop("TERM").unwrap();
    gateway.run().unwrap();
    gateway.verify().unwrap();
    check_fate(&gateway, &server, &fate);
    assert!(Wire::login(gateway.port(), &token, "disk").unwrap().ask(&insert("kk_after")).unwrap().is_good());
}

// ---------------------------------------------------------------- damaged state at the start

/// The exit code and the words of a start that must fail.
fn refuses_to_start(gateway: &Gateway) -> (i32, String) {
    let mut serve = Command::new(program());
    serve.arg("--config").arg(gateway.dir().join("vestibule.toml")).arg("serve");
    let ended = run(&mut serve, Duration::from_secs(60)).unwrap();
    let words = format!("{}{}", ended.stdout, ended.stderr);
    assert!(!words.contains("panicked") && !words.contains("vestibule is ready"), "{words}");
    (ended.status.and_then(|status| status.code()).unwrap_or(-1), words)
}

#[test]
fn a_state_that_cannot_be_trusted_is_told_and_nothing_starts() {
    let server = Server::start(&machine_installation().unwrap()).unwrap();
    let mut gateway = open_gateway(&server);
    let (code, words) = refuses_to_start(&gateway);
    assert!(code == 6 && words.contains("cannot listen on"), "{code}: {words}");
    gateway.stop("TERM").unwrap();
    let state = gateway.dir().join("data/state.db");
    let good = fs::read(&state).unwrap();

    fs::remove_file(&state).unwrap();
    let (code, words) = refuses_to_start(&gateway);
    println!("{words}");
    assert!(code == 6 && words.contains("state.db") && words.contains("vestibule init"), "{code}: {words}");

    fs::write(&state, b"this is not a database, and it is long enough to be looked at as one".repeat(100)).unwrap();
    let (code, words) = refuses_to_start(&gateway);
    println!("{words}");
    assert!(code == 6 && words.contains("state.db"), "{code}: {words}");

    // Taken for a new one it would have forgotten every revocation.
    fs::write(&state, b"").unwrap();
    let (code, words) = refuses_to_start(&gateway);
    println!("{words}");
    assert!(code == 6 && words.contains("state.db is empty"), "{code}: {words}");

    let mut torn = good.clone();
    for byte in torn.iter_mut().skip(100).take(8_000) {
        *byte = 0xff;
    }
    fs::write(&state, &torn).unwrap();
    let (code, words) = refuses_to_start(&gateway);
    println!("{words}");
    assert!(code == 6 && words.contains("state.db"), "{code}: {words}");
    fs::write(&state, &good).unwrap();

    let holder = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                  c.execute('PRAGMA locking_mode = EXCLUSIVE')\nc.execute('BEGIN EXCLUSIVE')\nprint('held', flush=True)\nsys.stdin.read()";
    let mut python = Command::new("python3");
    let python = python.args(["-c", holder]).arg(&state).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    if let Ok(mut python) = python {
        use std::io::BufRead as _;
        let mut line = String::new();
        std::io::BufReader::new(python.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "held");
        let (code, words) = refuses_to_start(&gateway);
        println!("{words}");
        assert!(code == 6 && words.contains("locked"), "{code}: {words}");
        drop(python.stdin.take());
        python.wait().unwrap();
    } else {
        skip("a_state_that_cannot_be_trusted_is_told_and_nothing_starts, locked", "python3 is not installed");
    }
    gateway.run().unwrap();
    gateway.verify().unwrap();
    assert!(Wire::login(gateway.port(), &writer(&gateway), "again").unwrap().ask(&insert("kk_1")).unwrap().is_good());
}

// ---------------------------------------------------------------- the target

/// A way to the target that can be shut: connections through it break, new ones are refused.
struct Way {
    port: u16,
    target: u16,
    stop: Arc<AtomicBool>,
    live: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Way {
    fn shut(target: u16) -> Self {
        let port = vestibule_e2e::guarded::free_port().unwrap();
        Self { port, target, stop: Arc::default(), live: Arc::default(), accepting: None }
    }

    fn open(&mut self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        self.stop.store(false, Ordering::SeqCst);
        let (stop, live, target) = (Arc::clone(&self.stop), Arc::clone(&self.live), self.target);
        self.accepting = Some(std::thread::spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect((Ipv4Addr::LOCALHOST, target))) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                live.lock().unwrap().extend([client, server]);
            }
        }));
    }

    fn close(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.accepting.take() {
            thread.join().unwrap();
        }
        for stream in self.live.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

const COUNT: &str = "SELECT count(*) FROM patient";

fn counted(gateway: &Gateway, token: &str) -> Result<(), String> {
    let mut wire = Wire::login(gateway.port(), token, "target").map_err(|error| error.to_string())?;
    let answer = wire.ask(COUNT).map_err(|error| error.to_string())?;
    answer.error.map_or(Ok(()), Err)
}

const UNREACHABLE: &str = "the gateway could not reach the target";

#[test]
fn a_target_that_goes_and_comes_back_is_told_clearly_and_used_again() {
    let server = clinic(20);
    let mut way = Way::shut(server.port());
    let settings = Setup { policy: POLICY.to_owned(), data_map: DATA_MAP.to_owned(), ..setup() };
    let mut gateway = Gateway::start(&server, &settings).unwrap();
    let token = token(&gateway, "willa", &["writers"]);
    gateway.stop("TERM").unwrap();
    let direct = fs::read_to_string(gateway.dir().join("vestibule.toml")).unwrap();
    let through = direct.replace(&format!("localhost:{}", server.port()), &format!("localhost:{}", way.port));
    gateway.write("vestibule.toml", &through, 0o644).unwrap();

    // Down at the start.
    gateway.run().unwrap();
    let start = Instant::now();
    let words = counted(&gateway, &token).unwrap_err();
    assert!(
        words.contains(UNREACHABLE) && start.elapsed() < Duration::from_secs(5),
        "{words} after {:?}",
        start.elapsed()
    );
    assert!(gateway.log().contains("refused"), "the operator is not told why: {}", gateway.log());
    way.open();
    wait_for("the target that came up is used", || counted(&gateway, &token).ok());

    // It goes away under a session.
    let mut live = Wire::login(gateway.port(), &token, "target").unwrap();
    live.ask(COUNT).unwrap();
    way.close();
    let mut answer = Answer::default();
    let _ = live.until_ready(&mut answer);
    assert!(answer.error.as_deref().unwrap_or_default().contains("the target closed the connection"), "{answer:?}");
    assert!(counted(&gateway, &token).unwrap_err().contains(UNREACHABLE));
    way.open();
    wait_for("the target that came back is used", || counted(&gateway, &token).ok());

    // A certificate of somebody else.
    let other = vestibule_e2e::tls::Authority::new().unwrap();
    let wrong = through.replace(server.authority().ca().to_str().unwrap(), other.ca().to_str().unwrap());
    assert_ne!(wrong, through);
    gateway.write("vestibule.toml", &wrong, 0o644).unwrap();
    let words = wait_for("a target with a wrong certificate is not used", || counted(&gateway, &token).err());
    assert!(words.contains(UNREACHABLE) && !words.contains("certificate"), "{words}");
    assert!(gateway.log().to_lowercase().contains("certificate"), "the operator is not told why");
    gateway.write("vestibule.toml", &through, 0o644).unwrap();
    wait_for("the right authority is in force", || counted(&gateway, &token).ok());

    // Its password is changed.
    let mut live = Wire::login(gateway.port(), &token, "target").unwrap();
    server.admin(DATABASE, "ALTER ROLE clinic_app PASSWORD 'rotated-9Zt-only-for-tests'").unwrap();
    assert!(counted(&gateway, &token).unwrap_err().contains(UNREACHABLE));
    gateway.write("secrets/clinic.password", "rotated-9Zt-only-for-tests\n", 0o600).unwrap();
    wait_for("the new password is used", || counted(&gateway, &token).ok());
    assert!(live.ask(COUNT).unwrap().is_good(), "a session that was open did not outlive the change");
    let log = gateway.log();
    assert!(!log.contains("rotated-9Zt") && !log.contains(vestibule_e2e::postgres::PASSWORD), "a secret is in the log");
    assert!(!log.contains("panicked"), "{log}");
    way.close();
    gateway.stop("TERM").unwrap();
    gateway.verify().unwrap();
}

#[test]
fn a_target_that_restarts_under_load_ends_its_sessions_in_order_and_new_ones_work() {
    let server = clinic(20);
    let settings = Setup { policy: POLICY.to_owned(), data_map: DATA_MAP.to_owned(), ..setup() };
    let mut gateway = Gateway::start(&server, &settings).unwrap();
    let token = token(&gateway, "willa", &["writers"]);
    let clients: Vec<JoinHandle<(u64, Answer)>> = (0..6)
        .map(|_| {
            let (port, token) = (gateway.port(), token.clone());
            std::thread::spawn(move || {
                let mut wire = Wire::login(port, &token, "restart").unwrap();
                let mut good = 0;
                loop {
                    let mut answer = Answer::default();
                    let outcome = wire.converse(&wire::query(COUNT), &mut answer);
                    if outcome.is_err() || !answer.is_good() {
                        return (good, answer);
                    }
                    good += 1;
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(700));
    // A server process that is killed takes all others with it: the server starts anew.
    let pid = server.admin(DATABASE, "SELECT pid FROM pg_stat_activity WHERE usename = 'clinic_app' LIMIT 1").unwrap();
    assert!(Command::new("kill").args(["-s", "KILL", pid.trim()]).status().unwrap().success());
    for client in clients {
        let (good, answer) = client.join().unwrap();
        assert!(good > 0 && answer.error.is_some(), "a client was not told: {good} {answer:?}");
    }
    wait_for("the server that restarted is used", || counted(&gateway, &token).ok());
    gateway.stop("TERM").unwrap();
    gateway.verify().unwrap();
    let mut known = Known::default();
    known.read(&gateway.ledger());
    assert!(known.open.is_empty() && known.abandoned == 0, "{:?}", known.open);
}
