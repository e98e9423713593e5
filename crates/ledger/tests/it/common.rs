//! A gateway's entries, as a gateway writes them, without a gateway.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use vestibule_core::Timestamp;
use vestibule_ledger::{
    Journal, Ledger, LedgerError, Options, Receipt, Recovery, Report, SessionChain, SigningKey, VerifierKey,
    VerifyOptions, verify,
};

pub const ORIGIN: &str = "gateway.example/test";

/// A directory in memory where there is one: these tests make disks fail themselves, and need none that is slow.
pub fn temp() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

pub fn key() -> SigningKey {
    SigningKey::from_seed(&[42; 32]).unwrap()
}

pub fn vkey() -> VerifierKey {
    VerifierKey::parse(&key().verifier_line(ORIGIN)).unwrap()
}

/// A clock that moves a millisecond a look.
pub fn options(dir: &Path) -> Options {
    let now = AtomicI64::new(1_795_000_000_000_000);
    let clock = Arc::new(move || Timestamp(now.fetch_add(1_000, Ordering::Relaxed)));
    let mut options = Options::new(dir, ORIGIN, key(), clock);
    options.segment_bytes = 128 << 10;
    options.checkpoint_every = Duration::from_secs(3600);
    options
}

/// Opens a ledger that was just let go of. A process that another test starts has our locks for a moment: from its fork
/// to its exec.
pub fn reopen(options: Options) -> Result<(Ledger, Recovery), LedgerError> {
    for _ in 0..100 {
        match Ledger::open(options.clone()) {
            Err(LedgerError::InUse(_)) => std::thread::sleep(Duration::from_millis(10)),
            other => return other,
        }
    }
    Ledger::open(options)
}

pub fn create(dir: &Path) {
    Ledger::create(dir, ORIGIN, &key()).unwrap();
}

pub fn checked(dir: &Path) -> Report {
    verify(dir, &VerifyOptions::new(vkey())).unwrap()
}

/// A gateway that writes.
pub struct Gateway {
    pub ledger: Ledger,
    pub journal: Journal,
}

impl Gateway {
    pub async fn start(options: Options) -> Result<(Self, Recovery), LedgerError> {
        let (ledger, recovery) = reopen(options)?;
        let journal = Journal::new(ledger.clone(), recovery.gateway.clone());
        let body = json!({"entries": recovery.entries, "dropped_bytes": recovery.dropped_bytes, "last_index": recovery.last_index});
        journal.note("gateway.recovered", &body).await?;
        for session in recovery.open_sessions.clone() {
            journal.abandon(session).await?;
        }
        journal.note("gateway.started", &json!({"version": "0.1.0"})).await?;
        Ok((Self { ledger, journal }, recovery))
    }

    pub async fn stop(self) -> Result<(), LedgerError> {
        self.journal.note("gateway.shutdown", &json!({})).await?;
        self.ledger.shutdown().await
    }

    pub async fn say(&self, chain: &mut SessionChain, kind: &str, body: &Value) -> Result<Receipt, LedgerError> {
        let at = Timestamp(1_795_000_000_000_000);
        let leaf = chain.entry(at, kind, ORIGIN, self.ledger.epoch(), body);
        self.ledger.append_wait(&leaf).await
    }

    pub async fn open(&self, sid: &str) -> Result<SessionChain, LedgerError> {
        let mut chain = SessionChain::new(sid);
        self.say(&mut chain, "session.open", &json!({"identity": {"id": "idp|dana"}, "target": "clinic"})).await?;
        self.ruling(&mut chain, 0, "open").await?;
        Ok(chain)
    }

    pub async fn ruling(&self, chain: &mut SessionChain, op: u64, effect: &str) -> Result<Receipt, LedgerError> {
        let body = json!({"op": op, "effect": effect, "action": "SELECT", "decision": "permit", "policies": ["p1"]});
        self.say(chain, "op.ruling", &body).await
    }

    pub async fn done(&self, chain: &mut SessionChain, op: u64) -> Result<Receipt, LedgerError> {
        self.say(
            chain,
            "op.done",
            &json!({"op": op, "rows": 3, "bytes": 120, "masked": {"name": 3}, "revealed": {}, "us": 5}),
        )
        .await
    }

    pub async fn close(&self, mut chain: SessionChain) -> Result<Receipt, LedgerError> {
        let n = chain.seq() + 1;
        self.say(&mut chain, "session.closed", &json!({"reason": "the client left", "ops": 1, "n": n})).await
    }

    /// A whole session of `ops` operations.
    pub async fn session(&self, sid: &str, ops: u64) -> Result<(), LedgerError> {
        let mut chain = self.open(sid).await?;
        for op in 1..=ops {
            self.ruling(&mut chain, op, "read").await?;
            self.done(&mut chain, op).await?;
        }
        let last = self.close(chain).await?;
        self.ledger.safe(last).await
    }
}

/// A log of `sessions` sessions of five operations, stopped in order.
pub async fn whole_log(dir: &Path, sessions: u64) {
    create(dir);
    let (gateway, _) = Gateway::start(options(dir)).await.unwrap();
    for n in 0..sessions {
        gateway.session(&format!("s{n}"), 5).await.unwrap();
    }
    gateway.stop().await.unwrap();
}

/// Every file below `dir`, relative, sorted.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(at) = todo.pop() {
        for item in fs::read_dir(at).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() { todo.push(path) } else { found.push(path.strip_prefix(dir).unwrap().to_path_buf()) }
        }
    }
    found.sort();
    found
}

pub fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let to = to.join(&file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(&file), to).unwrap();
    }
}
