//! Values in both formats: decoded for a transform, encoded from what it made.
//!
//! `None` always means "this cannot be done"; the caller then withholds. Text forms are those of `DateStyle` ISO and
//! either form of `bytea_output`; anything else is not decoded, hence withheld.

mod binary;
mod calendar;
mod text;

use super::types;
use vestibule_core::{Masked, Value, ValueKind};

/// Reused memory for one value.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// What a value was decoded into, where it could not be borrowed.
    pub text: String,
    /// The same for bytes.
    pub bytes: Vec<u8>,
    /// What the transform wrote.
    pub masked: String,
}

/// Decodes a value that is not NULL.
pub(crate) fn decode<'a>(
    kind: ValueKind,
    oid: u32,
    binary: bool,
    raw: &'a [u8],
    text: &'a mut String,
    bytes: &'a mut Vec<u8>,
) -> Option<Value<'a>> {
    match kind {
        ValueKind::Text => std::str::from_utf8(raw).ok().map(Value::Text),
        ValueKind::Json => {
            let raw = if binary && oid == types::JSONB { raw.strip_prefix(&[1])? } else { raw };
            std::str::from_utf8(raw).ok().map(Value::Text)
        }
        ValueKind::Other => None,
        _ if binary => binary::decode(kind, raw, text),
        _ => text::decode(kind, raw, bytes),
    }
}

/// Appends the encoding of what a transform made (never NULL). Appends nothing when it returns `None`.
pub(crate) fn encode(
    kind: ValueKind,
    oid: u32,
    binary: bool,
    masked: Masked,
    text: &str,
    out: &mut Vec<u8>,
) -> Option<()> {
    let start = out.len();
    let done = match (kind, masked) {
        (_, Masked::Text) if text.contains('\0') => None,
        (ValueKind::Text | ValueKind::Json, Masked::Text) => {
            if binary && oid == types::JSONB {
                out.push(1);
            }
            out.extend_from_slice(text.as_bytes());
            Some(())
        }
        (ValueKind::Bytes, Masked::Bytes) => {
            if !binary {
                out.extend_from_slice(b"\\x");
            }
            Some(())
        }
        _ if binary => binary::encode(kind, oid, masked, text, out),
        _ => text::encode(kind, oid, masked, text, out),
    };
    if done.is_none() {
        out.truncate(start);
    }
    done
}

/// Appends the empty form of a kind and returns `true`, or returns `false` where only NULL is empty. A zero or an
/// epoch would look like a value, so numbers, dates and the like are NULL.
pub(crate) fn empty(kind: ValueKind, oid: u32, binary: bool, out: &mut Vec<u8>) -> bool {
    match kind {
        ValueKind::Text => true,
        ValueKind::Bytes => {
            if !binary {
                out.extend_from_slice(b"\\x");
            }
            true
        }
        ValueKind::Json => {
            if binary && oid == types::JSONB {
                out.push(1);
            }
            out.extend_from_slice(b"null");
            true
        }
        _ => false,
    }
}

/// Whether a whole number fits so many bytes.
fn fits(value: i64, bytes: u8) -> bool {
    match bytes {
        2 => i16::try_from(value).is_ok(),
        4 => i32::try_from(value).is_ok(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{Scratch, decode, encode};
    use vestibule_core::{Masked, Value, ValueKind};

    fn through(kind: ValueKind, oid: u32, binary: bool, raw: &[u8]) -> Option<Vec<u8>> {
        let mut scratch = Scratch::default();
        let Scratch { text, bytes, .. } = &mut scratch;
        let mut said = String::new();
        let masked = match decode(kind, oid, binary, raw, text, bytes)? {
            Value::Text(text) => {
                said.push_str(text);
                Masked::Text
            }
            Value::Integer(v) => Masked::Integer(v),
            Value::Float(v) => Masked::Float(v),
            Value::Boolean(v) => Masked::Boolean(v),
            Value::Date(v) => Masked::Date(v),
            Value::Timestamp(v) => Masked::Timestamp(v),
            Value::Uuid(v) => Masked::Uuid(v),
            Value::Bytes(_) => Masked::Bytes,
        };
        let mut out = Vec::new();
        encode(kind, oid, binary, masked, &said, &mut out)?;
        Some(out)
    }

    #[test]
    fn text_values_come_back_as_they_were() {
        let same: [(ValueKind, u32, &str); 17] = [
            (ValueKind::Text, 25, "Grüße"),
            (ValueKind::Integer(2), 21, "-32768"),
            (ValueKind::Integer(8), 20, "9223372036854775807"),
            (ValueKind::Numeric, 1700, "-12.3400"),
            (ValueKind::Float(8), 701, "1.5"),
            (ValueKind::Boolean, 16, "t"),
            (ValueKind::Date, 1082, "1969-12-31"),
            (ValueKind::Date, 1082, "2000-02-29"),
            (ValueKind::Date, 1082, "12345-01-01"),
            (ValueKind::Timestamp, 1114, "1999-12-31 23:59:59.5"),
            (ValueKind::Timestamp, 1114, "1961-01-02 03:04:05"),
            (ValueKind::Timestamp, 1184, "2020-05-06 07:08:09.000001+00"),
            (ValueKind::Uuid, 2950, "00112233-4455-6677-8899-aabbccddeeff"),
            (ValueKind::Json, 3802, "{\"a\": 1}"),
            (ValueKind::Inet, 869, "10.0.0.1"),
            (ValueKind::Inet, 650, "10.0.0.0/8"),
            (ValueKind::Text, 1043, ""),
        ];
        for (kind, oid, text) in same {
            let back = through(kind, oid, false, text.as_bytes());
            assert_eq!(back.as_deref().map(String::from_utf8_lossy).as_deref(), Some(text), "{kind:?}");
        }
        let zoned = through(ValueKind::Timestamp, 1184, false, b"2020-05-06 07:08:09+05:30").unwrap();
        assert_eq!(zoned, b"2020-05-06 01:38:09+00");
    }

    #[test]
    fn binary_values_come_back_as_they_were() {
        let same: [(ValueKind, u32, &[u8]); 14] = [
            (ValueKind::Integer(2), 21, &[0x80, 0]),
            (ValueKind::Integer(4), 23, &[0, 0, 1, 2]),
            (ValueKind::Integer(8), 20, &[0xff; 8]),
            (ValueKind::Float(4), 700, &1.5_f32.to_be_bytes()),
            (ValueKind::Boolean, 16, &[1]),
            (ValueKind::Date, 1082, &(-3_i32).to_be_bytes()),
            (ValueKind::Timestamp, 1184, &(-1_i64).to_be_bytes()),
            (ValueKind::Uuid, 2950, &[7; 16]),
            (ValueKind::Json, 3802, b"\x01{}"),
            (ValueKind::Inet, 869, &[2, 32, 0, 4, 10, 0, 0, 1]),
            (ValueKind::Inet, 650, &[3, 64, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            // 12345.6700
            (ValueKind::Numeric, 1700, &[0, 3, 0, 1, 0, 0, 0, 4, 0, 1, 0x09, 0x29, 0x1a, 0x2c]),
            // 0.05
            (ValueKind::Numeric, 1700, &[0, 1, 0xff, 0xff, 0x40, 0, 0, 2, 1, 0xf4]),
            (ValueKind::Numeric, 1700, &[0, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (kind, oid, raw) in same {
            assert_eq!(through(kind, oid, true, raw).as_deref(), Some(raw), "{kind:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_decoded() {
        let wrong: [(ValueKind, u32, bool, &[u8]); 14] = [
            (ValueKind::Date, 1082, false, b"31.12.1969"),
            (ValueKind::Date, 1082, false, b"infinity"),
            (ValueKind::Date, 1082, false, b"0044-03-15 BC"),
            (ValueKind::Date, 1082, false, b"1999-13-01"),
            (ValueKind::Date, 1082, true, &i32::MAX.to_be_bytes()),
            (ValueKind::Timestamp, 1114, true, &i64::MIN.to_be_bytes()),
            (ValueKind::Integer(2), 21, false, b"40000"),
            (ValueKind::Integer(4), 23, true, &[0, 1]),
            (ValueKind::Uuid, 2950, false, b"0011"),
            (ValueKind::Text, 25, false, &[0xff, 0xfe]),
            (ValueKind::Json, 3802, true, b"\x02{}"),
            (ValueKind::Numeric, 1700, true, &[0, 9, 0, 0, 0, 0, 0, 0]),
            (ValueKind::Inet, 869, true, &[2, 32, 0, 4, 10]),
            (ValueKind::Other, 600, false, b"(1,2)"),
        ];
        for (kind, oid, binary, raw) in wrong {
            assert_eq!(through(kind, oid, binary, raw), None, "{kind:?}");
        }
    }
}
