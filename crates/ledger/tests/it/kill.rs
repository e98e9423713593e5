//! kill -9 at random moments under load: every entry that was acknowledged is there afterwards, and all of it verifies.

use crate::common::{Gateway, ORIGIN, checked, create, options};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vestibule_ledger::{Durability, Reader, Receipt, hex, leaf_hash, scan};

const DIR: &str = "VESTIBULE_TEST_KILL_DIR";
const WRITTEN: &str = "VESTIBULE_TEST_KILL_WRITTEN";
const KILLS: u32 = 25;

/// Prints what is safe, as soon as it is: a line is one `write`, so that it is whole or not there.
fn tell(receipt: Receipt) {
    let line = format!("{} {}\n", receipt.index, hex(&receipt.leaf_hash));
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

async fn load(gateway: &Gateway, worker: u32) {
    for n in 0_u64.. {
        let mut chain = gateway.open(&format!("{worker}-{n}-{}", gateway.ledger.epoch())).await.unwrap();
        for op in 1..=n % 7 {
            let ruled = gateway.ruling(&mut chain, op, "write").await.unwrap();
            gateway.ledger.safe(ruled).await.unwrap();
            tell(ruled);
            gateway.done(&mut chain, op).await.unwrap();
        }
        let closed = gateway.close(chain).await.unwrap();
        gateway.ledger.safe(closed).await.unwrap();
        tell(closed);
    }
}

/// Not a test: the process that is killed. It runs only when the test below starts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let mut options = options(Path::new(&dir));
    options.checkpoint_every = Duration::from_millis(4);
    if std::env::var_os(WRITTEN).is_some() {
        options.durability = Durability::Written;
    }
    let (gateway, _) = Gateway::start(options).await.unwrap();
    let gateway = std::sync::Arc::new(gateway);
    let mut all = tokio::task::JoinSet::new();
    for worker in 0..4 {
        let gateway = std::sync::Arc::clone(&gateway);
        all.spawn(async move { load(&gateway, worker).await });
    }
    all.join_all().await;
}

/// Runs the victim for a while and returns what it acknowledged before it was killed.
fn run_and_kill(dir: &Path, written: bool, life: Duration) -> Vec<(u64, String)> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kill::victim", "--nocapture", "--test-threads=1"]).env(DIR, dir);
    if written {
        command.env(WRITTEN, "1");
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let reader = std::thread::spawn(move || {
        let mut safe = Vec::new();
        for line in output.lines().map_while(Result::ok) {
            let parsed = line.split_once(' ').and_then(|(i, h)| Some((i.parse().ok()?, h.to_owned())));
            safe.extend(parsed.filter(|(_, h): &(u64, String)| h.len() == 64));
            if safe.len() == 1 {
                let _ = tell.try_send(());
            }
        }
        safe
    });
    // The life begins when it is at work, or it would mostly be killed while it starts.
    told.recv_timeout(Duration::from_secs(20)).unwrap();
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn killed_again_and_again(written: bool, kills: u32) {
    let base = tempfile::tempdir().unwrap();
    let log = base.path().join("l");
    create(&log);
    let mut acknowledged: BTreeMap<u64, String> = BTreeMap::new();
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    for kill in 0..kills {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let life = Duration::from_micros(u64::from(seed >> 8) % 40_000);
        for (index, hash) in run_and_kill(&log, written, life) {
            let before = acknowledged.insert(index, hash);
            assert!(before.is_none(), "entry {index} was acknowledged twice");
        }
        let report = checked(&log);
        // Only what a torn end leaves is allowed, which the next start drops and says so.
        let torn = |f: &vestibule_ledger::Finding| f.kind == vestibule_ledger::FindingKind::WriteAhead;
        assert!(report.findings.iter().all(torn), "kill {kill}: {report}");
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (gateway, recovery) = Gateway::start(options(&log)).await.unwrap();
        assert!(recovery.epoch == u64::from(kills) + 1 && !recovery.clean);
        gateway.stop().await.unwrap();
    });
    let report = checked(&log);
    assert!(report.is_whole(), "{report}");
    let mut have = BTreeMap::new();
    for item in Reader::open(&log).unwrap().entries(0) {
        let (index, entry) = item.unwrap();
        assert_eq!(scan(&entry).unwrap().gateway, ORIGIN);
        have.insert(index, hex(&leaf_hash(&entry)));
    }
    for (index, hash) in &acknowledged {
        assert_eq!(have.get(index), Some(hash), "entry {index} was acknowledged and is not there");
    }
    assert!(acknowledged.len() > 200, "only {} entries were acknowledged", acknowledged.len());
}

#[test]
fn nothing_acknowledged_is_lost_by_kill() {
    killed_again_and_again(false, KILLS);
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_where_written_is_enough() {
    killed_again_and_again(true, 8);
}
