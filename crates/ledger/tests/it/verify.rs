//! What the offline walk accepts, and everything it must not.

use crate::common::{Gateway, ORIGIN, checked, copy, create, files, key, options, temp, vkey, whole_log};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use vestibule_core::Timestamp;
use vestibule_ledger::{
    FindingKind, Older, Picked, Reader, Report, SessionChain, VerifyOptions, inclusion_proof, leaf_hash, scan, verify,
};

fn kinds(report: &Report) -> Vec<FindingKind> {
    let mut kinds: Vec<_> = report.findings.iter().map(|f| f.kind).collect();
    kinds.dedup();
    kinds
}

#[tokio::test]
async fn a_whole_log_verifies_and_is_counted() {
    let dir = temp();
    let log = dir.path().join("l");
    whole_log(&log, 100).await;
    let report = checked(&log);
    assert!(report.is_whole(), "{report}");
    assert_eq!(report.entries, 100 * 13 + 3);
    assert_eq!((report.sessions.opened, report.sessions.closed, report.sessions.open), (100, 100, 0));
    assert_eq!((report.epochs, report.crashes, report.extent_unknown, report.unsigned), (1, 0, 0, 0));
    // A copy of what is published verifies as well.
    let copied = dir.path().join("copy");
    copy(&log, &copied);
    fs::remove_dir_all(copied.join("wal")).unwrap();
    assert!(checked(&copied).is_whole());
}

#[tokio::test]
async fn a_log_in_use_verifies_and_its_newest_entries_are_counted() {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let (gateway, _) = Gateway::start(options(&log)).await.unwrap();
    gateway.session("a", 200).await.unwrap();
    gateway.ledger.checkpoint_now().await.unwrap();
    gateway.session("b", 2).await.unwrap();
    let _open = gateway.open("c").await.unwrap();
    gateway.journal.note("config.loaded", &json!({"digest": "x"})).await.unwrap();
    let report = checked(&log);
    assert!(report.is_whole(), "{report}");
    assert_eq!((report.unsigned, report.sessions.open), (7 + 2 + 1, 1));
}

#[tokio::test]
async fn verifies_again_and_again_under_load() {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let mut options = options(&log);
    options.checkpoint_every = std::time::Duration::from_millis(3);
    let (gateway, _) = Gateway::start(options).await.unwrap();
    let path = log.clone();
    let walker = tokio::task::spawn_blocking(move || {
        for _ in 0..15 {
            let report = checked(&path);
            assert!(report.is_whole(), "{report}");
        }
    });
    let mut n = 0;
    while !walker.is_finished() {
        gateway.session(&format!("s{n}"), 20).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_micros(500)).await;
        n += 1;
    }
    walker.await.unwrap();
    assert!(n > 3);
}

#[tokio::test]
async fn an_older_checkpoint_must_be_a_beginning() {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let (gateway, _) = Gateway::start(options(&log)).await.unwrap();
    gateway.session("a", 150).await.unwrap();
    gateway.ledger.checkpoint_now().await.unwrap();
    let kept = fs::read_to_string(log.join("checkpoint")).unwrap();
    let before = dir.path().join("before");
    copy(&log, &before);
    gateway.session("b", 150).await.unwrap();
    gateway.stop().await.unwrap();
    let newest = fs::read_to_string(log.join("checkpoint")).unwrap();
    let since = |dir: &Path, note: &str| {
        verify(dir, &VerifyOptions::new(vkey()).since(Older { from: "kept".into(), note: note.into() })).unwrap()
    };
    assert_eq!(since(&log, &kept).since, Some(305));
    assert!(since(&log, &kept).is_whole());
    assert!(since(&log, &newest).is_whole());
    // Rolled back: the old copy does not hold what was kept later.
    let report = since(&before, &newest);
    assert_eq!((kinds(&report), report.since), (vec![FindingKind::Older], None));
    // Rewritten with the real key.
    let fork = dir.path().join("fork");
    whole_log(&fork, 60).await;
    assert!(checked(&fork).is_whole());
    assert_eq!(kinds(&since(&fork, &kept)), [FindingKind::Older]);
    // Not a checkpoint of this log at all.
    assert_eq!(kinds(&since(&log, &kept.replace(ORIGIN, "elsewhere.example"))), [FindingKind::Older]);
}

#[tokio::test]
async fn another_key_verifies_nothing() {
    let dir = temp();
    let log = dir.path().join("l");
    whole_log(&log, 2).await;
    let other = vestibule_ledger::SigningKey::from_seed(&[1; 32]).unwrap();
    let other = vestibule_ledger::VerifierKey::parse(&other.verifier_line(ORIGIN)).unwrap();
    assert_eq!(kinds(&verify(&log, &VerifyOptions::new(other)).unwrap()), [FindingKind::Checkpoint]);
    assert!(verify(&dir.path().join("nowhere"), &VerifyOptions::new(vkey())).is_err());
}

/// Writes entries just so, and says what the walk finds.
async fn findings(entries: Vec<Vec<u8>>) -> Vec<String> {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let (ledger, _) = crate::common::reopen(options(&log)).unwrap();
    for entry in entries {
        ledger.append(&entry).unwrap();
    }
    ledger.shutdown().await.unwrap();
    checked(&log).findings.iter().map(ToString::to_string).collect()
}

fn entry(chain: &mut SessionChain, kind: &str, epoch: u64, body: &Value) -> Vec<u8> {
    chain.entry(Timestamp(7), kind, ORIGIN, epoch, body)
}

/// Entries of a session with one operation, closed.
fn session(sid: &str, epoch: u64) -> Vec<Vec<u8>> {
    let mut chain = SessionChain::new(sid);
    vec![
        entry(&mut chain, "session.open", epoch, &json!({})),
        entry(&mut chain, "op.ruling", epoch, &json!({"op": 1, "decision": "permit", "effect": "read"})),
        entry(&mut chain, "op.done", epoch, &json!({"op": 1})),
        entry(&mut chain, "session.closed", epoch, &json!({"n": 4})),
    ]
}

#[tokio::test]
async fn an_entry_left_out_is_named() {
    assert_eq!(findings(session("s", 1)).await, Vec::<String>::new());
    let mut entries = session("s", 1);
    entries.remove(2);
    assert_eq!(findings(entries).await, ["chain: entry 2: entry 2 of chain s is missing"]);
    let mut entries = session("s", 1);
    entries.drain(1..3);
    assert_eq!(findings(entries).await, ["chain: entry 1: entries 1 to 2 of chain s are missing"]);
    let mut entries = session("s", 1);
    entries.remove(0);
    assert_eq!(
        findings(entries).await,
        [
            "session: entry 0: session s begins with op.ruling, not with session.open",
            "chain: entry 0: entry 0 of chain s is missing"
        ]
    );
}

#[tokio::test]
async fn a_session_without_end_is_named_once_its_epoch_is_over() {
    let mut entries = session("s", 1);
    entries.pop();
    assert_eq!(findings(entries.clone()).await, Vec::<String>::new());
    let mut gateway = SessionChain::new("gateway");
    // Still ending when the gateway ends; the next start has to end it.
    entries.push(entry(&mut gateway, "gateway.shutdown", 1, &json!({})));
    assert_eq!(findings(entries.clone()).await, Vec::<String>::new());
    entries.push(entry(&mut gateway, "gateway.started", 2, &json!({})));
    assert_eq!(findings(entries).await, ["session: entry 4: session s, open since entry 0, has no end"]);
}

#[tokio::test]
async fn a_session_left_at_a_shutdown_is_ended_by_the_next_start() {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let (gateway, _) = Gateway::start(options(&log)).await.unwrap();
    gateway.session("a", 2).await.unwrap();
    let mut left = gateway.open("left").await.unwrap();
    for op in 1..=3 {
        gateway.ruling(&mut left, op, "write").await.unwrap();
    }
    gateway.done(&mut left, 2).await.unwrap();
    gateway.stop().await.unwrap();
    let (gateway, recovery) = Gateway::start(options(&log)).await.unwrap();
    assert!(recovery.clean);
    let open: Vec<_> = recovery.open_sessions.iter().map(|s| (s.chain.sid(), s.operations.clone())).collect();
    assert_eq!(open, [("left", vec![1, 3])]);
    gateway.stop().await.unwrap();
    let (gateway, recovery) = Gateway::start(options(&log)).await.unwrap();
    assert!(recovery.open_sessions.is_empty() && recovery.epoch == 3);
    gateway.stop().await.unwrap();
    let report = checked(&log);
    assert!(report.is_whole(), "{report}");
    assert_eq!((report.sessions.abandoned, report.extent_unknown, report.epochs, report.crashes), (1, 2, 3, 0));
}

#[tokio::test]
async fn what_does_not_fit_a_session_is_named() {
    let mut entries = session("s", 1);
    entries.swap(1, 2);
    assert_eq!(
        findings(entries).await,
        [
            "chain: entry 1: entry 1 of chain s is missing",
            "chain: entry 2: number 1 of chain s comes where 3 was to come",
            "chain: entry 3: entry 2 of chain s is missing"
        ]
    );
    let mut altered = session("s", 1);
    altered[1] = String::from_utf8(altered[1].clone()).unwrap().replace("read", "open").into_bytes();
    assert_eq!(
        findings(altered).await,
        ["chain: entry 2: number 2 of chain s names another entry as the one before it"]
    );
    let mut chain = SessionChain::new("s");
    let short = vec![
        entry(&mut chain, "session.open", 1, &json!({})),
        entry(&mut chain, "session.closed", 1, &json!({"n": 3})),
    ];
    assert_eq!(findings(short).await, ["session: entry 1: session s ends with 2 entries but says it has 3"]);
    let mut chain = SessionChain::new("s");
    let silent =
        vec![entry(&mut chain, "session.open", 1, &json!({})), entry(&mut chain, "session.closed", 1, &json!({}))];
    assert_eq!(findings(silent).await, ["session: entry 1: the end of session s does not say how many entries it has"]);
    let mut later = session("s", 1);
    let more = later.pop().unwrap();
    later.push(String::from_utf8(more).unwrap().replace("\"epoch\":1", "\"epoch\":2").into_bytes());
    assert_eq!(findings(later).await, ["session: entry 3: session s of epoch 1 goes on in epoch 2"]);
}

#[tokio::test]
async fn epochs_must_follow_each_other() {
    let three = [session("a", 1), session("b", 3)].concat();
    assert_eq!(findings(three).await, ["epoch: entry 4: epoch 3 follows epoch 1: those between are missing"]);
    let back = [session("a", 1), session("b", 2), session("c", 1)].concat();
    assert_eq!(findings(back).await.len(), 4);
    let mut gateway = SessionChain::new("gateway");
    let mut after = vec![entry(&mut gateway, "gateway.shutdown", 1, &json!({}))];
    after.push(entry(&mut gateway, "config.loaded", 1, &json!({})));
    assert_eq!(findings(after).await, ["epoch: entry 1: it follows the shutdown that ended epoch 1"]);
}

#[tokio::test]
async fn only_canonical_envelopes_of_this_gateway_are_entries() {
    let good = session("s", 1).remove(0);
    let text = String::from_utf8(good).unwrap();
    for bad in [
        text.replace("\"seq\":0", "\"seq\": 0"),
        text.replace("\"seq\":0", "\"seq\":0.0"),
        text.replace("{\"at\":7,", "{\"at\":7,\"also\":1,"),
        text.replace("\"body\":{}", "\"body\":{\"b\":1,\"a\":2}"),
        text.clone() + " ",
        "x".to_owned(),
    ] {
        let found = findings(vec![bad.clone().into_bytes()]).await;
        assert!(
            found.len() == 1 && found[0].starts_with("envelope: entry 0: it is not the canonical JSON"),
            "{bad}: {found:?}"
        );
    }
    let other = text.replace(ORIGIN, "another.example");
    assert_eq!(findings(vec![other.into_bytes()]).await, ["envelope: entry 0: it names the gateway `another.example`"]);
}

#[tokio::test]
async fn every_change_of_every_file_is_found() {
    let dir = temp();
    let log = dir.path().join("l");
    whole_log(&log, 60).await;
    // Some entries beyond the checkpoint too, so that the write-ahead log matters.
    let (gateway, _) = Gateway::start(options(&log)).await.unwrap();
    gateway.session("late", 3).await.unwrap();
    let whole = dir.path().join("whole");
    copy(&log, &whole);
    drop(gateway);
    assert!(checked(&whole).is_whole());
    let (mut tried, mut seed) = (0, 0x9e37_79b9_7f4a_7c15_u64);
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let list = files(&whole);
    let matter = |p: &Path| !p.starts_with("tmp") && !p.ends_with(".lock") && !p.ends_with("spare");
    let list: Vec<_> = list.iter().filter(|p| matter(p)).collect();
    assert!(list.len() > 9, "{list:?}");
    let mut rejected = |path: &Path, bytes: Option<&[u8]>, how: &str| {
        let full = whole.join(path);
        let kept = fs::read(&full).unwrap();
        if bytes == Some(kept.as_slice()) {
            return;
        }
        match bytes {
            Some(bytes) => fs::write(&full, bytes).unwrap(),
            None => fs::remove_file(&full).unwrap(),
        }
        let report = checked(&whole);
        fs::write(&full, kept).unwrap();
        assert!(!report.is_whole(), "{how} of {} was not found", path.display());
        tried += 1;
    };
    for path in &list {
        let bytes = fs::read(whole.join(path)).unwrap();
        let used = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
        // Flips: anywhere, and also behind the last byte in use of a segment.
        for n in 0..25 {
            let at = random(if n == 0 { bytes.len() } else { used });
            let mut changed = bytes.clone();
            changed[at] ^= 1 << random(8);
            rejected(path, Some(&changed), &format!("flip at {at}"));
        }
        for _ in 0..6 {
            let (a, b) = (random(used), random(used));
            let mut changed = bytes.clone();
            changed.swap(a, b);
            rejected(path, Some(&changed), &format!("swap of {a} and {b}"));
        }
        for cut in [0, 1, used / 2, used - 1] {
            rejected(path, Some(&bytes[..cut]), &format!("cut at {cut}"));
        }
        let mut longer = bytes[..used].to_vec();
        longer.extend_from_slice(b"more");
        rejected(path, Some(&longer), "appending");
        rejected(path, None, "removal");
    }
    // Two files of a kind exchanged.
    for (a, b) in [("tile/entries/000", "tile/entries/001"), ("tile/0/000", "tile/0/001")] {
        let (first, second) = (fs::read(whole.join(a)).unwrap(), fs::read(whole.join(b)).unwrap());
        fs::write(whole.join(a), &second).unwrap();
        fs::write(whole.join(b), &first).unwrap();
        assert!(!checked(&whole).is_whole(), "{a} and {b} exchanged");
        fs::write(whole.join(a), &first).unwrap();
        fs::write(whole.join(b), &second).unwrap();
    }
    assert!(checked(&whole).is_whole());
    assert!(tried > 200, "{tried}");
}

#[tokio::test]
async fn an_altered_entry_with_its_tiles_made_anew_still_fails_at_the_root() {
    let dir = temp();
    let (log, fork) = (dir.path().join("l"), dir.path().join("fork"));
    whole_log(&log, 30).await;
    whole_log(&fork, 29).await;
    // All files of another whole log, under this one's signature.
    let kept = fs::read(log.join("checkpoint")).unwrap();
    fs::remove_dir_all(log.join("tile")).unwrap();
    fs::remove_dir_all(log.join("wal")).unwrap();
    copy(&fork.join("tile"), &log.join("tile"));
    fs::write(log.join("checkpoint"), kept).unwrap();
    assert!(!checked(&log).is_whole());
}

#[tokio::test]
async fn findings_do_not_fill_the_memory() {
    let entries: Vec<Vec<u8>> = (0..1_500_u32).map(|n| n.to_string().into_bytes()).collect();
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let (ledger, _) = crate::common::reopen(options(&log)).unwrap();
    for entry in &entries {
        ledger.append_wait(entry).await.unwrap();
    }
    ledger.shutdown().await.unwrap();
    let report = checked(&log);
    assert_eq!((report.findings.len(), report.more), (1_000, 500));
    assert!(report.to_string().contains("DOES NOT VERIFY") && report.to_string().contains("and 500 more"));
}

#[tokio::test]
async fn entries_of_a_period_are_picked_and_proven() {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let (gateway, _) = Gateway::start(options(&log)).await.unwrap();
    for n in 0..40_i64 {
        let mut chain = SessionChain::new(&format!("s{n}"));
        let mut leaf = chain.entry(Timestamp(n), "session.open", ORIGIN, 1, &json!({}));
        gateway.ledger.append_wait(&leaf).await.unwrap();
        leaf = chain.entry(Timestamp(n), "session.closed", ORIGIN, 1, &json!({"n": 2}));
        gateway.ledger.append_wait(&leaf).await.unwrap();
    }
    let last = gateway.journal.note("record.read", &json!({"sid": "s1"})).await.unwrap();
    let pick = || -> Vec<Picked> {
        let reader = Reader::open(&log).unwrap();
        reader.select(Timestamp(10)..Timestamp(20), |_, e| e.kind == "session.open").map(Result::unwrap).collect()
    };
    // From the write-ahead log, and from bundles.
    let early = pick();
    assert_eq!(early.len(), 10);
    gateway.ledger.checkpoint_now().await.unwrap();
    assert_eq!(pick(), early);
    for picked in early {
        assert!(scan(&picked.entry).unwrap().at.0 >= 10);
        inclusion_proof(&log, picked.index).unwrap().verify(&leaf_hash(&picked.entry), &vkey()).unwrap();
    }
    let proof = inclusion_proof(&log, last.index).unwrap();
    assert_eq!(proof.verify(&last.leaf_hash, &vkey()).unwrap().size, last.index + 1);
    let foreign = vestibule_ledger::SigningKey::from_seed(&[9; 32]).unwrap().verifier(ORIGIN);
    assert!(proof.verify(&last.leaf_hash, &foreign).is_err());
    assert_eq!(key().verifier(ORIGIN), vkey());
}
