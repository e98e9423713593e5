//! Values in text format.

use super::calendar::{civil, days};
use super::{fits, types};
use std::io::Write as _;
use vestibule_core::{Masked, Value, ValueKind};

const DAY: i64 = 86_400_000_000;

pub(super) fn decode<'a>(kind: ValueKind, raw: &'a [u8], bytes: &'a mut Vec<u8>) -> Option<Value<'a>> {
    let text = std::str::from_utf8(raw).ok()?;
    match kind {
        ValueKind::Integer(size) => text.parse().ok().filter(|v| fits(*v, size)).map(Value::Integer),
        ValueKind::Numeric | ValueKind::Inet => Some(Value::Text(text)),
        ValueKind::Float(_) => text.parse().ok().map(Value::Float),
        ValueKind::Boolean => match text {
            "t" => Some(Value::Boolean(true)),
            "f" => Some(Value::Boolean(false)),
            _ => None,
        },
        ValueKind::Date => date(text).map(Value::Date),
        ValueKind::Timestamp => timestamp(text).map(Value::Timestamp),
        ValueKind::Uuid => uuid(text).map(Value::Uuid),
        ValueKind::Bytes => bytea(raw, bytes).map(|()| Value::Bytes(bytes)),
        ValueKind::Text | ValueKind::Json | ValueKind::Other => None,
    }
}

fn date(text: &str) -> Option<i32> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |part: &str, least: usize, most: usize| {
        ((least..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse::<u32>().ok())
            .flatten()
    };
    days(i64::from(number(year, 4, 7)?), number(month, 2, 2)?, number(day, 2, 2)?)
}

fn two(text: &str) -> Option<i64> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// `2020-05-06 07:08:09.123456`, with or without `+05`, `-03:30`, `+00:19:32` behind it.
fn timestamp(text: &str) -> Option<i64> {
    let (day, clock) = text.split_once(' ')?;
    let (clock, ahead) = match clock.find(['+', '-']) {
        Some(at) => (clock.get(..at)?, zone(clock.get(at..)?)?),
        None => (clock, 0),
    };
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = whole.split(':');
    let (h, m, s) = (two(parts.next()?)?, two(parts.next()?)?, two(parts.next()?)?);
    if parts.next().is_some() || fraction.len() > 6 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros =
        fraction.bytes().chain(std::iter::repeat(b'0')).take(6).fold(0_i64, |n, b| n * 10 + i64::from(b - b'0'));
    let seconds = h * 3_600 + m * 60 + s - ahead;
    i64::from(date(day)?).checked_mul(DAY)?.checked_add(seconds * 1_000_000 + micros)
}

fn zone(text: &str) -> Option<i64> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let mut seconds = 0;
    let mut unit = 3_600;
    for part in rest.split(':') {
        seconds += two(part)? * unit;
        unit /= 60;
    }
    Some(sign * seconds)
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let mut out = [0; 16];
    let mut digits = text.bytes().filter(|b| *b != b'-');
    for slot in &mut out {
        *slot = (hex(digits.next()?)? << 4) | hex(digits.next()?)?;
    }
    (digits.next().is_none() && text.len() == 36).then_some(out)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Both output forms of bytea: `\x…`, and the older one with octal escapes.
fn bytea(raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    if let Some(digits) = raw.strip_prefix(b"\\x") {
        let (pairs, rest) = digits.as_chunks::<2>();
        for [high, low] in pairs {
            out.push((hex(*high)? << 4) | hex(*low)?);
        }
        return rest.is_empty().then_some(());
    }
    let mut rest = raw.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match rest.next()? {
            b'\\' => out.push(b'\\'),
            first @ b'0'..=b'3' => {
                let (second, third) = (rest.next()?, rest.next()?);
                if !matches!((second, third), (b'0'..=b'7', b'0'..=b'7')) {
                    return None;
                }
                out.push(((first - b'0') << 6) | ((second - b'0') << 3) | (third - b'0'));
            }
            _ => return None,
        }
    }
    Some(())
}

pub(super) fn encode(kind: ValueKind, oid: u32, masked: Masked, text: &str, out: &mut Vec<u8>) -> Option<()> {
    match (kind, masked) {
        (ValueKind::Numeric, Masked::Text) => {
            super::binary::is_numeric(text).then(|| out.extend_from_slice(text.as_bytes()))
        }
        (ValueKind::Inet, Masked::Text) => super::binary::inet(text).map(|_| out.extend_from_slice(text.as_bytes())),
        (ValueKind::Integer(size), Masked::Integer(v)) if fits(v, size) => write!(out, "{v}").ok(),
        (ValueKind::Numeric | ValueKind::Float(_), Masked::Integer(v)) => write!(out, "{v}").ok(),
        (ValueKind::Float(_) | ValueKind::Numeric, Masked::Float(v)) if v.is_finite() => write!(out, "{v}").ok(),
        (ValueKind::Boolean, Masked::Boolean(v)) => {
            out.push(if v { b't' } else { b'f' });
            Some(())
        }
        (ValueKind::Date, Masked::Date(v)) => put_date(i64::from(v), out),
        (ValueKind::Timestamp, Masked::Timestamp(v)) => put_timestamp(v, oid == types::TIMESTAMPTZ, out),
        (ValueKind::Timestamp, Masked::Date(v)) => {
            put_timestamp(i64::from(v).checked_mul(DAY)?, oid == types::TIMESTAMPTZ, out)
        }
        (ValueKind::Uuid, Masked::Uuid(v)) => put_uuid(v, out),
        _ => None,
    }
}

fn put_date(day: i64, out: &mut Vec<u8>) -> Option<()> {
    let (y, m, d) = civil(day);
    if y < 1 {
        return None;
    }
    write!(out, "{y:04}-{m:02}-{d:02}").ok()
}

fn put_timestamp(micros: i64, zoned: bool, out: &mut Vec<u8>) -> Option<()> {
    put_date(micros.div_euclid(DAY), out)?;
    let of_day = micros.rem_euclid(DAY);
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    write!(out, " {:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60).ok()?;
    if fraction != 0 {
        write!(out, ".{fraction:06}").ok()?;
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    if zoned {
        out.extend_from_slice(b"+00");
    }
    Some(())
}

fn put_uuid(value: [u8; 16], out: &mut Vec<u8>) -> Option<()> {
    for (at, byte) in value.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        write!(out, "{byte:02x}").ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::bytea;

    #[test]
    fn both_forms_of_bytea() {
        let mut out = Vec::new();
        assert_eq!(bytea(b"\\x00ff", &mut out), Some(()));
        assert_eq!(out, [0, 255]);
        assert_eq!(bytea(b"a\\\\\\001", &mut out), Some(()));
        assert_eq!(out, [b'a', b'\\', 1]);
        assert_eq!(bytea(b"\\x0", &mut out), None);
        assert_eq!(bytea(b"\\9", &mut out), None);
    }
}
