//! Writes one session's objects, in order. Lives with the session between chunks and with a thread during one, so
//! that a session never has two chunks under way.

use crate::chunk::{Head, Sealed, Sealer};
use crate::error::RecordError;
use crate::header::{self, Header};
use crate::key::RecordingPublicKey;
use crate::objects::Objects;
use crate::place::Place;
use crate::seal::SessionKey;
use crate::sha256;
use std::sync::Arc;

/// Events that become one chunk.
pub(crate) struct Batch {
    pub plain: Vec<u8>,
    pub from_us: u64,
    pub to_us: u64,
    pub events: u32,
    pub last: bool,
}

/// Writes one session's objects.
pub(crate) struct Scribe {
    place: Place,
    objects: Arc<dyn Objects>,
    opened: Option<Opened>,
}

struct Opened {
    key: SessionKey,
    next: u64,
    previous: [u8; 32],
}

impl Scribe {
    pub fn new(place: Place, objects: Arc<dyn Objects>) -> Self {
        Self { place, objects, opened: None }
    }

    /// Makes the session's place, key and header.
    pub fn begin(&mut self, header: &Header, recipients: &[RecordingPublicKey]) -> Result<(), RecordError> {
        let folder = self.place.folder();
        self.objects.begin(folder).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => RecordError::Exists(self.place.sid().to_owned()),
            _ => RecordError::io("create", folder, error),
        })?;
        let (key, bytes) = header::make(&self.place, header, recipients)?;
        self.put(&self.place.header(), &bytes)?;
        self.opened = Some(Opened { key, next: 0, previous: sha256(&bytes) });
        Ok(())
    }

    /// Seals and stores one chunk. After an error nothing more may be written: a number is sealed once.
    pub fn chunk(&mut self, sealer: &mut Sealer, batch: &Batch) -> Result<Sealed, RecordError> {
        let opened = self.opened.take().ok_or(RecordError::Internal)?;
        let plain = u32::try_from(batch.plain.len()).map_err(|_| RecordError::Internal)?;
        let head = Head {
            number: opened.next,
            from_us: batch.from_us,
            to_us: batch.to_us,
            plain,
            events: batch.events,
            previous: opened.previous,
            last: batch.last,
        };
        let (bytes, digest) = sealer.seal(&self.place, &opened.key, &head, &batch.plain)?;
        self.put(&self.place.chunk(head.number), bytes)?;
        let next = opened.next.checked_add(1).ok_or(RecordError::Internal)?;
        // INVARIANT: nothing follows the last chunk.
        self.opened = (!batch.last).then_some(Opened { key: opened.key, next, previous: digest });
        Ok(head.sealed(&digest, bytes.len() as u64))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), RecordError> {
        self.objects.put(key, bytes).map_err(|error| RecordError::io("write", key, error))
    }
}
