//! Reads recordings, also those that are still being written.
//!
//! Everything read is checked: each chunk against its place, its session and the digest of the chunk before it, and
//! all of it against the session's key. What this cannot see is that the end of a recording was cut off, or that a
//! recording was never closed: that is for the ledger to say, which knows every chunk ([`crate::inspect()`]).

use crate::chunk::{self, HEAD, Head, MAX_CHUNK};
use crate::error::RecordError;
use crate::event::{Events, Moment};
use crate::header::{self, Header, MAX_HEADER};
use crate::key::RecordingKey;
use crate::objects::{Directory, Objects};
use crate::place::Place;
use crate::seal::SessionKey;
use crate::sha256;
use std::path::Path;
use std::sync::Arc;

/// The recordings in a directory, and keys to open them with.
pub struct Archive {
    objects: Arc<dyn Objects>,
    keys: Vec<RecordingKey>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Archive {
    /// The recordings in `dir`. With the keys of several years, all their recordings open.
    #[must_use]
    pub fn open(dir: &Path, keys: Vec<RecordingKey>) -> Self {
        Self { objects: Arc::new(Directory::new(dir, false)), keys }
    }

    /// The recording of a session.
    ///
    /// # Errors
    /// There is none, no key opens it, or it was tampered with.
    pub fn recording(&self, sid: &str) -> Result<Recording, RecordError> {
        let place = Place::of(sid)?;
        let bytes = header_bytes(self.objects.as_ref(), &place)?;
        let (key, about) = header::open(&place, &bytes, &self.keys)?;
        Ok(Recording(Arc::new(Inner { objects: Arc::clone(&self.objects), place, key, about, digest: sha256(&bytes) })))
    }
}

pub(crate) fn header_bytes(objects: &dyn Objects, place: &Place) -> Result<Vec<u8>, RecordError> {
    let key = place.header();
    match objects.get(&key, None, MAX_HEADER) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(RecordError::Missing(place.sid().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            Err(RecordError::header(place.sid(), "is longer than any header"))
        }
        Err(error) => Err(RecordError::io("read", key, error)),
    }
}

/// A chunk as stored, or its first bytes. `None`: there is none of that number.
pub(crate) fn chunk_bytes(
    objects: &dyn Objects,
    place: &Place,
    number: u64,
    first: Option<usize>,
) -> Result<Option<Vec<u8>>, RecordError> {
    let key = place.chunk(number);
    objects.get(&key, first, MAX_CHUNK).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => RecordError::chunk(place.sid(), number, "is longer than any chunk"),
        _ => RecordError::io("read", key, error),
    })
}

/// Whether there are chunks of number `from` or above.
pub(crate) fn has_chunks(objects: &dyn Objects, place: &Place, from: u64) -> Result<bool, RecordError> {
    let names = objects.names(place.folder()).map_err(|error| RecordError::io("list", place.folder(), error))?;
    Ok(names.unwrap_or_default().iter().filter_map(|name| Place::number(name)).any(|number| number >= from))
}

struct Inner {
    objects: Arc<dyn Objects>,
    place: Place,
    key: SessionKey,
    about: Header,
    digest: [u8; 32],
}

/// A session's recording. Cheap to clone.
#[derive(Clone)]
pub struct Recording(Arc<Inner>);

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording").field("about", &self.0.about).finish_non_exhaustive()
    }
}

impl Recording {
    /// What it is of.
    #[must_use]
    pub fn about(&self) -> &Header {
        &self.0.about
    }

    /// Everything recorded, from the beginning.
    #[must_use]
    pub fn moments(&self) -> Moments {
        Moments {
            inner: Arc::clone(&self.0),
            next: 0,
            previous: Some(self.0.digest),
            plain: Vec::new(),
            read: 0,
            left: 0,
            at_us: 0,
            to_us: 0,
            ending: Ending::Open,
            failed: false,
        }
    }

    /// What was recorded from the chunk on that holds `at_us` or what follows it; some moments before it come too.
    /// Chunks before are skipped by their heads, unread and unchecked.
    ///
    /// # Errors
    /// The recording cannot be read, or was tampered with.
    pub fn moments_from(&self, at_us: u64) -> Result<Moments, RecordError> {
        let (objects, place) = (self.0.objects.as_ref(), &self.0.place);
        let mut number = 0;
        while let Some(bytes) = chunk_bytes(objects, place, number, Some(HEAD))? {
            let checked = Head::parse(&bytes).and_then(|head| head.check(number, None).map(|()| head));
            let head = checked.map_err(|what| RecordError::chunk(place.sid(), number, what))?;
            if head.to_us >= at_us || head.last {
                break;
            }
            number = number.saturating_add(1);
        }
        let mut moments = self.moments();
        if let Some(before) = number.checked_sub(1) {
            let bytes = chunk_bytes(objects, place, before, None)?;
            let bytes = bytes.ok_or_else(|| RecordError::chunk(place.sid(), before, "is missing"))?;
            moments.previous = Some(sha256(&bytes));
            moments.next = number;
        }
        Ok(moments)
    }
}

/// How a recording ends, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It is not closed: the session is live, or the gateway died, or the end is missing.
    Open,
    /// It is closed. The digest is the one that the ledger has in the session's `session.closed`.
    Closed {
        /// SHA-256 of the last chunk, in hex.
        digest: String,
    },
}

/// Iterates over what was recorded. After `None` of an open recording it may be asked again: there may be more.
pub struct Moments {
    inner: Arc<Inner>,
    next: u64,
    previous: Option<[u8; 32]>,
    plain: Vec<u8>,
    read: usize,
    left: u32,
    at_us: u64,
    to_us: u64,
    ending: Ending,
    failed: bool,
}

impl std::fmt::Debug for Moments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moments").field("next", &self.next).field("ending", &self.ending).finish_non_exhaustive()
    }
}

impl Moments {
    /// How the recording ends. Final once the iterator gave `None`.
    #[must_use]
    pub const fn ending(&self) -> &Ending {
        &self.ending
    }

    /// How many chunks were read.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        self.next
    }

    fn step(&mut self) -> Result<Option<Moment>, RecordError> {
        loop {
            let rest = self.plain.get(self.read..).unwrap_or_default();
            if rest.is_empty() && self.left == 0 {
                if matches!(self.ending, Ending::Closed { .. }) || !self.load()? {
                    return Ok(None);
                }
                continue;
            }
            let mut events = Events::new(rest, self.at_us);
            let moment = events.read().filter(|_| self.left > 0);
            let moment = moment.ok_or_else(|| self.damaged("holds something that is no event"))?;
            self.read = self.plain.len().saturating_sub(events.left());
            self.left = self.left.saturating_sub(1);
            self.at_us = moment.at_us;
            if moment.at_us > self.to_us {
                return Err(self.damaged("has a moment after its end"));
            }
            return Ok(Some(moment));
        }
    }

    /// Of the chunk that is being read.
    fn damaged(&self, what: &'static str) -> RecordError {
        RecordError::chunk(self.inner.place.sid(), self.next.saturating_sub(1), what)
    }

    /// Loads the next chunk. `false`: there is none yet.
    fn load(&mut self) -> Result<bool, RecordError> {
        let inner = Arc::clone(&self.inner);
        let (objects, place, number) = (inner.objects.as_ref(), &inner.place, self.next);
        let bad = |what| RecordError::chunk(place.sid(), number, what);
        let Some(stored) = chunk_bytes(objects, place, number, None)? else {
            if !has_chunks(objects, place, number)? {
                return Ok(false);
            }
            // Between the look and the list it may just have come.
            return if chunk_bytes(objects, place, number, Some(HEAD))?.is_some() {
                Ok(true)
            } else {
                Err(bad("is missing, though later ones are there"))
            };
        };
        let head = Head::parse(&stored).map_err(bad)?;
        head.check(number, self.previous.as_ref()).map_err(bad)?;
        if head.from_us < self.to_us {
            return Err(bad("begins before what stands before it ends"));
        }
        let digest = sha256(&stored);
        self.plain = chunk::open(place, &inner.key, &head, stored).map_err(bad)?;
        self.read = 0;
        self.left = head.events;
        self.at_us = head.from_us;
        self.to_us = head.to_us;
        self.next = number.saturating_add(1);
        self.previous = Some(digest);
        if head.last {
            self.ending = Ending::Closed { digest: crate::hex(&digest) };
            if has_chunks(objects, place, self.next)? {
                return Err(bad("is the last one, and yet there are more"));
            }
        }
        Ok(true)
    }
}

impl Iterator for Moments {
    type Item = Result<Moment, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        // What follows something damaged is not shown as if nothing had been.
        self.failed = step.is_err();
        step.transpose()
    }
}
