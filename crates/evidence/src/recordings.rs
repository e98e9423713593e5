//! Holds a recording against what the ledger noted of it, without any key: digests only.

use crate::summary::RecordingState;
use std::path::Path;
use vestibule_ledger::{Hash, leaf_hash};
use vestibule_record::{RecordError, Sealed, inspect};

/// What the ledger noted of a session's recording: one digest over all notes, so that a long session costs no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Trail {
    count: u64,
    over: Hash,
}

impl Trail {
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Takes account of one more chunk.
    pub fn note(&mut self, seq: u64, sha256: &str, bytes: u64, previous: &str) {
        let mut all = self.over.to_vec();
        all.extend_from_slice(format!("{seq}\n{sha256}\n{bytes}\n{previous}").as_bytes());
        self.over = leaf_hash(&all);
        self.count = self.count.saturating_add(1);
    }

    fn of(chunks: &[Sealed]) -> Self {
        let mut trail = Self::default();
        chunks.iter().for_each(|c| trail.note(c.number, &c.sha256, c.bytes, &c.previous));
        trail
    }
}

/// What there is of the recording of a session. `digest`: what its last entry says; `ended`: whether it has one.
pub(crate) fn check(dir: Option<&Path>, sid: &str, trail: &Trail, digest: &str, ended: bool) -> RecordingState {
    let Some(dir) = dir else { return RecordingState::NotChecked };
    let seen = match inspect(dir, sid) {
        Ok(seen) => seen,
        Err(RecordError::Missing(_)) => return RecordingState::Missing,
        Err(RecordError::Damaged { .. }) => return RecordingState::Differs,
        Err(_) => return RecordingState::Unreadable,
    };
    // A live session may have stored more than it has noted.
    let noted = usize::try_from(trail.count).ok().and_then(|count| seen.chunks.get(..count));
    if noted.is_none_or(|noted| Trail::of(noted) != *trail) {
        return RecordingState::Differs;
    }
    if digest.is_empty() {
        return if ended { RecordingState::Incomplete } else { RecordingState::Open };
    }
    let whole = seen.digest.as_deref() == Some(digest) && seen.chunks.len() as u64 == trail.count;
    if whole { RecordingState::Whole } else { RecordingState::Differs }
}
