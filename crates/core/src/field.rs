//! What a result is made of, and how a mask meets it.

use crate::PhiClass;
use std::fmt;
use std::sync::Arc;

/// A column (field, path) of a relation (table, topic, document), by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnRef {
    /// Fully qualified, in the protocol's own spelling: `public.patient`.
    pub relation: Arc<str>,
    /// The column's name there.
    pub column: Arc<str>,
}

/// Where the bytes of a field come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin<'a> {
    /// This column, unchanged.
    Column(&'a ColumnRef),
    /// Computed from these columns (possibly none: a constant, `count(*)`).
    Derived(&'a [ColumnRef]),
    /// It could not be told. Masked whole.
    Unknown,
}

/// The kinds of value that masks can keep valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// Character strings.
    Text,
    /// Whole numbers of this many bytes (2, 4 or 8).
    Integer(u8),
    /// Exact decimals.
    Numeric,
    /// Floating point of this many bytes (4 or 8).
    Float(u8),
    /// True or false.
    Boolean,
    /// A calendar day.
    Date,
    /// A point in time, with or without zone.
    Timestamp,
    /// A UUID.
    Uuid,
    /// JSON.
    Json,
    /// Raw bytes.
    Bytes,
    /// An IP address or network.
    Inet,
    /// Anything else: it can only be shown whole or nulled.
    Other,
}

/// One column of a result, before the first row.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    /// The name the client sees. Never decides anything.
    pub name: &'a str,
    /// Where it comes from.
    pub origin: Origin<'a>,
    /// What it is.
    pub kind: ValueKind,
}

/// A value, decoded from whatever format it travels in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Text, also for numerics, JSON, inet in text form.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00.
    Timestamp(i64),
    /// A UUID.
    Uuid([u8; 16]),
    /// Raw bytes.
    Bytes(&'a [u8]),
}

/// What a transform made of a value. Text goes to the buffer the caller handed in, so a row costs no allocation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Masked {
    /// NULL.
    Null,
    /// The text in the caller's buffer.
    Text,
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00.
    Timestamp(i64),
    /// A UUID.
    Uuid([u8; 16]),
    /// No bytes at all.
    Bytes,
}

/// The value does not fit the transform. The interpreter then sends the type's empty value or NULL, never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CannotMask;

impl fmt::Display for CannotMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value cannot be masked by this transform")
    }
}

/// Turns one value into its masked form. Total: whatever it returns is what the client may see.
pub trait Transform: Send + Sync {
    /// Masks `value`. The result's kind is one the field's type can carry: text for text, a date for a date.
    /// `text` is empty on entry.
    ///
    /// # Errors
    /// [`CannotMask`] where the value does not fit; the caller then withholds it.
    fn apply(&self, value: Value<'_>, text: &mut String) -> Result<Masked, CannotMask>;
}

/// What happens to one field of every row.
#[derive(Clone)]
pub enum Treatment {
    /// It passes. With a class: PHI that policy reveals, and which is counted so.
    Pass(Option<PhiClass>),
    /// Each value is replaced by what the transform makes of it.
    Apply(PhiClass, Arc<dyn Transform>),
    /// Each value is replaced by its type's empty form: it is tainted, unknown, or its type knows no mask.
    Withhold(PhiClass),
}

impl fmt::Debug for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(class) => f.debug_tuple("Pass").field(class).finish(),
            Self::Apply(class, _) => f.debug_tuple("Apply").field(class).finish(),
            Self::Withhold(class) => f.debug_tuple("Withhold").field(class).finish(),
        }
    }
}

/// One treatment a field, in the order of the fields.
#[derive(Debug, Clone, Default)]
pub struct Plan(pub Vec<Treatment>);

impl Plan {
    /// Whether every field passes untouched, so that rows need not be opened (but for counting).
    #[must_use]
    pub fn is_pass(&self) -> bool {
        self.0.iter().all(|t| matches!(t, Treatment::Pass(_)))
    }
}

/// Plans masks: once a result shape, never once a cell.
pub trait Mask: Send + Sync {
    /// One treatment for each field, in order.
    fn plan(&self, fields: &[Field<'_>]) -> Plan;
}
