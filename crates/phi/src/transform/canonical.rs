//! One form for values that people write in several, so that equal values get equal tokens.
//!
//! Not here: anything that shows a value. The form is fed to the keyed hash and never leaves it.

use aws_lc_rs::hmac;
use vestibule_core::PhiClass;

/// A keyed hash that is fed character by character.
struct Feed {
    hash: hmac::Context,
    buffer: [u8; 64],
    used: usize,
}

impl Feed {
    fn push(&mut self, c: char) {
        let mut bytes = [0; 4];
        let bytes = c.encode_utf8(&mut bytes).as_bytes();
        if self.used + bytes.len() > self.buffer.len() {
            self.flush();
        }
        if let Some(room) = self.buffer.get_mut(self.used..self.used + bytes.len()) {
            room.copy_from_slice(bytes);
            self.used += bytes.len();
        }
    }

    fn flush(&mut self) {
        self.hash.update(self.buffer.get(..self.used).unwrap_or_default());
        self.used = 0;
    }
}

/// The keyed hash of the canonical form of `value`.
///
/// Social security numbers: the digits. Telephone and fax: the digits, without a leading 1 of eleven. Names: letters
/// and digits in lower case, with one space wherever there was something else. E-mail: lower case, without
/// white space around. Other numbers: letters and digits in upper case. A value without letters or digits stays as it
/// is.
pub(super) fn hash(class: PhiClass, value: &str, key: &hmac::Key) -> hmac::Tag {
    use PhiClass::{Account, Beneficiary, Device, Email, Fax, License, Mrn, Name, Phone, Ssn, Vehicle};
    let mut feed = Feed { hash: hmac::Context::with_key(key), buffer: [0; 64], used: 0 };
    let value = value.trim();
    let digits = || value.chars().filter(char::is_ascii_digit);
    let letters = value.chars().any(char::is_alphanumeric);
    match class {
        Ssn | Phone | Fax if letters && digits().next().is_some() && !value.chars().any(char::is_alphabetic) => {
            let country = usize::from(class != Ssn && digits().count() == 11 && digits().next() == Some('1'));
            digits().skip(country).for_each(|c| feed.push(c));
        }
        Name if letters => folded(value, &mut feed),
        Ssn | Phone | Fax | Mrn | Beneficiary | Account | License | Vehicle | Device if letters => {
            value.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).for_each(|c| feed.push(c));
        }
        Email => value.chars().flat_map(char::to_lowercase).for_each(|c| feed.push(c)),
        _ => value.chars().for_each(|c| feed.push(c)),
    }
    feed.flush();
    feed.hash.sign()
}

fn folded(value: &str, feed: &mut Feed) {
    let mut gap = false;
    let mut begun = false;
    for c in value.chars() {
        if !c.is_alphanumeric() {
            gap = true;
            continue;
        }
        if gap && begun {
            feed.push(' ');
        }
        (gap, begun) = (false, true);
        c.to_lowercase().for_each(|c| feed.push(c));
    }
}
