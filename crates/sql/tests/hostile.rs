//! Text that means harm to the reader itself: deep, long, broken, random.

#![cfg(test)]

mod common;

use common::{catalog, scope};
use vestibule_sql::{ReadError, read};

/// Nested `n` deep, in every way the grammar has.
fn nestings(n: usize) -> Vec<String> {
    let repeat = |part: &str| part.repeat(n);
    vec![
        format!("SELECT {}1{}", repeat("("), repeat(")")),
        format!("SELECT 1{}", repeat("||1")),
        format!("SELECT {}1", repeat("1 OR NOT ")),
        format!("SELECT {}1", repeat("- ")),
        format!("SELECT {}true", repeat("NOT ")),
        format!("SELECT {}1{}", repeat("abs("), repeat(")")),
        format!("SELECT {}1{}", repeat("(SELECT "), repeat(")")),
        format!("SELECT 1{}", repeat("::int")),
        format!("SELECT 1{}", repeat(" UNION SELECT 1")),
        format!("SELECT 1{}", repeat(" COLLATE \"C\"")),
        format!("{}SELECT 1{}", repeat("WITH a AS ("), repeat(") SELECT 1")),
        format!("SELECT * FROM {}patient{}", repeat("("), repeat(" a CROSS JOIN city)")),
        format!("SELECT * FROM patient{}", repeat(" NATURAL JOIN city")),
        format!("SELECT {}1{}", repeat("CASE WHEN true THEN "), repeat(" END")),
        format!("SELECT {}1{}", repeat("ARRAY["), repeat("]")),
        format!("SELECT {}1{}", repeat("ROW(1,"), repeat(")")),
        format!("SELECT (a){}", repeat("[1]")),
        format!("SELECT (a){}", repeat(".b")),
        format!("{}SELECT 1", repeat("EXPLAIN ")),
        format!("SELECT * FROM {}patient{}", repeat("(SELECT * FROM "), repeat(") q")),
        format!("SELECT * FROM patient WHERE {}true{}", repeat("EXISTS (SELECT 1 WHERE "), repeat(")")),
    ]
}

#[test]
fn depth_ends_in_an_error_and_never_in_an_overflow() {
    // The stack of a worker thread.
    let worker = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
        let catalog = catalog();
        let path = ["public".to_owned()];
        let scope = scope(&catalog, &path);
        let calls = format!("SELECT {}f_deep(1){}", "pg_catalog.abs(".repeat(40), ")".repeat(40));
        assert!(read(&calls, &scope).is_ok());
        for n in [10, 22, 30, 40, 45, 46, 48, 60, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000] {
            for text in nestings(n) {
                match read(&text, &scope) {
                    Ok(_) | Err(ReadError::TooComplex | ReadError::Syntax { .. }) => {}
                }
            }
        }
    });
    worker.unwrap().join().unwrap();
}

#[test]
fn long_texts_are_refused_or_read() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let scope = scope(&catalog, &path);
    let huge = format!("SELECT '{}'", "x".repeat(5 << 20));
    assert_eq!(read(&huge, &scope).unwrap_err(), ReadError::TooComplex);
    let rows = vec!["(1, 'x', 'y')"; 5_000].join(",");
    let script = read(&format!("INSERT INTO city VALUES {rows}"), &scope).unwrap();
    assert_eq!(script.statements[0].operation.literals.len(), 15_000);
    assert_eq!(read(&format!("SELECT {}1", "1,".repeat(300_000)), &scope).unwrap_err(), ReadError::TooComplex);
    assert_eq!(read(&"SELECT 1;".repeat(20_000), &scope).unwrap_err(), ReadError::TooComplex);
    let script = read(&"SELECT 1;".repeat(2_000), &scope).unwrap();
    assert_eq!(script.statements.len(), 2_000);
}

#[test]
fn columns_that_double_and_queries_that_repeat_end() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let scope = scope(&catalog, &path);
    let started = std::time::Instant::now();
    let mut doubling = "WITH a0 AS (SELECT * FROM patient)".to_owned();
    for n in 1..40 {
        doubling.push_str(&format!(", a{n} AS (SELECT *, * FROM a{})", n - 1));
    }
    assert_eq!(read(&format!("{doubling} SELECT 1"), &scope).unwrap_err(), ReadError::TooComplex);
    let joins = (0..12).map(|n| format!("patient p{n}")).collect::<Vec<_>>().join(" CROSS JOIN ");
    assert!(read(&format!("SELECT 1 FROM {joins}"), &scope).is_ok());
    let mut nested = "SELECT a, b, c, d FROM t UNION SELECT b, c, d, a FROM t".to_owned();
    for _ in 0..8 {
        nested = format!(
            "WITH RECURSIVE t (a, b, c, d) AS (SELECT id, name, ssn, city FROM patient UNION SELECT * FROM ({nested}) q) {nested}"
        );
        if nested.len() > 100_000 {
            break;
        }
    }
    let _ = read(&nested, &scope);
    let wide = vec!["to_jsonb(p)"; 1_600].join(", ");
    assert!(read(&format!("SELECT {wide} FROM patient p"), &scope).is_ok());
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn what_the_parser_refuses_is_an_error() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let scope = scope(&catalog, &path);
    for text in [
        "SELEC 1",
        "SELECT 'x",
        "SELECT \"x",
        "SELECT $$x",
        "/* x",
        "SELECT 1 FROM",
        "\u{0}",
        "SELECT '\u{0}'",
        "(",
        "'",
    ] {
        assert!(matches!(read(text, &scope), Err(ReadError::Syntax { .. })), "{text:?}");
    }
}

/// A small generator of numbers: tests repeat.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "patient",
    "visit",
    "city",
    "v_over",
    "lab_2024",
    "p",
    "q",
    "ssn",
    "name",
    "id",
    "*",
    ",",
    "(",
    ")",
    "AS",
    "JOIN",
    "LEFT JOIN",
    "NATURAL JOIN",
    "USING (id)",
    "ON true",
    "LATERAL",
    "WITH",
    "RECURSIVE",
    "UNION",
    "EXCEPT",
    "ALL",
    "VALUES",
    "INSERT INTO",
    "UPDATE",
    "SET",
    "DELETE FROM",
    "RETURNING",
    "MERGE INTO",
    "ORDER BY",
    "GROUP BY",
    "LIMIT",
    "1",
    "'x'",
    "$1",
    "=",
    "||",
    "::text",
    "CASE WHEN",
    "THEN",
    "ELSE",
    "END",
    "EXISTS",
    "IN",
    "ARRAY[",
    "]",
    "ROW(",
    "count(*)",
    "max(",
    "f_sql(",
    "row_to_json(",
    "unnest(",
    "generate_series(1,2)",
    "OVER ()",
    "FILTER (WHERE true)",
    "COPY",
    "TO STDOUT",
    "EXPLAIN",
    "ANALYZE",
    "CREATE TABLE",
    "DROP TABLE",
    "PREPARE a AS",
    "EXECUTE",
    ";",
    ".",
    "é",
    "U&\"x\"",
    "E'\\n'",
    "-- x\n",
    "/* y */",
    "old.",
    "new.*",
    "(p).",
    "(SELECT ssn FROM patient)",
    "AS t (a, b)",
    "WITH ORDINALITY",
    "TABLESAMPLE system (1)",
    "WITHIN GROUP (ORDER BY id)",
];

const SEEDS: &[&str] = &[
    "WITH RECURSIVE t (a, b) AS (SELECT id, ssn FROM patient UNION ALL SELECT b, a FROM t) SELECT t.a, (SELECT max(b) FROM t) FROM t, LATERAL (SELECT t.b) q WHERE a IN (SELECT id FROM visit) ORDER BY 1 LIMIT 5",
    "MERGE INTO patient p USING visit v ON v.patient_id = p.id WHEN MATCHED THEN UPDATE SET note = v.reason WHEN NOT MATCHED THEN INSERT (id) VALUES (1) RETURNING merge_action(), p.*, old.ssn",
    "INSERT INTO city AS c (id, city) SELECT id, ssn FROM patient ON CONFLICT (id) DO UPDATE SET city = excluded.city || 'é' WHERE c.zip = $1 RETURNING *",
    "SELECT p, (p).ssn, row_to_json(p), CASE WHEN ssn LIKE '1%' THEN 'a' END, count(*) FILTER (WHERE id > 1) OVER (PARTITION BY city ORDER BY id), ARRAY(SELECT name FROM patient) FROM patient p NATURAL JOIN city GROUP BY GROUPING SETS ((id), ()) HAVING true",
    "SELECT * FROM ROWS FROM (generate_series(1, 2), json_each('{}')) WITH ORDINALITY AS r (a, b), JSON_TABLE('[]'::jsonb, '$[*]' COLUMNS (c int)) j, XMLTABLE('/r' PASSING ('<r/>'::xml) COLUMNS d text) x",
    "COPY (SELECT ssn FROM patient) TO STDOUT (FORMAT csv, DELIMITER ';'); EXPLAIN (ANALYZE, FORMAT json) DELETE FROM patient WHERE id = 1; PREPARE a (int) AS SELECT $1; FETCH ALL FROM c",
];

/// Every promise about a reading that holds whatever the text says.
fn check(text: &str, scope: &vestibule_sql::Scope<'_>) -> bool {
    let Ok(script) = read(text, scope) else { return false };
    for statement in &script.statements {
        let own = text.get(statement.span.clone()).expect("spans fit the text");
        assert_eq!(statement.operation.text.as_deref(), Some(own));
        let mut end = 0;
        for literal in statement.operation.literals.iter() {
            assert!(literal.span.start >= end && own.get(literal.span.clone()).is_some(), "{text:?} {literal:?}");
            end = literal.span.end;
        }
        assert!(statement.operation.shape.is_some());
        let changes = ["INSERT", "UPDATE", "DELETE", "MERGE"].contains(&statement.operation.action.as_ref());
        assert!(!changes || statement.operation.effect.changes_target(), "{text:?}");
    }
    true
}

#[test]
fn random_and_mutated_texts_never_panic() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let scope = scope(&catalog, &path);
    let mut dice = Dice(42);
    let mut parsed = 0_usize;
    for _ in 0..20_000 {
        let text = if dice.roll(2) == 0 {
            (0..dice.roll(14)).map(|_| WORDS[dice.roll(WORDS.len())]).collect::<Vec<_>>().join(" ")
        } else {
            let mut words: Vec<&str> = SEEDS[dice.roll(SEEDS.len())].split(' ').collect();
            for _ in 0..=dice.roll(3) {
                let at = dice.roll(words.len());
                match dice.roll(4) {
                    0 => drop(words.remove(at)),
                    1 => words.insert(at, WORDS[dice.roll(WORDS.len())]),
                    2 => words[at] = WORDS[dice.roll(WORDS.len())],
                    _ => {
                        let other = dice.roll(words.len());
                        words.swap(at, other);
                    }
                }
                if words.is_empty() {
                    break;
                }
            }
            words.join(" ")
        };
        parsed += usize::from(check(&text, &scope));
    }
    for seed in SEEDS {
        assert!(check(seed, &scope), "{seed}");
        for end in 0..seed.len() {
            if let Some(part) = seed.get(..end) {
                check(part, &scope);
            }
        }
    }
    assert!(parsed > 1_000, "{parsed}: the generator makes too few statements");
}
