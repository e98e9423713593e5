//! Takes the fuzzer's bytes apart. Total: where bytes are missing there are zeros and empty slices.

/// What is left of the bytes.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Two bytes, the high one first.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Eight bytes, the high one first.
    pub fn u64(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// As many bytes as these, or what there is.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        head
    }

    /// A record: its kind, and as many bytes as the two after that say.
    pub fn record(&mut self) -> Option<(u8, &'a [u8])> {
        if self.0.is_empty() {
            return None;
        }
        let (kind, most) = (self.byte(), self.u16());
        Some((kind, self.take(usize::from(most))))
    }
}

/// A message of PostgreSQL with a length that fits, so that the fuzzer need not guess it: tag, length, the rest.
#[must_use]
pub fn tagged(content: &[u8]) -> Vec<u8> {
    let (tag, body) = content.split_first().unwrap_or((&b'S', &[]));
    [&[*tag], untagged(body).as_slice()].concat()
}

/// The same without a tag, as before the login.
#[must_use]
pub fn untagged(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), body].concat()
}
