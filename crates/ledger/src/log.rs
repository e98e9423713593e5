//! The log itself: who appends, who waits, and what happens when writing fails.
//!
//! Appending copies the entry into a buffer under a short lock. In [`Durability::Durable`] one writer thread takes
//! whatever has gathered, writes it with one `pwrite`, syncs it with one `fdatasync`, and wakes all who wait: a group
//! commit. In [`Durability::Written`] the appender itself hands the frame to the kernel. Tiles and checkpoints are
//! made by another thread ([`publish`]) from the files alone. How a ledger is opened after a crash is in [`recover`].

mod options;
mod publish;
mod recover;
mod resume;
mod threads;

pub use options::{Clock, Durability, OpenSession, Options, Receipt, Recovery};

use crate::disk::Disk;
use crate::error::LedgerError;
use crate::hash::{Hash, leaf_hash};
use crate::note::{Checkpoint, SigningKey, check_log_name};
use crate::wal::{FRAME_HEAD, Wal, push_frame, wal_dir};
use crate::{Edge, MAX_ENTRY, lock};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use tokio::sync::{Notify, oneshot};
use vestibule_core::Timestamp;

/// A handle on an open ledger. Clones are handles on the same one; the last one dropped closes it.
#[derive(Clone)]
pub struct Ledger {
    handle: Arc<Handle>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("origin", &self.shared().origin)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
        for thread in lock(&self.threads).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the ledger died");
            }
        }
    }
}

/// What appenders and the writer share.
struct Queue {
    /// Frames that nobody has written yet.
    frames: Vec<u8>,
    /// Bytes being written.
    in_flight: usize,
    /// Index of the next entry.
    next: u64,
    closed: bool,
    /// The writer sleeps.
    idle: bool,
    /// Something that is queued is waited for; otherwise it goes with what comes next, or after a few milliseconds.
    hurry: bool,
    /// Somebody wants what is only written to be durable.
    sync_wanted: bool,
    /// Where the appender writes itself: [`Durability::Written`].
    direct: Option<Wal>,
}

/// What the publishing thread is asked to do.
#[derive(Default)]
struct Requests {
    checkpoints: Vec<oneshot::Sender<Result<Checkpoint, LedgerError>>>,
    finish: bool,
}

struct Shared {
    origin: String,
    epoch: u64,
    durability: Durability,
    max_unflushed: usize,
    now: Clock,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Entries taken.
    taken: AtomicU64,
    /// Entries that count as safe.
    safe: AtomicU64,
    /// Entries on stable storage.
    synced: AtomicU64,
    /// Held by who syncs in [`Durability::Written`].
    sync_turn: Mutex<()>,
    dead: AtomicBool,
    cause: OnceLock<Arc<str>>,
    /// `safe` or `synced` has grown, or the ledger has died.
    progress: Notify,
    requests: Mutex<Requests>,
    publish: Condvar,
    published: Mutex<Option<(Checkpoint, Timestamp)>>,
    /// The last checkpoint is out and the threads have ended.
    finished: AtomicBool,
    /// Held as long as the ledger is open.
    _process_lock: fs::File,
}

impl Shared {
    fn poison(&self, error: &LedgerError) {
        let cause: Arc<str> = error.to_string().into();
        if self.cause.set(cause).is_ok() {
            tracing::error!(origin = %self.origin, %error, "the ledger cannot write any more; everything is refused");
        }
        self.dead.store(true, Ordering::SeqCst);
        self.progress.notify_waiters();
        self.wake.notify_all();
        self.publish.notify_all();
    }

    fn check(&self) -> Result<(), LedgerError> {
        if !self.dead.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(LedgerError::Poisoned(self.cause.get().cloned().unwrap_or_else(|| "unknown".into())))
    }

    fn close(&self) {
        lock(&self.queue).closed = true;
        self.wake.notify_all();
        self.progress.notify_waiters();
    }

    /// [`Durability::Written`]: hands what is queued to the kernel. INVARIANT: `safe` counts nothing that it has not.
    fn write_through(&self, queue: &mut Queue) -> Result<(), LedgerError> {
        let Queue { frames, direct, next, .. } = queue;
        if frames.is_empty() {
            return Ok(());
        }
        let written = match direct {
            Some(wal) => wal.write(frames),
            None => Err(LedgerError::Closed),
        };
        frames.clear();
        if let Err(error) = written {
            self.poison(&error);
            return self.check();
        }
        self.safe.store(*next, Ordering::Release);
        Ok(())
    }

    /// Waits until `ready` says so, or the ledger dies.
    async fn wait(&self, ready: impl Fn() -> bool) -> Result<(), LedgerError> {
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            // Enabled before looking, so that nothing is missed in between.
            progress.as_mut().enable();
            self.check()?;
            if ready() {
                return Ok(());
            }
            progress.await;
        }
    }
}

impl Ledger {
    /// Makes an empty ledger in `dir`, which is made too, and signs its first checkpoint, of size 0.
    ///
    /// # Errors
    /// `dir` holds a ledger, cannot be written, or `origin` is no name for a log.
    pub fn create(dir: &Path, origin: &str, key: &SigningKey) -> Result<(), LedgerError> {
        check_log_name(origin)?;
        if dir.join("checkpoint").exists() || wal_dir(dir).exists() {
            return Err(LedgerError::Exists(dir.to_path_buf()));
        }
        let wal = wal_dir(dir);
        fs::create_dir_all(&wal).map_err(|e| LedgerError::io("cannot create", &wal, e))?;
        let disk = Disk::default();
        disk.sync_dir(crate::disk::parent(dir))?;
        let checkpoint = Checkpoint { origin: origin.to_owned(), size: 0, root: Edge::new().root() };
        disk.replace(&dir.join("checkpoint"), checkpoint.sign(key).as_bytes())
    }

    /// Opens a ledger, recovers what a crash left, and starts its threads. Blocks while it reads.
    ///
    /// # Errors
    /// Anything by which going on would hide a loss: the storage is older or other than what was signed, a file is
    /// damaged, another process has it.
    pub fn open(options: Options) -> Result<(Self, Recovery), LedgerError> {
        threads::start(options)
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Takes an entry. It is not safe yet.
    ///
    /// # Errors
    /// [`LedgerError::Full`]: wait for [`Ledger::room`]. Anything else: it is not recorded and will not be.
    pub fn append(&self, leaf: &[u8]) -> Result<Receipt, LedgerError> {
        if leaf.is_empty() {
            return Err(LedgerError::Empty);
        }
        if leaf.len() > MAX_ENTRY {
            return Err(LedgerError::TooLarge(leaf.len()));
        }
        self.append_hashed(leaf, leaf_hash(leaf), true)
    }

    /// Takes an entry that nobody waits for: it is written together with the next one, or after a few milliseconds.
    /// Asking [`Ledger::safe`] for it makes it be written at once.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_unhurried(&self, leaf: &[u8]) -> Result<Receipt, LedgerError> {
        if leaf.is_empty() {
            return Err(LedgerError::Empty);
        }
        if leaf.len() > MAX_ENTRY {
            return Err(LedgerError::TooLarge(leaf.len()));
        }
        self.append_hashed(leaf, leaf_hash(leaf), false)
    }

    /// As [`Ledger::append`], for an entry whose hash is known. INVARIANT: it is the entry's.
    fn append_hashed(&self, leaf: &[u8], leaf_hash: Hash, hurry: bool) -> Result<Receipt, LedgerError> {
        let shared = self.shared();
        shared.check()?;
        let mut queue = lock(&shared.queue);
        if queue.closed {
            return Err(LedgerError::Closed);
        }
        let waiting = queue.frames.len().saturating_add(queue.in_flight);
        if waiting.saturating_add(leaf.len() + FRAME_HEAD) > shared.max_unflushed && waiting > 0 {
            return Err(LedgerError::Full);
        }
        let index = queue.next;
        push_frame(&mut queue.frames, &leaf_hash, leaf);
        queue.next = index.saturating_add(1);
        shared.taken.store(queue.next, Ordering::Release);
        if hurry {
            Self::hurry(shared, queue)?;
        }
        Ok(Receipt { index, leaf_hash })
    }

    /// Makes what is queued be written now.
    fn hurry(shared: &Shared, mut queue: MutexGuard<'_, Queue>) -> Result<(), LedgerError> {
        if shared.durability == Durability::Written {
            return shared.write_through(&mut queue);
        }
        queue.hurry = true;
        if queue.idle {
            queue.idle = false;
            drop(queue);
            shared.wake.notify_one();
        }
        Ok(())
    }

    /// Takes an entry, waiting for room where the queue is full.
    ///
    /// # Errors
    /// As [`Ledger::append`], but never [`LedgerError::Full`].
    pub async fn append_wait(&self, leaf: &[u8]) -> Result<Receipt, LedgerError> {
        loop {
            match self.append(leaf) {
                Err(LedgerError::Full) => self.room().await?,
                other => return other,
            }
        }
    }

    /// Waits until the queue is at most half full.
    ///
    /// # Errors
    /// The ledger cannot write any more.
    pub async fn room(&self) -> Result<(), LedgerError> {
        let shared = self.shared();
        let half = shared.max_unflushed / 2;
        shared
            .wait(|| {
                let queue = lock(&shared.queue);
                queue.closed || queue.frames.len().saturating_add(queue.in_flight) <= half
            })
            .await
    }

    /// Whether the entry counts as safe. Never after the ledger has failed.
    #[must_use]
    pub fn is_safe(&self, receipt: Receipt) -> bool {
        let shared = self.shared();
        receipt.index < shared.safe.load(Ordering::Acquire) && !shared.dead.load(Ordering::Acquire)
    }

    /// Waits until the entry counts as safe.
    ///
    /// # Errors
    /// For ever after a write or sync has failed: what depends on the entry must not happen.
    pub async fn safe(&self, receipt: Receipt) -> Result<(), LedgerError> {
        if self.is_safe(receipt) {
            return Ok(());
        }
        let shared = self.shared();
        Self::hurry(shared, lock(&shared.queue))?;
        shared.wait(|| receipt.index < shared.safe.load(Ordering::Acquire)).await
    }

    /// Waits until the entry is on stable storage, whatever [`Durability`] says.
    ///
    /// # Errors
    /// As [`Ledger::safe`].
    pub async fn durable(&self, receipt: Receipt) -> Result<(), LedgerError> {
        let shared = self.shared();
        if shared.durability == Durability::Written && receipt.index >= shared.synced.load(Ordering::Acquire) {
            lock(&shared.queue).sync_wanted = true;
            shared.wake.notify_one();
        } else if shared.durability == Durability::Durable && receipt.index >= shared.synced.load(Ordering::Acquire) {
            Self::hurry(shared, lock(&shared.queue))?;
        }
        shared.wait(|| receipt.index < shared.synced.load(Ordering::Acquire)).await
    }

    /// Number of entries taken, safe or not.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shared().taken.load(Ordering::Acquire)
    }

    pub(crate) fn clock(&self) -> Clock {
        Arc::clone(&self.shared().now)
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.shared().origin
    }

    /// How often this log has been opened for a gateway: the epoch of the entries written now, from 1.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared().epoch
    }

    /// Why it takes nothing any more, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<Arc<str>> {
        self.shared().check().err().and(self.shared().cause.get().cloned())
    }

    /// The last checkpoint signed by this process, and when.
    #[must_use]
    pub fn last_checkpoint(&self) -> Option<(Checkpoint, Timestamp)> {
        lock(&self.shared().published).clone()
    }

    /// Signs and publishes a checkpoint over everything that is safe by now.
    ///
    /// # Errors
    /// It could not be written; the ledger is dead then.
    pub async fn checkpoint_now(&self) -> Result<Checkpoint, LedgerError> {
        let shared = self.shared();
        let (tell, told) = oneshot::channel();
        {
            let mut requests = lock(&shared.requests);
            if requests.finish {
                return Err(LedgerError::Closed);
            }
            requests.checkpoints.push(tell);
        }
        shared.publish.notify_all();
        told.await.map_err(|_| shared.check().err().unwrap_or(LedgerError::Closed))?
    }

    /// Writes what is queued, publishes a last checkpoint and closes the ledger for all handles.
    ///
    /// # Errors
    /// Something could not be written.
    pub async fn shutdown(&self) -> Result<(), LedgerError> {
        let shared = self.shared();
        let size = {
            let mut queue = lock(&shared.queue);
            queue.closed = true;
            queue.next
        };
        shared.wake.notify_all();
        shared.progress.notify_waiters();
        shared.wait(|| shared.safe.load(Ordering::Acquire) >= size).await?;
        // The writer, once done, tells the publisher to finish.
        shared.wait(|| shared.finished.load(Ordering::Acquire)).await
    }
}
