//! Values in binary format.

use super::{fits, types};
use std::fmt::Write as _;
use std::net::IpAddr;
use vestibule_core::{Masked, Value, ValueKind};

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const NEGATIVE: u16 = 0x4000;

pub(super) fn decode<'a>(kind: ValueKind, raw: &'a [u8], text: &'a mut String) -> Option<Value<'a>> {
    match kind {
        ValueKind::Integer(2) => raw.try_into().ok().map(|b| Value::Integer(i64::from(i16::from_be_bytes(b)))),
        ValueKind::Integer(4) => raw.try_into().ok().map(|b| Value::Integer(i64::from(i32::from_be_bytes(b)))),
        ValueKind::Integer(_) => raw.try_into().ok().map(|b| Value::Integer(i64::from_be_bytes(b))),
        ValueKind::Float(4) => raw.try_into().ok().map(|b| Value::Float(f64::from(f32::from_be_bytes(b)))),
        ValueKind::Float(_) => raw.try_into().ok().map(|b| Value::Float(f64::from_be_bytes(b))),
        ValueKind::Boolean => match raw {
            [b] => Some(Value::Boolean(*b != 0)),
            _ => None,
        },
        ValueKind::Date => {
            let days = i32::from_be_bytes(raw.try_into().ok()?);
            (days != i32::MAX && days != i32::MIN).then(|| days.checked_add(EPOCH_DAYS)).flatten().map(Value::Date)
        }
        ValueKind::Timestamp => {
            let micros = i64::from_be_bytes(raw.try_into().ok()?);
            let finite = micros != i64::MAX && micros != i64::MIN;
            finite.then(|| micros.checked_add(EPOCH_MICROS)).flatten().map(Value::Timestamp)
        }
        ValueKind::Uuid => raw.try_into().ok().map(Value::Uuid),
        ValueKind::Bytes => Some(Value::Bytes(raw)),
        ValueKind::Numeric => decode_numeric(raw, text).map(|()| Value::Text(text)),
        ValueKind::Inet => decode_inet(raw, text).map(|()| Value::Text(text)),
        ValueKind::Text | ValueKind::Json | ValueKind::Other => None,
    }
}

pub(super) fn encode(kind: ValueKind, oid: u32, masked: Masked, text: &str, out: &mut Vec<u8>) -> Option<()> {
    match (kind, masked) {
        (ValueKind::Integer(size), Masked::Integer(v)) if fits(v, size) => {
            let bytes = v.to_be_bytes();
            out.extend_from_slice(bytes.get(8_usize.checked_sub(usize::from(size))?..)?);
        }
        (ValueKind::Float(4), Masked::Float(v)) => out.extend_from_slice(&narrow(v).to_be_bytes()),
        (ValueKind::Float(_), Masked::Float(v)) => out.extend_from_slice(&v.to_be_bytes()),
        (ValueKind::Boolean, Masked::Boolean(v)) => out.push(u8::from(v)),
        (ValueKind::Date, Masked::Date(v)) => out.extend_from_slice(&v.checked_sub(EPOCH_DAYS)?.to_be_bytes()),
        (ValueKind::Timestamp, Masked::Timestamp(v)) => {
            out.extend_from_slice(&v.checked_sub(EPOCH_MICROS)?.to_be_bytes());
        }
        (ValueKind::Timestamp, Masked::Date(v)) => {
            let micros = i64::from(v).checked_mul(86_400_000_000)?.checked_sub(EPOCH_MICROS)?;
            out.extend_from_slice(&micros.to_be_bytes());
        }
        (ValueKind::Uuid, Masked::Uuid(v)) => out.extend_from_slice(&v),
        (ValueKind::Numeric, Masked::Text) => return encode_numeric(text, out),
        (ValueKind::Numeric, Masked::Integer(v)) => return encode_numeric(&v.to_string(), out),
        (ValueKind::Numeric, Masked::Float(v)) if v.is_finite() => return encode_numeric(&v.to_string(), out),
        (ValueKind::Inet, Masked::Text) => return encode_inet(text, oid, out),
        _ => return None,
    }
    Some(())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the column holds four bytes; a mask need not keep the fifth digit"
)]
const fn narrow(value: f64) -> f32 {
    value as f32
}

fn decode_numeric(raw: &[u8], text: &mut String) -> Option<()> {
    text.clear();
    let (head, digits) = raw.split_first_chunk::<8>()?;
    let [a, b, c, d, e, f, g, h] = *head;
    let (count, weight) = (usize::from(u16::from_be_bytes([a, b])), i32::from(i16::from_be_bytes([c, d])));
    let (sign, scale) = (u16::from_be_bytes([e, f]), i32::from(u16::from_be_bytes([g, h])));
    let (digits, odd) = digits.as_chunks::<2>();
    if digits.len() != count || !odd.is_empty() || (sign != 0 && sign != NEGATIVE) {
        return None;
    }
    let digit = |at: i32| {
        let at = usize::try_from(at).ok();
        at.and_then(|at| digits.get(at)).map_or(0, |d| u16::from_be_bytes(*d))
    };
    if sign == NEGATIVE {
        text.push('-');
    }
    if weight < 0 {
        text.push('0');
    }
    for at in 0..=weight {
        if at == 0 { write!(text, "{}", digit(at)).ok()? } else { write!(text, "{:04}", digit(at)).ok()? }
    }
    if scale > 0 {
        text.push('.');
        let whole = text.len();
        for at in 0..(scale + 3) / 4 {
            write!(text, "{:04}", digit(weight + 1 + at)).ok()?;
        }
        text.truncate(whole + usize::try_from(scale).ok()?);
    }
    Some(())
}

/// Whether this is a plain decimal, as PostgreSQL writes them.
pub(super) fn is_numeric(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.len() < 1_000 && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(fraction)
}

fn encode_numeric(text: &str, out: &mut Vec<u8>) -> Option<()> {
    if !is_numeric(text) {
        return None;
    }
    let (sign, plain) = text.strip_prefix('-').map_or((0, text), |rest| (NEGATIVE, rest));
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let mut digits = Vec::with_capacity(8);
    let lead = (4 - whole.len() % 4) % 4;
    let padded = std::iter::repeat_n(b'0', lead).chain(whole.bytes());
    let tail = (4 - fraction.len() % 4) % 4;
    let padded = padded.chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', tail));
    let (mut group, mut have) = (0_u16, 0);
    for byte in padded {
        group = group * 10 + u16::from(byte - b'0');
        have += 1;
        if have == 4 {
            digits.push(group);
            (group, have) = (0, 0);
        }
    }
    let mut weight = i16::try_from((whole.len() + lead) / 4).ok()? - 1;
    let leading = digits.iter().take_while(|d| **d == 0).count();
    digits.drain(..leading);
    weight -= i16::try_from(leading).ok()?;
    while digits.last() == Some(&0) {
        digits.pop();
    }
    if digits.is_empty() {
        weight = 0;
    }
    out.extend_from_slice(&u16::try_from(digits.len()).ok()?.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&(if digits.is_empty() { 0 } else { sign }).to_be_bytes());
    out.extend_from_slice(&u16::try_from(fraction.len()).ok()?.to_be_bytes());
    for digit in digits {
        out.extend_from_slice(&digit.to_be_bytes());
    }
    Some(())
}

fn decode_inet(raw: &[u8], text: &mut String) -> Option<()> {
    text.clear();
    let (head, address) = raw.split_first_chunk::<4>()?;
    let [family, bits, cidr, len] = *head;
    if usize::from(len) != address.len() {
        return None;
    }
    let (address, full): (IpAddr, u8) = match family {
        2 => (<[u8; 4]>::try_from(address).ok()?.into(), 32),
        3 => (<[u8; 16]>::try_from(address).ok()?.into(), 128),
        _ => return None,
    };
    write!(text, "{address}").ok()?;
    if bits != full || cidr != 0 {
        write!(text, "/{bits}").ok()?;
    }
    Some(())
}

/// An address and the length of its network.
pub(super) fn inet(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().ok()?;
    let full = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(full), |b| b.parse().ok())?;
    (bits <= full).then_some((address, bits))
}

fn encode_inet(text: &str, oid: u32, out: &mut Vec<u8>) -> Option<()> {
    let (address, bits) = inet(text)?;
    let cidr = u8::from(oid == types::CIDR);
    match address {
        IpAddr::V4(v4) => {
            out.extend_from_slice(&[2, bits, cidr, 4]);
            out.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            out.extend_from_slice(&[3, bits, cidr, 16]);
            out.extend_from_slice(&v6.octets());
        }
    }
    Some(())
}
