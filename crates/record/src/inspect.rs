//! Checks a recording without any key: that its chunks are there, in order, and chained; and gives their digests,
//! to be held against what the ledger says.

use crate::archive::{chunk_bytes, has_chunks, header_bytes};
use crate::chunk::{HEAD, Head, Sealed};
use crate::error::RecordError;
use crate::header;
use crate::objects::Directory;
use crate::place::Place;
use crate::sha256;
use std::path::Path;

/// What a recording is on the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The ids of the recording keys that open it.
    pub sealed_to: Vec<String>,
    /// Its chunks, as the ledger must have them.
    pub chunks: Vec<Sealed>,
    /// The digest of the last chunk if the recording is closed: the one in the session's `session.closed`.
    pub digest: Option<String>,
}

/// Looks at the recording of a session in `dir` from the outside.
///
/// # Errors
/// There is none, it cannot be read, or its chunks do not follow on each other.
pub fn inspect(dir: &Path, sid: &str) -> Result<Inspection, RecordError> {
    let place = Place::of(sid)?;
    let objects = Directory::new(dir, false);
    let header = header_bytes(&objects, &place)?;
    let mut found = Inspection { sealed_to: header::recipients(&place, &header)?, chunks: Vec::new(), digest: None };
    let mut previous = sha256(&header);
    let mut number = 0_u64;
    loop {
        let Some(stored) = chunk_bytes(&objects, &place, number, None)? else {
            if !has_chunks(&objects, &place, number)? {
                return Ok(found);
            }
            // Between the look and the list it may just have come: a session may be live.
            if chunk_bytes(&objects, &place, number, Some(HEAD))?.is_some() {
                continue;
            }
            return Err(RecordError::chunk(sid, number, "is missing, though later ones are there"));
        };
        let bad = |what| RecordError::chunk(sid, number, what);
        if found.digest.is_some() {
            return Err(bad("comes after the last one"));
        }
        let head = Head::parse(&stored).map_err(bad)?;
        head.check(number, Some(&previous)).map_err(bad)?;
        previous = sha256(&stored);
        found.digest = head.last.then(|| crate::hex(&previous));
        found.chunks.push(head.sealed(&previous, stored.len() as u64));
        number = number.saturating_add(1);
    }
}
