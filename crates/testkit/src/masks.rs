//! Masks that are easy to check.

use std::sync::Arc;
use vestibule_core::{
    CannotMask, ColumnRef, Field, Mask, Masked, Origin, PhiClass, Plan, Terms, Transform, Treatment, Value,
};

/// Blacks out columns whose name ends with one of these words; what is derived from them or unknown is withheld.
#[derive(Debug, Clone)]
pub struct Blackout {
    /// Ends of `relation.column`; empty: nothing is masked, and nothing is known to be secret.
    pub columns: Vec<String>,
}

/// Replaces text by crosses and everything else by an arbitrary constant.
struct Crosses;

impl Transform for Crosses {
    fn apply(&self, value: Value<'_>, text: &mut String) -> Result<Masked, CannotMask> {
        Ok(match value {
            Value::Text(_) => {
                text.push_str("xxx");
                Masked::Text
            }
            Value::Integer(_) => Masked::Integer(7),
            Value::Float(_) => Masked::Float(7.5),
            Value::Boolean(_) => Masked::Boolean(false),
            Value::Date(_) => Masked::Date(0),
            Value::Timestamp(_) => Masked::Timestamp(0),
            Value::Uuid(_) => Masked::Uuid([7; 16]),
            Value::Bytes(_) => Masked::Bytes,
        })
    }
}

impl Blackout {
    fn hides(&self, column: &ColumnRef) -> bool {
        let full = format!("{}.{}", column.relation, column.column);
        self.columns.iter().any(|end| full.ends_with(end.as_str()))
    }
}

impl Mask for Blackout {
    fn plan(&self, fields: &[Field<'_>]) -> Plan {
        let treat = |field: &Field<'_>| match field.origin {
            _ if self.columns.is_empty() => Treatment::Pass(None),
            Origin::Column(column) if self.hides(column) => Treatment::Apply(PhiClass::Ssn, Arc::new(Crosses)),
            Origin::Derived(columns) if columns.iter().any(|c| self.hides(c)) => Treatment::Withhold(PhiClass::Ssn),
            Origin::Unknown => Treatment::Withhold(PhiClass::Unclassified),
            Origin::Column(_) | Origin::Derived(_) => Treatment::Pass(None),
        };
        Plan(fields.iter().map(treat).collect())
    }
}

/// Terms that change nothing.
#[must_use]
pub fn pass_terms() -> Terms {
    terms(&[], false)
}

/// Terms that black these columns out.
#[must_use]
pub fn terms(columns: &[&str], scrub: bool) -> Terms {
    let columns = columns.iter().map(|c| (*c).to_owned()).collect();
    Terms { mask: Arc::new(Blackout { columns }), row_limit: None, notice: None, scrub }
}
