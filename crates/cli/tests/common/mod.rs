//! A real PostgreSQL with the sample clinic, a gateway before it, and people.
#![allow(dead_code, clippy::allow_attributes, reason = "every test file uses a part of this")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use vestibule_e2e::gateway::{Gateway, Setup};
use vestibule_e2e::postgres::{DATABASE, Server, login, machine_installation};
use vestibule_e2e::run::output;

/// The policies and the data map that `vestibule init` writes.
pub const POLICY: &str = include_str!("../../../policy/samples/clinic.cedar");
pub const DATA_MAP: &str = include_str!("../../../phi/samples/clinic.data-map.toml");

pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_vestibule"))
}

/// A PostgreSQL with so many invented patients.
pub fn clinic(patients: u32) -> Server {
    let server = Server::start(&machine_installation().unwrap()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/clinic");
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", &format!("patients={patients}"), "-U", "postgres"]);
    psql.args(["-d", DATABASE, "-p", &server.port().to_string(), "-h"]).arg(server.socket());
    output(psql.arg("-f").arg(folder.join("schema.sql")).arg("-f").arg(folder.join("patients.sql"))).unwrap();
    for table in ["patient", "encounter", "lab_result", "prescription", "staff", "patient_contact"] {
        server.admin(DATABASE, &format!("ALTER TABLE {table} OWNER TO {}", login("scram-sha-256"))).unwrap();
    }
    server
}

/// A gateway with the sample's rules.
pub fn guarded(server: &Server) -> Gateway {
    Gateway::start(server, &setup()).unwrap()
}

pub fn setup() -> Setup {
    Setup { phi: true, policy: POLICY.to_owned(), data_map: DATA_MAP.to_owned(), ..Setup::open(&program()) }
}

/// Somebody of these groups, for an hour.
pub fn token(gateway: &Gateway, name: &str, groups: &[&str]) -> String {
    gateway.issuer().token(name, groups, 3_600).unwrap()
}

/// Everything a statement printed, on both streams.
pub fn ask(gateway: &Gateway, token: &str, sql: &str) -> String {
    let ended = gateway.query(token, sql).unwrap();
    assert!(gateway.alive(), "the gateway died; it said:\n{}", gateway.log());
    format!("{}{}", ended.stdout, ended.stderr)
}

/// Waits until `ready` has something.
pub fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// What a command of the program says as JSON.
pub fn json(gateway: &Gateway, token: &str, words: &[&str]) -> serde_json::Value {
    let mut all = vec!["--json"];
    all.extend(words);
    let ended = gateway.cli(token, &all).unwrap();
    assert!(ended.success(), "{words:?}: {}{}", ended.stdout, ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// Every entry of the ledger, by the program's own reading.
pub fn entries(gateway: &Gateway) -> Vec<serde_json::Value> {
    let reader = vestibule_ledger::Reader::open(&gateway.ledger()).unwrap();
    reader.entries(0).map(|entry| serde_json::from_slice(&entry.unwrap().1).unwrap()).collect()
}

/// The entries of one kind.
pub fn of_kind(entries: &[serde_json::Value], kind: &str) -> Vec<serde_json::Value> {
    entries.iter().filter(|entry| entry["kind"] == kind).cloned().collect()
}
