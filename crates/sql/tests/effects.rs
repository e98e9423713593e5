//! The worst each statement can do, and what it touches.

#![cfg(test)]
#![expect(clippy::string_slice, reason = "the spans are what is tested")]

mod common;

use common::{catalog, scope};
use vestibule_core::{Access, Operation, Reading};
use vestibule_sql::read;

/// `effect ACTION [facts] {resources} exact|partial`.
fn told(operation: &Operation) -> String {
    let resources = operation.resources.iter().map(|resource| {
        let access = match resource.access {
            Access::Read => 'r',
            Access::Write => 'w',
            Access::Define => 'd',
            Access::Execute => 'x',
        };
        let columns =
            if resource.columns.is_empty() { String::new() } else { format!("({})", resource.columns.join(",")) };
        format!("{access} {} {}{columns}", resource.kind, resource.name)
    });
    let reading = match &operation.reading {
        Reading::Exact => "exact",
        Reading::Partial(_) => "partial",
        Reading::Opaque => "opaque",
    };
    let facts = operation.traits.iter().collect::<Vec<_>>().join(" ");
    let resources = resources.collect::<Vec<_>>().join("; ");
    format!("{} {} [{facts}] {{{resources}}} {reading}", operation.effect.name(), operation.action)
}

/// Statement, and what is told of it.
const ROWS: &[(&str, &str)] = &[
    (
        "SELECT set_config('my.own', ssn, false) FROM patient",
        "execute SELECT [dangerous-function setting] {w setting my.own; r table public.patient(ssn); x function set_config} partial",
    ),
    (
        "SELECT setval('patient_id_seq', ssn::bigint) FROM patient",
        "execute SELECT [dangerous-function hidden-write] {r table public.patient(ssn); x function setval} partial",
    ),
    (
        "SELECT pg_advisory_lock(ssn::bigint) FROM patient",
        "execute SELECT [dangerous-function lock] {x function pg_advisory_lock; r table public.patient(ssn)} partial",
    ),
    (
        "SELECT setseed(id) FROM patient",
        "execute SELECT [dangerous-function] {r table public.patient(id); x function setseed} partial",
    ),
    ("SELECT current_setting('my.own')", "read SELECT [] {} exact"),
    (
        "UPDATE pg_settings SET setting = 'x' WHERE name = 'role'",
        "administer UPDATE [catalog rights setting] {r table pg_catalog.pg_settings(name); w view pg_catalog.pg_settings(setting)} partial",
    ),
    (
        "SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'lock_timeout'",
        "read SELECT [catalog setting] {w setting lock_timeout; r view pg_catalog.pg_settings(name); x function set_config} exact",
    ),
    ("SELECT 1", "read SELECT [] {} exact"),
    ("SELECT ssn FROM patient", "read SELECT [] {r table public.patient(ssn)} exact"),
    ("SELECT * FROM city", "read SELECT [] {r table public.city(city,id,zip)} exact"),
    ("SELECT count(*) FROM patient", "read SELECT [] {r table public.patient} exact"),
    (
        "SELECT id FROM patient WHERE ssn = '1' ORDER BY name",
        "read SELECT [] {r table public.patient(id,name,ssn)} exact",
    ),
    (
        "SELECT p.id FROM patient p JOIN visit v ON v.patient_id = p.id WHERE v.reason LIKE 'x%'",
        "read SELECT [] {r table public.patient(id); r table public.visit(patient_id,reason)} exact",
    ),
    (
        "SELECT city FROM patient GROUP BY city HAVING max(ssn) > '1'",
        "read SELECT [] {r table public.patient(city,ssn)} exact",
    ),
    (
        "SELECT id FROM patient JOIN city USING (city)",
        "read SELECT [] {r table public.city(city,id); r table public.patient(city,id)} exact",
    ),
    ("SELECT 1 FROM patient ORDER BY ssn", "read SELECT [] {r table public.patient(ssn)} exact"),
    ("SELECT id AS ssn FROM patient GROUP BY ssn, id", "read SELECT [] {r table public.patient(id,ssn)} exact"),
    ("SELECT id FROM v_filter", "read SELECT [] {r table public.patient(id,ssn); r view public.v_filter(id)} exact"),
    (
        "SELECT label FROM v_patient",
        "read SELECT [] {r table public.patient(id,name,ssn); r view public.v_patient(label)} exact",
    ),
    (
        "SELECT z FROM v_code",
        "execute SELECT [unknown-function] {x function public.f_plpgsql; r table public.patient(id); r view public.v_code(z)} partial",
    ),
    (
        "SELECT ssn FROM m_patient",
        "read SELECT [] {r materialized view public.m_patient(ssn); r table public.patient(ssn)} exact",
    ),
    ("SELECT * FROM nowhere", "read SELECT [] {r table nowhere(*)} partial"),
    (
        "SELECT ssn INTO copied FROM patient",
        "define SELECT INTO [launders] {d table public.copied; r table public.patient(ssn)} exact",
    ),
    ("SELECT 1 INTO TEMP t", "define SELECT INTO [] {d table pg_temp.t} exact"),
    ("SELECT 1 INTO t UNION SELECT 2", "define SELECT INTO [] {d table public.t} exact"),
    (
        "CREATE TABLE t AS SELECT ssn FROM patient",
        "define CREATE TABLE AS [launders] {r table public.patient(ssn); d table public.t} exact",
    ),
    (
        "CREATE TEMP TABLE t AS SELECT ssn FROM patient",
        "define CREATE TABLE AS [] {d table pg_temp.t; r table public.patient(ssn)} exact",
    ),
    ("CREATE TABLE t AS EXECUTE q", "execute CREATE TABLE AS [launders] {d table public.t} partial"),
    (
        "CREATE MATERIALIZED VIEW mv AS SELECT ssn FROM patient",
        "define CREATE MATERIALIZED VIEW [launders] {d materialized view public.mv; r table public.patient(ssn)} exact",
    ),
    ("SELECT id FROM patient FOR UPDATE", "read SELECT [lock] {r table public.patient(id)} exact"),
    ("SELECT id FROM patient FOR KEY SHARE SKIP LOCKED", "read SELECT [lock] {r table public.patient(id)} exact"),
    (
        "WITH d AS (DELETE FROM patient WHERE id = 1 RETURNING id) SELECT * FROM d",
        "write SELECT [hidden-write] {r table public.patient(id); w table public.patient(*)} exact",
    ),
    (
        "WITH d AS (DELETE FROM patient) SELECT 1",
        "write SELECT [hidden-write no-where] {w table public.patient(*)} exact",
    ),
    (
        "WITH u AS (UPDATE patient SET note = '' RETURNING id) SELECT count(*) FROM u",
        "write SELECT [hidden-write no-where] {r table public.patient(id); w table public.patient(note)} exact",
    ),
    (
        "WITH i AS (INSERT INTO city (city) VALUES ('x') RETURNING id) SELECT id FROM i",
        "write SELECT [hidden-write] {r table public.city(id); w table public.city(city)} exact",
    ),
    (
        "WITH m AS (SELECT 1) DELETE FROM patient WHERE id IN (SELECT 1)",
        "write DELETE [] {r table public.patient(id); w table public.patient(*)} exact",
    ),
    ("SELECT (SELECT id FROM patient LIMIT 1)", "read SELECT [] {r table public.patient(id)} exact"),
    ("VALUES (1)", "read SELECT [] {} exact"),
    ("TABLE patient", "read SELECT [] {r table public.patient(born,city,id,name,note,ssn)} exact"),
    ("INSERT INTO patient (id, ssn) VALUES (1, '2')", "write INSERT [] {w table public.patient(id,ssn)} exact"),
    ("INSERT INTO city VALUES (1, 'x', 'y')", "write INSERT [] {w table public.city(city,id,zip)} exact"),
    ("INSERT INTO city DEFAULT VALUES", "write INSERT [] {w table public.city(city,id,zip)} exact"),
    (
        "INSERT INTO city (city) SELECT ssn FROM patient",
        "write INSERT [launders] {w table public.city(city); r table public.patient(ssn)} exact",
    ),
    (
        "INSERT INTO city (id, city) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET city = excluded.city WHERE city.zip = 'x'",
        "write INSERT [] {r table public.city(city,zip); w table public.city(city,id)} exact",
    ),
    ("INSERT INTO logged (what) VALUES ('x')", "write INSERT [] {w table public.logged(what)} partial"),
    (
        "INSERT INTO v_patient (id, label) VALUES (1, 'x')",
        "write INSERT [] {r table public.patient(id,name,ssn); w table public.patient(id,ssn); w view public.v_patient(id,label)} exact",
    ),
    ("INSERT INTO nowhere VALUES (1)", "write INSERT [] {w table nowhere(*)} partial"),
    (
        "UPDATE patient SET note = 'x' WHERE id = 1",
        "write UPDATE [] {r table public.patient(id); w table public.patient(note)} exact",
    ),
    ("UPDATE patient SET note = 'x'", "write UPDATE [no-where] {w table public.patient(note)} exact"),
    ("UPDATE patient SET note = 'x' WHERE true", "write UPDATE [no-where] {w table public.patient(note)} exact"),
    ("UPDATE patient SET note = 'x' WHERE 1 = 1", "write UPDATE [no-where] {w table public.patient(note)} exact"),
    (
        "UPDATE patient SET note = 'x' WHERE id = id",
        "write UPDATE [no-where] {r table public.patient(id); w table public.patient(note)} exact",
    ),
    (
        "UPDATE patient SET note = 'x' WHERE id = 1 OR 1 = 1",
        "write UPDATE [no-where] {r table public.patient(id); w table public.patient(note)} exact",
    ),
    (
        "UPDATE patient SET note = 'x' WHERE id = 1 AND true",
        "write UPDATE [] {r table public.patient(id); w table public.patient(note)} exact",
    ),
    ("UPDATE patient SET note = 'x' WHERE NOT false", "write UPDATE [no-where] {w table public.patient(note)} exact"),
    (
        "UPDATE patient SET note = 'x' WHERE EXISTS (SELECT 1)",
        "write UPDATE [no-where] {w table public.patient(note)} exact",
    ),
    (
        "UPDATE patient SET note = 'x' WHERE ctid = '(0,1)'",
        "write UPDATE [] {r table public.patient(ctid); w table public.patient(note)} exact",
    ),
    (
        "UPDATE patient SET (note, city) = (SELECT ssn, name FROM patient LIMIT 1) WHERE id = 2",
        "write UPDATE [launders] {r table public.patient(id,name,ssn); w table public.patient(city,note)} exact",
    ),
    (
        "UPDATE patient SET note = v.reason FROM visit v WHERE v.patient_id = patient.id",
        "write UPDATE [launders] {r table public.patient(id); w table public.patient(note); r table public.visit(patient_id,reason)} exact",
    ),
    (
        "UPDATE v_patient SET label = 'x' WHERE id = 1",
        "write UPDATE [] {r table public.patient(id,name,ssn); w table public.patient(ssn); r view public.v_patient(id); w view public.v_patient(label)} exact",
    ),
    ("UPDATE patient SET note = 'x' WHERE CURRENT OF c", "write UPDATE [] {w table public.patient(note)} exact"),
    (
        "DELETE FROM patient WHERE id = 1",
        "write DELETE [] {r table public.patient(id); w table public.patient(*)} exact",
    ),
    ("DELETE FROM patient", "write DELETE [no-where] {w table public.patient(*)} exact"),
    ("DELETE FROM patient WHERE 'a' = 'a'", "write DELETE [no-where] {w table public.patient(*)} exact"),
    ("DELETE FROM patient WHERE 1 IN (1, 2)", "write DELETE [no-where] {w table public.patient(*)} exact"),
    (
        "DELETE FROM ONLY patient USING visit WHERE visit.patient_id = patient.id",
        "write DELETE [] {r table public.patient(id); w table public.patient(*); r table public.visit(patient_id)} exact",
    ),
    (
        "MERGE INTO city c USING patient p ON c.id = p.id WHEN MATCHED THEN UPDATE SET city = p.city WHEN NOT MATCHED THEN INSERT (id, city) VALUES (p.id, p.ssn)",
        "write MERGE [launders] {r table public.city(id); w table public.city(city,id); r table public.patient(city,id,ssn)} exact",
    ),
    ("TRUNCATE patient", "define TRUNCATE [destructive] {w table public.patient} exact"),
    (
        "TRUNCATE patient, visit CASCADE",
        "define TRUNCATE [destructive] {w table public.patient; w table public.visit} partial",
    ),
    ("DROP TABLE patient", "define DROP TABLE [destructive] {d table public.patient} exact"),
    (
        "DROP TABLE IF EXISTS nowhere, public.city CASCADE",
        "define DROP TABLE [destructive] {d table nowhere; d table public.city} partial",
    ),
    ("DROP VIEW v_patient", "define DROP VIEW [destructive] {d view public.v_patient} exact"),
    ("DROP SCHEMA audit CASCADE", "define DROP SCHEMA [destructive] {d schema audit} partial"),
    ("DROP FUNCTION f(int)", "define DROP FUNCTION [destructive] {d function f} exact"),
    ("DROP INDEX i", "define DROP INDEX [destructive] {d index i} exact"),
    ("DROP POLICY p ON patient", "administer DROP POLICY [destructive rights] {d policy patient.p} exact"),
    ("DROP TRIGGER t ON patient", "administer DROP TRIGGER [destructive rights] {d trigger patient.t} exact"),
    ("DROP OWNED BY bob", "administer DROP OWNED [destructive rights] {} exact"),
    (
        "CREATE TABLE t (id int DEFAULT nextval('s'), x text CHECK (x <> ''))",
        "define CREATE TABLE [] {d table public.t} exact",
    ),
    ("CREATE TABLE audit.t (LIKE patient)", "define CREATE TABLE [] {d table audit.t; r table public.patient} exact"),
    (
        "CREATE TABLE t (id int) INHERITS (patient)",
        "define CREATE TABLE [] {d table public.patient; d table public.t} exact",
    ),
    (
        "CREATE TABLE p2 PARTITION OF lab FOR VALUES IN (1)",
        "define CREATE TABLE [] {d table public.lab; d table public.p2} exact",
    ),
    (
        "CREATE INDEX ON patient (lower(name)) WHERE ssn IS NOT NULL",
        "execute CREATE INDEX [unknown-function] {x function public.lower; r table public.patient(name,ssn); d table public.patient} partial",
    ),
    (
        "CREATE INDEX ON patient (f_plpgsql(id))",
        "execute CREATE INDEX [unknown-function] {x function public.f_plpgsql; r table public.patient(id); d table public.patient} partial",
    ),
    ("CREATE UNIQUE INDEX CONCURRENTLY i ON patient (ssn)", "define CREATE INDEX [] {d table public.patient} exact"),
    (
        "CREATE VIEW v AS SELECT ssn FROM patient",
        "define CREATE VIEW [] {r table public.patient(ssn); d view public.v} exact",
    ),
    ("CREATE OR REPLACE TEMP VIEW v AS SELECT 1", "define CREATE VIEW [] {d view pg_temp.v} exact"),
    ("CREATE SEQUENCE s", "define CREATE SEQUENCE [] {d sequence public.s} exact"),
    ("ALTER SEQUENCE patient_id_seq RESTART", "define ALTER SEQUENCE [] {d sequence public.patient_id_seq} exact"),
    ("ALTER TABLE patient ADD COLUMN x text", "define ALTER TABLE [] {d table public.patient} exact"),
    ("ALTER TABLE patient DROP COLUMN ssn", "define ALTER TABLE [destructive] {d table public.patient} exact"),
    (
        "UPDATE patient SET note = note || 'x' WHERE id = 1",
        "write UPDATE [] {r table public.patient(id,note); w table public.patient(note)} exact",
    ),
    (
        "UPDATE patient SET note = ssn WHERE id = 1",
        "write UPDATE [launders] {r table public.patient(id,ssn); w table public.patient(note)} exact",
    ),
    (
        "UPDATE patient p SET note = q.note FROM patient q WHERE q.id = p.id",
        "write UPDATE [launders] {r table public.patient(id,note); w table public.patient(note)} exact",
    ),
    (
        "CREATE TEMP TABLE t AS SELECT ssn FROM patient",
        "define CREATE TABLE AS [] {d table pg_temp.t; r table public.patient(ssn)} exact",
    ),
    (
        "ALTER TABLE patient ALTER COLUMN note TYPE text USING ssn",
        "define ALTER TABLE [launders] {r table public.patient(ssn); d table public.patient} exact",
    ),
    ("ALTER TABLE patient RENAME COLUMN ssn TO x", "define ALTER [renames] {d table public.patient} exact"),
    ("ALTER TABLE patient RENAME TO person", "define ALTER [renames] {d table public.patient} exact"),
    ("ALTER TABLE patient SET SCHEMA audit", "define ALTER [renames] {d table public.patient} exact"),
    ("ALTER TABLE patient OWNER TO bob", "administer ALTER TABLE [rights] {d table public.patient} exact"),
    (
        "ALTER TABLE patient DISABLE ROW LEVEL SECURITY",
        "administer ALTER TABLE [rights] {d table public.patient} exact",
    ),
    ("ALTER TABLE patient DISABLE TRIGGER ALL", "administer ALTER TABLE [rights] {d table public.patient} exact"),
    (
        "ALTER TABLE patient ALTER COLUMN ssn TYPE text USING f_plpgsql(1)",
        "execute ALTER TABLE [launders unknown-function] {x function public.f_plpgsql; d table public.patient} partial",
    ),
    (
        "ALTER TABLE patient ATTACH PARTITION lab DEFAULT",
        "define ALTER TABLE [renames] {d table public.lab; d table public.patient} exact",
    ),
    (
        "ALTER TABLE patient ADD CONSTRAINT c CHECK (ssn <> '')",
        "define ALTER TABLE [] {r table public.patient(ssn); d table public.patient} exact",
    ),
    ("CREATE SCHEMA s", "define CREATE SCHEMA [] {d schema s} exact"),
    ("CREATE SCHEMA s CREATE TABLE t (i int)", "define CREATE SCHEMA [] {d table public.t; d schema s} exact"),
    ("CREATE TYPE mood AS ENUM ('a')", "define CREATE TYPE [] {} exact"),
    ("CREATE DOMAIN d AS text CHECK (value <> '')", "define CREATE DOMAIN [dynamic-code] {} exact"),
    (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "define CREATE FUNCTION [dynamic-code] {d function f} exact",
    ),
    ("CREATE PROCEDURE f() LANGUAGE sql AS 'SELECT 1'", "define CREATE FUNCTION [dynamic-code] {d function f} exact"),
    ("CREATE AGGREGATE a (int) (sfunc = int4pl, stype = int)", "define CREATE [dynamic-code] {} exact"),
    (
        "CREATE OPERATOR === (leftarg = text, rightarg = text, function = texteq)",
        "define CREATE [dynamic-code] {} exact",
    ),
    ("CREATE CAST (text AS int) WITH FUNCTION f(text)", "define CREATE CAST [dynamic-code] {} exact"),
    (
        "CREATE RULE r AS ON INSERT TO patient DO ALSO SELECT 1",
        "define CREATE RULE [dynamic-code] {d table public.patient} exact",
    ),
    (
        "CREATE TRIGGER t AFTER INSERT ON patient EXECUTE FUNCTION f()",
        "define CREATE TRIGGER [dynamic-code] {d table public.patient} exact",
    ),
    (
        "CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION f()",
        "administer CREATE EVENT TRIGGER [dynamic-code] {} exact",
    ),
    ("CREATE EXTENSION dblink", "administer CREATE EXTENSION [dynamic-code] {d extension dblink} exact"),
    ("CREATE LANGUAGE plpython3u", "administer CREATE EXTENSION [dynamic-code] {d extension plpython3u} exact"),
    ("CREATE POLICY p ON patient USING (true)", "administer CREATE POLICY [rights] {d table public.patient} exact"),
    ("CREATE ROLE bob", "administer CREATE ROLE [rights] {d role bob} exact"),
    ("CREATE USER bob SUPERUSER", "administer CREATE ROLE [rights] {d role bob} exact"),
    ("ALTER ROLE bob SET search_path = x", "administer ALTER ROLE [rights setting] {d role bob} exact"),
    ("DROP ROLE bob", "administer DROP ROLE [destructive rights] {d role bob} exact"),
    ("GRANT SELECT ON patient TO bob", "administer GRANT [rights] {d table public.patient} exact"),
    ("REVOKE ALL ON patient FROM bob", "administer REVOKE [rights] {d table public.patient} exact"),
    ("GRANT admin TO bob", "administer GRANT ROLE [rights] {d role admin} exact"),
    ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO bob", "administer ALTER DEFAULT PRIVILEGES [rights] {} exact"),
    ("REASSIGN OWNED BY a TO b", "administer REASSIGN OWNED [rights] {} exact"),
    ("CREATE DATABASE d", "administer CREATE DATABASE [] {} exact"),
    ("DROP DATABASE d", "administer DROP DATABASE [destructive] {} exact"),
    ("ALTER DATABASE d SET x = 1", "administer ALTER DATABASE [setting] {} exact"),
    ("ALTER SYSTEM SET x = 1", "administer ALTER SYSTEM [setting] {} exact"),
    ("CREATE SERVER s FOREIGN DATA WRAPPER f", "administer CREATE SERVER [rights] {} exact"),
    ("CREATE USER MAPPING FOR bob SERVER s", "administer CREATE USER MAPPING [rights] {} exact"),
    (
        "CREATE FOREIGN TABLE ft (a int) SERVER s",
        "administer CREATE FOREIGN TABLE [server-file] {d table public.ft} exact",
    ),
    ("IMPORT FOREIGN SCHEMA x FROM SERVER s INTO y", "administer IMPORT FOREIGN SCHEMA [server-file] {} exact"),
    ("CREATE PUBLICATION p FOR ALL TABLES", "administer CREATE PUBLICATION [bulk-export] {} exact"),
    ("CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", "administer CREATE SUBSCRIPTION [bulk-import] {} exact"),
    ("CREATE TABLESPACE t LOCATION '/x'", "administer CREATE TABLESPACE [server-file] {} exact"),
    ("COMMENT ON TABLE patient IS 'x'", "define COMMENT [] {} exact"),
    ("SECURITY LABEL ON TABLE patient IS 'x'", "administer SECURITY LABEL [rights] {} exact"),
    ("LOAD 'x'", "administer LOAD [dynamic-code server-file] {} exact"),
    ("CHECKPOINT", "administer CHECKPOINT [] {} exact"),
    ("VACUUM FULL patient", "write VACUUM [] {w table public.patient} exact"),
    ("ANALYZE patient (ssn)", "write ANALYZE [] {w table public.patient} exact"),
    ("CLUSTER patient", "define CLUSTER [] {d table public.patient} exact"),
    ("REINDEX TABLE patient", "define REINDEX [] {d table public.patient} exact"),
    (
        "REFRESH MATERIALIZED VIEW m_patient",
        "write REFRESH MATERIALIZED VIEW [] {w materialized view public.m_patient; r table public.patient(id,ssn)} exact",
    ),
    ("COPY patient TO STDOUT", "read COPY [bulk-export] {r table public.patient(born,city,id,name,note,ssn)} exact"),
    (
        "COPY patient (id, ssn) TO STDOUT WITH (FORMAT csv)",
        "read COPY [bulk-export] {r table public.patient(id,ssn)} exact",
    ),
    ("COPY (SELECT ssn FROM patient) TO STDOUT", "read COPY [bulk-export] {r table public.patient(ssn)} exact"),
    (
        "COPY (DELETE FROM patient RETURNING ssn) TO STDOUT",
        "write COPY [bulk-export hidden-write no-where] {r table public.patient(ssn); w table public.patient(*)} exact",
    ),
    ("COPY patient FROM STDIN", "write COPY [bulk-import] {w table public.patient(born,city,id,name,note,ssn)} exact"),
    (
        "COPY patient (id) FROM STDIN WHERE ssn IS NULL",
        "write COPY [bulk-import] {r table public.patient(ssn); w table public.patient(id)} exact",
    ),
    ("COPY logged FROM STDIN", "write COPY [bulk-import] {w table public.logged(id,what)} partial"),
    (
        "COPY patient TO '/tmp/x'",
        "administer COPY [bulk-export server-file] {w file /tmp/x; r table public.patient(born,city,id,name,note,ssn)} exact",
    ),
    (
        "COPY patient FROM '/tmp/x'",
        "administer COPY [bulk-import server-file] {r file /tmp/x; w table public.patient(born,city,id,name,note,ssn)} exact",
    ),
    (
        "COPY patient TO PROGRAM 'cat'",
        "administer COPY [bulk-export server-program] {x program cat; r table public.patient(born,city,id,name,note,ssn)} exact",
    ),
    (
        "COPY patient FROM PROGRAM 'cat'",
        "administer COPY [bulk-import server-program] {x program cat; w table public.patient(born,city,id,name,note,ssn)} exact",
    ),
    (
        "COPY patient TO STDOUT (ENCODING 'LATIN1')",
        "read COPY [bulk-export] {r table public.patient(born,city,id,name,note,ssn)} partial",
    ),
    ("DO 'BEGIN END'", "execute DO [dynamic-code] {} partial"),
    ("CALL p(1)", "execute CALL [unknown-function] {x function p} partial"),
    ("EXPLAIN SELECT ssn FROM patient", "read EXPLAIN [] {r table public.patient(ssn)} exact"),
    ("EXPLAIN DELETE FROM patient", "read EXPLAIN [no-where] {w table public.patient(*)} exact"),
    ("EXPLAIN ANALYZE DELETE FROM patient", "write EXPLAIN [hidden-write no-where] {w table public.patient(*)} exact"),
    (
        "EXPLAIN (ANALYZE, VERBOSE) UPDATE patient SET note = '' WHERE id = 1",
        "write EXPLAIN [hidden-write] {r table public.patient(id); w table public.patient(note)} exact",
    ),
    (
        "EXPLAIN (ANALYZE false) DELETE FROM patient WHERE id = 1",
        "read EXPLAIN [] {r table public.patient(id); w table public.patient(*)} exact",
    ),
    ("EXPLAIN ANALYZE SELECT 1", "read EXPLAIN [] {} exact"),
    (
        "EXPLAIN (FORMAT json) SELECT f_plpgsql(1)",
        "execute EXPLAIN [unknown-function] {x function public.f_plpgsql} partial",
    ),
    ("EXPLAIN ANALYZE EXECUTE q", "execute EXPLAIN [hidden-write] {x prepared statement q} partial"),
    ("EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", "define EXPLAIN [hidden-write] {d table public.t} exact"),
    ("PREPARE q AS DELETE FROM patient", "open PREPARE [prepare-only] {} exact"),
    ("EXECUTE q('x')", "execute EXECUTE [] {x prepared statement q} partial"),
    ("DEALLOCATE q", "open DEALLOCATE [] {} exact"),
    ("DEALLOCATE ALL", "open DEALLOCATE [] {} exact"),
    ("DECLARE c CURSOR FOR SELECT ssn FROM patient", "read DECLARE CURSOR [] {r table public.patient(ssn)} exact"),
    ("FETCH 10 FROM c", "read FETCH [] {r cursor c} exact"),
    ("MOVE c", "read MOVE [] {r cursor c} exact"),
    ("CLOSE c", "open CLOSE [] {} exact"),
    ("SET search_path = audit", "open SET [setting] {w setting search_path} exact"),
    ("SET LOCAL statement_timeout = 1", "open SET [setting] {w setting statement_timeout} exact"),
    (
        "SET session_replication_role = replica",
        "administer SET [rights setting] {w setting session_replication_role} exact",
    ),
    ("SET ROLE bob", "administer SET [rights setting] {w setting role} exact"),
    ("SET SESSION AUTHORIZATION bob", "administer SET [rights setting] {w setting session_authorization} exact"),
    ("RESET ROLE", "administer SET [rights setting] {w setting role} exact"),
    ("RESET ALL", "open SET [setting] {} exact"),
    ("RESET search_path", "open SET [setting] {w setting search_path} exact"),
    ("SHOW server_version", "open SHOW [] {} exact"),
    ("SET TRANSACTION READ ONLY", "open SET [setting transaction] {} exact"),
    ("DISCARD ALL", "open DISCARD ALL [] {} exact"),
    ("DISCARD TEMP", "define DISCARD [] {} exact"),
    ("BEGIN", "open BEGIN [transaction] {} exact"),
    ("START TRANSACTION READ ONLY", "open BEGIN [transaction] {} exact"),
    ("COMMIT", "open COMMIT [transaction] {} exact"),
    ("ROLLBACK", "open ROLLBACK [transaction] {} exact"),
    ("SAVEPOINT s", "open SAVEPOINT [transaction] {} exact"),
    ("ROLLBACK TO s", "open ROLLBACK TO [transaction] {} exact"),
    ("PREPARE TRANSACTION 'x'", "open PREPARE TRANSACTION [transaction] {} exact"),
    ("COMMIT PREPARED 'x'", "write COMMIT PREPARED [transaction] {} exact"),
    ("LOCK TABLE patient IN EXCLUSIVE MODE", "read LOCK TABLE [lock] {r table public.patient} exact"),
    ("LISTEN ch", "read LISTEN [] {r channel ch} exact"),
    ("UNLISTEN *", "open UNLISTEN [] {} exact"),
    ("NOTIFY ch, 'x'", "write NOTIFY [] {w channel ch} exact"),
    ("SET CONSTRAINTS ALL DEFERRED", "open SET CONSTRAINTS [setting] {} exact"),
    ("SELECT nextval('patient_id_seq')", "write SELECT [hidden-write] {x function nextval} exact"),
    ("SELECT setval('patient_id_seq', 1)", "write SELECT [hidden-write] {x function setval} exact"),
    (
        "SELECT pg_notify('ch', ssn) FROM patient",
        "execute SELECT [dangerous-function hidden-write] {x function pg_notify; r table public.patient(ssn)} partial",
    ),
    ("SELECT pg_sleep(1)", "read SELECT [dangerous-function] {x function pg_sleep} exact"),
    ("SELECT pg_advisory_lock(1)", "read SELECT [lock] {x function pg_advisory_lock} exact"),
    ("SELECT pg_try_advisory_xact_lock(1)", "read SELECT [lock] {x function pg_try_advisory_xact_lock} exact"),
    (
        "SELECT set_config('search_path', '', false)",
        "read SELECT [setting] {w setting search_path; x function set_config} exact",
    ),
    (
        "SELECT set_config('session_replication_role', 'replica', false)",
        "administer SELECT [rights setting] {w setting session_replication_role; x function set_config} exact",
    ),
    (
        "SELECT set_config(name, 'x', false) FROM patient",
        "administer SELECT [dangerous-function rights setting] {r table public.patient(name); x function set_config} partial",
    ),
    (
        "SELECT pg_read_file('/etc/passwd')",
        "administer SELECT [dangerous-function server-file] {x function pg_read_file} exact",
    ),
    ("SELECT * FROM pg_ls_dir('.')", "administer SELECT [dangerous-function server-file] {x function pg_ls_dir} exact"),
    (
        "SELECT lo_import('/etc/passwd')",
        "administer SELECT [dangerous-function server-file] {x function lo_import} exact",
    ),
    (
        "SELECT lo_export(1, '/tmp/x')",
        "administer SELECT [dangerous-function server-file] {x function lo_export} exact",
    ),
    ("SELECT lo_unlink(1)", "write SELECT [hidden-write] {x function lo_unlink} exact"),
    ("SELECT lo_get(1)", "read SELECT [] {x function lo_get} exact"),
    (
        "SELECT pg_terminate_backend(1)",
        "administer SELECT [dangerous-function] {x function pg_terminate_backend} exact",
    ),
    ("SELECT pg_reload_conf()", "administer SELECT [dangerous-function] {x function pg_reload_conf} exact"),
    (
        "SELECT * FROM pg_logical_slot_get_changes('s', NULL, NULL)",
        "administer SELECT [dangerous-function] {x function pg_logical_slot_get_changes} exact",
    ),
    (
        "SELECT query_to_xml('SELECT 1', true, true, '')",
        "execute SELECT [dangerous-function dynamic-code] {x function query_to_xml} partial",
    ),
    ("SELECT ts_stat('SELECT 1')", "execute SELECT [dangerous-function dynamic-code] {x function ts_stat} partial"),
    (
        "SELECT * FROM dblink('x', 'SELECT 1') AS t (a int)",
        "administer SELECT [dangerous-function] {x function public.dblink} exact",
    ),
    (
        "SELECT dblink_exec('x', 'DROP TABLE t')",
        "administer SELECT [dangerous-function] {x function dblink_exec} exact",
    ),
    ("SELECT f_plpgsql(1)", "execute SELECT [unknown-function] {x function public.f_plpgsql} partial"),
    ("SELECT f_sql(1)", "read SELECT [] {x function public.f_sql; r table public.patient(id,ssn)} exact"),
    ("SELECT f_write()", "execute SELECT [unknown-function] {x function public.f_write} partial"),
    ("SELECT f_bare()", "execute SELECT [unknown-function] {x function public.f_bare} partial"),
    (
        "SELECT p.f_plpgsql FROM patient p",
        "execute SELECT [unknown-function] {x function public.f_plpgsql; r table public.patient(born,city,id,name,note,ssn)} partial",
    ),
    (
        "SELECT (p).f_plpgsql FROM patient p",
        "execute SELECT [unknown-function] {x function public.f_plpgsql; r table public.patient(born,city,id,name,note,ssn)} partial",
    ),
    ("SELECT no_such(1)", "execute SELECT [unknown-function] {x function no_such} partial"),
    ("SELECT lower('X')", "execute SELECT [unknown-function] {x function public.lower} partial"),
    ("SELECT pg_catalog.lower('X')", "read SELECT [] {} exact"),
    ("SELECT similarity('a', 'b')", "read SELECT [] {} exact"),
    ("SELECT 1 WHERE f_plpgsql(1) IS NULL", "execute SELECT [unknown-function] {x function public.f_plpgsql} partial"),
    ("SELECT 1 ORDER BY f_plpgsql(1)", "execute SELECT [unknown-function] {x function public.f_plpgsql} partial"),
    ("SELECT 1 LIMIT f_plpgsql(1)", "execute SELECT [unknown-function] {x function public.f_plpgsql} partial"),
    (
        "SELECT 1 FROM patient GROUP BY f_plpgsql(id)",
        "execute SELECT [unknown-function] {x function public.f_plpgsql; r table public.patient(id)} partial",
    ),
    (
        "SELECT count(*) OVER (ORDER BY f_plpgsql(id)) FROM patient",
        "execute SELECT [unknown-function] {x function public.f_plpgsql; r table public.patient(id)} partial",
    ),
    (
        "SELECT 1 FROM patient WINDOW w AS (PARTITION BY f_plpgsql(id))",
        "execute SELECT [unknown-function] {x function public.f_plpgsql; r table public.patient(id)} partial",
    ),
    (
        "SELECT max(id ORDER BY f_plpgsql(id)) FROM patient",
        "execute SELECT [unknown-function] {x function public.f_plpgsql; r table public.patient(id)} partial",
    ),
    (
        "SELECT count(*) FILTER (WHERE f_plpgsql(id) = 1) FROM patient",
        "execute SELECT [unknown-function] {x function public.f_plpgsql; r table public.patient(id)} partial",
    ),
    (
        "SELECT 1 FROM patient p JOIN visit v ON f_plpgsql(1) = 1",
        "execute SELECT [unknown-function] {x function public.f_plpgsql; r table public.patient; r table public.visit} partial",
    ),
    (
        "SELECT 1 FROM patient TABLESAMPLE bernoulli (f_plpgsql(1))",
        "execute SELECT [unknown-function] {x function public.f_plpgsql; r table public.patient} partial",
    ),
    (
        "SELECT DISTINCT ON (f_plpgsql(id)) id FROM patient",
        "execute SELECT [unknown-function] {x function public.f_plpgsql; r table public.patient(id)} partial",
    ),
    ("VALUES (f_plpgsql(1))", "execute SELECT [unknown-function] {x function public.f_plpgsql} partial"),
    (
        "INSERT INTO city (id) VALUES (f_plpgsql(1))",
        "execute INSERT [launders unknown-function] {w table public.city(id); x function public.f_plpgsql} partial",
    ),
    (
        "UPDATE city SET id = 1 WHERE f_plpgsql(id) = 1",
        "execute UPDATE [unknown-function] {r table public.city(id); w table public.city(id); x function public.f_plpgsql} partial",
    ),
    (
        "SELECT id <~> id FROM patient",
        "execute SELECT [unknown-function] {x function operator <~>; r table public.patient(id)} partial",
    ),
    (
        "SELECT 1 FROM patient ORDER BY id USING OPERATOR(public.<)",
        "execute SELECT [unknown-function] {x function operator public.<; r table public.patient(id)} partial",
    ),
    (
        "SELECT CASE WHEN false THEN f_plpgsql(1) END",
        "execute SELECT [unknown-function] {x function public.f_plpgsql} partial",
    ),
    ("SELECT ARRAY[f_plpgsql(1)]", "execute SELECT [unknown-function] {x function public.f_plpgsql} partial"),
    ("SELECT COALESCE(1, f_plpgsql(1))", "execute SELECT [unknown-function] {x function public.f_plpgsql} partial"),
    ("SELECT JSON_ARRAY(f_plpgsql(1))", "execute SELECT [unknown-function] {x function public.f_plpgsql} partial"),
    ("SELECT xmlforest(f_plpgsql(1) AS x)", "execute SELECT [unknown-function] {x function public.f_plpgsql} partial"),
    (
        "SELECT * FROM ROWS FROM (f_plpgsql(1), generate_series(1, 2)) x",
        "execute SELECT [unknown-function] {x function public.f_plpgsql} partial",
    ),
    ("SELECT relname FROM pg_class", "read SELECT [catalog] {r table pg_catalog.pg_class(relname)} exact"),
    ("SELECT query FROM pg_stat_activity", "read SELECT [catalog] {r view pg_catalog.pg_stat_activity(query)} exact"),
    (
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'patient'",
        "read SELECT [catalog] {r view information_schema.columns(column_name,table_name)} exact",
    ),
    (
        "SELECT result FROM lab_2024 WHERE patient_id = 1",
        "read SELECT [] {r table public.lab(patient_id,result); r table public.lab_2024(patient_id,result)} exact",
    ),
];

#[test]
fn the_worst_it_can_do() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let scope = scope(&catalog, &path);
    let wrong = ROWS.iter().filter_map(|(text, expected)| {
        let found = match read(text, &scope) {
            Ok(script) => script.statements.iter().map(|statement| told(&statement.operation)).collect(),
            Err(why) => format!("error: {why}"),
        };
        (found != *expected).then(|| format!("{text}\n    expected {expected}\n    found    {found}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), ROWS.len(), wrong.join("\n"));
}

#[test]
fn every_statement_of_a_text_is_told() {
    let catalog = catalog();
    let path = ["public".to_owned()];
    let text = " SELECT 1 ;; -- nothing\n DROP TABLE \"Odd Name\"; /* x */ SELECT 'é', ssn FROM patient ; ";
    let script = read(text, &scope(&catalog, &path)).unwrap();
    let found: Vec<(&str, &str)> = script
        .statements
        .iter()
        .map(|statement| (&text[statement.span.clone()], statement.operation.action.as_ref()))
        .collect();
    assert_eq!(found[0], ("SELECT 1", "SELECT"));
    assert!(found[1].0.ends_with("DROP TABLE \"Odd Name\""), "{found:?}");
    assert_eq!(found[1].1, "DROP TABLE");
    assert!(found[2].0.ends_with("SELECT 'é', ssn FROM patient"), "{found:?}");
    for statement in &script.statements {
        assert_eq!(statement.operation.text.as_deref(), Some(&text[statement.span.clone()]));
    }
    for nothing in ["", " ", "\t\r\n\u{b}\u{c}", " -- x\n;", ";;", "/* x */"] {
        assert!(read(nothing, &scope(&catalog, &path)).unwrap().statements.is_empty(), "{nothing:?}");
    }
}

#[test]
fn the_shape_is_the_text_and_what_it_means() {
    let catalog = catalog();
    let shape = |text: &str, path: &[String]| {
        read(text, &scope(&catalog, path)).unwrap().statements[0].operation.shape.unwrap()
    };
    let public = ["public".to_owned()];
    assert_eq!(shape("SELECT 1", &public), shape(" SELECT 1 ;", &public));
    assert_ne!(shape("SELECT 1", &public), shape("SELECT 2", &public));
    assert_ne!(shape("SELECT 1", &public), shape("SELECT 1", &["audit".to_owned()]));
    assert_ne!(shape("SELECT 1", &["a".to_owned(), "b".to_owned()]), shape("SELECT 1", &["ab".to_owned()]));
}
