//! A failing disk, at every single change it is asked for: nothing acknowledged is lost, nothing is invented, and what
//! failed once takes nothing more until it is opened again.

use crate::common::{Gateway, checked, copy, create, options, reopen, temp};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use vestibule_ledger::{
    Disk, Durability, Ledger, LedgerError, Op, Options, Reader, Receipt, SessionChain, Verdict, leaf_hash,
};

/// How the disk fails at one change.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Failure {
    Error,
    /// Half of what was to be written is.
    Half,
    /// The disk is full from then on.
    Full,
}

/// A disk that fails at its `at`th change.
fn failing(at: u64, failure: Failure, count: Arc<AtomicU64>) -> Disk {
    Disk::hooked(move |op: &Op<'_>| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        let later = failure == Failure::Full && n > at && matches!(op, Op::Create(_) | Op::Write { .. });
        if n != at && !later {
            return Verdict::Go;
        }
        match (failure, op) {
            (Failure::Half, Op::Write { len, .. }) => Verdict::Short(len / 2),
            (Failure::Full, _) => Verdict::Fail(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Verdict::Fail(io::Error::other("the disk broke")),
        }
    })
}

/// What was handed over, and what of it was acknowledged.
#[derive(Default)]
struct Told {
    offered: BTreeMap<u64, Vec<u8>>,
    safe: Vec<Receipt>,
    failed: bool,
}

/// Appends entries until something fails or all are in; checkpoints twice on the way.
async fn work(options: Options, told: &mut Told) -> Result<(), LedgerError> {
    let (ledger, recovery) = reopen(options)?;
    let mut chain = SessionChain::new("s");
    let body = json!({"text": "x".repeat(900)});
    for n in 0..320_u64 {
        let mut next = chain.clone();
        let leaf = next.entry(vestibule_core::Timestamp(1), "k", crate::common::ORIGIN, recovery.epoch, &body);
        told.offered.insert(ledger.size(), leaf.clone());
        let receipt = if n % 3 == 1 { ledger.append_unhurried(&leaf)? } else { ledger.append_wait(&leaf).await? };
        chain = next;
        if n % 5 == 0 {
            ledger.durable(receipt).await?;
            told.safe.push(receipt);
        }
        if n == 100 || n == 280 {
            ledger.checkpoint_now().await?;
        }
    }
    ledger.shutdown().await
}

/// After the failure, on the same directory with a good disk.
async fn after(log: &Path, told: &Told, case: &str) {
    let (ledger, recovery) = reopen(options(log)).unwrap_or_else(|e| panic!("{case}: does not open again: {e}"));
    let have: Vec<_> = Reader::open(log).unwrap().entries(0).map(Result::unwrap).collect();
    assert_eq!(have.len() as u64, recovery.entries, "{case}");
    for receipt in &told.safe {
        let (_, entry) = have
            .get(usize::try_from(receipt.index).unwrap())
            .unwrap_or_else(|| panic!("{case}: entry {} is lost", receipt.index));
        assert_eq!(leaf_hash(entry), receipt.leaf_hash, "{case}");
    }
    for (index, entry) in &have {
        assert_eq!(Some(entry), told.offered.get(index), "{case}: entry {index} was invented");
    }
    let receipt = ledger.append(b"after").unwrap();
    ledger.durable(receipt).await.unwrap();
    assert_eq!(receipt.index, recovery.entries, "{case}");
    ledger.shutdown().await.unwrap();
    let findings = checked(log).findings;
    let expected = |f: &vestibule_ledger::Finding| {
        f.to_string().contains("session s begins with k") || f.index == Some(receipt.index)
    };
    assert!(findings.iter().all(expected), "{case}: {findings:?}");
}

async fn every_failure(durability: Durability, failure: Failure) -> u64 {
    let base = temp();
    let mut at = 0;
    loop {
        let log = base.path().join(format!("{at}"));
        create(&log);
        let count = Arc::new(AtomicU64::new(0));
        let mut options = options(&log);
        options.durability = durability;
        options.disk = failing(at, failure, Arc::clone(&count));
        let mut told = Told::default();
        let outcome = work(options, &mut told).await;
        told.failed = outcome.is_err();
        let case = format!("{durability:?} {failure:?} at {at}");
        if count.load(Ordering::SeqCst) <= at {
            assert!(!told.failed, "{case}: {outcome:?}");
            return at;
        }
        after(&log, &told, &case).await;
        // The changes are many and alike; near the beginning all, then every seventh.
        at += if at < 40 { 1 } else { 7 };
        fs::remove_dir_all(&log).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_at_any_change_loses_nothing_that_was_acknowledged() {
    for durability in [Durability::Durable, Durability::Written] {
        for failure in [Failure::Error, Failure::Half, Failure::Full] {
            let changes = every_failure(durability, failure).await;
            assert!(changes > 40, "{changes}");
        }
    }
}

#[tokio::test]
async fn what_failed_once_stays_failed_until_it_is_opened_again() {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let broken = Arc::new(AtomicBool::new(false));
    let hook = Arc::clone(&broken);
    let mut options = options(&log);
    options.disk = Disk::hooked(move |op| match op {
        Op::Sync(path) if path.extension().is_some_and(|e| e == "wal") && hook.load(Ordering::SeqCst) => {
            Verdict::Fail(io::Error::other("the sync failed"))
        }
        _ => Verdict::Go,
    });
    let (ledger, _) = reopen(options.clone()).unwrap();
    let before = ledger.append(b"before").unwrap();
    ledger.safe(before).await.unwrap();
    broken.store(true, Ordering::SeqCst);
    let lost = ledger.append(b"lost").unwrap();
    assert!(matches!(ledger.safe(lost).await, Err(LedgerError::Poisoned(_))));
    // The disk is good again, but what the kernel dropped nobody knows: it must not go on.
    broken.store(false, Ordering::SeqCst);
    assert!(matches!(ledger.append(b"more"), Err(LedgerError::Poisoned(_))));
    assert!(matches!(ledger.safe(lost).await, Err(LedgerError::Poisoned(_))));
    assert!(matches!(ledger.checkpoint_now().await, Err(LedgerError::Poisoned(_) | LedgerError::Closed)));
    assert!(!ledger.is_safe(before) && ledger.poisoned().is_some_and(|why| why.contains("the sync failed")));
    assert!(ledger.shutdown().await.is_err());
    drop(ledger);
    let (ledger, recovery) = reopen(options).unwrap();
    assert!((1..=2).contains(&recovery.entries));
    let again = ledger.append(b"again").unwrap();
    ledger.safe(again).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_denies_and_the_journal_goes_on_once_there_is_room() {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let full = Arc::new(AtomicBool::new(false));
    let hook = Arc::clone(&full);
    let mut failing = options(&log);
    failing.disk = Disk::hooked(move |op| match op {
        Op::Write { len, .. } if hook.load(Ordering::SeqCst) => Verdict::Short(len / 3),
        _ => Verdict::Go,
    });
    let (gateway, _) = Gateway::start(failing).await.unwrap();
    gateway.session("a", 3).await.unwrap();
    let mut chain = gateway.open("b").await.unwrap();
    let ruled = gateway.ruling(&mut chain, 1, "read").await.unwrap();
    gateway.ledger.safe(ruled).await.unwrap();
    full.store(true, Ordering::SeqCst);
    assert!(gateway.journal.note("config.loaded", &json!({"digest": "d"})).await.is_err());
    assert!(gateway.ruling(&mut chain, 2, "read").await.is_err());
    drop(gateway);
    let (gateway, recovery) = Gateway::start(options(&log)).await.unwrap();
    assert!(recovery.dropped_bytes > 0 && !recovery.clean);
    assert_eq!(recovery.open_sessions.len(), 1);
    assert_eq!((recovery.open_sessions[0].chain.sid(), &*recovery.open_sessions[0].operations), ("b", &[1_u64][..]));
    gateway.session("c", 1).await.unwrap();
    gateway.stop().await.unwrap();
    let report = checked(&log);
    assert!(report.is_whole(), "{report}");
    assert_eq!((report.epochs, report.crashes, report.sessions.abandoned, report.extent_unknown), (2, 1, 1, 1));
}

#[tokio::test]
async fn a_full_queue_waits_and_loses_nothing() {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let slow = Arc::new(AtomicBool::new(true));
    let hook = Arc::clone(&slow);
    let mut options = options(&log);
    options.max_unflushed = 4 << 10;
    options.disk = Disk::hooked(move |op| {
        if matches!(op, Op::Sync(_)) && hook.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        Verdict::Go
    });
    let (ledger, _) = reopen(options).unwrap();
    let entry = [b'x'; 700];
    let mut refused = 0;
    for n in 0..60 {
        let receipt = match ledger.append(&entry) {
            Err(LedgerError::Full) => {
                refused += 1;
                ledger.append_wait(&entry).await.unwrap()
            }
            other => other.unwrap(),
        };
        assert_eq!(receipt.index, n);
    }
    assert!(refused > 0);
    slow.store(false, Ordering::SeqCst);
    ledger.shutdown().await.unwrap();
    assert_eq!(Reader::open(&log).unwrap().entries(0).count(), 60);
}

#[tokio::test]
async fn a_restored_snapshot_is_refused() {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let (gateway, _) = Gateway::start(options(&log)).await.unwrap();
    gateway.session("a", 30).await.unwrap();
    gateway.stop().await.unwrap();
    let snapshot = dir.path().join("snapshot");
    copy(&log, &snapshot);
    let (gateway, _) = Gateway::start(options(&log)).await.unwrap();
    gateway.session("b", 30).await.unwrap();
    gateway.stop().await.unwrap();
    fs::remove_dir_all(&log).unwrap();
    copy(&snapshot, &log);
    let refused = reopen(options(&log)).map(drop).unwrap_err();
    assert!(matches!(refused, LedgerError::Behind { .. }), "{refused}");
    // And without the file that remembers, too.
    fs::remove_file(dir.path().join("l.lock")).unwrap();
    let refused = reopen(options(&log)).map(drop).unwrap_err();
    assert!(matches!(refused, LedgerError::LockMissing { .. }), "{refused}");
}

#[tokio::test]
async fn another_history_is_refused() {
    let dir = temp();
    let (log, fork) = (dir.path().join("l"), dir.path().join("fork"));
    crate::common::whole_log(&log, 40).await;
    crate::common::whole_log(&fork, 41).await;
    // The fork's files, longer, validly signed with the same key, under this log's memory of what it signed.
    fs::remove_dir_all(&log).unwrap();
    copy(&fork, &log);
    let refused = reopen(options(&log)).map(drop).unwrap_err();
    assert!(matches!(refused, LedgerError::Damaged { .. } | LedgerError::Forked { .. }), "{refused}");
    // Even where the published checkpoint was put back.
    fs::copy(dir.path().join("l.lock"), log.join("checkpoint")).unwrap();
    let refused = reopen(options(&log)).map(drop).unwrap_err();
    assert!(matches!(refused, LedgerError::Forked { .. }), "{refused}");
}

#[tokio::test]
async fn one_process_at_a_time_and_one_log_a_directory() {
    let dir = temp();
    let log = dir.path().join("l");
    assert!(matches!(Ledger::open(options(&log)), Err(LedgerError::Missing(_))));
    create(&log);
    assert!(matches!(Ledger::create(&log, crate::common::ORIGIN, &crate::common::key()), Err(LedgerError::Exists(_))));
    let (ledger, _) = reopen(options(&log)).unwrap();
    assert!(matches!(Ledger::open(options(&log)), Err(LedgerError::InUse(_))));
    assert!(matches!(ledger.append(b""), Err(LedgerError::Empty)));
    assert!(matches!(ledger.append(&vec![0; 65_536]), Err(LedgerError::TooLarge(65_536))));
    ledger.append(&vec![1; 65_535]).unwrap();
    ledger.shutdown().await.unwrap();
    assert!(matches!(ledger.append(b"x"), Err(LedgerError::Closed)));
    drop(ledger);
    let (_, recovery) = reopen(options(&log)).unwrap();
    assert_eq!(recovery.entries, 1);
    for name in ["a b", "a+b", "a\"b", "a\\b", ""] {
        assert!(
            matches!(Ledger::create(&dir.path().join("n"), name, &crate::common::key()), Err(LedgerError::Origin(_))),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_segment_taken_slowly_is_not_overwritten_by_the_next_spare() {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let mut options = options(&log);
    options.checkpoint_every = Duration::from_millis(1);
    options.disk = Disk::hooked(|op| {
        // Long enough for the publishing thread to look for a spare again and again.
        if matches!(op, Op::Rename(from, _) if from.ends_with("spare")) {
            std::thread::sleep(Duration::from_millis(30));
        }
        Verdict::Go
    });
    let (ledger, _) = reopen(options.clone()).unwrap();
    let mut last = None;
    for n in 0..60_u32 {
        let mut entry = vec![b'x'; 10_000];
        entry.extend_from_slice(&n.to_be_bytes());
        let receipt = ledger.append_wait(&entry).await.unwrap();
        ledger.safe(receipt).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        last = Some(receipt);
    }
    ledger.shutdown().await.unwrap();
    drop(ledger);
    let (_, recovery) = reopen(options).unwrap();
    assert_eq!((recovery.last_index, recovery.dropped_bytes), (last.map(|r| r.index), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_signed_while_an_earlier_segment_is_still_being_synced() {
    let dir = temp();
    let log = dir.path().join("l");
    create(&log);
    let (begun, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (hook_begun, hook_done) = (Arc::clone(&begun), Arc::clone(&done));
    let armed = Arc::new(AtomicBool::new(false));
    let hook_armed = Arc::clone(&armed);
    let mut options = options(&log);
    options.durability = Durability::Written;
    options.disk = Disk::hooked(move |op| {
        let first = matches!(op, Op::Sync(path) if path.ends_with("wal/0000000000000000.wal"));
        if first && hook_armed.load(Ordering::SeqCst) {
            hook_begun.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(200));
            hook_done.store(true, Ordering::SeqCst);
        }
        Verdict::Go
    });
    let (ledger, _) = reopen(options).unwrap();
    armed.store(true, Ordering::SeqCst);
    let mut last = ledger.append(b"first").unwrap();
    for _ in 0..4 {
        last = ledger.append(&[b'x'; 50_000]).unwrap();
    }
    let other = ledger.clone();
    let waiting = tokio::spawn(async move { other.durable(last).await });
    while !begun.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(ledger.checkpoint_now().await.unwrap().size, 5);
    assert!(done.load(Ordering::SeqCst), "signed before the first segment was durable");
    waiting.await.unwrap().unwrap();
}

/// An entry that nobody waits for goes with the next one, is written by itself soon, and at once when asked for.
#[tokio::test]
async fn entries_that_are_not_waited_for_are_not_forgotten() {
    for durability in [Durability::Durable, Durability::Written] {
        let base = temp();
        let log = base.path().join("log");
        create(&log);
        let syncs = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&syncs);
        let mut options = options(&log);
        options.durability = durability;
        options.disk = Disk::hooked(move |op: &Op<'_>| {
            if matches!(op, Op::Write { path, .. } if path.to_string_lossy().contains("wal")) {
                seen.fetch_add(1, Ordering::SeqCst);
            }
            Verdict::Go
        });
        let (ledger, _) = reopen(options).unwrap();
        let before = syncs.load(Ordering::SeqCst);
        let lazy = ledger.append_unhurried(b"lazy").unwrap();
        assert!(!ledger.is_safe(lazy), "{durability:?}");
        let hurried = ledger.append(b"hurried").unwrap();
        ledger.safe(hurried).await.unwrap();
        assert!(ledger.is_safe(lazy), "{durability:?}: what came before is not safe");
        assert_eq!(syncs.load(Ordering::SeqCst) - before, 1, "{durability:?}: two writes for one");
        let alone = ledger.append_unhurried(b"alone").unwrap();
        let start = std::time::Instant::now();
        while !ledger.is_safe(alone) {
            assert!(start.elapsed() < Duration::from_secs(5), "{durability:?}: forgotten");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let asked = ledger.append_unhurried(b"asked").unwrap();
        ledger.safe(asked).await.unwrap();
        let durable = ledger.append_unhurried(b"durable").unwrap();
        ledger.durable(durable).await.unwrap();
        ledger.append_unhurried(b"last").unwrap();
        ledger.shutdown().await.unwrap();
        assert_eq!(Reader::open(&log).unwrap().entries(0).count(), 6, "{durability:?}");
    }
}
