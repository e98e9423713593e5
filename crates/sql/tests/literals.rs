//! Where the constants of a statement are, and which columns they meet; and what statements change of the session.

#![cfg(test)]
#![expect(clippy::string_slice, reason = "the spans are what is tested")]

mod common;

use common::{catalog, scope};
use vestibule_sql::{Copy, CopyFormat, CopyWay, SessionChange, Statement, read};

fn short(text: &str) -> String {
    text.replace("public.patient.", "P.").replace("public.city.", "C.")
}

fn first(text: &str) -> Statement {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let script = read(text, &scope(&catalog, &path)).unwrap_or_else(|why| panic!("{text}: {why}"));
    script.statements.into_iter().next().unwrap()
}

/// `'1':P.ssn` each, `!` where it can be no data, `?` where no column is known.
fn literals(text: &str) -> String {
    let statement = first(text);
    let own = statement.operation.text.as_deref().unwrap();
    let spelled = statement.operation.literals.iter().map(|literal| {
        let columns: Vec<String> = literal.columns.iter().map(|c| format!("{}.{}", c.relation, c.column)).collect();
        let columns = short(&columns.join("+"));
        let what = match (literal.harmless, columns.is_empty()) {
            (true, _) => "!".to_owned(),
            (false, true) => "?".to_owned(),
            (false, false) => columns,
        };
        format!("{}:{what}", &own[literal.span.clone()])
    });
    spelled.collect::<Vec<_>>().join(" ")
}

#[test]
fn constants_belong_to_the_columns_they_meet() {
    for (text, expected) in [
        ("SELECT 1 FROM patient WHERE ssn = '123'", "1:? '123':P.ssn"),
        ("SELECT 1 FROM patient WHERE '123' = ssn", "1:? '123':P.ssn"),
        ("SELECT 1 FROM patient WHERE ssn IN ('1', '2') AND city = 'x'", "1:? '1':P.ssn '2':P.ssn 'x':P.city"),
        ("SELECT 1 FROM patient WHERE ssn LIKE 'a%' ESCAPE '!'", "1:? 'a%':P.ssn '!':P.ssn"),
        ("SELECT 1 FROM patient WHERE id BETWEEN 1 AND -2", "1:? 1:P.id 2:P.id"),
        ("SELECT 1 FROM patient WHERE id = -2.5", "1:? 2.5:P.id"),
        ("SELECT 1 FROM patient WHERE upper(name) = 'X'", "1:? 'X':P.name"),
        ("SELECT 1 FROM patient WHERE born > date '2020-01-01'", "1:? '2020-01-01':P.born"),
        ("SELECT 1 FROM patient WHERE ssn = ANY (ARRAY['1', '2'])", "1:? '1':P.ssn '2':P.ssn"),
        ("SELECT 1 FROM patient WHERE (ssn, city) = ('1', 'x')", "1:? '1':P.city+P.ssn 'x':P.city+P.ssn"),
        ("SELECT 1 FROM patient p WHERE p.ssn = $$x$$ OR p.ssn = $q$y$q$", "1:? $$x$$:P.ssn $q$y$q$:P.ssn"),
        ("SELECT 1 FROM patient WHERE ssn = E'a\\'b'", "1:? E'a\\'b':P.ssn"),
        ("SELECT 1 FROM patient WHERE name = 'O''Brien'", "1:? 'O''Brien':P.name"),
        ("SELECT 1 FROM patient WHERE name = U&'\\0041'", "1:? U&'\\0041':P.name"),
        ("SELECT 'é', 'ü' FROM patient WHERE name = 'Zoë' AND city = 'Łódź'", "'é':? 'ü':? 'Zoë':P.name 'Łódź':P.city"),
        ("SELECT 1 FROM v_patient WHERE label = '1'", "1:? '1':P.ssn"),
        ("SELECT 1 FROM (SELECT ssn x FROM patient) q WHERE x = '1'", "1:? '1':P.ssn"),
        ("SELECT 1 FROM patient WHERE '1' IN (SELECT ssn FROM patient)", "1:? '1':P.ssn"),
        ("SELECT CASE ssn WHEN '1' THEN 'a' END FROM patient", "'1':P.ssn 'a':?"),
        ("SELECT 1 FROM nowhere WHERE x = '1'", "1:? '1':?"),
        ("SELECT 1 FROM patient, nowhere WHERE ssn = '1' || x", "1:? '1':?"),
        ("SELECT id FROM patient ORDER BY 1 LIMIT 5 OFFSET 10", "1:! 5:! 10:!"),
        ("SELECT city FROM patient GROUP BY 1", "1:!"),
        ("SELECT ssn::varchar(3) FROM patient", "3:!"),
        ("INSERT INTO patient (ssn, id) VALUES ('1', 2), ('3', 4)", "'1':P.ssn 2:P.id '3':P.ssn 4:P.id"),
        ("INSERT INTO city VALUES (1, upper('x'))", "1:C.id 'x':C.city"),
        ("INSERT INTO city (city) SELECT 'x' FROM patient WHERE ssn = '1'", "'x':C.city '1':P.ssn"),
        ("INSERT INTO city (id) SELECT 1 UNION SELECT 2", "1:C.id 2:C.id"),
        ("INSERT INTO nowhere VALUES ('1')", "'1':?"),
        ("INSERT INTO city (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET city = 'x'", "1:C.id 'x':C.city"),
        ("UPDATE patient SET ssn = '1', note = 'n' || name WHERE id = 2", "'1':P.ssn 'n':P.name+P.note 2:P.id"),
        ("UPDATE patient SET (ssn, note) = ('1', 'n') WHERE id = 2", "'1':P.note+P.ssn 'n':P.note+P.ssn 2:P.id"),
        ("DELETE FROM patient WHERE ssn = '1'", "'1':P.ssn"),
        (
            "MERGE INTO city c USING patient p ON c.city = 'q' WHEN NOT MATCHED THEN INSERT (zip) VALUES ('z')",
            "'q':C.city 'z':C.zip",
        ),
        ("SELECT 1 -- John\n/* 123 */ FROM patient", "1:? -- John:? /* 123 */:?"),
        ("DO $$ BEGIN PERFORM 'x'; END $$", "$$ BEGIN PERFORM 'x'; END $$:?"),
        ("COPY patient TO STDOUT (DELIMITER ';', FORMAT 'csv')", "';':? 'csv':?"),
        ("PREPARE q AS SELECT 1 FROM patient WHERE ssn = '1'", "1:? '1':P.ssn"),
        ("EXECUTE q('1')", "'1':?"),
        ("SET search_path = 'x'", "'x':?"),
    ] {
        assert_eq!(literals(text), expected, "{text}");
    }
}

#[test]
fn spans_are_relative_to_the_statement_and_count_bytes() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let text = "SELECT 'ä';  SELECT 'ö' FROM patient WHERE ssn = '日本'";
    let script = read(text, &scope(&catalog, &path)).unwrap();
    let operation = &script.statements[1].operation;
    let redacted = operation.redacted(true, |_, column| column == "ssn").unwrap();
    assert_eq!(redacted, "SELECT '…' FROM patient WHERE ssn = '…'");
    let kept = operation.redacted(false, |_, _| false).unwrap();
    assert_eq!(kept, "SELECT 'ö' FROM patient WHERE ssn = '日本'");
}

#[test]
fn where_backslashes_escape_the_whole_statement_is_one_literal() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let mut scope = scope(&catalog, &path);
    scope.standard_strings = false;
    let script = read("SELECT 'a\\'b' FROM patient; SELECT 1", &scope).unwrap();
    assert_eq!(script.statements.len(), 2);
    assert_eq!(script.statements[0].operation.redacted(true, |_, _| true).unwrap(), "'…'");
    // The same bytes mean another text under the standard.
    scope.standard_strings = true;
    assert!(read("SELECT 'a\\'b' FROM patient; SELECT 1", &scope).is_err());
}

#[test]
fn what_changes_of_the_session() {
    use SessionChange::*;
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    for (text, expected) in [
        ("SELECT 1", None),
        ("SET search_path = audit, \"My Schema\"", SearchPath(names(&["audit", "My Schema"]))),
        ("SET search_path TO \"$user\", public", SearchPath(names(&["$user", "public"]))),
        ("SET search_path = ''", SearchPath(names(&[""]))),
        ("SET SCHEMA 'audit'", SearchPath(names(&["audit"]))),
        ("SET SESSION search_path = DEFAULT", SearchPath(Option::None)),
        ("RESET search_path", SearchPath(Option::None)),
        ("SET LOCAL search_path = x", Role),
        ("SELECT pg_catalog.set_config('search_path', '', false)", SearchPath(names(&[]))),
        ("SELECT set_config('search_path', 'a, \"B\"', false)", SearchPath(names(&["a", "B"]))),
        ("SELECT set_config('search_path', 'a', true)", Role),
        ("SELECT set_config('search_path', 'a', id = 1) FROM patient", Role),
        ("SELECT set_config(name, 'x', false) FROM patient", Role),
        ("SELECT set_config('role', 'x', false)", Role),
        ("SELECT set_config('app.user', 'x', true)", None),
        ("SET standard_conforming_strings = off", StandardStrings(false)),
        ("SET standard_conforming_strings TO 'on'", StandardStrings(true)),
        ("SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'lock_timeout'", None),
        ("SELECT set_config(name, 'a', false) FROM pg_settings WHERE name = 'search_path'", SearchPath(names(&["a"]))),
        ("SELECT set_config(name, 'a', false) FROM pg_settings WHERE name <> 'search_path'", Role),
        (
            "WITH pg_settings AS (SELECT 'role' AS name) SELECT set_config(name, 'a', false) FROM pg_settings WHERE name = 'x'",
            Role,
        ),
        ("UPDATE pg_settings SET setting = 'x' WHERE name = 'role'", Role),
        ("SET role = bob", Role),
        ("SET SESSION AUTHORIZATION DEFAULT", Role),
        ("RESET ALL", Reset),
        ("DISCARD ALL", Reset),
        ("CREATE TABLE t (i int)", Structure),
        ("SELECT 1 INTO t", Structure),
        ("DROP VIEW v_patient", Structure),
        ("ALTER TABLE patient RENAME ssn TO x", Structure),
        ("DEALLOCATE q", Deallocate(Some("q".to_owned()))),
        ("DEALLOCATE ALL", Deallocate(Option::None)),
        ("CLOSE c", CloseCursor(Some("c".to_owned()))),
        ("CLOSE ALL", CloseCursor(Option::None)),
        ("ROLLBACK", Rollback),
        ("ROLLBACK TO SAVEPOINT s", Rollback),
        ("COMMIT", None),
        ("DO 'BEGIN END'", Role),
    ] {
        assert_eq!(first(text).session, expected, "{text}");
    }
}

#[test]
fn copies_say_how_rows_are_written() {
    let copy = |text: &str| first(text).copy;
    let text = CopyFormat::Text { delimiter: b'\t', null: "\\N".to_owned(), header: false };
    let types = vec![Some(25); 6];
    assert_eq!(copy("COPY patient TO STDOUT"), Some(Copy { way: CopyWay::Out, format: text, types: types.clone() }));
    let csv = CopyFormat::Csv { delimiter: b';', quote: b'\'', escape: b'\\', null: "x".to_owned(), header: true };
    let spelled = "COPY patient FROM STDIN (FORMAT csv, DELIMITER ';', QUOTE '''', ESCAPE '\\', NULL 'x', HEADER)";
    assert_eq!(copy(spelled), Some(Copy { way: CopyWay::In, format: csv, types }));
    let old = CopyFormat::Csv { delimiter: b',', quote: b'"', escape: b'"', null: String::new(), header: true };
    let found = copy("COPY (SELECT id, ssn FROM patient) TO STDOUT CSV HEADER").unwrap();
    assert_eq!((found.format, found.types), (old, vec![None, None]));
    assert_eq!(copy("COPY patient (ssn) TO STDOUT BINARY").unwrap().format, CopyFormat::Binary);
    assert_eq!(copy("COPY patient (ssn) TO STDOUT (FORMAT binary)").unwrap().types, [Some(25)]);
    assert_eq!(copy("COPY patient TO '/tmp/x'"), None);
    assert_eq!(copy("COPY patient TO STDOUT (HEADER false)").unwrap().way, CopyWay::Out);
}

#[test]
fn passwords_and_connection_strings_are_secret_wherever_they_stand() {
    for (text, secret) in [
        ("ALTER ROLE bob PASSWORD 'hunter2'", true),
        ("CREATE USER bob LOGIN PASSWORD 'hunter2' VALID UNTIL '2030-01-01'", true),
        ("CREATE SUBSCRIPTION s CONNECTION 'host=h password=hunter2' PUBLICATION p", true),
        ("CREATE USER MAPPING FOR bob SERVER s OPTIONS (user 'x', password 'hunter2')", true),
        ("ALTER SYSTEM SET primary_conninfo = 'password=hunter2'", true),
        ("SELECT * FROM dblink('password=hunter2', 'SELECT 1') AS t (a int)", true),
        ("SELECT 'hunter2'", false),
    ] {
        let path = ["public".to_owned()];
        let scope = vestibule_sql::Scope { catalog: None, search_path: &path, standard_strings: true };
        let script = vestibule_sql::read(text, &scope).unwrap();
        let operation = &script.statements[0].operation;
        assert!(operation.literals.iter().all(|literal| literal.secret == secret), "{text}");
        let stored = operation.redacted(false, |_, _| false).unwrap();
        assert_eq!(stored.contains("hunter2"), !secret, "{text}: {stored}");
    }
}

/// The parser's setting is the thread's, and outlives a text that it refuses.
#[test]
fn a_text_that_is_refused_changes_nothing_for_the_next_one() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let old = vestibule_sql::Scope { standard_strings: false, ..scope(&catalog, &path) };
    for text in
        [r"SELECT 1 FROM patient WHERE ssn = 'a\' AND name = 'b\'", r"SELECT 1 FROM patient WHERE ssn = U&'\0041'"]
    {
        let before = literals(text);
        assert!(read(r"SELECT 'a\'' FROM", &old).is_err());
        assert_eq!(literals(text), before);
    }
}
