//! State in SQLite: what the gateway must find again after a restart and what a console lists.
//!
//! Sessions are an index for people; requests, rulings and revocations decide. Every change of state is
//! compare-and-set: it says which state it expects, and reports whether it was the one that changed it.
//! SQL is kept to what PostgreSQL also understands, apart from the migration files.
//!
//! Not here: evidence (the ledger is the truth, this is not tamper-evident), recordings, tokens or secrets of
//! any kind, clocks, and the rules of approval (see the approval crate). Nothing on the data path waits for
//! this crate: session rows are written by a background task of the gateway.

mod meta;
mod migrate;
mod requests;
mod revocations;
mod sessions;

pub use requests::{Ending, NewRequest, Recorded, Request, RequestFilter, RequestState, StoredRuling};
pub use revocations::{Revocation, RevocationKind};
pub use sessions::{NewSession, SessionChange, SessionCounts, SessionFilter, SessionRow};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// Most rows one listing returns, whatever was asked.
pub const MAX_ROWS: u32 = 10_000;

/// How long a statement waits for another process that holds the database.
const BUSY: Duration = Duration::from_secs(5);
/// Readers beside the one writer.
const READERS: u32 = 4;

/// Why the store could not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// `create` found something there already.
    #[error("{0} exists already; open it, or move it away first")]
    Exists(PathBuf),
    /// `open` found nothing.
    #[error("{0} does not exist; run `vestibule init` first")]
    Missing(PathBuf),
    /// The file is an SQLite database of somebody else.
    #[error("{0} is not a database of the gateway; name another file")]
    Foreign(PathBuf),
    /// The file is empty: what the gateway knew, revocations among it, is gone.
    #[error("{0} is empty, and the state that it held is lost; restore it from a backup")]
    Empty(PathBuf),
    /// SQLite cannot open the file: it is damaged, or another process holds it.
    #[error(
        "{path} cannot be used: {source}; restore it from a backup if it is damaged, stop what holds it if it is locked"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The database was written by a newer version.
    #[error("the database has schema {found}, this version knows up to {known}; use the newer version again")]
    Newer {
        /// The schema number found.
        found: i64,
        /// The newest schema number this version knows.
        known: i64,
    },
    /// The file could not be created.
    #[error("cannot create {path}: {source}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A row holds what no version wrote.
    #[error("the database holds a value that is not understood in {0}; restore it from a backup")]
    Corrupt(&'static str),
    /// SQLite said no: full disk, lock held too long, damaged file.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

/// The database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    /// One connection: SQLite has one writer, and a queue here is fairer than its busy loop.
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Creates the database file (mode 0600) and its tables.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is something at `path`; what the file system or SQLite says.
    pub async fn create(path: &Path) -> Result<Self, StoreError> {
        new_file(path)?;
        Self::connect(path, true).await
    }

    /// Opens an existing database and brings its schema up to this version.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Empty`], [`StoreError::Foreign`], [`StoreError::Newer`],
    /// [`StoreError::Unusable`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.is_file() {
            return Err(StoreError::Missing(path.to_owned()));
        }
        Self::connect(path, false).await.map_err(|error| match error {
            StoreError::Database(source) => StoreError::Unusable { path: path.to_owned(), source },
            other => other,
        })
    }

    /// A database that lives in memory and dies with its last clone. For tests and dry runs.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn in_memory() -> Result<Self, StoreError> {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(SqliteConnectOptions::new().in_memory(true).foreign_keys(true))
            .await?;
        migrate::run(&pool, Path::new(":memory:"), true).await?;
        Ok(Self { writer: pool.clone(), readers: pool })
    }

    async fn connect(path: &Path, new: bool) -> Result<Self, StoreError> {
        // FULL: a revocation or ruling that was acknowledged must still be there after a power cut.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("trusted_schema", "OFF")
            .busy_timeout(BUSY);
        // No test before use: there is no network in between that could have gone.
        let pool = || SqlitePoolOptions::new().test_before_acquire(false);
        let writer = pool().max_connections(1).connect_with(options.clone()).await?;
        migrate::run(&writer, path, new).await?;
        let readers = pool().max_connections(READERS).connect_with(options.pragma("query_only", "ON")).await?;
        Ok(Self { writer, readers })
    }

    /// Closes every connection and folds the write-ahead file into the database.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A transaction that holds the write lock from its start, so that what it read is still so when it writes.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

fn new_file(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(StoreError::Exists(path.to_owned())),
        Err(source) => Err(StoreError::Create { path: path.to_owned(), source }),
    }
}

/// A count as SQLite keeps it.
fn count_in(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A count as SQLite gave it back.
fn count_out(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// JSON text of a value that always has one.
fn json_in<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt("a value to be written"))
}
