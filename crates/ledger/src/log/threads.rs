//! The writer thread and the start of both threads.

use super::publish::Publisher;
use super::{Durability, Handle, Ledger, Options, Queue, Recovery, Requests, Shared, recover};
use crate::disk::parent;
use crate::error::LedgerError;
use crate::lock;
use crate::note::check_log_name;
use crate::wal::{Spare, Wal, wal_dir};
use std::fs::{self, File, TryLockError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;

/// An entry that nobody waits for is written after this time at the latest.
const LINGER: Duration = Duration::from_millis(5);

/// Below this, a segment could not hold the longest entry with room to spare.
const MIN_SEGMENT: u64 = 128 << 10;

/// Opens a ledger: recovery first, then the threads.
pub(super) fn start(mut options: Options) -> Result<(Ledger, Recovery), LedgerError> {
    check_log_name(&options.origin)?;
    options.segment_bytes = options.segment_bytes.max(MIN_SEGMENT);
    let process_lock = lock_directory(&options)?;
    let found = recover::recover(&options)?;
    let spare = Arc::new(Spare::default());
    let wal = Wal::open(
        options.disk.clone(),
        wal_dir(&options.dir),
        &options.origin,
        options.segment_bytes,
        Arc::clone(&spare),
        found.position,
    )?;
    let entries = found.recovery.entries;
    let (direct, owned) = match options.durability {
        Durability::Durable => (None, Some(wal)),
        Durability::Written => (Some(wal), None),
    };
    let shared = Arc::new(Shared {
        origin: options.origin.clone(),
        epoch: found.recovery.epoch,
        durability: options.durability,
        max_unflushed: options.max_unflushed,
        now: Arc::clone(&options.now),
        queue: Mutex::new(Queue {
            frames: Vec::new(),
            in_flight: 0,
            next: entries,
            closed: false,
            idle: false,
            hurry: false,
            sync_wanted: false,
            direct,
        }),
        wake: Condvar::new(),
        taken: AtomicU64::new(entries),
        safe: AtomicU64::new(entries),
        synced: AtomicU64::new(entries),
        sync_turn: Mutex::new(()),
        dead: AtomicBool::new(false),
        cause: OnceLock::new(),
        progress: Notify::new(),
        requests: Mutex::new(Requests::default()),
        publish: Condvar::new(),
        published: Mutex::new(None),
        finished: AtomicBool::new(false),
        _process_lock: process_lock,
    });
    let publisher = Publisher::new(Arc::clone(&shared), &options, found.signed, found.edge, spare);
    let threads = vec![spawn_writer(&shared, owned)?, spawn("ledger-publish", move || publisher.run())?];
    Ok((Ledger { handle: Arc::new(Handle { shared, threads: Mutex::new(threads) }) }, found.recovery))
}

fn lock_directory(options: &Options) -> Result<File, LedgerError> {
    let path = options.dir.join(".lock");
    if !wal_dir(&options.dir).is_dir() {
        return Err(LedgerError::Missing(options.dir.clone()));
    }
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|e| LedgerError::io("cannot open", &path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(LedgerError::InUse(options.dir.clone())),
        Err(TryLockError::Error(e)) => return Err(LedgerError::io("cannot lock", &path, e)),
    }
    let lock_dir = options.lock_path();
    let lock_dir = parent(&lock_dir);
    fs::create_dir_all(lock_dir).map_err(|e| LedgerError::io("cannot create", lock_dir, e))?;
    Ok(file)
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LedgerError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|e| LedgerError::io("cannot start thread", name.as_ref(), e))
}

fn spawn_writer(shared: &Arc<Shared>, wal: Option<Wal>) -> Result<JoinHandle<()>, LedgerError> {
    let shared = Arc::clone(shared);
    spawn("ledger-write", move || {
        let outcome = match wal {
            Some(wal) => write_groups(&shared, wal),
            None => sync_on_demand(&shared),
        };
        if let Err(error) = outcome {
            shared.poison(&error);
        }
        lock(&shared.requests).finish = true;
        shared.publish.notify_all();
    })
}

/// Sleeps until somebody hurries, at most [`LINGER`]; whether it was that long.
fn linger<'a>(shared: &Shared, queue: MutexGuard<'a, Queue>) -> (MutexGuard<'a, Queue>, bool) {
    let (queue, slept) = shared.wake.wait_timeout(queue, LINGER).unwrap_or_else(PoisonError::into_inner);
    (queue, slept.timed_out())
}

/// [`Durability::Durable`]: one write and one sync for all that gathered meanwhile.
fn write_groups(shared: &Shared, mut wal: Wal) -> Result<(), LedgerError> {
    let mut frames = Vec::new();
    loop {
        let upto = {
            let mut queue = lock(&shared.queue);
            while !queue.closed && !shared.dead.load(Ordering::Acquire) {
                if queue.hurry && !queue.frames.is_empty() {
                    break;
                }
                queue.idle = true;
                let lingered;
                (queue, lingered) = linger(shared, queue);
                if lingered && !queue.frames.is_empty() {
                    break;
                }
            }
            queue.idle = false;
            queue.hurry = false;
            if queue.frames.is_empty() || shared.dead.load(Ordering::Acquire) {
                return Ok(());
            }
            std::mem::swap(&mut queue.frames, &mut frames);
            queue.in_flight = frames.len();
            queue.next
        };
        wal.write(&mut frames)?;
        wal.unsynced().sync()?;
        frames.clear();
        // A burst must not keep its memory for ever.
        frames.shrink_to(1 << 20);
        lock(&shared.queue).in_flight = 0;
        shared.synced.store(upto, Ordering::Release);
        shared.safe.store(upto, Ordering::Release);
        shared.progress.notify_waiters();
    }
}

/// [`Durability::Written`]: appenders write; this only syncs when somebody asks.
fn sync_on_demand(shared: &Shared) -> Result<(), LedgerError> {
    loop {
        let closed = {
            let mut queue = lock(&shared.queue);
            while !queue.sync_wanted && !queue.closed && !shared.dead.load(Ordering::Acquire) {
                queue = linger(shared, queue).0;
                if !queue.frames.is_empty() {
                    shared.write_through(&mut queue)?;
                    shared.progress.notify_waiters();
                }
            }
            queue.closed
        };
        shared.check()?;
        sync_written(shared)?;
        if closed {
            return Ok(());
        }
    }
}

/// Syncs everything written so far, without holding up who appends.
///
/// INVARIANT: one at a time. Who comes second would find nothing of the earlier segments left to sync, and call durable
/// what the first is still at, or has failed at.
pub(super) fn sync_written(shared: &Shared) -> Result<u64, LedgerError> {
    let _turn = lock(&shared.sync_turn);
    shared.check()?;
    let (unsynced, upto) = {
        let mut queue = lock(&shared.queue);
        queue.sync_wanted = false;
        shared.write_through(&mut queue)?;
        let upto = queue.next;
        (queue.direct.as_mut().map(Wal::unsynced), upto)
    };
    if let Some(unsynced) = unsynced {
        unsynced.sync().inspect_err(|error| shared.poison(error))?;
        shared.synced.fetch_max(upto, Ordering::AcqRel);
        shared.progress.notify_waiters();
    }
    Ok(shared.synced.load(Ordering::Acquire))
}
