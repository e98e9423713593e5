//! RFC 8785 (JSON Canonicalization Scheme) as a serde serializer, for integers, strings, booleans, null, arrays and
//! objects. Fractions have no place in an entry and are refused, and so are integers a double cannot hold.
//!
//! Members are written in the order they come and sorted when the object ends, so that nothing depends on how other
//! crates keep their maps.

use serde::ser::{self, Serialize};
use std::fmt::{self, Display, Write as _};
use thiserror::Error;

/// Deepest nesting written or read.
pub(crate) const MAX_DEPTH: usize = 64;
/// Largest integer that every JSON reader holds exactly: 2^53 - 1 (RFC 7493 section 2.2).
pub(crate) const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a value has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CanonicalError {
    /// A fraction.
    #[error("it holds a floating point number; use an integer in a smaller unit")]
    Float,
    /// An integer beyond 2^53 - 1.
    #[error("it holds the integer {0}, which is beyond 2^53 - 1; use a string")]
    Integer(i128),
    /// A member twice in one object.
    #[error("it has the member `{0}` twice")]
    Twice(String),
    /// A map whose keys are not strings.
    #[error("it has a map whose keys are not strings")]
    Key,
    /// Too deep.
    #[error("it is nested more than {MAX_DEPTH} deep")]
    Depth,
    /// Not an object.
    #[error("it is not an object")]
    NotObject,
    /// Longer than an entry may be.
    #[error("it has {0} bytes; at most 65535 fit an entry")]
    TooLong(usize),
    /// What the value's own serialization says.
    #[error("{0}")]
    Custom(String),
}

impl ser::Error for CanonicalError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

/// The canonical JSON of a value.
///
/// # Errors
/// The value has none.
pub fn to_canonical(value: &impl Serialize) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Out::default();
    value.serialize(Writer { out: &mut out })?;
    Ok(out.text)
}

/// What is written, and what is known of the objects being written.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub text: Vec<u8>,
    members: Vec<Member>,
    names: String,
    scratch: Vec<u8>,
    depth: usize,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    name: (usize, usize),
    text: (usize, usize),
}

impl Out {
    fn clear_for(&mut self, text: Vec<u8>) {
        self.text = text;
        self.members.clear();
        self.names.clear();
        self.depth = 0;
    }

    fn enter(&mut self) -> Result<(), CanonicalError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(CanonicalError::Depth) } else { Ok(()) }
    }

    fn unsigned(&mut self, number: u64) -> Result<(), CanonicalError> {
        if number > MAX_INTEGER {
            return Err(CanonicalError::Integer(number.into()));
        }
        self.digits(number);
        Ok(())
    }

    fn digits(&mut self, mut number: u64) {
        let mut digits = [0_u8; 20];
        let mut used = 0;
        for slot in digits.iter_mut().rev() {
            *slot = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
            used += 1;
            if number == 0 {
                break;
            }
        }
        self.text.extend(digits.iter().skip(20 - used));
    }

    fn signed(&mut self, number: i64) -> Result<(), CanonicalError> {
        let size = number.unsigned_abs();
        if size > MAX_INTEGER {
            return Err(CanonicalError::Integer(number.into()));
        }
        if number < 0 {
            self.text.push(b'-');
        }
        self.digits(size);
        Ok(())
    }

    /// A string as ECMAScript's `JSON.stringify` writes it (RFC 8785 section 3.2.2.2).
    pub fn string(&mut self, text: &str) {
        self.text.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\') {
            let (clean, from) = rest.split_at_checked(at).unwrap_or_default();
            self.text.extend_from_slice(clean);
            let Some((byte, after)) = from.split_first() else { break };
            self.escape(*byte);
            rest = after;
        }
        self.text.extend_from_slice(rest);
        self.text.push(b'"');
    }

    fn escape(&mut self, byte: u8) {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            _ => {
                let mut code = String::new();
                // Writing to a string cannot fail.
                let _infallible = write!(code, "\\u{byte:04x}");
                self.text.extend_from_slice(code.as_bytes());
                return;
            }
        };
        self.text.extend_from_slice(&[b'\\', short]);
    }
}

/// Order of member names: by UTF-16 code units (RFC 8785 section 3.2.3).
pub(crate) fn name_order(a: &str, b: &str) -> std::cmp::Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

/// Serializes one value.
pub(crate) struct Writer<'a> {
    out: &'a mut Out,
}

/// The open end of an object.
pub(crate) struct Object<'a> {
    out: &'a mut Out,
    /// Where the object's text begins, after the brace.
    start: usize,
    first_member: usize,
    first_name: usize,
    key: Option<(usize, usize)>,
    /// Where the text of a map's member begins, between its key and its value.
    pending: Option<usize>,
    /// Close one more object when done: an enum variant's.
    wrapped: bool,
}

impl<'a> Object<'a> {
    pub fn begin(out: &'a mut Out) -> Result<Self, CanonicalError> {
        out.enter()?;
        out.text.push(b'{');
        let (start, first_member, first_name) = (out.text.len(), out.members.len(), out.names.len());
        Ok(Self { out, start, first_member, first_name, key: None, pending: None, wrapped: false })
    }

    fn name(&mut self, name: &str) -> usize {
        if self.out.text.len() > self.start {
            self.out.text.push(b',');
        }
        let from = self.out.names.len();
        self.out.names.push_str(name);
        self.key = Some((from, self.out.names.len()));
        let at = self.out.text.len();
        self.out.string(name);
        self.out.text.push(b':');
        at
    }

    pub fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), CanonicalError> {
        let at = self.name(name);
        value.serialize(Writer { out: self.out })?;
        self.keep(at)
    }

    /// A member that is a string known to need no escaping.
    pub fn plain(&mut self, name: &str, value: &[u8]) -> Result<(), CanonicalError> {
        let at = self.name(name);
        self.out.text.push(b'"');
        self.out.text.extend_from_slice(value);
        self.out.text.push(b'"');
        self.keep(at)
    }

    fn keep(&mut self, at: usize) -> Result<(), CanonicalError> {
        let name = self.key.take().ok_or(CanonicalError::Key)?;
        self.out.members.push(Member { name, text: (at, self.out.text.len()) });
        Ok(())
    }

    pub fn end(self) -> Result<(), CanonicalError> {
        let Self { out, start, first_member, first_name, wrapped, .. } = self;
        let Out { text, members, names, scratch, .. } = out;
        let own = members.get_mut(first_member..).unwrap_or_default();
        let name = |m: &Member| names.get(m.name.0..m.name.1).unwrap_or_default();
        let order = |a: &Member, b: &Member| name_order(name(a), name(b));
        if !own.is_sorted_by(|a, b| order(a, b).is_lt()) {
            own.sort_by(order);
            for pair in own.windows(2) {
                if let [a, b] = pair
                    && order(a, b).is_eq()
                {
                    return Err(CanonicalError::Twice(name(a).to_owned()));
                }
            }
            scratch.clear();
            scratch.extend_from_slice(text.get(start..).unwrap_or_default());
            text.truncate(start);
            for (at, member) in own.iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                let span = member.text.0 - start..member.text.1 - start;
                text.extend_from_slice(scratch.get(span).unwrap_or_default());
            }
        }
        members.truncate(first_member);
        names.truncate(first_name);
        text.push(b'}');
        out.depth -= 1;
        if wrapped {
            out.text.push(b'}');
            out.depth -= 1;
        }
        Ok(())
    }
}

/// The open end of an array.
pub(crate) struct Array<'a> {
    out: &'a mut Out,
    first: bool,
    wrapped: bool,
}

impl Array<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonicalError> {
        if !std::mem::take(&mut self.first) {
            self.out.text.push(b',');
        }
        value.serialize(Writer { out: self.out })
    }

    fn finish(self) -> Result<(), CanonicalError> {
        self.out.text.push(b']');
        self.out.depth -= 1;
        if self.wrapped {
            self.out.text.push(b'}');
            self.out.depth -= 1;
        }
        Ok(())
    }
}

mod serializer;
mod strict;
pub(crate) use strict::{NotCanonical, Strict};

/// Buffers for entries, kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct EntryWriter {
    out: Out,
}

impl EntryWriter {
    /// Writes one object into a new buffer of about `capacity` bytes.
    pub fn object(
        &mut self,
        capacity: usize,
        fill: impl FnOnce(&mut Object<'_>) -> Result<(), CanonicalError>,
    ) -> Result<Vec<u8>, CanonicalError> {
        self.out.clear_for(Vec::with_capacity(capacity));
        let mut object = Object::begin(&mut self.out)?;
        fill(&mut object)?;
        object.end()?;
        Ok(std::mem::take(&mut self.out.text))
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("start", &self.start).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
