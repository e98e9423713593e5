//! A part of the value stays, never more than half.
//!
//! In numbers that people format (telephone, social security, record numbers) only letters and digits count, and
//! signs between them stay where they are. Everywhere else every character counts. The number of characters stays
//! visible; where that is too much, redact.

use vestibule_core::{CannotMask, Masked, PhiClass, Transform, Value, ValueKind};

#[derive(Debug)]
pub(super) struct Partial {
    formatted: bool,
    first: usize,
    last: usize,
}

impl Partial {
    /// Only texts have parts.
    pub(super) fn new(class: PhiClass, kind: ValueKind, first: u8, last: u8) -> Option<Self> {
        use PhiClass::{Account, Beneficiary, Device, Fax, License, Mrn, Phone, Ssn, Unique, Vehicle, Zip};
        let formatted = matches!(
            class,
            Account | Beneficiary | Device | Fax | License | Mrn | Phone | Ssn | Unique | Vehicle | Zip
        );
        (kind == ValueKind::Text).then_some(Self { formatted, first: usize::from(first), last: usize::from(last) })
    }

    fn counts(&self, c: char) -> bool {
        !self.formatted || c.is_alphanumeric()
    }

    fn is_sign(&self, c: char) -> bool {
        self.formatted && matches!(c, '-' | ' ' | '.' | '/' | '(' | ')' | '+')
    }
}

impl Transform for Partial {
    fn apply(&self, value: Value<'_>, text: &mut String) -> Result<Masked, CannotMask> {
        let Value::Text(value) = value else { return Err(CannotMask) };
        let count = value.chars().filter(|c| self.counts(*c)).count();
        // Where the parts would be more than half, nothing stays: what is left of a short value is the value.
        let (first, last) = if self.first + self.last > count / 2 { (0, 0) } else { (self.first, self.last) };
        let mut at = 0;
        for c in value.chars() {
            if !self.counts(c) {
                text.push(if self.is_sign(c) { c } else { '*' });
                continue;
            }
            let stays = at < first || at + last >= count;
            text.push(if stays { c } else { '*' });
            at += 1;
        }
        Ok(Masked::Text)
    }
}
