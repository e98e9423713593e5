//! How a ledger is opened, and what opening it and appending to it tell.

use crate::SessionChain;
use crate::disk::Disk;
use crate::hash::Hash;
use crate::note::SigningKey;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vestibule_core::Timestamp;

/// Reads the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// When an entry counts as safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Once it is on stable storage: survives loss of power.
    #[default]
    Durable,
    /// Once the kernel has it: survives the death of the process, not of the machine. Synced before each checkpoint.
    Written,
}

/// How a ledger is opened.
#[derive(Clone)]
pub struct Options {
    /// Its directory, made by [`crate::Ledger::create`].
    pub dir: PathBuf,
    /// Its name: the origin line of its checkpoints.
    pub origin: String,
    /// Signs its checkpoints.
    pub key: SigningKey,
    /// When an entry counts as safe.
    pub durability: Durability,
    /// The time.
    pub now: Clock,
    /// A checkpoint is signed this often while entries come.
    pub checkpoint_every: Duration,
    /// The file with the last signed checkpoint. It must not be restored together with `dir`; put it on another
    /// volume. `None`: `dir` with `.lock` appended to its name.
    pub lock_path: Option<PathBuf>,
    /// Size of a segment of the write-ahead log, in bytes; at least 128 KiB.
    pub segment_bytes: u64,
    /// Most bytes of entries that may wait to be written.
    pub max_unflushed: usize,
    /// The file system; another one in tests.
    pub disk: Disk,
}

impl Options {
    /// Durable, a checkpoint each second, 16 MiB segments, 8 MiB of queue.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, origin: impl Into<String>, key: SigningKey, now: Clock) -> Self {
        Self {
            dir: dir.into(),
            origin: origin.into(),
            key,
            durability: Durability::Durable,
            now,
            checkpoint_every: Duration::from_secs(1),
            lock_path: None,
            segment_bytes: 16 << 20,
            max_unflushed: 8 << 20,
            disk: Disk::default(),
        }
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.lock_path.clone().unwrap_or_else(|| {
            let mut name = self.dir.as_os_str().to_os_string();
            name.push(".lock");
            PathBuf::from(name)
        })
    }
}

/// Proof that the ledger took an entry. Not yet that it is safe: ask [`crate::Ledger::is_safe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the log, from 0.
    pub index: u64,
    /// Its leaf hash.
    pub leaf_hash: Hash,
}

impl Receipt {
    /// The later of two: once it is safe, so is the other.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if other.index > self.index { other } else { self }
    }
}

/// What was found when the ledger was opened. The caller writes it as an entry of kind `gateway.recovered`.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// Number of entries in the log.
    pub entries: u64,
    /// Bytes cut from its end because they were not a whole, good entry.
    pub dropped_bytes: u64,
    /// Index of the last entry.
    pub last_index: Option<u64>,
    /// The epoch that begins now: one more than the last in the log, or 1.
    pub epoch: u64,
    /// The gateway's own chain, to go on with.
    pub gateway: SessionChain,
    /// Sessions that were open when the process died; each is ended with
    /// [`Journal::abandon`](crate::Journal::abandon).
    pub open_sessions: Vec<OpenSession>,
    /// Whether the last epoch ended with a `gateway.shutdown` (or there was none).
    pub clean: bool,
}

/// A session whose chain has no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Its chain, to go on with.
    pub chain: SessionChain,
    /// Operations with an `op.ruling` that permits them and no `op.done`: what they disclosed is not known.
    pub operations: Vec<u64>,
}
