//! How protocol 3 travels: frames, the fields inside them, and values.
//!
//! Everything reads in place and trusts nothing: a length that does not fit is an error, never a panic. Not here: what a
//! message means for the conversation.

pub(crate) mod build;
pub(crate) mod read;
pub(crate) mod types;
pub(crate) mod value;

use std::borrow::Cow;
use vestibule_core::WireError;

/// The kind byte and the four bytes of length.
pub(crate) const HEADER: usize = 5;

/// What is at the front of a stream of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    /// Not even a header.
    Nothing,
    /// A header whose body has not arrived whole.
    Part {
        /// How long the frame will be, header included.
        len: usize,
    },
    /// A whole frame.
    Frame {
        /// Its kind.
        kind: u8,
        /// Its length, header included.
        len: usize,
    },
}

/// Looks at the front of `bytes`.
///
/// # Errors
/// When the length is impossible, or the frame longer than `limit`.
#[inline]
pub(crate) fn front(bytes: &[u8], limit: usize) -> Result<Front, WireError> {
    let Some(([kind, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(Front::Nothing) };
    let length = u32::from_be_bytes([*a, *b, *c, *d]);
    if length < 4 {
        return Err(malformed("a length below four"));
    }
    let len = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(1);
    if len > limit {
        return Err(WireError::TooLarge { size: u64::from(length).saturating_add(1), limit: limit as u64 });
    }
    Ok(if bytes.len() < len { Front::Part { len } } else { Front::Frame { kind: *kind, len } })
}

/// The body of a whole frame.
#[inline]
pub(crate) fn body(frame: &[u8]) -> &[u8] {
    frame.get(HEADER..).unwrap_or_default()
}

/// The peer's bytes are not what the protocol allows.
#[cold]
pub(crate) fn malformed(what: impl Into<Cow<'static, str>>) -> WireError {
    WireError::Malformed { protocol: "postgres", what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::{Front, front};
    use vestibule_core::WireError;

    #[test]
    fn frames_are_found_and_bounded() {
        assert_eq!(front(b"Q\0\0\0", 100), Ok(Front::Nothing));
        assert_eq!(front(b"Q\0\0\0\x08abc", 100), Ok(Front::Part { len: 9 }));
        assert_eq!(front(b"S\0\0\0\x04more", 100), Ok(Front::Frame { kind: b'S', len: 5 }));
        assert!(matches!(front(b"S\0\0\0\x03", 100), Err(WireError::Malformed { .. })));
        assert!(matches!(front(b"S\x80\0\0\x03", 100), Err(WireError::TooLarge { size: 2_147_483_652, limit: 100 })));
        assert!(matches!(front(b"S\xff\xff\xff\xff", 100), Err(WireError::TooLarge { .. })));
    }
}
