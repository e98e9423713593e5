//! Recordings: what a client saw of a session, kept so that nobody but the holder of a recording key can read it, and
//! nobody at all can change it unnoticed.
//!
//! A session's recording is a directory of chunks: compressed, encrypted with a key of the session's own, chained by
//! digest. The session's key is wrapped (HPKE) to recording keys whose private half the writer does not need. The
//! format, and what a reader must check, is in `docs/spec/recording.md`.
//!
//! [`Writer`] and [`Recorder`] write; [`Archive`] reads; [`inspect()`] checks digests without any key.
//!
//! Not here: the ledger (a session's driver takes [`Sealed`] chunks and notes them there), what frames mean (a
//! protocol's transcript tells), who may replay (api), and PHI: frames are masked before they come here.

mod archive;
mod chunk;
mod error;
mod event;
#[cfg(test)]
mod failing;
mod header;
mod inspect;
mod job;
mod key;
mod objects;
mod place;
mod pool;
mod recorder;
mod scribe;
mod seal;
mod writer;

pub use archive::{Archive, Ending, Moments, Recording};
pub use chunk::Sealed;
pub use error::RecordError;
pub use event::{Event, Moment, What};
pub use header::Header;
pub use inspect::{Inspection, inspect};
pub use key::{RecordingKey, RecordingPublicKey};
pub use recorder::{Recorder, Summary};
pub use writer::{Options, Writer};

/// Locks a mutex whether or not a thread died holding it: what is guarded here is never left half-changed.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?'));
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    out
}
