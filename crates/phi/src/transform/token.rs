//! Keyed pseudonyms: equal for equal values of a class, different under another key, class or tenant.
//!
//! Texts become their class and 80 bits of HMAC-SHA-256 in base 32 (`ssn_5f2k…`); whole numbers another whole number
//! (see `permute`); UUIDs a UUID of version 8. Everything else is redacted: a date, a truth value or a small number has
//! so few values that its token is its value.

use super::{canonical, permute};
use aws_lc_rs::hmac;
use std::fmt::Write as _;
use vestibule_core::{CannotMask, Masked, PhiClass, Transform, Value, ValueKind};

const ALPHABET: [char; 32] = [
    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w',
    'x', 'y', 'z', '2', '3', '4', '5', '6', '7',
];

pub(super) struct Token {
    class: PhiClass,
    kind: ValueKind,
    key: hmac::Key,
}

impl Token {
    pub(super) fn new(class: PhiClass, kind: ValueKind, key: hmac::Key) -> Option<Self> {
        let fits = matches!(kind, ValueKind::Text | ValueKind::Numeric | ValueKind::Integer(4 | 8) | ValueKind::Uuid);
        fits.then_some(Self { class, kind, key })
    }

    fn text(&self, value: &str, text: &mut String) -> Masked {
        let tag = canonical::hash(self.class, value, &self.key);
        text.push_str(self.class.name());
        text.push('_');
        let bits = tag.as_ref().iter().take(10).fold(0_u128, |bits, b| bits << 8 | u128::from(*b));
        for at in (0..16).rev() {
            let digit = usize::try_from(bits >> (at * 5) & 31).unwrap_or(0);
            text.extend(ALPHABET.get(digit));
        }
        Masked::Text
    }
}

impl Transform for Token {
    fn apply(&self, value: Value<'_>, text: &mut String) -> Result<Masked, CannotMask> {
        match (self.kind, value) {
            (ValueKind::Text, Value::Text(value)) => Ok(self.text(value, text)),
            (ValueKind::Numeric, Value::Text(value)) => {
                // Fractions have no token: they are no identifiers.
                let number = permute::number(value.parse().map_err(|_| CannotMask)?, &self.key);
                // Writing into a String cannot fail.
                let _ = write!(text, "{number}");
                Ok(Masked::Text)
            }
            (ValueKind::Integer(bytes), Value::Integer(number)) if super::constant::fits(number, bytes) => {
                Ok(Masked::Integer(permute::number(number, &self.key)))
            }
            (ValueKind::Uuid, Value::Uuid(uuid)) => Ok(Masked::Uuid(version_8(hmac::sign(&self.key, &uuid).as_ref()))),
            _ => Err(CannotMask),
        }
    }
}

/// RFC 9562, section 5.8: version 8, variant 10.
fn version_8(hash: &[u8]) -> [u8; 16] {
    let mut uuid = [0; 16];
    for (to, from) in uuid.iter_mut().zip(hash) {
        *to = *from;
    }
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}
