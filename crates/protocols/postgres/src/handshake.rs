//! The few forms that both logins share: messages cut out of a stream, fields cut out of a message, messages built.
//!
//! Not here: the frames after the login, which are many and large ([`crate::wire`]).

use zeroize::Zeroize;

/// Protocol 3.0 as the startup message spells it.
pub(crate) const V3_0: u32 = 3 << 16;
/// Protocol 3.2, the newest there is: it differs from 3.0 in the length of cancel keys only.
pub(crate) const V3_2: u32 = V3_0 | 2;
/// Stands where the version would, in a request for TLS.
pub(crate) const SSL_REQUEST: u32 = 80_877_103;
/// The same for encryption by GSSAPI.
pub(crate) const GSSENC_REQUEST: u32 = 80_877_104;
/// The same for a cancel request.
pub(crate) const CANCEL_REQUEST: u32 = 80_877_102;
/// Longest secret in a cancel key (protocol 3.2).
pub(crate) const MAX_CANCEL_SECRET: usize = 256;

/// Kinds of `Authentication` messages.
pub(crate) mod auth {
    pub(crate) const OK: u32 = 0;
    pub(crate) const CLEARTEXT: u32 = 3;
    pub(crate) const MD5: u32 = 5;
    pub(crate) const SASL: u32 = 10;
    pub(crate) const SASL_CONTINUE: u32 = 11;
    pub(crate) const SASL_FINAL: u32 = 12;
}

/// A message in front of a stream.
pub(crate) enum Framed<'a> {
    /// Its tag and body, and how long it is in the stream.
    Whole { tag: u8, body: &'a [u8], used: usize },
    /// More bytes are needed.
    Part,
    /// It announces this many bytes, which is less than its own header or more than the limit.
    Bad(u64),
}

/// Cuts one tagged message.
pub(crate) fn tagged(bytes: &[u8], limit: usize) -> Framed<'_> {
    let Some((&tag, after)) = bytes.split_first() else { return Framed::Part };
    match untagged(after, limit) {
        Framed::Whole { body, used, .. } => Framed::Whole { tag, body, used: used + 1 },
        other => other,
    }
}

/// Cuts one message without a tag, as they are before the login.
pub(crate) fn untagged(bytes: &[u8], limit: usize) -> Framed<'_> {
    let Some((head, after)) = bytes.split_first_chunk::<4>() else { return Framed::Part };
    let announced = u32::from_be_bytes(*head);
    let Some(length) = usize::try_from(announced).ok().and_then(|n| n.checked_sub(4)) else {
        return Framed::Bad(u64::from(announced));
    };
    if length > limit {
        return Framed::Bad(u64::from(announced));
    }
    match after.get(..length) {
        Some(body) => Framed::Whole { tag: 0, body, used: length + 4 },
        None => Framed::Part,
    }
}

/// Reads the fields of a message, front to back. Every reader gives `None` where the bytes do not suffice.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        let (head, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*head))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*head))
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    /// Bytes up to a NUL, which is read over.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (head, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        Some(head)
    }

    /// The same, where it is UTF-8.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.string()?).ok()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends one tagged message.
pub(crate) fn message(out: &mut Vec<u8>, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    bare(out, fill);
}

/// Appends one message without a tag.
pub(crate) fn bare(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    // What is built here is bounded by the limits of a login, far below 4 GiB.
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(start..start + 4) {
        head.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a string and its NUL. A NUL inside would start another field: the rest is cut off.
pub(crate) fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().take_while(|byte| **byte != 0));
    out.push(0);
}

/// Appends an `Authentication` message.
pub(crate) fn authentication(out: &mut Vec<u8>, kind: u32, data: &[u8]) {
    message(out, b'R', |body| {
        body.extend_from_slice(&kind.to_be_bytes());
        body.extend_from_slice(data);
    });
}

/// Overwrites bytes that held a secret.
pub(crate) fn wipe(bytes: &mut Vec<u8>) {
    bytes.zeroize();
}
