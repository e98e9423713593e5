//! Where every output column comes from, statement by statement.

#![cfg(test)]

mod common;
#[path = "common/rows.rs"]
mod rows;
#[path = "common/spell.rs"]
mod spell;

use common::{catalog, scope};
use rows::ROWS;
use spell::{output, short, spelled};
use vestibule_sql::{Lineage, Scope, SessionChange, read};

fn output_of(text: &str, scope: &Scope<'_>) -> String {
    match read(text, scope) {
        Ok(script) => script.statements.iter().map(|statement| short(&output(&statement.output))).collect(),
        Err(why) => format!("error: {why}"),
    }
}

#[test]
fn every_output_column_comes_from_where_it_comes_from() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let scope = scope(&catalog, &path);
    let wrong = ROWS.iter().filter_map(|(text, expected)| {
        let found = output_of(text, &scope);
        (found != *expected).then(|| format!("{text}\n    expected {expected}\n    found    {found}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), ROWS.len(), wrong.join("\n"));
}

#[test]
fn the_search_path_decides() {
    let catalog = catalog();
    for (path, expected) in [
        (vec!["public"], "=P.ssn"),
        (vec!["audit", "public"], "=audit.patient.ssn"),
        (vec!["nowhere", "audit"], "=audit.patient.ssn"),
        (vec![], "?"),
    ] {
        let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
        let script = read("SELECT ssn FROM patient", &scope(&catalog, &path)).unwrap();
        assert_eq!(short(&output(&script.statements[0].output)), expected, "{path:?}");
    }
}

#[test]
fn without_a_catalog_nothing_is_known() {
    let scope = Scope { catalog: None, search_path: &[], standard_strings: true };
    let script = read("SELECT ssn, 1 FROM patient; SELECT * FROM patient", &scope).unwrap();
    assert_eq!(output(&script.statements[0].output), "? | -");
    assert_eq!(output(&script.statements[1].output), "unknown");
}

#[test]
fn origins_by_number() {
    let catalog = catalog();
    let origin = |oid, number| short(&spelled(&catalog.origin(oid, number)));
    assert_eq!(origin(1, 3), "=P.ssn");
    assert_eq!(origin(7, 3), "=public.lab.result");
    assert_eq!(origin(20, 2), "=P.ssn");
    assert_eq!(origin(21, 2), "P.name");
    assert_eq!(origin(24, 1), "?");
    assert_eq!(origin(1259, 2), "=pg_catalog.pg_class.relname");
    assert_eq!(origin(1249, 4), "?");
    assert_eq!(origin(1, -1), "-");
    assert_eq!(catalog.origin(1, 99), Lineage::Unknown);
    assert_eq!(catalog.origin(99_999, 1), Lineage::Unknown);
}

#[test]
fn cursors_and_prepared_statements_carry_their_output() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let scope = scope(&catalog, &path);
    let script =
        read("DECLARE c CURSOR FOR SELECT ssn FROM patient; PREPARE q AS SELECT name || $1 FROM patient", &scope);
    let statements = script.unwrap().statements;
    match &statements[0].session {
        SessionChange::Declare(name, rows) => {
            assert_eq!((name.as_str(), short(&output(rows)).as_str()), ("c", "=P.ssn"))
        }
        other => panic!("{other:?}"),
    }
    match &statements[1].session {
        SessionChange::Prepare(name, inner) => {
            assert_eq!((name.as_str(), short(&output(&inner.output)).as_str()), ("q", "P.name"));
        }
        other => panic!("{other:?}"),
    }
}
