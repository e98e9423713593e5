//! Literals inside an operation's text, and how they are taken out of it.

use crate::ColumnRef;
use std::ops::Range;
use std::sync::Arc;

/// A literal in an operation's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Byte range in the text, quotes included.
    pub span: Range<usize>,
    /// The columns it is compared with or written to, where that is known.
    pub columns: Arc<[ColumnRef]>,
    /// Whether it can be no PHI wherever it stands: a row limit, a format name, an interval unit.
    pub harmless: bool,
    /// Whether it may be a password or key: then it is taken out wherever it stands, PHI or not.
    pub secret: bool,
}

/// Replaces every literal that belongs to PHI by `'…'`. `literals` must be sorted and not overlap; where they
/// do not fit the text, the whole text is withheld.
#[must_use]
pub fn redact_literals(
    text: &str,
    literals: &[Literal],
    unknown_is_phi: bool,
    is_phi: impl Fn(&str, &str) -> bool,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for literal in literals {
        let hide = literal.secret
            || !literal.harmless
                && if literal.columns.is_empty() {
                    unknown_is_phi
                } else {
                    literal.columns.iter().any(|c| is_phi(&c.relation, &c.column))
                };
        let (Some(before), Some(itself)) = (text.get(at..literal.span.start), text.get(literal.span.clone())) else {
            return "(text withheld: its literals could not be located)".to_owned();
        };
        out.push_str(before);
        out.push_str(if hide { "'…'" } else { itself });
        at = literal.span.end;
    }
    match text.get(at..) {
        Some(rest) => out.push_str(rest),
        None => return "(text withheld: its literals could not be located)".to_owned(),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Literal, redact_literals};
    use crate::ColumnRef;
    use std::sync::Arc;

    fn literal(span: std::ops::Range<usize>, column: Option<&str>, harmless: bool) -> Literal {
        let columns: Arc<[ColumnRef]> =
            column.map(|c| ColumnRef { relation: "t".into(), column: c.into() }).into_iter().collect();
        Literal { span, columns, harmless, secret: false }
    }

    #[test]
    fn hides_what_belongs_to_phi_and_fails_closed() {
        let text = "WHERE ssn = '1' AND city = 'x' AND f('y') LIMIT 5";
        let literals = [
            literal(12..15, Some("ssn"), false),
            literal(27..30, Some("city"), false),
            literal(37..40, None, false),
            literal(48..49, None, true),
        ];
        let phi = |_: &str, c: &str| c == "ssn";
        assert_eq!(redact_literals(text, &literals, true, phi), "WHERE ssn = '…' AND city = 'x' AND f('…') LIMIT 5");
        let password = [Literal { secret: true, ..literal(8..14, None, true) }];
        assert_eq!(redact_literals("ALTER 8 'pass' x", &password, false, phi), "ALTER 8 '…' x");
        let broken = [literal(40..99, None, false)];
        assert!(redact_literals(text, &broken, true, phi).starts_with("(text withheld"));
    }
}
