//! The publishing thread: tiles, entry bundles and checkpoints, as a pure function of the write-ahead log.
//!
//! INVARIANT: a checkpoint is signed only once every tile it needs is durable; what was signed last is in the lock
//! file before anybody else sees it; a size is never signed with two roots.

use super::threads::sync_written;
use super::{Durability, Options, Shared};
use crate::disk::{Disk, DiskFile, parent};
use crate::error::LedgerError;
use crate::note::{Checkpoint, SigningKey};
use crate::tree::{WIDTH, tile_path};
use crate::wal::{Found, SegmentReader, Spare, origin_hash, segment_path, segments, wal_dir};
use crate::{Edge, Hash, lock};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// At most so many files wait to be synced and named.
const MAX_PENDING: usize = 64;

pub(super) struct Publisher {
    shared: Arc<Shared>,
    key: SigningKey,
    every: Duration,
    lock_path: PathBuf,
    segment_bytes: u64,
    spare: Arc<Spare>,
    signed: Checkpoint,
    /// The signed note in the lock file.
    note: String,
    edge: Edge,
    bundle: Vec<u8>,
    source: Source,
    files: Files,
}

/// Files made but not yet under their names.
struct Files {
    dir: PathBuf,
    disk: Disk,
    made: u64,
    pending: Vec<(DiskFile, PathBuf)>,
    /// Directories with new names in them.
    dirs: BTreeSet<PathBuf>,
    /// Directories of partial tiles that a full tile has replaced.
    obsolete: Vec<PathBuf>,
}

impl Files {
    /// Writes a file that gets its name with [`Files::publish`].
    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        let path = self.dir.join(name);
        self.make_dirs(parent(&path))?;
        self.made = self.made.wrapping_add(1);
        let file = self.disk.create(&self.dir.join("tmp").join(format!("{:x}", self.made)))?;
        file.write_at(0, bytes)?;
        self.pending.push((file, path));
        if self.pending.len() >= MAX_PENDING { self.publish() } else { Ok(()) }
    }

    fn make_dirs(&mut self, dir: &Path) -> Result<(), LedgerError> {
        if dir.is_dir() {
            return Ok(());
        }
        self.make_dirs(parent(dir))?;
        fs::create_dir(dir).map_err(|e| LedgerError::io("cannot create", dir, e))?;
        self.dirs.insert(parent(dir).to_path_buf());
        Ok(())
    }

    /// Syncs what was added and gives it its names.
    fn publish(&mut self) -> Result<(), LedgerError> {
        for (file, path) in self.pending.drain(..) {
            file.sync()?;
            self.disk.rename(file.path(), &path)?;
            self.dirs.insert(parent(&path).to_path_buf());
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), LedgerError> {
        self.publish()?;
        while let Some(dir) = self.dirs.pop_first() {
            self.disk.sync_dir(&dir)?;
        }
        Ok(())
    }

    /// Removes partial tiles that nobody needs any more; failing to is no harm.
    fn tidy(&mut self) {
        for dir in self.obsolete.drain(..) {
            if dir.exists()
                && let Err(error) = fs::remove_dir_all(&dir)
            {
                tracing::warn!(dir = %dir.display(), %error, "partial tiles could not be removed");
            }
        }
    }
}

/// Reads entries from the write-ahead log in order.
pub(super) struct Source {
    wal: PathBuf,
    origin: Hash,
    reader: Option<SegmentReader>,
    next: u64,
}

impl Source {
    pub fn new(dir: &Path, origin: &str, next: u64) -> Self {
        Self { wal: wal_dir(dir), origin: origin_hash(origin), reader: None, next }
    }

    /// The next entry, which must be there.
    pub fn read(&mut self) -> Result<(Hash, &[u8]), LedgerError> {
        loop {
            if self.reader.is_none() {
                self.reader = Some(self.find()?);
            }
            let Some(reader) = &mut self.reader else { continue };
            let path = reader.path().to_path_buf();
            let looked = reader.next_index();
            match reader.advance().map_err(|e| LedgerError::io("cannot read", &path, e))? {
                Found::Frame(_) if looked < self.next => {}
                Found::Frame(hash) => {
                    self.next = self.next.saturating_add(1);
                    // Looked up again because the borrow checker does not see that this returns.
                    return Ok((hash, self.reader.as_ref().map(SegmentReader::entry).unwrap_or_default()));
                }
                _ if looked == self.next
                    && segment_path(&self.wal, self.next).exists()
                    && path != segment_path(&self.wal, self.next) =>
                {
                    self.reader = None;
                }
                _ => return Err(LedgerError::damaged(&path, format!("entry {looked} cannot be read back"))),
            }
        }
    }

    /// The segment with the next entry.
    fn find(&self) -> Result<SegmentReader, LedgerError> {
        let found = segments(&self.wal)?.into_iter().rev().find(|(first, _)| *first <= self.next);
        let Some((first, path)) = found else {
            return Err(LedgerError::damaged(&self.wal, format!("the segment with entry {} is missing", self.next)));
        };
        let reader =
            SegmentReader::open(&path, first, &self.origin).map_err(|e| LedgerError::io("cannot read", &path, e))?;
        reader.ok_or_else(|| LedgerError::damaged(&path, "its header is not that of a segment of this log"))
    }
}

impl Publisher {
    pub fn new(
        shared: Arc<Shared>,
        options: &Options,
        signed: (Checkpoint, String),
        edge: Edge,
        spare: Arc<Spare>,
    ) -> Self {
        let source = Source::new(&options.dir, &options.origin, edge.size());
        let files = Files {
            dir: options.dir.clone(),
            disk: options.disk.clone(),
            made: 0,
            pending: Vec::new(),
            dirs: BTreeSet::new(),
            obsolete: Vec::new(),
        };
        Self {
            shared,
            key: options.key.clone(),
            every: options.checkpoint_every,
            lock_path: options.lock_path(),
            segment_bytes: options.segment_bytes,
            spare,
            signed: signed.0,
            note: signed.1,
            edge,
            bundle: Vec::new(),
            source,
            files,
        }
    }

    pub fn run(mut self) {
        let mut last = Instant::now();
        loop {
            let (finish, waiting) = self.sleep(last);
            if self.shared.check().is_err() {
                break;
            }
            last = Instant::now();
            let outcome = self.tick();
            if let Err(error) = &outcome {
                self.shared.poison(error);
            }
            for tell in waiting {
                let answer = if outcome.is_ok() {
                    Ok(self.signed.clone())
                } else {
                    self.shared.check().map(|()| self.signed.clone())
                };
                // Nobody listens any more: nothing is lost.
                let _unheard = tell.send(answer);
            }
            if finish || outcome.is_err() {
                break;
            }
        }
        // Who asks from now on, or still waits, is told by the dropped channel.
        let mut requests = lock(&self.shared.requests);
        requests.finish = true;
        requests.checkpoints.clear();
        drop(requests);
        self.shared.finished.store(true, Ordering::Release);
        self.shared.progress.notify_waiters();
    }

    /// Sleeps until it is time, or somebody asks.
    fn sleep(&mut self, last: Instant) -> (bool, Vec<tokio::sync::oneshot::Sender<Result<Checkpoint, LedgerError>>>) {
        let mut requests = lock(&self.shared.requests);
        loop {
            let left = self.every.saturating_sub(last.elapsed());
            let dead = self.shared.check().is_err();
            if requests.finish || dead || !requests.checkpoints.is_empty() || left.is_zero() {
                return (requests.finish, std::mem::take(&mut requests.checkpoints));
            }
            requests = self.shared.publish.wait_timeout(requests, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn tick(&mut self) -> Result<(), LedgerError> {
        if !self.spare.is_there() {
            self.spare.prepare(&self.files.disk, &wal_dir(&self.files.dir), self.segment_bytes)?;
        }
        let upto = match self.shared.durability {
            Durability::Durable => self.shared.synced.load(Ordering::Acquire),
            Durability::Written if self.shared.safe.load(Ordering::Acquire) == self.signed.size => self.signed.size,
            Durability::Written => sync_written(&self.shared)?,
        };
        if upto > self.signed.size {
            self.build(upto)?;
            self.sign()?;
            self.files.tidy();
            self.drop_segments()?;
        }
        Ok(())
    }

    /// Builds every tile for a tree of `upto` leaves and makes them durable.
    fn build(&mut self, upto: u64) -> Result<(), LedgerError> {
        let Self { edge, bundle, source, files, .. } = self;
        while edge.size() < upto {
            let (hash, entry) = source.read()?;
            // INVARIANT: no entry is longer than MAX_ENTRY, which a u16 holds.
            bundle.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
            bundle.extend_from_slice(entry);
            edge.push(hash, |level, index, hashes| {
                if level == 0 {
                    files.add(&tile_path(None, index, 256), bundle)?;
                    bundle.clear();
                    files.obsolete.push(partial_dir(&files.dir, None, index));
                }
                files.add(&tile_path(Some(level), index, 256), hashes.as_flattened())?;
                files.obsolete.push(partial_dir(&files.dir, Some(level), index));
                Ok(())
            })?;
        }
        for (level, index, hashes) in edge.partials() {
            let width = u16::try_from(hashes.len()).unwrap_or(u16::MAX);
            if level == 0 {
                files.add(&tile_path(None, index, width), bundle)?;
            }
            files.add(&tile_path(Some(level), index, width), hashes.as_flattened())?;
        }
        files.settle()
    }

    /// Signs the tree that [`Self::build`] built: the lock file first, then for all to see.
    fn sign(&mut self) -> Result<(), LedgerError> {
        let checkpoint =
            Checkpoint { origin: self.shared.origin.clone(), size: self.edge.size(), root: self.edge.root() };
        if checkpoint.size <= self.signed.size {
            return Err(LedgerError::Forked { dir: self.files.dir.clone(), signed: self.signed.size });
        }
        let note = checkpoint.sign(&self.key);
        let have =
            fs::read_to_string(&self.lock_path).map_err(|e| LedgerError::io("cannot read", &self.lock_path, e))?;
        if have != self.note {
            return Err(LedgerError::LockMoved(self.lock_path.clone()));
        }
        self.files.disk.replace(&self.lock_path, note.as_bytes())?;
        self.files.disk.replace(&self.files.dir.join("checkpoint"), note.as_bytes())?;
        self.signed = checkpoint.clone();
        self.note = note;
        *lock(&self.shared.published) = Some((checkpoint, (self.shared.now)()));
        Ok(())
    }

    /// Removes segments whose entries are all in full, signed bundles.
    fn drop_segments(&mut self) -> Result<(), LedgerError> {
        let bundled = self.signed.size / WIDTH as u64 * WIDTH as u64;
        let all = segments(&wal_dir(&self.files.dir))?;
        for ((_, path), (next, _)) in all.iter().zip(all.iter().skip(1)) {
            if *next <= bundled {
                self.files.disk.remove(path)?;
            }
        }
        Ok(())
    }
}

/// Where the partial tiles of a tile are.
fn partial_dir(dir: &Path, level: Option<u8>, index: u64) -> PathBuf {
    let mut name = dir.join(tile_path(level, index, 256)).into_os_string();
    name.push(".p");
    PathBuf::from(name)
}
