//! What a recorder and the threads hand to each other: one job at a time a session, and where it comes back to.

use crate::chunk::{Sealed, Sealer};
use crate::error::RecordError;
use crate::header::Header;
use crate::key::RecordingPublicKey;
use crate::lock;
use crate::scribe::{Batch, Scribe};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// What a recorder shares with the thread that writes for it.
#[derive(Default)]
pub(crate) struct Slot {
    pub state: Mutex<State>,
    /// Mirrors of the state, read without its lock on the hot path.
    pub busy: AtomicBool,
    pub failed: AtomicBool,
    pub noted: AtomicBool,
}

#[derive(Default)]
pub(crate) struct State {
    /// Here unless a thread has it.
    pub scribe: Option<Box<Scribe>>,
    pub spare: Option<Vec<u8>>,
    pub sealed: Vec<Sealed>,
    pub failed: Option<RecordError>,
    pub waker: Option<Waker>,
    /// What a dropped recorder left behind.
    pub legacy: Vec<Batch>,
}

/// What a thread is to do for a session.
pub(crate) struct Job {
    pub slot: Arc<Slot>,
    pub scribe: Box<Scribe>,
    pub task: Task,
}

/// INVARIANT: no task holds the shop, or a thread might be the one to end its own pool.
pub(crate) enum Task {
    Begin(Box<Header>, Arc<[RecordingPublicKey]>),
    Write(Vec<Batch>),
}

impl Job {
    pub fn run(self, sealer: &mut Sealer) {
        let Self { slot, mut scribe, task } = self;
        let outcome = catch_unwind(AssertUnwindSafe(|| match task {
            Task::Begin(header, recipients) => scribe.begin(&header, &recipients),
            Task::Write(batches) => write(&slot, &mut scribe, sealer, batches),
        }));
        let mut outcome = outcome.unwrap_or(Err(RecordError::Internal));
        loop {
            let mut state = lock(&slot.state);
            if let Err(error) = outcome {
                // The scribe is dropped: after a failure nothing more of this session is written.
                state.failed = Some(error);
                slot.failed.store(true, Ordering::Release);
                return wake(state);
            }
            if state.legacy.is_empty() {
                state.scribe = Some(scribe);
                slot.busy.store(false, Ordering::Release);
                return wake(state);
            }
            let batches = std::mem::take(&mut state.legacy);
            drop(state);
            outcome = catch_unwind(AssertUnwindSafe(|| write(&slot, &mut scribe, sealer, batches)))
                .unwrap_or(Err(RecordError::Internal));
        }
    }
}

fn write(slot: &Slot, scribe: &mut Scribe, sealer: &mut Sealer, batches: Vec<Batch>) -> Result<(), RecordError> {
    for batch in batches {
        let sealed = scribe.chunk(sealer, &batch)?;
        let mut state = lock(&slot.state);
        state.sealed.push(sealed);
        slot.noted.store(true, Ordering::Release);
        let mut buffer = batch.plain;
        buffer.clear();
        state.spare = Some(buffer);
    }
    Ok(())
}

fn wake(mut state: std::sync::MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
