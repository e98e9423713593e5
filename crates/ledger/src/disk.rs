//! The file operations of the ledger, in one place, so that a test can make any one of them fail.
//!
//! Reading is not here: what cannot be read is an error anyway.

use crate::error::LedgerError;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One change about to be made.
#[derive(Debug, Clone, Copy)]
pub enum Op<'a> {
    /// A file is created, or opened for writing.
    Create(&'a Path),
    /// Bytes are written.
    Write {
        /// To which file.
        path: &'a Path,
        /// From where in it.
        offset: u64,
        /// How many.
        len: usize,
    },
    /// A file's data are made durable.
    Sync(&'a Path),
    /// A directory's names are made durable.
    SyncDir(&'a Path),
    /// A file gets another name.
    Rename(&'a Path, &'a Path),
    /// A file is removed.
    Remove(&'a Path),
}

/// What a test wants to happen to an [`Op`].
#[derive(Debug)]
pub enum Verdict {
    /// Do it.
    Go,
    /// Fail without doing it.
    Fail(io::Error),
    /// Write only so many bytes, then fail as a full disk does.
    Short(usize),
}

type Hook = Arc<dyn Fn(&Op<'_>) -> Verdict + Send + Sync>;

/// The file system, as the ledger changes it.
#[derive(Clone, Default)]
pub struct Disk {
    hook: Option<Hook>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("hooked", &self.hook.is_some()).finish()
    }
}

impl Disk {
    /// A disk whose every change is first shown to `hook`, which may make it fail.
    #[must_use]
    pub fn hooked(hook: impl Fn(&Op<'_>) -> Verdict + Send + Sync + 'static) -> Self {
        Self { hook: Some(Arc::new(hook)) }
    }

    fn allow(&self, op: &Op<'_>) -> io::Result<()> {
        match self.hook.as_ref().map_or(Verdict::Go, |hook| hook(op)) {
            Verdict::Go => Ok(()),
            Verdict::Fail(error) => Err(error),
            Verdict::Short(_) => Err(io::Error::from(io::ErrorKind::StorageFull)),
        }
    }

    pub(crate) fn create(&self, path: &Path) -> Result<DiskFile, LedgerError> {
        self.open(path, OpenOptions::new().read(true).write(true).create(true).truncate(true))
    }

    pub(crate) fn open_existing(&self, path: &Path) -> Result<DiskFile, LedgerError> {
        self.open(path, OpenOptions::new().read(true).write(true))
    }

    fn open(&self, path: &Path, options: &OpenOptions) -> Result<DiskFile, LedgerError> {
        let file = self.allow(&Op::Create(path)).and_then(|()| options.open(path));
        let file = file.map_err(|e| LedgerError::io("cannot create", path, e))?;
        Ok(DiskFile { file, path: path.into(), disk: self.clone() })
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), LedgerError> {
        self.allow(&Op::Rename(from, to))
            .and_then(|()| fs::rename(from, to))
            .map_err(|e| LedgerError::io("cannot rename to", to, e))
    }

    pub(crate) fn remove(&self, path: &Path) -> Result<(), LedgerError> {
        self.allow(&Op::Remove(path))
            .and_then(|()| fs::remove_file(path))
            .map_err(|e| LedgerError::io("cannot remove", path, e))
    }

    /// Makes the names in `dir` durable.
    pub(crate) fn sync_dir(&self, dir: &Path) -> Result<(), LedgerError> {
        self.allow(&Op::SyncDir(dir))
            .and_then(|()| File::open(dir)?.sync_all())
            .map_err(|e| LedgerError::io("cannot sync directory", dir, e))
    }

    /// Replaces a file so that after a crash it is either the old or the new one, durably the new one on return.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".new");
        let temporary = path.with_file_name(name);
        let file = self.create(&temporary)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        self.rename(&temporary, path)?;
        self.sync_dir(parent(path))
    }
}

/// The directory a file is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file open for writing.
#[derive(Debug)]
pub(crate) struct DiskFile {
    file: File,
    path: PathBuf,
    disk: Disk,
}

impl DiskFile {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same open file under the name it was given since.
    pub fn renamed(self, path: PathBuf) -> Self {
        Self { path, ..self }
    }

    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), LedgerError> {
        let op = Op::Write { path: &self.path, offset, len: bytes.len() };
        let verdict = self.disk.hook.as_ref().map_or(Verdict::Go, |hook| hook(&op));
        let done = match verdict {
            Verdict::Go => self.file.write_all_at(bytes, offset),
            Verdict::Fail(error) => Err(error),
            Verdict::Short(n) => {
                let part = bytes.get(..n).unwrap_or(bytes);
                self.file.write_all_at(part, offset).and(Err(io::Error::from(io::ErrorKind::StorageFull)))
            }
        };
        done.map_err(|e| LedgerError::io("cannot write", &self.path, e))
    }

    /// `fdatasync`.
    pub fn sync(&self) -> Result<(), LedgerError> {
        self.disk
            .allow(&Op::Sync(&self.path))
            .and_then(|()| self.file.sync_data())
            .map_err(|e| LedgerError::io("cannot sync", &self.path, e))
    }

    pub fn set_len(&self, len: u64) -> Result<(), LedgerError> {
        self.file.set_len(len).map_err(|e| LedgerError::io("cannot extend", &self.path, e))
    }
}
