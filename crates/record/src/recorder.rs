//! Records one session: events go into memory, full or old buffers to the recorder's threads.
//!
//! At most one buffer of a session is being written; meanwhile the next ones fill, and grow up to a multiple of the
//! usual size, so that a slow disk gets fewer and larger chunks. Beyond that the session has to wait
//! ([`Recorder::room`]); beyond the limit of memory it ends.

use crate::chunk::{MAX_PLAIN, Sealed};
use crate::error::RecordError;
use crate::event::Event;
use crate::header::Header;
use crate::job::{Job, Slot, Task};
use crate::lock;
use crate::scribe::{Batch, Scribe};
use crate::writer::Shop;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;
use vestibule_core::{OpId, Side};

/// What a closed recording came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// SHA-256 of the last chunk, in hex: through the chain of digests it covers the whole recording.
    pub digest: String,
    /// How many chunks there are.
    pub chunks: u64,
    /// How many bytes they have as stored.
    pub bytes: u64,
    /// The chunks that [`Recorder::take_sealed`] has not handed out.
    pub sealed: Vec<Sealed>,
}

/// Records one session. Dropped without [`Recorder::close`], what was recorded is still written, but the recording
/// stays open for ever.
pub struct Recorder {
    shop: Arc<Shop>,
    slot: Arc<Slot>,
    pub(crate) open: Vec<u8>,
    events: u32,
    from_us: u64,
    at_us: u64,
    since: Option<Instant>,
    backlog: Vec<Batch>,
    waiting: usize,
    written: (u64, u64),
    /// Why nothing more is taken. What was taken before is still written.
    ended: Option<RecordError>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("at_us", &self.at_us).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Begins: a thread makes the session's key and header.
    pub(crate) fn begin(shop: Arc<Shop>, scribe: Scribe, header: Header) -> Self {
        let slot = Arc::new(Slot::default());
        slot.busy.store(true, Ordering::Release);
        let task = Task::Begin(Box::new(header), Arc::clone(&shop.recipients));
        shop.pool.submit(Job { slot: Arc::clone(&slot), scribe: Box::new(scribe), task });
        Self {
            shop,
            slot,
            open: Vec::new(),
            events: 0,
            from_us: 0,
            at_us: 0,
            since: None,
            backlog: Vec::new(),
            waiting: 0,
            written: (0, 0),
            ended: None,
        }
    }

    /// Records an event at `at_us` microseconds since the session began. Never waits.
    ///
    /// # Errors
    /// What was recorded before could not be stored, the storage is too far behind, or the event is too large. The
    /// session must end.
    pub fn event(&mut self, at_us: u64, event: Event<'_>) -> Result<(), RecordError> {
        self.check()?;
        if self.open.len() >= self.shop.options.chunk_bytes {
            self.turn();
        }
        match event {
            Event::Frames { side, op, bytes } if bytes.len() > self.shop.options.chunk_bytes => {
                self.frames(at_us, side, op, bytes)
            }
            event => self.append(at_us, &event),
        }
    }

    /// Bytes that would make an overlong chunk become several events.
    fn frames(&mut self, at_us: u64, side: Side, op: Option<OpId>, bytes: &[u8]) -> Result<(), RecordError> {
        for bytes in bytes.chunks(self.shop.options.chunk_bytes.max(1)) {
            self.append(at_us, &Event::Frames { side, op, bytes })?;
            if self.open.len() >= self.shop.options.chunk_bytes {
                self.turn();
            }
        }
        Ok(())
    }

    fn append(&mut self, at_us: u64, event: &Event<'_>) -> Result<(), RecordError> {
        let (size, limit) = (event.size(), MAX_PLAIN / 2);
        if size > limit {
            return Err(self.end(RecordError::TooLarge { size, limit }));
        }
        let (waiting, limit) = (self.waiting().saturating_add(size), self.shop.options.max_waiting);
        if waiting > limit && self.is_busy() {
            return Err(self.end(RecordError::Behind { waiting, limit }));
        }
        // Time goes forward only, also where a clock did not.
        let at_us = at_us.max(self.at_us);
        if self.events == 0 {
            self.from_us = at_us;
            self.at_us = at_us;
            self.since = Some(Instant::now());
        }
        let after = at_us.saturating_sub(self.at_us);
        if let Err(error) = event.write(after, &mut self.open) {
            return Err(self.end(error));
        }
        self.at_us = at_us;
        self.events = self.events.saturating_add(1);
        Ok(())
    }

    /// Whether it takes nothing any more. Every further call tells why.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.ended.is_some() || self.slot.failed.load(Ordering::Acquire)
    }

    /// Whether the session should wait for [`Recorder::room`] before it goes on.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting() >= self.shop.grown().saturating_mul(2) && self.is_busy()
    }

    const fn waiting(&self) -> usize {
        self.waiting.saturating_add(self.open.len())
    }

    /// Waits until what was handed to the recorder's threads is stored.
    ///
    /// # Errors
    /// It could not be stored. The session must end.
    pub async fn room(&self) -> Result<(), RecordError> {
        poll_fn(|cx| {
            let mut state = lock(&self.slot.state);
            if let Some(error) = &state.failed {
                return Poll::Ready(Err(error.clone()));
            }
            if state.scribe.is_some() {
                return Poll::Ready(Ok(()));
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Hands on what is older than the age at which a chunk is closed. Called about once a second.
    ///
    /// Does not wait for the disk: what failed is told by the next call of anything.
    ///
    /// # Errors
    /// What was recorded before could not be stored. The session must end.
    #[expect(clippy::unused_async, reason = "a storage that is not a disk will have to wait here")]
    pub async fn flush(&mut self) -> Result<(), RecordError> {
        self.check()?;
        let due = self.since.is_some_and(|since| since.elapsed() >= self.shop.options.chunk_age);
        if due || !self.backlog.is_empty() {
            self.turn();
        }
        Ok(())
    }

    /// Closes the open chunk whatever its age, and waits until everything recorded so far is stored.
    ///
    /// # Errors
    /// It could not be stored. The session must end.
    pub async fn sync(&mut self) -> Result<(), RecordError> {
        loop {
            self.room().await?;
            if self.events == 0 && self.backlog.is_empty() {
                return Ok(());
            }
            self.turn();
        }
    }

    /// Whether [`Recorder::take_sealed`] has something. Cheap.
    #[must_use]
    pub fn has_sealed(&self) -> bool {
        self.slot.noted.load(Ordering::Acquire)
    }

    /// The chunks stored since the last call, in order. Each belongs on the ledger.
    pub fn take_sealed(&mut self) -> Vec<Sealed> {
        let sealed = {
            let mut state = lock(&self.slot.state);
            self.slot.noted.store(false, Ordering::Release);
            std::mem::take(&mut state.sealed)
        };
        let (chunks, bytes) = &mut self.written;
        *chunks = chunks.saturating_add(sealed.len() as u64);
        *bytes = sealed.iter().fold(*bytes, |sum, s| sum.saturating_add(s.bytes));
        sealed
    }

    /// Closes the recording: writes what is left and marks the last chunk.
    ///
    /// # Errors
    /// As [`Recorder::finish`].
    pub async fn close(mut self) -> Result<Summary, RecordError> {
        self.finish().await
    }

    /// [`Recorder::close`] that leaves the recorder, so that after an error the chunks that made it to storage can still
    /// be taken.
    ///
    /// # Errors
    /// It could not be stored, or not everything was taken; the recording stays open for ever, and its reader is told
    /// so.
    pub async fn finish(&mut self) -> Result<Summary, RecordError> {
        if let Some(error) = self.ended.clone() {
            self.sync().await?;
            return Err(error);
        }
        self.room().await?;
        let last = self.batch(true);
        self.backlog.push(last);
        self.ended = Some(RecordError::Closed);
        self.submit();
        self.room().await?;
        let sealed = self.take_sealed();
        let digest = sealed.last().filter(|s| s.last).ok_or(RecordError::Internal)?.sha256.clone();
        let (chunks, bytes) = self.written;
        Ok(Summary { digest, chunks, bytes, sealed })
    }

    fn is_busy(&self) -> bool {
        self.slot.busy.load(Ordering::Acquire)
    }

    fn check(&self) -> Result<(), RecordError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        if !self.slot.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(lock(&self.slot.state).failed.clone().unwrap_or(RecordError::Internal))
    }

    /// After this nothing is taken any more, so that no recording has a hole in the middle.
    fn end(&mut self, error: RecordError) -> RecordError {
        self.ended = Some(error.clone());
        error
    }

    /// Hands the open buffer on if a thread is free, or puts it aside if it has grown enough.
    fn turn(&mut self) {
        let free = !self.is_busy();
        if self.events > 0 && (free || self.open.len() >= self.shop.grown()) {
            let batch = self.batch(false);
            self.waiting = self.waiting.saturating_add(batch.plain.len());
            self.backlog.push(batch);
        }
        if free {
            self.submit();
        }
    }

    fn batch(&mut self, last: bool) -> Batch {
        let spare = lock(&self.slot.state).spare.take();
        let most = self.shop.grown().saturating_mul(2);
        let fresh = spare.filter(|buffer| buffer.capacity() <= most).unwrap_or_default();
        let from_us = if self.events == 0 { self.at_us } else { self.from_us };
        let batch = Batch {
            plain: std::mem::replace(&mut self.open, fresh),
            from_us,
            to_us: self.at_us,
            events: self.events,
            last,
        };
        self.events = 0;
        self.since = None;
        batch
    }

    fn submit(&mut self) {
        if self.backlog.is_empty() {
            return;
        }
        let Some(scribe) = lock(&self.slot.state).scribe.take() else { return };
        self.slot.busy.store(true, Ordering::Release);
        self.waiting = 0;
        let task = Task::Write(std::mem::take(&mut self.backlog));
        self.shop.pool.submit(Job { slot: Arc::clone(&self.slot), scribe, task });
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.slot.failed.load(Ordering::Acquire) {
            return;
        }
        if self.events > 0 {
            let batch = self.batch(false);
            self.backlog.push(batch);
        }
        if self.backlog.is_empty() {
            return;
        }
        self.submit();
        let mut state = lock(&self.slot.state);
        if !self.backlog.is_empty() && state.failed.is_none() {
            if state.scribe.is_none() {
                state.legacy = std::mem::take(&mut self.backlog);
                return;
            }
            drop(state);
            self.submit();
        }
    }
}
