//! The reading of a statement.
//!
//! Bytes: flags, then the text.
//!
//! Rules: statements and literals lie within their text, on characters, in order; what is stored of a statement never
//! shows more than it; and a statement reads the same every time.

use crate::clinic::catalog;
use crate::input::Input;
use std::sync::LazyLock;
use vestibule_core::{Operation, Reading};
use vestibule_sql::{Catalog, Scope, SessionChange, Statement, read};

static CATALOG: LazyLock<Catalog> = LazyLock::new(catalog);

/// Reads one text.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let flags = input.byte();
    let Ok(text) = std::str::from_utf8(input.0) else { return };
    let path = ["public".to_owned()];
    let scope =
        Scope { catalog: (flags & 1 == 0).then_some(&*CATALOG), search_path: &path, standard_strings: flags & 2 == 0 };
    let first = read(text, &scope);
    if let Ok(script) = &first {
        let mut at = 0;
        for statement in &script.statements {
            assert!(statement.span.start >= at, "statements overlap");
            at = statement.span.end;
            check(text, statement);
        }
    }
    if flags & 4 != 0 {
        let (first, second) =
            (first.map(|script| script.statements), read(text, &scope).map(|script| script.statements));
        assert_eq!(first.ok(), second.ok(), "a text is read in two ways");
    }
}

fn check(text: &str, statement: &Statement) {
    let own = text.get(statement.span.clone()).expect("a statement lies within its text, on characters");
    assert_eq!(statement.operation.text.as_deref(), Some(own), "an operation has another text");
    operation(&statement.operation);
    if let SessionChange::Prepare(_, inner) = &statement.session {
        operation(&inner.operation);
    }
}

fn operation(operation: &Operation) {
    let text = operation.text.as_deref().unwrap_or_default();
    let mut at = 0;
    for literal in operation.literals.iter() {
        assert!(literal.span.start >= at, "literals overlap or are out of order");
        assert!(literal.span.start < literal.span.end, "a literal of nothing");
        assert!(text.get(literal.span.clone()).is_some(), "a literal outside of its text");
        at = literal.span.end;
    }
    let hidden = operation.redacted(true, |_, _| true).unwrap_or_default();
    assert!(!hidden.starts_with("(text withheld"), "literals that do not fit");
    assert!(operation.shape.is_some(), "a statement without a shape");
    assert!(!operation.action.is_empty() || operation.reading != Reading::Exact, "an action without a name");
}
