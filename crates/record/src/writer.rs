//! Where the recordings of a gateway are written.

use crate::error::RecordError;
use crate::header::Header;
use crate::key::RecordingPublicKey;
use crate::objects::{Directory, Objects};
use crate::place::Place;
use crate::pool::Pool;
use crate::recorder::Recorder;
use crate::scribe::Scribe;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How recordings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Size at which a chunk is closed, in bytes before compression.
    pub chunk_bytes: usize,
    /// Age at which a chunk is closed.
    pub chunk_age: Duration,
    /// Whether a chunk is on stable storage before its digest is handed out. Off: it survives the gateway's death,
    /// not the machine's.
    pub durable: bool,
    /// Most bytes of one session that may wait in memory; beyond that the session ends.
    pub max_waiting: usize,
    /// How many threads compress, encrypt and write.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            chunk_bytes: 256 << 10,
            chunk_age: Duration::from_secs(5),
            durable: true,
            max_waiting: 256 << 20,
            threads: 2,
        }
    }
}

/// What all recorders of a writer share.
pub(crate) struct Shop {
    pub recipients: Arc<[RecordingPublicKey]>,
    pub options: Options,
    pub objects: Arc<dyn Objects>,
    pub pool: Pool,
}

impl Shop {
    /// How far a buffer grows while the one before it is being written.
    pub fn grown(&self) -> usize {
        let usual = self.options.chunk_bytes;
        usual.saturating_mul(8).min(8 << 20).max(usual)
    }
}

/// Writes recordings. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    shop: Arc<Shop>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("options", &self.shop.options).finish_non_exhaustive()
    }
}

impl Writer {
    /// Writes recordings into the directory `dir`, which is made if need be. Every one of `recipients` will be able
    /// to open them.
    ///
    /// # Errors
    /// There is no recipient, the directory cannot be made, or no thread be started.
    pub fn start(dir: &Path, recipients: Vec<RecordingPublicKey>, options: Options) -> Result<Self, RecordError> {
        let directory = Directory::new(dir, options.durable);
        directory.make().map_err(|error| RecordError::io("create", dir, error))?;
        Self::over(Arc::new(directory), recipients, options)
    }

    /// [`Writer::start`] for one recording key, and what is not said here as by default.
    ///
    /// # Errors
    /// As [`Writer::start`].
    pub fn open(
        dir: &Path,
        to: &RecordingPublicKey,
        chunk_bytes: usize,
        chunk_age: Duration,
    ) -> Result<Self, RecordError> {
        Self::start(dir, vec![to.clone()], Options { chunk_bytes, chunk_age, ..Options::default() })
    }

    pub(crate) fn over(
        objects: Arc<dyn Objects>,
        recipients: Vec<RecordingPublicKey>,
        options: Options,
    ) -> Result<Self, RecordError> {
        if recipients.is_empty() {
            return Err(RecordError::NoRecipient);
        }
        let pool = Pool::start(options.threads)?;
        Ok(Self { shop: Arc::new(Shop { recipients: recipients.into(), options, objects, pool }) })
    }

    /// Begins the recording of a session. Does not wait: [`Recorder::room`] tells when the recording exists, and a
    /// session should not be let in before.
    ///
    /// # Errors
    /// The session's id is none.
    pub fn session(&self, header: Header) -> Result<Recorder, RecordError> {
        let place = Place::of(&header.sid)?;
        let scribe = Scribe::new(place, Arc::clone(&self.shop.objects));
        Ok(Recorder::begin(Arc::clone(&self.shop), scribe, header))
    }
}
