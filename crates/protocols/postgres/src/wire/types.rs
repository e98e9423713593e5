//! Which kind of value a type carries, by the OID that every PostgreSQL gives it.
//!
//! Domains arrive as their base type. Types without a fixed OID (enums, composites, arrays, those of extensions) are
//! [`ValueKind::Other`]: they can be shown whole or not at all.

use vestibule_core::ValueKind;

pub(crate) const BYTEA: u32 = 17;
pub(crate) const JSONB: u32 = 3802;
pub(crate) const TIMESTAMPTZ: u32 = 1184;
pub(crate) const CIDR: u32 = 650;

/// The kind of a type's values.
pub(crate) const fn kind_of(oid: u32) -> ValueKind {
    match oid {
        16 => ValueKind::Boolean,
        BYTEA => ValueKind::Bytes,
        20 => ValueKind::Integer(8),
        21 => ValueKind::Integer(2),
        23 => ValueKind::Integer(4),
        // name, text, bpchar, varchar, and a literal whose type was never decided
        19 | 25 | 1042 | 1043 | 705 => ValueKind::Text,
        114 | JSONB => ValueKind::Json,
        CIDR | 869 => ValueKind::Inet,
        700 => ValueKind::Float(4),
        701 => ValueKind::Float(8),
        1082 => ValueKind::Date,
        1114 | TIMESTAMPTZ => ValueKind::Timestamp,
        1700 => ValueKind::Numeric,
        2950 => ValueKind::Uuid,
        _ => ValueKind::Other,
    }
}
