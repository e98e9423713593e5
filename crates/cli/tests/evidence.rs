//! Evidence: what is exported verifies with tools that nobody here wrote, holds no PHI, and says so when it is not whole.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::{ask, clinic, entries, guarded, json, of_kind, token};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use vestibule_e2e::gateway::Gateway;
use vestibule_e2e::postgres::{DATABASE, Server};
use vestibule_e2e::run::run;

/// Every value of the columns that are PHI.
fn secrets(server: &Server) -> BTreeSet<String> {
    let sql = "SELECT unnest(ARRAY[mrn, ssn, phone, email, street, insurance_member_id]) FROM patient";
    let told = server.admin(DATABASE, sql).unwrap();
    told.lines().filter(|line| line.len() > 4).map(str::to_owned).collect()
}

/// Dana reads, Kim is refused, and something is changed with leave.
fn day_at_the_clinic(server: &Server, gateway: &Gateway) {
    let ssn = server.admin(DATABASE, "SELECT ssn FROM patient WHERE id = 1").unwrap();
    let dana = token(gateway, "dana", &["analysts"]);
    ask(gateway, &dana, "SELECT mrn, last_name, ssn, phone FROM patient");
    ask(gateway, &dana, &format!("SELECT id FROM patient WHERE ssn = '{}' -- {}", ssn.trim(), ssn.trim()));
    ask(gateway, &token(gateway, "omar", &["clinicians"]), "SELECT mrn, last_name FROM patient");
    ask(gateway, &token(gateway, "kim", &["dba"]), "DROP TABLE patient");
}

fn export(gateway: &Gateway, out: &Path) -> (Option<i32>, String) {
    let carla = token(gateway, "carla", &["auditors"]);
    let out = out.to_str().unwrap();
    let ended = gateway.cli(&carla, &["evidence", "--from", "2020-01-01", "--to", "2100-01-01", "--out", out]).unwrap();
    (ended.status.and_then(|status| status.code()), format!("{}{}", ended.stdout, ended.stderr))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_is_exported_verifies_and_holds_no_phi() {
    let server = clinic(20);
    let gateway = guarded(&server);
    day_at_the_clinic(&server, &gateway);
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("pack");
    let (code, said) = export(&gateway, &out);
    assert_eq!(code, Some(0), "{said}");
    let mut sums = Command::new("sha256sum");
    let checked = run(sums.args(["-c", "MANIFEST.sha256"]).current_dir(&out), Duration::from_secs(20)).unwrap();
    assert!(checked.success(), "{}{}", checked.stdout, checked.stderr);
    assert_eq!(checked.stdout.lines().count(), files(&out).len() - 1, "a file is not in the manifest");
    let secrets = secrets(&server);
    assert!(secrets.len() > 60);
    for file in files(&out) {
        let text = std::fs::read_to_string(&file).unwrap();
        let leaked: Vec<_> = secrets.iter().filter(|secret| text.contains(secret.as_str())).collect();
        assert!(leaked.is_empty(), "{} holds {leaked:?}", file.display());
    }
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let masks: Vec<serde_json::Value> =
        read("masks.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!masks.is_empty());
    assert!(read("denials.csv").contains("dropping or truncating"));
    assert!(read("accesses.csv").contains("dana"));
    let pack: serde_json::Value = serde_json::from_str(&read("pack.json")).unwrap();
    assert_eq!(pack["whole"], true);
    assert_eq!(of_kind(&entries(&gateway), "evidence.exported").len(), 1, "an export is itself on the ledger");
    vouched_for(&gateway, &out);
}

/// The pack's checkpoint is a beginning of the ledger, and the ledger that lost it does not verify against it.
fn vouched_for(gateway: &Gateway, out: &Path) {
    let (key, since) = (gateway.dir().join("data/ledger.vkey"), out.join("checkpoint"));
    let verify = |words: &[&str]| gateway.cli("", words).unwrap();
    let ledger = gateway.ledger();
    let words = [
        "ledger",
        "verify",
        ledger.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--since",
        since.to_str().unwrap(),
    ];
    let verified = verify(&words);
    assert!(verified.success(), "{}{}", verified.stdout, verified.stderr);
    assert!(verified.stdout.contains("verified"), "{}", verified.stdout);
}

#[test]
fn a_pack_that_is_not_whole_says_so_and_is_an_error() {
    let server = clinic(5);
    let gateway = guarded(&server);
    day_at_the_clinic(&server, &gateway);
    let carla = token(&gateway, "carla", &["auditors"]);
    // A session's last words are on the list before its recording is looked for.
    let sessions = json(&gateway, &carla, &["sessions"]);
    let sid = sessions[0]["sid"].as_str().unwrap().to_owned();
    let recording = find(&gateway.dir().join("data/recordings"), &sid).expect("a recording of the session");
    let mut bytes = std::fs::read(&recording).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&recording, bytes).unwrap();
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("pack");
    let (code, said) = export(&gateway, &out);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("NOT whole"), "{said}");
    let pack = std::fs::read_to_string(out.join("pack.json")).unwrap();
    let pack: serde_json::Value = serde_json::from_str(&pack).unwrap();
    assert_eq!(pack["whole"], false);
}

/// A file below `folder` whose path names the session.
fn find(folder: &Path, sid: &str) -> Option<PathBuf> {
    for path in files(folder) {
        if path.is_dir() {
            if let Some(found) = find(&path, sid) {
                return Some(found);
            }
        } else if path.to_string_lossy().contains(sid) {
            return Some(path);
        }
    }
    None
}

#[test]
fn only_auditors_and_admins_export() {
    let server = clinic(5);
    let gateway = guarded(&server);
    let home = tempfile::tempdir().unwrap();
    for groups in [&["analysts"][..], &["operators"], &["clinicians", "dba"]] {
        let out = home.path().join("pack");
        let somebody = token(&gateway, "somebody", groups);
        let words = ["evidence", "--from", "2020-01-01", "--to", "2100-01-01", "--out", out.to_str().unwrap()];
        let ended = gateway.cli(&somebody, &words).unwrap();
        assert_eq!(
            ended.status.and_then(|status| status.code()),
            Some(3),
            "{groups:?}: {}{}",
            ended.stdout,
            ended.stderr
        );
        assert!(!out.exists(), "{groups:?}");
    }
}
