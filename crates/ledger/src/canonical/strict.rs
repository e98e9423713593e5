//! Reads canonical JSON and nothing else: one byte more, less or other than [`super::to_canonical`] writes, and it is
//! refused. So two readers can never understand the same entry differently.

use super::{MAX_DEPTH, MAX_INTEGER, name_order};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A place in a text that is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strict<'a> {
    text: &'a str,
    at: usize,
}

/// The text is not canonical JSON from this offset on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotCanonical(pub usize);

type Read<T> = Result<T, NotCanonical>;

impl<'a> Strict<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn bad<T>(&self) -> Read<T> {
        Err(NotCanonical(self.at))
    }

    /// Where the reader is.
    pub fn at(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn since(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// Steps over exactly this.
    pub fn expect(&mut self, literal: &str) -> Read<()> {
        if !self.text.as_bytes().get(self.at..).unwrap_or_default().starts_with(literal.as_bytes()) {
            return self.bad();
        }
        self.at += literal.len();
        Ok(())
    }

    /// Nothing may follow.
    pub fn end(&self) -> Read<()> {
        if self.at == self.text.len() { Ok(()) } else { self.bad() }
    }

    /// A string without the quotes, as it is written; and whether it has escapes.
    fn raw_string(&mut self) -> Read<(&'a str, bool)> {
        self.expect("\"")?;
        let from = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0x20..) => self.at += 1,
                _ => return self.bad(),
            }
        }
        let text = self.since(from);
        self.at += 1;
        Ok((text, escaped))
    }

    /// Only the escapes that ECMAScript's `JSON.stringify` writes.
    fn escape(&mut self) -> Read<()> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                let code = self.text.as_bytes().get(self.at + 1..self.at + 5).unwrap_or_default();
                let (&[b'0', b'0', high @ (b'0' | b'1'), low], true) = (code, code.len() == 4) else {
                    return self.bad();
                };
                let short = high == b'0' && matches!(low, b'8' | b'9' | b'a' | b'c' | b'd');
                if short || !matches!(low, b'0'..=b'9' | b'a'..=b'f') {
                    return self.bad();
                }
                self.at += 5;
                Ok(())
            }
            _ => self.bad(),
        }
    }

    /// A string that needs no escapes.
    pub fn plain(&mut self) -> Read<&'a str> {
        let from = self.at;
        match self.raw_string()? {
            (text, false) => Ok(text),
            _ => Err(NotCanonical(from)),
        }
    }

    /// A whole number.
    pub fn integer(&mut self) -> Read<i64> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let digits = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        let leading_zero = self.since(digits).starts_with('0');
        let value: Option<i64> = self.since(from).parse().ok();
        match value {
            Some(value)
                if value.unsigned_abs() <= MAX_INTEGER
                    && (!leading_zero || (value == 0 && self.at - from == 1))
                    && !matches!(self.peek(), Some(b'.' | b'e' | b'E')) =>
            {
                Ok(value)
            }
            _ => Err(NotCanonical(from)),
        }
    }

    pub fn unsigned(&mut self) -> Read<u64> {
        let from = self.at;
        u64::try_from(self.integer()?).map_err(|_| NotCanonical(from))
    }

    /// Any value, as it is written.
    pub fn value(&mut self, depth: usize) -> Read<&'a str> {
        let from = self.at;
        if depth > MAX_DEPTH {
            return self.bad();
        }
        match self.peek() {
            Some(b'"') => self.raw_string().map(drop)?,
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b't') => self.expect("true")?,
            Some(b'f') => self.expect("false")?,
            Some(b'n') => self.expect("null")?,
            _ => self.integer().map(drop)?,
        }
        Ok(self.since(from))
    }

    fn array(&mut self, depth: usize) -> Read<()> {
        self.expect("[")?;
        if self.peek() != Some(b']') {
            self.value(depth + 1)?;
            while self.peek() == Some(b',') {
                self.at += 1;
                self.value(depth + 1)?;
            }
        }
        self.expect("]")
    }

    fn object(&mut self, depth: usize) -> Read<()> {
        self.expect("{")?;
        let mut before: Option<(&str, bool)> = None;
        if self.peek() != Some(b'}') {
            loop {
                let at = self.at;
                let name = self.raw_string()?;
                if before.is_some_and(|before| order(before, name) != Ordering::Less) {
                    return Err(NotCanonical(at));
                }
                before = Some(name);
                self.expect(":")?;
                self.value(depth + 1)?;
                if self.peek() != Some(b',') {
                    break;
                }
                self.at += 1;
            }
        }
        self.expect("}")
    }
}

/// Order of two names as they are written.
fn order(a: (&str, bool), b: (&str, bool)) -> Ordering {
    name_order(&unescaped(a), &unescaped(b))
}

fn unescaped((text, escaped): (&str, bool)) -> Cow<'_, str> {
    if !escaped {
        return Cow::Borrowed(text);
    }
    // INVARIANT: a name that was read above is a JSON string.
    Cow::Owned(serde_json::from_str(&format!("\"{text}\"")).unwrap_or_default())
}
