//! Constants: what says nothing of the value.
//!
//! A redacted text is its class in brackets, a number 0, a date 1900-01-01, a timestamp midnight of that day, a UUID
//! the nil UUID, JSON a string, an address 0.0.0.0, bytes none. A truth value has no constant that claims nothing: it
//! becomes NULL.

use super::when;
use crate::calendar::DAY_MICROS;
use std::fmt::Write as _;
use std::net::IpAddr;
use vestibule_core::{CannotMask, Masked, PhiClass, Transform, Value, ValueKind};

/// The day that stands for every redacted date, and for every date that would tell an age over 89.
pub(super) const DAY: i32 = -25_567;
/// The year of [`DAY`].
pub(super) const YEAR: i64 = 1900;

/// The same for every value.
#[derive(Debug)]
pub(super) struct Constant {
    masked: Masked,
    text: Box<str>,
}

impl Constant {
    fn plain(masked: Masked) -> Self {
        Self { masked, text: Box::default() }
    }

    fn text(text: impl Into<Box<str>>) -> Self {
        Self { masked: Masked::Text, text: text.into() }
    }

    pub(super) fn null() -> Self {
        Self::plain(Masked::Null)
    }

    /// The kind's constant; `None` for kinds that have none.
    pub(super) fn redacting(class: PhiClass, kind: ValueKind) -> Option<Self> {
        Some(match kind {
            ValueKind::Text => Self::text(format!("[{class}]")),
            ValueKind::Json => Self::text(format!("\"[{class}]\"")),
            ValueKind::Numeric => Self::text("0"),
            ValueKind::Inet => Self::text("0.0.0.0"),
            ValueKind::Integer(_) => Self::plain(Masked::Integer(0)),
            ValueKind::Float(_) => Self::plain(Masked::Float(0.0)),
            ValueKind::Boolean => Self::null(),
            ValueKind::Date => Self::plain(Masked::Date(DAY)),
            ValueKind::Timestamp => Self::plain(Masked::Timestamp(i64::from(DAY) * DAY_MICROS)),
            ValueKind::Uuid => Self::plain(Masked::Uuid([0; 16])),
            ValueKind::Bytes => Self::plain(Masked::Bytes),
            ValueKind::Other => return None,
        })
    }

    /// `by` as a value of the kind; `None` where it is none.
    pub(super) fn replacing(by: &str, kind: ValueKind) -> Option<Self> {
        Some(match kind {
            ValueKind::Text => Self::text(by),
            ValueKind::Json => Self::text(json_string(by)),
            ValueKind::Numeric => Self::text(decimal(by)?),
            ValueKind::Inet => Self::text(by.parse::<IpAddr>().ok()?.to_string()),
            ValueKind::Integer(bytes) => Self::plain(Masked::Integer(integer(by, bytes)?)),
            ValueKind::Float(_) => Self::plain(Masked::Float(by.parse().ok().filter(|f: &f64| f.is_finite())?)),
            ValueKind::Boolean => Self::plain(Masked::Boolean(by.parse().ok()?)),
            ValueKind::Date => Self::plain(Masked::Date(day(by)?)),
            ValueKind::Timestamp => Self::plain(Masked::Timestamp(i64::from(day(by)?) * DAY_MICROS)),
            ValueKind::Uuid => Self::plain(Masked::Uuid(uuid(by)?)),
            ValueKind::Bytes | ValueKind::Other => return None,
        })
    }
}

impl Transform for Constant {
    fn apply(&self, _: Value<'_>, text: &mut String) -> Result<Masked, CannotMask> {
        text.push_str(&self.text);
        Ok(self.masked)
    }
}

/// Whether a whole number fits the kind.
pub(super) fn fits(number: i64, bytes: u8) -> bool {
    match bytes {
        2 => i16::try_from(number).is_ok(),
        4 => i32::try_from(number).is_ok(),
        _ => bytes == 8,
    }
}

fn integer(by: &str, bytes: u8) -> Option<i64> {
    by.parse().ok().filter(|number| fits(*number, bytes))
}

/// Digits with at most one point and a sign; nothing that a server could read as something else.
fn decimal(by: &str) -> Option<&str> {
    let digits = by.strip_prefix('-').unwrap_or(by);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let sound = |part: &str| (1..=64).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    (sound(whole) && sound(fraction)).then_some(by)
}

fn day(by: &str) -> Option<i32> {
    match when::read(by)? {
        when::When { day: Some(day), .. } => i32::try_from(day).ok(),
        when::When { .. } => None,
    }
}

fn uuid(by: &str) -> Option<[u8; 16]> {
    let hex: Vec<u8> = by.bytes().filter(|b| *b != b'-').collect();
    let mut uuid = [0; 16];
    if hex.len() != 32 || !hex.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in uuid.iter_mut().zip(hex.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(uuid)
}

fn json_string(by: &str) -> String {
    let mut out = String::from("\"");
    for c in by.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Writing into a String cannot fail.
            c if c < ' ' => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
