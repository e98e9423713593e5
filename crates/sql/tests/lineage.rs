//! Where every output column comes from, statement by statement.

mod common;

use common::{catalog, output, scope, short};
use vestibule_sql::{Lineage, Scope, SessionChange, read};

/// Statement, and where its output columns come from: `=P.ssn` the column itself, `P.ssn+P.name` computed from these,
/// `-` free of data, `?` unknown. P, V, C: patient, visit, city; P*: all of patient.
const ROWS: &[(&str, &str)] = &[
    // plain columns
    ("SELECT ssn FROM patient", "=P.ssn"),
    ("SELECT ssn AS harmless FROM patient", "=P.ssn"),
    ("SELECT p.ssn FROM patient p", "=P.ssn"),
    ("SELECT public.patient.ssn FROM public.patient", "=P.ssn"),
    ("SELECT clinic.public.patient.ssn FROM clinic.public.patient", "=P.ssn"),
    ("SELECT \"ssn\" FROM \"patient\"", "=P.ssn"),
    ("SELECT U&\"s\\0073n\" FROM U&\"p\\0061tient\"", "=P.ssn"),
    ("SELECT U&\"s!0073n\" UESCAPE '!' FROM patient", "=P.ssn"),
    ("SELECT SSN FROM PATIENT", "=P.ssn"),
    ("SELECT \"SSN\", \"Id\" FROM \"Odd Name\"", "=public.Odd Name.SSN | =public.Odd Name.Id"),
    ("SELECT * FROM \"Odd Name\"", "=public.Odd Name.Id | =public.Odd Name.SSN"),
    ("SELECT ctid, tableoid FROM patient", "- | -"),
    ("SELECT 1, 'x', NULL, now(), current_date, $1", "- | - | - | - | - | -"),
    ("SELECT", ""),
    // stars
    ("SELECT * FROM patient", "=P.id | =P.name | =P.ssn | =P.city | =P.born | =P.note"),
    ("TABLE patient", "=P.id | =P.name | =P.ssn | =P.city | =P.born | =P.note"),
    ("SELECT v.*, 1 FROM visit v", "=V.id | =V.patient_id | =V.day | =V.reason | -"),
    ("SELECT * FROM city, visit", "=C.id | =C.city | =C.zip | =V.id | =V.patient_id | =V.day | =V.reason"),
    ("SELECT public.city.* FROM public.city", "=C.id | =C.city | =C.zip"),
    ("SELECT * FROM patient AS p (a, b, c)", "=P.id | =P.name | =P.ssn | =P.city | =P.born | =P.note"),
    ("SELECT c FROM patient AS p (a, b, c)", "=P.ssn"),
    ("SELECT * FROM only patient AS p (a, b)", "=P.id | =P.name | =P.ssn | =P.city | =P.born | =P.note"),
    ("SELECT city FROM patient TABLESAMPLE system (1)", "=P.city"),
    // whole rows
    ("SELECT p FROM patient p", "P*"),
    ("SELECT patient FROM patient", "P*"),
    ("SELECT p::text FROM patient p", "P*"),
    ("SELECT CAST(p AS text) FROM patient p", "P*"),
    ("SELECT row_to_json(p) FROM patient p", "P*"),
    ("SELECT to_jsonb(p) - 'ssn' FROM patient p", "P*"),
    ("SELECT (to_jsonb(p))->>'ssn' FROM patient p", "P*"),
    ("SELECT json_agg(p) FROM patient p", "P*"),
    ("SELECT format('%s', p) FROM patient p", "P*"),
    ("SELECT concat(p, '') FROM patient p", "P*"),
    ("SELECT p.row_to_json FROM patient p", "P*"),
    ("SELECT row(p.*) FROM patient p", "P*"),
    ("SELECT row(p.*, 1)::text FROM patient p", "P*"),
    ("SELECT (p).ssn FROM patient p", "P.ssn"),
    ("SELECT (p).* FROM patient p", "P.id | P.name | P.ssn | P.city | P.born | P.note"),
    ("SELECT md5(p::text) FROM patient p", "P*"),
    ("SELECT hashtext(textin(record_out(p))) FROM patient p", "P*"),
    ("SELECT array_agg(p) FROM patient p", "P*"),
    ("SELECT (array_agg(p))[1] FROM patient p", "P*"),
    ("SELECT ((array_agg(p))[1]).ssn FROM patient p", "P*"),
    ("SELECT count(p) FROM patient p", "P*"),
    ("SELECT p IS NULL FROM patient p", "P*"),
    // expressions
    ("SELECT upper(ssn), ssn || name, substr(ssn, 1, 3) FROM patient", "P.ssn | P.name+P.ssn | P.ssn"),
    ("SELECT ssn::varchar(3), ssn COLLATE \"C\" FROM patient", "P.ssn | P.ssn"),
    ("SELECT CASE WHEN ssn LIKE '1%' THEN 'a' ELSE 'b' END FROM patient", "P.ssn"),
    ("SELECT CASE city WHEN 'x' THEN name ELSE note END FROM patient", "P.city+P.name+P.note"),
    (
        "SELECT coalesce(note, name), nullif(ssn, city), greatest(id, 1) FROM patient",
        "P.name+P.note | P.city+P.ssn | P.id",
    ),
    (
        "SELECT ssn = '1', ssn IN ('1', '2'), ssn BETWEEN '1' AND '2', ssn IS NULL FROM patient",
        "P.ssn | P.ssn | P.ssn | P.ssn",
    ),
    ("SELECT ARRAY[ssn, name], (ARRAY[ssn])[1] FROM patient", "P.name+P.ssn | P.ssn"),
    ("SELECT ROW(ssn, 1), (ssn, name) FROM patient", "P.ssn | P.name+P.ssn"),
    ("SELECT json_build_object('a', ssn), jsonb_build_array(name) FROM patient", "P.ssn | P.name"),
    ("SELECT JSON_OBJECT('a': ssn), JSON_ARRAY(name, city) FROM patient", "P.ssn | P.city+P.name"),
    ("SELECT JSON_OBJECTAGG(name: ssn), JSON_ARRAYAGG(city) FROM patient", "P.name+P.ssn | P.city"),
    ("SELECT JSON_ARRAY(SELECT ssn FROM patient)", "P.ssn"),
    (
        "SELECT JSON_VALUE(note::jsonb, '$.a'), JSON_SCALAR(ssn), JSON_SERIALIZE(note) FROM patient",
        "P.note | P.ssn | P.note",
    ),
    (
        "SELECT xmlelement(name a, ssn), xmlforest(name AS n), xmlelement(name b, xmlattributes(city AS c)) FROM patient",
        "P.ssn | P.name | P.city",
    ),
    (
        "SELECT xmlconcat(xmlparse(content note)), xmlserialize(content note::xml AS text) FROM patient",
        "P.note | P.note",
    ),
    (
        "SELECT extract(year FROM born), born + interval '1 day', date_trunc('month', born) FROM patient",
        "P.born | P.born | P.born",
    ),
    ("SELECT ssn OPERATOR(pg_catalog.||) name FROM patient", "P.name+P.ssn"),
    ("SELECT ssn <~> name FROM patient", "?"),
    ("SELECT ssn OPERATOR(public.||) name FROM patient", "?"),
    ("SELECT nextval('patient_id_seq'), currval('patient_id_seq')", "- | -"),
    // aggregates and windows
    ("SELECT count(*), count(ssn), max(ssn), string_agg(ssn, ',') FROM patient", "- | P.ssn | P.ssn | P.ssn"),
    ("SELECT string_agg(name, ',' ORDER BY ssn) FROM patient", "P.name"),
    ("SELECT count(*) FILTER (WHERE ssn LIKE '1%') FROM patient", "P.ssn"),
    (
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ssn), mode() WITHIN GROUP (ORDER BY name) FROM patient",
        "P.ssn | P.name",
    ),
    (
        "SELECT lag(ssn) OVER (ORDER BY id), first_value(name) OVER w FROM patient WINDOW w AS (PARTITION BY city)",
        "P.ssn | P.name",
    ),
    ("SELECT row_number() OVER (ORDER BY ssn) FROM patient", "-"),
    ("SELECT city, grouping(city), count(*) FROM patient GROUP BY GROUPING SETS ((city), ())", "=P.city | - | -"),
    ("SELECT city AS ssn, max(name) FROM patient GROUP BY 1 HAVING max(ssn) > '1'", "=P.city | P.name"),
    // joins
    ("SELECT p.name, v.reason FROM patient p JOIN visit v ON v.patient_id = p.id", "=P.name | =V.reason"),
    ("SELECT city FROM patient JOIN city USING (city)", "=P.city"),
    (
        "SELECT * FROM city JOIN patient USING (city)",
        "=C.city | =C.id | =C.zip | =P.id | =P.name | =P.ssn | =P.born | =P.note",
    ),
    ("SELECT city FROM city RIGHT JOIN patient USING (city)", "=P.city"),
    ("SELECT city FROM city FULL JOIN patient USING (city)", "C.city+P.city"),
    ("SELECT * FROM city NATURAL JOIN visit", "=C.id | =C.city | =C.zip | =V.patient_id | =V.day | =V.reason"),
    ("SELECT j.name FROM (patient p JOIN visit v ON true) AS j", "=P.name"),
    ("SELECT u.city FROM patient JOIN city USING (city) AS u", "=P.city"),
    ("SELECT j.x FROM (patient CROSS JOIN city) AS j (a, b, x)", "=P.ssn"),
    ("SELECT p.ssn FROM patient p LEFT JOIN patient q ON p.id = q.id", "=P.ssn"),
    // subqueries, CTEs, set operations
    ("SELECT x FROM (SELECT ssn AS x FROM patient) q", "=P.ssn"),
    ("SELECT q.x FROM (SELECT ssn FROM patient) q (x)", "=P.ssn"),
    ("SELECT q FROM (SELECT ssn, 1 FROM patient) q", "P.ssn"),
    ("SELECT upper FROM (SELECT upper(ssn) FROM patient) q", "P.ssn"),
    ("SELECT \"case\" FROM (SELECT CASE WHEN true THEN ssn || '' END FROM patient) q", "P.ssn"),
    ("SELECT text FROM (SELECT (ssn || 'x')::text FROM patient) q", "P.ssn"),
    ("SELECT \"?column?\" FROM (SELECT ssn || 'x' FROM patient) q", "P.ssn"),
    ("SELECT max FROM (SELECT (SELECT max(ssn) FROM patient)) q", "P.ssn"),
    ("WITH c AS (SELECT ssn FROM patient) SELECT ssn FROM c", "=P.ssn"),
    ("WITH c (x) AS (SELECT ssn FROM patient) SELECT x FROM c", "=P.ssn"),
    ("WITH a AS (SELECT ssn s FROM patient), b AS (SELECT s t FROM a) SELECT t || '' FROM b", "P.ssn"),
    ("WITH patient AS (SELECT 1 AS ssn) SELECT ssn FROM patient", "-"),
    ("WITH patient AS (SELECT note AS city FROM patient) SELECT city FROM patient", "=P.note"),
    ("WITH patient AS (SELECT 1 AS ssn) SELECT ssn FROM public.patient", "=P.ssn"),
    ("WITH RECURSIVE a AS (SELECT ssn FROM city2), city2 AS (SELECT 1) SELECT ssn FROM a", "?"),
    ("WITH RECURSIVE a AS (SELECT city FROM city), city AS (SELECT ssn AS city FROM patient) SELECT city FROM a", "?"),
    (
        "WITH RECURSIVE t (n, x) AS (SELECT 1, ssn FROM patient UNION ALL SELECT n + 1, x FROM t) SELECT n, x FROM t",
        "- | =P.ssn",
    ),
    (
        "WITH RECURSIVE t (a, b) AS (SELECT name, city FROM patient UNION ALL SELECT b, a FROM t) SELECT a FROM t",
        "P.city+P.name",
    ),
    (
        "WITH RECURSIVE t (a, b, c) AS (SELECT 1, 2, ssn FROM patient UNION SELECT b, c::int, c FROM t) SELECT a FROM t",
        "P.ssn",
    ),
    ("WITH d AS (DELETE FROM patient WHERE id = 1 RETURNING ssn) SELECT * FROM d", "=P.ssn"),
    ("WITH i AS (INSERT INTO city (city) SELECT ssn FROM patient RETURNING city) SELECT city FROM i", "=C.city"),
    ("SELECT ssn FROM patient UNION SELECT ssn FROM patient", "=P.ssn"),
    ("SELECT city FROM patient UNION ALL SELECT ssn FROM patient", "P.city+P.ssn"),
    ("SELECT NULL UNION ALL SELECT ssn FROM patient", "P.ssn"),
    ("SELECT city FROM city EXCEPT SELECT ssn FROM patient", "C.city+P.ssn"),
    ("(SELECT city FROM city) INTERSECT (VALUES ('a'))", "C.city"),
    ("SELECT a FROM (SELECT 'x' AS a UNION SELECT ssn FROM patient) q", "P.ssn"),
    ("VALUES (1, 'a'), (2, (SELECT max(ssn) FROM patient))", "- | P.ssn"),
    ("SELECT column2 FROM (VALUES (1, 'a')) v", "-"),
    ("SELECT p.ssn FROM patient p JOIN (VALUES ('x')) g (ssn) USING (ssn)", "=P.ssn"),
    // sublinks
    ("SELECT (SELECT ssn FROM patient LIMIT 1)", "P.ssn"),
    ("SELECT ARRAY(SELECT ssn FROM patient)", "P.ssn"),
    ("SELECT EXISTS (SELECT 1 FROM patient WHERE ssn LIKE '1%')", "P.ssn"),
    ("SELECT '1' IN (SELECT ssn FROM patient)", "P.ssn"),
    ("SELECT (SELECT count(*) FROM patient WHERE ssn LIKE '1%')", "P.ssn"),
    ("SELECT (SELECT p.ssn) FROM patient p", "P.ssn"),
    ("SELECT (SELECT (SELECT ssn)) FROM patient", "P.ssn"),
    ("SELECT (SELECT c.city FROM city c WHERE c.id = p.id) FROM patient p", "C.city"),
    ("SELECT (SELECT 1 WHERE p.ssn LIKE '1%') FROM patient p", "P.ssn"),
    ("SELECT city, (SELECT max(q.name) FROM patient q WHERE q.city = p.city) FROM patient p", "=P.city | P.name"),
    // which level a name belongs to
    ("SELECT (SELECT x FROM city c (ssn), (SELECT ssn AS x) s) FROM patient", "P.ssn"),
    ("SELECT (SELECT x FROM city c (ssn), LATERAL (SELECT ssn AS x) s) FROM patient", "C.id"),
    ("SELECT city FROM patient p, LATERAL (SELECT p.ssn AS city2) s", "=P.city"),
    ("SELECT s.y FROM patient p, LATERAL (SELECT p.ssn AS y) s", "=P.ssn"),
    ("SELECT s.y FROM patient p CROSS JOIN LATERAL (SELECT p.ssn AS y UNION ALL SELECT p.name) s", "P.name+P.ssn"),
    ("SELECT city.ssn FROM patient AS city", "=P.ssn"),
    ("SELECT visit.ssn FROM (SELECT ssn FROM patient) AS visit, LATERAL (SELECT visit.ssn) city", "=P.ssn"),
    ("SELECT q.ssn FROM (SELECT patient.ssn FROM (SELECT note AS ssn FROM patient) AS patient) q", "=P.note"),
    // functions in FROM
    ("SELECT * FROM generate_series(1, 3)", "-"),
    ("SELECT g FROM generate_series(1, 3) g", "-"),
    ("SELECT g.n, g.ordinality FROM generate_series(1, 3) WITH ORDINALITY AS g (n)", "- | -"),
    ("SELECT e.key, e.value FROM patient p, json_each(p.note::json) e", "P.note | P.note"),
    (
        "SELECT * FROM patient p, json_each_text(to_json(p)) e (k, v)",
        "=P.id | =P.name | =P.ssn | =P.city | =P.born | =P.note | P* | P*",
    ),
    ("SELECT value FROM patient p, jsonb_each_text(to_jsonb(p))", "P*"),
    ("SELECT w FROM patient, regexp_split_to_table(ssn, '-') w", "P.ssn"),
    ("SELECT u FROM patient, unnest(ARRAY[ssn, name]) u", "P.name+P.ssn"),
    ("SELECT u.ssn FROM unnest((SELECT array_agg(p) FROM patient p)) u", "P*"),
    ("SELECT a FROM patient p, json_to_record(to_json(p)) AS r (a text, b text)", "P*"),
    ("SELECT a FROM json_to_recordset((SELECT json_agg(p) FROM patient p)) AS r (a text)", "P*"),
    ("SELECT (json_each(to_json(p))).value FROM patient p", "P*"),
    ("SELECT (json_each(to_json(p))).* FROM patient p", "P* | P*"),
    ("SELECT (json_populate_record(p, '{}')).ssn FROM patient p", "P*"),
    ("SELECT a, b FROM ROWS FROM (generate_series(1, 2), json_each('{}')) AS r (a, b)", "- | -"),
    (
        "SELECT t.a FROM patient, JSON_TABLE(note::jsonb, '$[*]' COLUMNS (a text PATH '$.a', NESTED PATH '$.b' COLUMNS (c int))) t",
        "P.note",
    ),
    (
        "SELECT t.c FROM patient, JSON_TABLE(note::jsonb, '$[*]' COLUMNS (a text, NESTED PATH '$.b' COLUMNS (c int))) t",
        "P.note",
    ),
    (
        "SELECT x.a FROM patient, XMLTABLE('/r' PASSING (note::xml) COLUMNS a text PATH 'a' DEFAULT ssn) x",
        "P.note+P.ssn",
    ),
    ("SELECT * FROM dblink('dbname=x', 'SELECT ssn FROM patient') AS t (a text)", "?"),
    ("SELECT query_to_xml('SELECT * FROM patient', true, true, '')", "?"),
    ("SELECT table_to_xml('patient', true, true, '')", "?"),
    ("SELECT * FROM crosstab('SELECT 1') AS t (a text)", "?"),
    ("SELECT lo_get(1), pg_read_file('x')", "? | ?"),
    // functions that are not the server's own
    ("SELECT f_plpgsql(1)", "?"),
    ("SELECT f_sql(1)", "P.id+P.ssn"),
    ("SELECT f_pure(name) FROM patient", "P.name"),
    ("SELECT f_bare()", "?"),
    ("SELECT lower(ssn) FROM patient", "?"),
    ("SELECT pg_catalog.lower(ssn) FROM patient", "P.ssn"),
    ("SELECT similarity(ssn, 'x') FROM patient", "P.ssn"),
    ("SELECT no_such(ssn) FROM patient", "?"),
    ("SELECT pg_temp.f(ssn) FROM patient", "?"),
    // views
    ("SELECT label FROM v_patient", "=P.ssn"),
    ("SELECT * FROM v_patient", "=P.id | =P.ssn | =P.name"),
    ("SELECT a, b FROM v_over", "=P.ssn | P.name"),
    ("SELECT v FROM v_over v", "P.name+P.ssn"),
    ("SELECT x FROM v_late", "=P.note"),
    ("SELECT z FROM v_loop", "?"),
    ("SELECT z FROM v_code", "?"),
    ("SELECT ssn FROM m_patient", "=P.ssn"),
    ("SELECT * FROM v_patient AS v (a, b)", "=P.id | =P.ssn | =P.name"),
    // partitions, sequences, system catalogs
    ("SELECT result FROM lab_2024", "=public.lab.result"),
    ("SELECT result FROM lab", "=public.lab.result"),
    ("SELECT last_value FROM patient_id_seq", "-"),
    ("SELECT relname FROM pg_class", "=pg_catalog.pg_class.relname"),
    ("SELECT attmissingval FROM pg_attribute", "?"),
    ("SELECT attname, most_common_vals FROM pg_stats", "=pg_catalog.pg_stats.attname | ?"),
    ("SELECT pid, query FROM pg_stat_activity", "=pg_catalog.pg_stat_activity.pid | ?"),
    ("SELECT column_name FROM information_schema.columns", "=information_schema.columns.column_name"),
    // what is not known
    ("SELECT x FROM nowhere", "?"),
    ("SELECT * FROM nowhere", "unknown"),
    ("SELECT nowhere FROM nowhere", "?"),
    ("SELECT 1 FROM nowhere", "-"),
    ("SELECT count(*) FROM nowhere", "-"),
    ("SELECT p.id, n.x FROM patient p, nowhere n", "=P.id | ?"),
    ("SELECT ssn FROM pg_temp.patient", "?"),
    ("SELECT no_column FROM patient", "?"),
    ("SELECT ssn FROM audit.patient", "=audit.patient.ssn"),
    // changes that return rows
    ("INSERT INTO patient (ssn) VALUES ('1') RETURNING ssn", "=P.ssn"),
    ("INSERT INTO patient (ssn) VALUES ('1') RETURNING *", "=P.id | =P.name | =P.ssn | =P.city | =P.born | =P.note"),
    ("INSERT INTO patient AS n (ssn) VALUES ('1') RETURNING n", "P*"),
    ("INSERT INTO patient (ssn) VALUES ('1')", "none"),
    ("UPDATE patient SET note = ssn WHERE id = 1 RETURNING note, old.ssn, new.name", "=P.note | =P.ssn | =P.name"),
    (
        "UPDATE patient p SET note = '' FROM visit v WHERE v.patient_id = p.id RETURNING v.reason, p.ssn",
        "=V.reason | =P.ssn",
    ),
    ("UPDATE patient SET note = '' WHERE id = 1 RETURNING WITH (OLD AS o, NEW AS n) o.ssn || n.name", "P.name+P.ssn"),
    (
        "DELETE FROM patient p USING visit v WHERE v.patient_id = p.id RETURNING p.*, v.day",
        "=P.id | =P.name | =P.ssn | =P.city | =P.born | =P.note | =V.day",
    ),
    (
        "MERGE INTO patient p USING visit v ON v.patient_id = p.id WHEN MATCHED THEN DELETE RETURNING merge_action(), p.ssn, v.day",
        "- | =P.ssn | =V.day",
    ),
    // utilities
    ("COPY patient TO STDOUT", "=P.id | =P.name | =P.ssn | =P.city | =P.born | =P.note"),
    ("COPY patient (ssn, id) TO STDOUT", "=P.ssn | =P.id"),
    ("COPY (SELECT ssn || '' AS x FROM patient) TO STDOUT (FORMAT csv)", "P.ssn"),
    ("COPY (DELETE FROM patient WHERE id = 1 RETURNING ssn) TO STDOUT", "=P.ssn"),
    ("COPY patient FROM STDIN", "none"),
    ("EXPLAIN SELECT ssn FROM patient WHERE name = 'x'", "within P.name+P.ssn"),
    ("EXPLAIN ANALYZE SELECT f_plpgsql(id) FROM patient", "unknown"),
    ("EXPLAIN SELECT 1", "within -"),
    ("SHOW search_path", "-"),
    ("SHOW ALL", "- | - | -"),
    ("EXECUTE q(1)", "prepared q"),
    ("FETCH ALL FROM c", "cursor c"),
    ("MOVE c", "none"),
    ("CREATE TABLE t AS SELECT ssn FROM patient", "none"),
    ("SELECT ssn INTO t FROM patient", "none"),
    ("CALL p(1)", "unknown"),
    ("DO 'BEGIN END'", "none"),
];

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
    let spelled = |oid, number| short(&common::spelled(&catalog.origin(oid, number)));
    assert_eq!(spelled(1, 3), "=P.ssn");
    assert_eq!(spelled(7, 3), "=public.lab.result");
    assert_eq!(spelled(20, 2), "=P.ssn");
    assert_eq!(spelled(21, 2), "P.name");
    assert_eq!(spelled(24, 1), "?");
    assert_eq!(spelled(1259, 2), "=pg_catalog.pg_class.relname");
    assert_eq!(spelled(1249, 4), "?");
    assert_eq!(spelled(1, -1), "-");
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
