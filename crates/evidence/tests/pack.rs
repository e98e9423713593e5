//! A pack says what is on the ledger, all of it, safely; says so when it is not; and is the same when made again.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod fixture;

use fixture::{House, START, csv_rows, files, json_rows, text};
use serde_json::json;
use std::fs;
use vestibule_core::Timestamp;
use vestibule_evidence::{EvidenceError, Pack, RecordingState, make, write};

/// A day with one of everything.
async fn day() -> House {
    let house = House::new();
    house.note("gateway.started", json!({"version": "0.1.0", "config": "cd".repeat(32), "clean": true})).await;
    house.note("token.issued", json!({"identity": "corp|ann", "name": "ann", "token_id": "t-1"})).await;
    let mut ann = house.open(1, "ann", "clinic", true).await;
    house.operate(&mut ann, 10).await;
    house.operate(&mut ann, 5).await;
    let mut bob = house.open(2, "bob", "billing", true).await;
    let special = json!({
        "effect": "write", "action": "DELETE", "statement": "delete from patient", "traits": ["no-where"],
        "decision": "deny", "policies": ["no-delete-without-where"], "refusal": "refused: delete needs a condition",
    });
    house.ruling(&mut bob, special).await;
    let ask = json!({
        "number": 7, "sid": bob.sid, "op": 2, "target": "billing", "effect": "write",
        "requester": {"id": "corp|bob", "name": "bob"}, "action": "UPDATE", "statement": "update invoice …",
        "digest": "ef".repeat(32), "classes": [], "groups": ["leads"], "quorum": 1, "reason": "changes need a lead",
    });
    house.note("approval.requested", ask).await;
    let grant = json!({
        "number": 7, "sid": bob.sid, "op": 2, "target": "billing", "digest": "ef".repeat(32),
        "requester": {"id": "corp|bob", "name": "bob"}, "approver": {"id": "corp|eve", "name": "eve"},
        "reason": "month's end", "yes": 1, "quorum": 1, "state": "approved",
    });
    house.note("approval.granted", grant).await;
    let special = json!({
        "effect": "write", "action": "UPDATE", "statement": "update invoice …", "classes": [],
        "approval": {"number": 7, "approvers": [{"id": "corp|eve", "name": "eve", "at": 0, "reason": "month's end"}]},
    });
    let op = house.ruling(&mut bob, special).await;
    house.done(&mut bob, op, 0).await;
    house.close(ann).await;
    house.close(bob).await;
    let refused = json!({
        "target": "clinic", "protocol": "postgres", "source": "198.51.100.9", "kind": "identity",
        "rule": "the token has expired",
    });
    house.note("session.refused", refused).await;
    house
}

fn of<'a>(rows: &'a [serde_json::Value], key: &str, value: &str) -> Vec<&'a serde_json::Value> {
    rows.iter().filter(|row| row[key] == value).collect()
}

#[tokio::test]
async fn a_pack_says_what_is_on_the_ledger() {
    let house = day().await;
    let out = house.path("pack");
    let pack = make(&house.request().await, &out).unwrap();
    assert!(pack.whole && pack.report.is_whole(), "{}", pack.report);
    assert_eq!(pack.range, Some((0, pack.report.entries - 1)));

    let sessions = json_rows(&out, "sessions");
    assert_eq!(sessions.len(), 2);
    let ann = &of(&sessions, "identity", "corp|ann")[0];
    assert_eq!(
        (&ann["end"], &ann["rows"], &ann["masked"], &ann["operations"]),
        (&json!("closed"), &json!(15), &json!(15), &json!(3))
    );
    assert_eq!(
        (&ann["methods"], &ann["recorded"], &ann["recording"]),
        (&json!(["pwd", "otp"]), &json!(true), &json!("whole"))
    );
    assert_eq!(of(&sessions, "identity", "corp|bob")[0]["denied"], 1);

    let accesses = json_rows(&out, "accesses");
    assert_eq!(accesses.len(), 6, "two let in, two reads, one refused, one approved");
    let update = &of(&accesses, "action", "UPDATE")[0];
    assert_eq!((&update["request"], &update["approvers"]), (&json!("R-7"), &json!(["eve (corp|eve)"])));
    assert_eq!((&update["extent"], &update["finished"].is_string()), (&json!("known"), &true));
    let read = &of(&accesses, "action", "SELECT")[0];
    assert_eq!((&read["masked"], &read["revealed"]), (&json!({"ssn": 10}), &json!({"name": 10})));
    assert_eq!(read["resources"], json!(["public.patient (read) name, ssn"]));

    let approvals = json_rows(&out, "approvals");
    assert_eq!(
        approvals.iter().map(|row| row["event"].as_str().unwrap()).collect::<Vec<_>>(),
        ["requested", "granted"]
    );
    assert_eq!((&approvals[1]["approver"], &approvals[1]["requester"]), (&json!("corp|eve"), &json!("corp|bob")));

    let denials = json_rows(&out, "denials");
    assert_eq!(denials.iter().map(|row| row["what"].as_str().unwrap()).collect::<Vec<_>>(), ["operation", "session"]);
    assert_eq!(
        (&denials[0]["refusal"], &denials[1]["source"]),
        (&json!("refused: delete needs a condition"), &json!("198.51.100.9"))
    );

    let masks = json_rows(&out, "masks");
    let sum =
        |class: &str, key: &str| of(&masks, "class", class).iter().map(|row| row[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("ssn", "masked"), sum("name", "revealed"), sum("ssn", "revealed")), (15, 15, 0));
    assert_eq!(json_rows(&out, "gateway").len(), 2);
}

#[tokio::test]
async fn every_entry_of_the_period_is_accounted_for() {
    let house = day().await;
    let out = house.path("pack");
    let pack = make(&house.request().await, &out).unwrap();
    assert_eq!(pack.counts.entries, pack.report.entries);
    assert_eq!(pack.counts.kinds.values().sum::<u64>(), pack.counts.entries);
    // Each entry leads into a table, or is one of the chunks, beginnings and ends that the sessions' table stands for.
    let mut seen = std::collections::BTreeSet::new();
    for table in ["accesses", "approvals", "denials", "masks", "gateway", "sessions"] {
        for row in json_rows(&out, table) {
            for key in ["entry", "ruling_entry", "done_entry", "first_entry", "last_entry"] {
                seen.extend(row[key].as_u64());
            }
        }
    }
    assert_eq!(seen.len() as u64 + pack.counts.kinds["record.chunk"], pack.counts.entries);
    for table in ["sessions", "accesses", "approvals", "denials", "masks", "gateway"] {
        let (csv, json) = (csv_rows(&out, table), json_rows(&out, table));
        assert_eq!(csv.len(), json.len() + 1, "{table}");
        assert!(csv.iter().all(|row| row.len() == csv[0].len()), "{table}");
        let unknown = json.iter().flat_map(|row| row.as_object().unwrap().keys()).find(|key| !csv[0].contains(key));
        assert_eq!(unknown, None);
    }
}

#[tokio::test]
async fn made_twice_it_is_the_same_and_the_manifest_holds() {
    let house = day().await;
    let request = house.request().await;
    let pack = make(&request, &house.path("one")).unwrap();
    make(&request, &house.path("two")).unwrap();
    let (one, two) = (files(&house.path("one")), files(&house.path("two")));
    assert_eq!(one, two);
    let manifest = String::from_utf8(one["MANIFEST.sha256"].clone()).unwrap();
    let listed: Vec<&str> = manifest.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    let mut others: Vec<&str> = one.keys().map(String::as_str).filter(|name| *name != "MANIFEST.sha256").collect();
    others.sort_unstable();
    assert_eq!(listed, others);
    for line in manifest.lines() {
        let (digest, name) = line.split_once("  ").unwrap();
        let again: String = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &one[name])
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(digest, again, "{name}");
        assert!(
            pack.files
                .iter()
                .any(|file| file.name == name && file.sha256 == digest && file.bytes == one[name].len() as u64)
        );
    }
    assert_eq!(
        String::from_utf8(one["checkpoint"].clone()).unwrap(),
        fs::read_to_string(house.path("ledger/checkpoint")).unwrap()
    );
    assert_eq!(String::from_utf8(one["ledger.vkey"].clone()).unwrap().trim(), house.key.to_line());
}

#[tokio::test]
async fn nothing_in_a_pack_runs_or_hides() {
    let house = House::new();
    let mut session = house.open(1, "=HYPERLINK(\"http://x\")", "+cmd|' /C calc'!A0", false).await;
    for statement in [
        "=1+1",
        "@SUM(A1)",
        "\t-1",
        "<script>alert(1)</script>",
        "a\u{202e}b",
        "x\",\"y\r\n=z",
        "\u{0}\u{1b}[2J",
        "--x",
    ] {
        let special = json!({
            "statement": statement, "decision": "deny", "refusal": format!("<img src=x onerror={statement}>"),
        });
        house.ruling(&mut session, special).await;
    }
    house.close(session).await;
    let refused = json!({"target": "</script><svg onload=1>", "source": "=1", "rule": "\"><b>"});
    house.note("session.refused", refused).await;
    house.note("config.loaded", json!({"by": "-1", "digest": "<b>"})).await;
    let out = house.path("pack");
    assert!(make(&house.request().await, &out).unwrap().whole);
    for table in ["sessions", "accesses", "denials", "gateway"] {
        for row in csv_rows(&out, table) {
            for cell in row {
                assert!(!cell.trim_start().starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
                assert!(!cell.chars().any(|c| c.is_control() || c == '\u{202e}'), "{cell:?}");
            }
        }
    }
    // For machines the words are exact.
    let accesses = json_rows(&out, "accesses");
    assert!(accesses.iter().any(|row| row["statement"] == "x\",\"y\r\n=z"));
    assert!(accesses.iter().any(|row| row["statement"] == "a\u{202e}b"));
    let page = text(&out, "report.html");
    for evil in ["<script", "<svg", "<img", "<b>", "\u{202e}", "\u{1b}", "onerror=<", "http-equiv=\"refresh"] {
        assert!(!page.contains(evil), "{evil}");
    }
    assert!(page.contains("&lt;img src=x"), "it is there to read");
    for name in ["README.txt", "report.html"] {
        assert!(!text(&out, name).chars().any(|c| c.is_control() && c != '\n'), "{name}");
    }
}

#[tokio::test]
async fn a_ledger_that_was_changed_is_said_to_be() {
    let house = day().await;
    let request = house.request().await;
    house.ledger.shutdown().await.unwrap();
    let bundle = {
        let mut all = Vec::new();
        walk(&house.path("ledger/tile/entries"), &mut all);
        all.pop().unwrap()
    };
    let honest = fs::read(&bundle).unwrap();
    // Another person's name, of the same length.
    let mut changed = honest.clone();
    let at = changed.windows(8).position(|w| w == b"corp|bob").unwrap();
    changed[at..at + 8].copy_from_slice(b"corp|eve");
    fs::write(&bundle, changed).unwrap();
    let out = house.path("pack");
    let pack = make(&request, &out).unwrap();
    assert!(!pack.whole && !pack.report.is_whole());
    for name in ["report.html", "README.txt"] {
        assert!(text(&out, name).contains("DOES NOT VERIFY"), "{name}");
    }
    let summary: serde_json::Value = serde_json::from_str(&text(&out, "pack.json")).unwrap();
    assert_eq!((&summary["whole"], &summary["ledger"]["verifies"]), (&json!(false), &json!(false)));
    assert!(!summary["ledger"]["findings"].as_array().unwrap().is_empty());

    // What cannot be read is said to be missing.
    fs::write(&bundle, &honest[..honest.len() / 2]).unwrap();
    let pack = make(&request, &house.path("cut")).unwrap();
    assert!(!pack.whole);
    // Another key: nothing here is proven.
    let other = vestibule_ledger::SigningKey::from_seed(&[8; 32]).unwrap().verifier(fixture::ORIGIN);
    fs::write(&bundle, honest).unwrap();
    assert!(make(&request, &house.path("good")).unwrap().report.is_whole());
    let pack = write(&request.ledger, &other, request.period.clone(), &house.path("other")).unwrap();
    assert!(!pack.whole && !pack.report.is_whole());
}

fn walk(dir: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

#[tokio::test]
async fn recordings_are_held_against_the_ledger() {
    let house = House::new();
    for tail in 1..=5 {
        let mut session = house.open(tail, "ann", "clinic", true).await;
        for _ in 0..8 {
            house.operate(&mut session, 1).await;
        }
        if tail == 5 {
            house.drop_recorder(&mut session).await;
        }
        house.close(session).await;
    }
    let mut live = house.open(6, "ann", "clinic", true).await;
    house.operate(&mut live, 1).await;
    house.ruling(&mut live, json!({})).await;
    let unrecorded = house.open(7, "ann", "clinic", false).await;
    house.close(unrecorded).await;
    let request = house.request().await;
    let folder = |tail: u32| house.path(&format!("recordings/2026/11/25/{:012x}{tail:020x}", START.0 / 1_000));
    fs::remove_dir_all(folder(1)).unwrap();
    let chunk = folder(2).join("00000001.chunk");
    let mut bytes = fs::read(&chunk).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&chunk, bytes).unwrap();
    let last = fs::read_dir(folder(3)).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some()).max();
    fs::remove_file(last.unwrap()).unwrap();

    let out = house.path("pack");
    let pack = make(&request, &out).unwrap();
    let states: Vec<String> =
        json_rows(&out, "sessions").iter().map(|r| r["recording"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["missing", "differs", "differs", "whole", "incomplete", "off", "open"]);
    assert!(pack.report.is_whole() && !pack.whole, "the ledger is whole, the recordings are not");
    assert_eq!(pack.counts.recordings[&RecordingState::Differs], 2);
    assert!(
        text(&out, "report.html")
            .contains("BUT NOT EVERY RECORDING: missing, different from what it noted, or unreadable: 3.")
    );
    // The operation under way at the checkpoint is there, and said to be so.
    assert_eq!(of(&json_rows(&out, "accesses"), "extent", "under way").len(), 1);

    let unchecked = write(&request.ledger, &request.key, request.period, &house.path("without")).unwrap();
    assert_eq!(unchecked.counts.recordings[&RecordingState::NotChecked], 6);
    assert!(unchecked.whole);
}

#[tokio::test]
async fn an_operation_the_gateway_died_under_is_of_unknown_extent() {
    let house = House::new();
    let mut session = house.open(1, "ann", "clinic", false).await;
    let op = house.ruling(&mut session, json!({})).await;
    let n = 4;
    house
        .append(
            &mut session,
            "session.abandoned",
            json!({"reason": "the gateway ended", "n": n, "extent_unknown": [op]}),
        )
        .await;
    let out = house.path("pack");
    let pack = make(&house.request().await, &out).unwrap();
    assert_eq!(pack.counts.extent_unknown, 1);
    assert_eq!(json_rows(&out, "sessions")[0]["end"], "abandoned");
    assert_eq!(of(&json_rows(&out, "accesses"), "extent", "unknown").len(), 1);
}

#[tokio::test]
async fn only_the_period_is_in_it_but_sessions_keep_their_names() {
    let house = House::new();
    let mut long = house.open(1, "ann", "clinic", false).await;
    house.operate(&mut long, 1).await;
    let early = house.open(2, "bob", "clinic", false).await;
    house.close(early).await;
    let op = house.ruling(&mut long, json!({})).await;
    house.pass(3_600);
    house.done(&mut long, op, 2).await;
    house.operate(&mut long, 4).await;
    house.pass(3_600);
    house.operate(&mut long, 8).await;
    house.close(long).await;
    let mut request = house.request().await;
    request.period = START.plus_seconds(3_000)..START.plus_seconds(6_000);
    let out = house.path("pack");
    let pack = make(&request, &out).unwrap();
    assert!(pack.whole);
    let sessions = json_rows(&out, "sessions");
    assert_eq!(sessions.len(), 1);
    assert_eq!(
        (&sessions[0]["identity"], &sessions[0]["end"], &sessions[0]["rows"]),
        (&json!("corp|ann"), &json!("closed"), &json!(15))
    );
    // What began before and ended within is in it; what began after is not.
    let rows: Vec<u64> = json_rows(&out, "accesses").iter().map(|row| row["rows"].as_u64().unwrap()).collect();
    assert_eq!(rows, [2, 4]);
    assert_eq!((pack.counts.rows, pack.counts.entries), (6, 3));

    request.period = START.plus_seconds(50_000)..START.plus_seconds(50_001);
    let pack = make(&request, &house.path("empty")).unwrap();
    assert_eq!((pack.range, pack.counts.entries, pack.whole), (None, 0, true));
    assert!(text(&house.path("empty"), "report.html").contains("None in the period."));
}

#[tokio::test]
async fn thousands_of_entries_in_order() {
    let house = House::new();
    let mut sessions = Vec::new();
    for tail in 0..20 {
        sessions.push(house.open(tail, &format!("user{tail}"), "clinic", false).await);
    }
    for _ in 0..50 {
        for session in &mut sessions {
            house.operate(session, 3).await;
        }
    }
    for session in sessions {
        house.close(session).await;
    }
    let out = house.path("pack");
    let pack: Pack = make(&house.request().await, &out).unwrap();
    assert!(pack.whole);
    assert_eq!((pack.counts.permitted, pack.counts.rows, pack.counts.sessions), (20 + 1_000, 3_000, 20));
    assert_eq!(pack.counts.masked["ssn"], 3_000);
    assert_eq!(csv_rows(&out, "accesses").len(), 1_021);
}

#[tokio::test]
async fn what_cannot_be_made_leaves_nothing() {
    let house = day().await;
    let request = house.request().await;
    let out = house.path("pack");
    fs::create_dir(&out).unwrap();
    assert!(matches!(make(&request, &out), Err(EvidenceError::Exists(_))));
    let mut bad = request.clone();
    bad.period = Timestamp(5)..Timestamp(5);
    assert!(matches!(make(&bad, &house.path("a")), Err(EvidenceError::Period)));
    bad = request.clone();
    bad.ledger = house.path("recordings");
    assert!(matches!(make(&bad, &house.path("b")), Err(EvidenceError::NoCheckpoint(_))));
    let left: Vec<_> = fs::read_dir(house.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(
        !left.iter().any(|name| name == "a" || name == "b" || name.to_string_lossy().contains("partial")),
        "{left:?}"
    );
}

#[tokio::test]
async fn the_words_of_a_pack() {
    let house = House::new();
    house.note("gateway.started", json!({"version": "0.1.0"})).await;
    let mut session = house.open(1, "ann", "clinic", false).await;
    house.operate(&mut session, 3).await;
    house.close(session).await;
    let out = house.path("pack");
    make(&house.request().await, &out).unwrap();
    insta::assert_snapshot!("readme", text(&out, "README.txt"));
    insta::assert_snapshot!("pack_json", text(&out, "pack.json"));
    insta::assert_snapshot!("accesses_csv", text(&out, "accesses.csv").replace("\r\n", "\n"));
}

/// Writes a pack to look at: `EVIDENCE_TO_LOOK_AT=DIR cargo test -p vestibule-evidence --test pack -- --ignored`.
#[tokio::test]
#[ignore = "for people"]
async fn a_pack_to_look_at() {
    let Ok(to) = std::env::var("EVIDENCE_TO_LOOK_AT") else { return };
    let house = day().await;
    make(&house.request().await, &std::path::Path::new(&to).join("good")).unwrap();
    let mut request = house.request().await;
    request.key = vestibule_ledger::SigningKey::from_seed(&[8; 32]).unwrap().verifier(fixture::ORIGIN);
    make(&request, &std::path::Path::new(&to).join("bad")).unwrap();
}
