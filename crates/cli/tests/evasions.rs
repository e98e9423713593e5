//! Ways around the masks, a list that only grows: statements and conversations that tell something without the gateway,
//! and nothing through it. The insider here has a login, time, this source, and whatever client there is.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it cannot go on")]

#[path = "common/wire.rs"]
mod wire;

mod common;

use common::{POLICY, clinic, setup, token};
use std::collections::BTreeSet;
use std::sync::OnceLock;
use vestibule_e2e::gateway::{Gateway, Setup};
use vestibule_e2e::postgres::{DATABASE, Server};
use wire::{Wire, query};

/// Two more groups than the sample has: readers under "safe-harbor", and people who may do whatever no policy forbids.
const MORE: &str = r#"
@id("readers") permit (principal in Group::"readers", action in [Action::"open", Action::"read"], resource);
@id("scratch") @mask("pseudonymised") @opaque("allow") permit (principal in Group::"scratch", action, resource);
"#;

struct World {
    server: Server,
    gateway: Gateway,
    secrets: BTreeSet<String>,
}

/// One server and one gateway for the whole file.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let server = clinic(40);
        for sql in PREPARATIONS {
            server.admin(DATABASE, sql).unwrap();
        }
        // Exports are not held: what leaves then must be masked.
        let (before, rest) = POLICY.split_once("@id(\"export-approved\")").unwrap();
        let policy = format!("{before}{}{MORE}", rest.split_once("};").unwrap().1);
        let gateway = Gateway::start(&server, &Setup { policy, ..setup() }).unwrap();
        let sql = "SELECT unnest(ARRAY[mrn, last_name, ssn, phone, email, street, insurance_member_id, dob::text]) FROM patient";
        let told = server.admin(DATABASE, sql).unwrap();
        let secrets = told.lines().filter(|line| line.len() > 4).map(str::to_owned).collect();
        World { server, gateway, secrets }
    })
}

/// What stands in the database besides the clinic: things an application would have.
const PREPARATIONS: &[&str] = &[
    // Employees have the last names of patients.
    "UPDATE staff SET name = 'Employee ' || id",
    "CREATE DOMAIN nickname AS text",
    "CREATE VIEW patient_whole AS SELECT p AS whole, ARRAY[ssn] AS some FROM patient p",
    "SELECT lo_from_bytea(4711, convert_to((SELECT ssn FROM patient WHERE id = 1), 'UTF8'))",
    "GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC",
    "GRANT SELECT ON patient_whole TO PUBLIC",
    "GRANT CREATE ON SCHEMA public TO PUBLIC",
];

impl World {
    fn leaked(&self, said: &str) -> Option<String> {
        let digits: String = said.chars().filter(char::is_ascii_digit).collect();
        let hex = said.to_ascii_lowercase();
        let is_ssn = |secret: &str| secret.len() == 11 && secret.bytes().filter(|b| *b == b'-').count() == 2;
        let found = |secret: &&String| {
            let coded: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            said.contains(secret.as_str())
                || hex.contains(&coded)
                || (is_ssn(secret) && digits.contains(&secret.replace('-', "")))
        };
        self.secrets.iter().find(found).cloned()
    }

    /// What is said to this in one message, and where there are several statements, to one after the other.
    fn through(&self, group: &str, sql: &str) -> String {
        let all = self.conversation(group, &[sql]);
        let steps: Vec<&str> = sql.split("; ").collect();
        if steps.len() > 1 { all + &self.conversation(group, &steps) } else { all }
    }

    fn conversation(&self, group: &str, steps: &[&str]) -> String {
        let token = token(&self.gateway, "dana", &[group]);
        let mut wire = Wire::login(self.gateway.port(), &token, "evasions").unwrap();
        let said: String = steps.iter().map(|step| said(&mut wire, &query(step))).collect();
        assert!(self.gateway.alive(), "the gateway died of {steps:?}; it said:\n{}", self.gateway.log());
        said
    }
}

/// Sends this and takes everything until the server is ready, as text: values of rows are separated by bars.
fn said(wire: &mut Wire, bytes: &[u8]) -> String {
    wire.send(bytes).unwrap();
    let mut all = String::new();
    loop {
        let Ok((kind, body)) = wire.message() else { return all + "\n(closed)" };
        if kind == b'Z' {
            return all;
        }
        match kind {
            // Names and types of columns are no values.
            b'T' => {}
            b'D' => all += &format!("D {}\n", values(&body).join("|")),
            _ => all += &format!("{} {}\n", char::from(kind), String::from_utf8_lossy(&body).replace('\0', "|")),
        }
    }
}

/// The values of a row; those that are no text, byte by byte.
fn values(row: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = row.get(2..).unwrap_or_default();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (value, tail) = tail.split_at(length);
        all.push(String::from_utf8_lossy(value).into_owned());
        rest = tail;
    }
    all
}

/// Each tells a value without the gateway.
const TELLING: &[&str] = &[
    "SELECT (p).ssn FROM (SELECT p FROM patient p) AS q",
    "SELECT (ROW(p.*)::patient).ssn FROM patient p",
    "SELECT ARRAY[p] FROM patient p WHERE id = 1",
    "SELECT (whole).ssn FROM patient_whole",
    "SELECT whole FROM patient_whole",
    "SELECT some[1] FROM patient_whole",
    "SELECT ssn::nickname FROM patient",
    "SELECT ssn::varchar(20), ssn::name, ssn::bpchar FROM patient",
    "SELECT ssn::bytea FROM patient",
    "SELECT convert_to(ssn, 'LATIN1') FROM patient",
    "SELECT ('\"' || ssn || '\"')::json FROM patient",
    "SELECT ('<a>' || ssn || '</a>')::xml FROM patient",
    "SELECT ARRAY[ssn, mrn]::text FROM patient",
    "SELECT ('{' || ssn || '}')::text[] FROM patient",
    "SELECT daterange(dob, dob, '[]') FROM patient",
    "SELECT lower(daterange(dob, NULL)) FROM patient",
    "SELECT key, value FROM patient p, jsonb_each(to_jsonb(p))",
    "SELECT key, value FROM patient p, jsonb_each_text(to_jsonb(p))",
    "SELECT value FROM patient p, json_array_elements(json_build_array(p.ssn, p.mrn))",
    "SELECT jsonb_path_query(to_jsonb(p), '$.*') FROM patient p",
    "SELECT jsonb_object_agg(id, ssn) FROM patient",
    "SELECT json_object(ARRAY['a', ssn]) FROM patient",
    "SELECT jsonb_set('{}', '{a}', to_jsonb(ssn)) FROM patient",
    "SELECT (jsonb_populate_record(NULL::staff, jsonb_build_object('name', ssn))).name FROM patient",
    "SELECT s.name FROM patient p, jsonb_populate_record(NULL::staff, jsonb_build_object('name', p.ssn)) AS s",
    "SELECT s.name FROM patient p, jsonb_to_record(jsonb_build_object('name', p.ssn)) AS s (name text)",
    "SELECT x.a FROM patient p, XMLTABLE('/r' PASSING xmlelement(name r, p.ssn) COLUMNS a text PATH '.') AS x",
    "SELECT xmlelement(name a, xmlattributes(ssn AS b)) FROM patient",
    "SELECT xpath('/a/text()', ('<a>' || ssn || '</a>')::xml) FROM patient",
    "SELECT cursor_to_xml('c', 1, true, false, ''), ssn FROM patient WHERE false UNION ALL SELECT NULL, ssn FROM patient",
    "SELECT ssn, count(*) FROM patient GROUP BY GROUPING SETS ((ssn), ())",
    "SELECT ssn, mrn FROM patient GROUP BY CUBE (ssn, mrn)",
    "SELECT ssn FROM patient GROUP BY ROLLUP (ssn) HAVING count(*) > 0",
    "SELECT nth_value(ssn, 2) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM patient",
    "SELECT array_agg(ssn) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM patient",
    "SELECT string_agg(ssn, '') OVER w FROM patient WINDOW w AS (PARTITION BY id)",
    "SELECT ssn FROM patient ORDER BY id FETCH FIRST 3 ROWS WITH TIES",
    "SELECT ssn FROM patient TABLESAMPLE BERNOULLI (100)",
    "SELECT a FROM patient p, ROWS FROM (unnest(ARRAY[p.ssn]), generate_series(1, 1)) AS r (a, b)",
    "SELECT a FROM patient p, unnest(ARRAY[p.ssn]) WITH ORDINALITY AS r (a, b)",
    "SELECT unnest(string_to_array(ssn || ',' || mrn, ',')) FROM patient",
    "SELECT a FROM patient p, LATERAL unnest(ARRAY[p.ssn, p.mrn]) AS a",
    "SELECT v.a FROM patient p, LATERAL (VALUES (p.ssn), (p.mrn)) AS v (a)",
    "SELECT s FROM patient, regexp_split_to_table(ssn, 'x') AS s",
    "SELECT regexp_matches(ssn, '.*') FROM patient",
    "SELECT (regexp_match(ssn, '(.*)'))[1] FROM patient",
    "SELECT overlay(ssn placing '' from 12) FROM patient",
    "SELECT translate(ssn, 'x', 'y') FROM patient",
    "SELECT lpad(ssn, 20), rpad(ssn, 20), btrim(ssn), initcap(email), left(ssn, 50), right(ssn, 50) FROM patient",
    "SELECT split_part(ssn, 'x', 1), quote_literal(ssn), quote_ident(ssn), quote_nullable(ssn) FROM patient",
    "SELECT chr(ascii(ssn)) || substr(ssn, 2) FROM patient",
    "SELECT string_agg(chr(ascii(substr(ssn, i, 1))), '' ORDER BY i) FROM patient, generate_series(1, 11) i GROUP BY id",
    "SELECT encode(ssn::bytea, 'hex'), encode(ssn::bytea, 'escape') FROM patient",
    "SELECT replace(ssn, '-', '')::bigint FROM patient",
    "SELECT replace(ssn, '-', '')::oid FROM patient WHERE replace(ssn, '-', '')::bigint < 4000000000",
    "SELECT to_char(replace(ssn, '-', '')::numeric, '000000000') FROM patient",
    "SELECT replace(ssn, '-', '')::numeric + random() * 0 + id * 0 FROM patient",
    "SELECT dob - interval '0', date_trunc('day', dob), make_date(extract(year from dob)::int, extract(month from dob)::int, extract(day from dob)::int) FROM patient",
    "SELECT dob::timestamp, dob::timestamptz, age(dob), dob + time '00:00' FROM patient",
    "SELECT to_tsvector('simple', ssn) FROM patient",
    "SELECT tsvector_to_array(to_tsvector('simple', email)) FROM patient",
    "SELECT mode() WITHIN GROUP (ORDER BY ssn) FROM patient GROUP BY id",
    "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY dob) FROM patient",
    "SELECT lead(p) OVER (ORDER BY id) FROM patient p",
    "SELECT a.ssn FROM patient a FULL JOIN staff s USING (id)",
    "SELECT id, role FROM staff s (id, name, role) UNION SELECT id, ssn FROM patient",
    "SELECT name FROM staff WHERE false UNION ALL (SELECT ssn FROM patient EXCEPT SELECT 'x')",
    "SELECT name FROM (SELECT ssn FROM patient) staff (name)",
    "SELECT staff.name FROM patient staff (id, x1, x2, x3, x4, name)",
    "SELECT j.name FROM (patient p JOIN encounter e ON e.patient_id = p.id) AS j (id, m, f, l, d, name)",
    "SELECT (SELECT max(q.ssn) FROM patient q WHERE q.id = s.id) AS role FROM staff s",
    "SELECT (array(SELECT ssn FROM patient))[2]",
    "SELECT array(SELECT ssn FROM patient) || ARRAY['x']",
    "SELECT lo_get(4711)",
    "SELECT loread(lo_open(4711, 262144), 100)",
    "SELECT data FROM pg_largeobject",
    "SELECT pg_get_userbyid(10), ssn FROM patient",
    "SELECT query_to_json FROM (SELECT json_agg(p) AS query_to_json FROM patient p) q",
    "SELECT * FROM query_to_xml_and_xmlschema('SELECT ssn FROM patient', true, false, '')",
    "SELECT database_to_xml(true, false, '')",
    "SELECT schema_to_xml('public', true, false, '')",
    "COPY patient (ssn, mrn) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)",
    "COPY patient (dob, ssn) TO STDOUT (FORMAT binary)",
    "COPY (SELECT id, ssn FROM patient) TO STDOUT (FORMAT binary)",
    "COPY (TABLE patient) TO STDOUT (DELIMITER '#', NULL 'nix')",
    "COPY (SELECT s.role, p.ssn FROM staff s, patient p) TO STDOUT (FORMAT text)",
    "COPY (SELECT name FROM staff UNION ALL SELECT ssn FROM patient) TO STDOUT",
    "SELECT ssn::inet FROM patient",
    "SELECT (ssn || 'x')::numeric FROM patient",
    "SELECT ssn::uuid FROM patient",
    "SELECT ssn::jsonb FROM patient WHERE id = 1",
    "SELECT to_date(email, 'YYYY') FROM patient",
    "SELECT email::regclass FROM patient",
    "SELECT email::regtype FROM patient",
    "SELECT set_config('TimeZone', email, false) FROM patient",
    "SELECT set_config('DateStyle', email, false) FROM patient",
    "SELECT nextval(email) FROM patient",
    "SELECT pg_column_size(1), jsonb_path_query('{}', ('$.' || quote_ident(email))::jsonpath), email::int FROM patient",
    "SELECT xmlparse(document email) FROM patient",
    "SELECT has_table_privilege(email, 'SELECT') FROM patient",
    "SELECT most_common_vals::text FROM pg_stats WHERE tablename = 'patient' UNION SELECT ssn FROM patient",
    "SELECT set_config('vestibule.x', (SELECT ssn FROM patient WHERE id = 1), false); SELECT current_setting('vestibule.x')",
    "SELECT set_config('vestibule.x', (SELECT ssn FROM patient WHERE id = 1), false); SHOW vestibule.x",
    "SELECT set_config('application_name', (SELECT ssn FROM patient WHERE id = 1), false); SHOW application_name",
    "SELECT set_config('application_name', (SELECT ssn FROM patient WHERE id = 1), false); SELECT application_name FROM pg_stat_activity",
    "SELECT set_config('search_path', (SELECT ssn FROM patient WHERE id = 1), false); SHOW search_path",
    "SELECT set_config('search_path', (SELECT ssn FROM patient WHERE id = 1), false); SELECT setting FROM pg_settings WHERE name = 'search_path'",
    "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT ssn FROM patient; MOVE 3 IN c; FETCH BACKWARD 2 FROM c; FETCH ABSOLUTE 1 c; FETCH LAST c; FETCH RELATIVE -1 c; COMMIT",
    "DECLARE h CURSOR WITH HOLD FOR SELECT ssn AS id FROM patient; FETCH FORWARD ALL h; CLOSE h",
    "BEGIN; DECLARE c BINARY CURSOR FOR SELECT ssn, dob FROM patient; FETCH 5 c; COMMIT",
    "BEGIN; DECLARE c CURSOR FOR SELECT ssn FROM patient; CLOSE c; DECLARE c CURSOR FOR SELECT id, mrn FROM patient; FETCH ALL c; COMMIT",
    "BEGIN; SAVEPOINT s; DECLARE c CURSOR FOR SELECT id FROM patient; ROLLBACK TO s; DECLARE c CURSOR FOR SELECT ssn FROM patient; FETCH ALL c; COMMIT",
    "PREPARE a (int) AS SELECT ssn FROM patient WHERE id >= $1; EXECUTE a(1); DEALLOCATE a; PREPARE a (int) AS SELECT mrn FROM patient; EXECUTE a(1)",
    "PREPARE a AS SELECT id FROM patient; DEALLOCATE ALL; PREPARE a AS SELECT ssn FROM patient; EXECUTE a",
    "PREPARE a AS SELECT ssn FROM patient; SET search_path = pg_catalog, public; EXECUTE a",
    "PREPARE a AS SELECT id FROM patient; EXPLAIN ANALYZE EXECUTE a; SELECT ssn FROM patient",
    "SELECT id FROM staff; SELECT ssn FROM patient; SELECT 1, mrn, 2 FROM patient",
];

/// Each computes something from PHI: what comes out must not be what comes out without the gateway.
const DERIVED: &[&str] = &[
    "SELECT ascii(substr(ssn, 1, 1)) FROM patient ORDER BY id",
    "SELECT ascii(substr(ssn, 5, 1)), ascii(substr(ssn, 6, 1)) FROM patient ORDER BY id",
    "SELECT length(last_name) FROM patient ORDER BY id",
    "SELECT char_length(email), octet_length(email), bit_length(email) FROM patient ORDER BY id",
    "SELECT ssn > '5' FROM patient ORDER BY id",
    "SELECT ssn LIKE '1%', ssn ~ '^2', ssn BETWEEN '3' AND '4', starts_with(ssn, '5') FROM patient ORDER BY id",
    "SELECT ssn IN (SELECT ssn FROM patient WHERE id < 5) FROM patient ORDER BY id",
    "SELECT CASE WHEN ssn > '5' THEN 'high' ELSE 'low' END FROM patient ORDER BY id",
    "SELECT (ssn > '5')::int FROM patient ORDER BY id",
    "SELECT md5(ssn) FROM patient ORDER BY id",
    "SELECT sha256(ssn::bytea) FROM patient ORDER BY id",
    "SELECT hashtext(ssn), hashtextextended(ssn, 0) FROM patient ORDER BY id",
    "SELECT extract(year FROM dob), extract(doy FROM dob), date_part('month', dob) FROM patient ORDER BY id",
    "SELECT dob - date '1900-01-01' FROM patient ORDER BY id",
    "SELECT strpos(ssn, '-'), position('1' in ssn) FROM patient ORDER BY id",
    "SELECT substr(ssn, 1, 3) FROM patient ORDER BY id",
    "SELECT left(last_name, 1) FROM patient ORDER BY id",
    "SELECT string_to_array(ssn, '-') FROM patient ORDER BY id",
    "SELECT regexp_split_to_array(ssn, '') FROM patient ORDER BY id",
    "SELECT generate_series(1, ascii(ssn) - 47) FROM patient WHERE id = 1",
    "SELECT greatest(length(email), 0), least(length(email), 99) FROM patient ORDER BY id",
    "SELECT get_byte(ssn::bytea, 0), get_bit(ssn::bytea, 3) FROM patient ORDER BY id",
    "SELECT ascii(ssn)::bit(8), set_bit(ssn::bytea, 0, 0) FROM patient ORDER BY id",
    "SELECT soundex FROM (SELECT upper(left(last_name, 2)) AS soundex FROM patient ORDER BY id) q",
    "SELECT bool_or(ssn > '5'), every(ssn > '5'), bit_or(ascii(ssn)) FROM patient GROUP BY id ORDER BY id",
    "SELECT sum(ascii(ssn)), avg(length(email)), stddev(length(email)) FROM patient GROUP BY id ORDER BY id",
    "SELECT jsonb_array_length(to_jsonb(string_to_array(email, 'a'))) FROM patient ORDER BY id",
    "SELECT nullif(ssn > '5', false) FROM patient ORDER BY id",
    "SELECT row_number() OVER (ORDER BY ssn) FROM patient ORDER BY id",
    "SELECT rank() OVER (ORDER BY ssn), ntile(4) OVER (ORDER BY ssn), percent_rank() OVER (ORDER BY ssn) FROM patient ORDER BY id",
    "SELECT width_bucket(ascii(ssn), 48, 58, 10) FROM patient ORDER BY id",
    "SELECT EXISTS (SELECT 1 FROM patient q WHERE q.id = p.id AND q.ssn > '5') FROM patient p ORDER BY id",
    "SELECT (SELECT count(*) FROM patient q WHERE q.ssn < p.ssn) FROM patient p ORDER BY id",
    "SELECT count(*) FILTER (WHERE ssn > '5') FROM patient GROUP BY id ORDER BY id",
];

fn evade(group: &str) {
    let world = world();
    let mut wrong = Vec::new();
    for sql in TELLING {
        if let Some(secret) = world.leaked(&world.through(group, sql)) {
            wrong.push(format!("{sql}\n    told {secret}"));
        }
    }
    for sql in DERIVED {
        let direct = world.server.admin(DATABASE, sql).unwrap();
        let said = world.through(group, sql);
        let values = |text: &str| -> Vec<String> {
            text.split(['|', '\n']).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()).collect()
        };
        let (truth, got) = (values(&direct), rows(&said));
        if got == truth {
            wrong.push(format!("{sql}\n    computed {truth:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} evade as {group}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The values of the rows of an answer, which `said` made text.
fn rows(said: &str) -> Vec<String> {
    let mut all = Vec::new();
    for line in said.lines().filter(|line| line.starts_with("D ")) {
        let values = line.get(2..).unwrap_or_default();
        let parts = values.split('|').map(|v| v.trim().to_owned());
        all.extend(parts.filter(|v| !v.is_empty()));
    }
    all
}

#[test]
fn an_analyst_learns_nothing_by_any_of_these() {
    evade("analysts");
}

#[test]
fn nor_does_somebody_under_safe_harbor() {
    evade("readers");
}

#[test]
fn nor_does_somebody_who_may_do_whatever_is_not_forbidden() {
    evade("scratch");
}

/// Runs on any text the server may have sent.
#[test]
fn all_of_these_do_tell_without_the_gateway() {
    let world = world();
    let silent = |sql: &&&str| {
        let told = world.server.admin(DATABASE, sql).unwrap_or_else(|error| error.0);
        world.leaked(&told).is_none()
    };
    let silent: Vec<_> = TELLING.iter().filter(silent).collect();
    assert!(silent.len() <= QUIET, "{} tell nothing:\n{silent:#?}", silent.len());
}

/// Those that tell in a form `psql` does not print, or by an error that only some versions word with the value.
const QUIET: usize = 12;

/// Statements after each other by somebody who may do whatever no policy forbids, `;` between them. Without the gateway
/// each would tell, or leave a value where everybody may read it.
const LAUNDERING: &[&str] = &[
    "CREATE TEMP TABLE mine AS SELECT id, ssn AS name FROM patient;SELECT name FROM mine;SELECT * FROM mine;TABLE mine",
    "CREATE TEMP TABLE staff AS SELECT id, ssn AS name, 'x' AS role FROM patient;SELECT name FROM staff;SELECT name FROM public.staff WHERE id = 1",
    "CREATE TEMP TABLE patient (id, sex, state) AS SELECT id, ssn, mrn FROM public.patient;SELECT sex, state FROM patient;COPY patient TO STDOUT;COPY patient (sex) TO STDOUT",
    "CREATE TEMP TABLE patient AS SELECT id, ssn AS state FROM public.patient;BEGIN;UPDATE public.patient p SET city = t.state FROM patient t WHERE t.id = p.id RETURNING p.city;UPDATE public.patient p SET sex = left(t.state, 1) FROM patient t WHERE t.id = p.id RETURNING p.sex;ROLLBACK",
    "CREATE TEMP TABLE x (i int);BEGIN;UPDATE patient SET insurance_member_id = ssn WHERE id = 1 RETURNING insurance_member_id, id;ROLLBACK",
    "CREATE TEMP TABLE x (i int);BEGIN;INSERT INTO staff (id, name, role) SELECT id + 900, ssn, mrn FROM patient RETURNING name, role;ROLLBACK",
    "CREATE TEMP TABLE x (i int);BEGIN;WITH w AS (UPDATE staff SET name = p.ssn FROM patient p WHERE p.id = staff.id RETURNING staff.name) SELECT name FROM w;ROLLBACK",
    "CREATE TEMP TABLE patient (LIKE public.patient);INSERT INTO patient SELECT * FROM public.patient;BEGIN;UPDATE public.staff s SET name = p.state FROM (SELECT id, ssn AS state FROM patient) p WHERE p.id = s.id RETURNING s.name;ROLLBACK",
    "CREATE TEMP TABLE encounter AS SELECT id, ssn AS department FROM patient;BEGIN;UPDATE public.encounter e SET department = t.department FROM encounter t WHERE t.id = e.id RETURNING e.department;SELECT department FROM public.encounter;ROLLBACK",
    "SELECT id, ssn AS name INTO TEMP mine FROM patient;SELECT name FROM mine;INSERT INTO mine VALUES (1, 'x') RETURNING name;UPDATE mine SET id = id WHERE id > 0 RETURNING name",
    "CREATE TEMP VIEW staff AS SELECT id, ssn AS name FROM patient;SELECT name FROM staff;TABLE staff",
    "CREATE TEMP VIEW v AS SELECT id, ssn AS state FROM patient;SELECT state FROM v;COPY (TABLE v) TO STDOUT",
    "CREATE VIEW v1 AS SELECT id, ssn AS state FROM patient;SELECT state FROM v1;CREATE OR REPLACE VIEW v1 AS SELECT id, mrn AS state FROM patient;SELECT state FROM v1",
    "CREATE TEMP TABLE a AS SELECT ssn AS name FROM patient;ALTER TABLE a RENAME TO staff;SELECT name FROM staff",
    "BEGIN;INSERT INTO staff (id, name, role) SELECT id + 900, ssn, 'x' FROM patient;SELECT name FROM staff;ROLLBACK",
    "BEGIN;UPDATE staff SET name = (SELECT ssn FROM patient WHERE id = 1) WHERE id = 1;SELECT name FROM staff;ROLLBACK",
    "BEGIN;UPDATE patient SET sex = left(ssn, 1), state = left(mrn, 2), id = replace(ssn, '-', '')::int WHERE id = 2;SELECT id, sex, state FROM patient;ROLLBACK",
    "BEGIN;MERGE INTO staff s USING patient p ON s.id = p.id WHEN MATCHED THEN UPDATE SET name = p.ssn;SELECT name FROM staff;ROLLBACK",
    "BEGIN;INSERT INTO staff (id, name, role) VALUES (900, (SELECT ssn FROM patient WHERE id = 1), 'x');SELECT name FROM staff;ROLLBACK",
    "BEGIN;INSERT INTO staff (id, name, role) SELECT 1, ssn, 'x' FROM patient WHERE id = 1 ON CONFLICT (id) DO UPDATE SET name = excluded.name;SELECT name FROM staff;ROLLBACK",
    "BEGIN;WITH p AS (SELECT id, ssn FROM patient) UPDATE staff SET (name, role) = (SELECT ssn, 'x' FROM p WHERE p.id = staff.id) WHERE id > 0;SELECT name FROM staff;ROLLBACK",
    "PREPARE w AS INSERT INTO staff (id, name, role) SELECT id + 900, ssn, 'x' FROM patient;BEGIN;EXECUTE w;SELECT name FROM staff;ROLLBACK",
    "BEGIN;EXPLAIN ANALYZE INSERT INTO staff (id, name, role) SELECT id + 900, ssn, 'x' FROM patient;SELECT name FROM staff;ROLLBACK",
    "BEGIN;ALTER TABLE staff RENAME TO old_staff;ALTER TABLE patient RENAME TO staff;ALTER TABLE staff RENAME ssn TO name;SELECT name FROM staff;ROLLBACK",
    "BEGIN;ALTER TABLE patient RENAME sex TO x;ALTER TABLE patient RENAME ssn TO sex;SELECT sex FROM patient;ROLLBACK",
    "BEGIN;ALTER TABLE patient ALTER sex TYPE text USING ssn;SELECT sex FROM patient;ROLLBACK",
    "BEGIN;CREATE TABLE kept AS SELECT ssn AS name FROM patient;SELECT name FROM kept;ROLLBACK",
    "BEGIN;CREATE MATERIALIZED VIEW kept AS SELECT ssn AS name FROM patient;SELECT name FROM kept;ROLLBACK",
    "BEGIN;CREATE TABLE kid (ssn text) INHERITS (staff);INSERT INTO kid SELECT id + 900, ssn, 'x', mrn FROM patient;SELECT name FROM staff;ROLLBACK",
    "BEGIN;CREATE FUNCTION tell() RETURNS SETOF text LANGUAGE sql AS 'SELECT ssn FROM patient';SELECT tell();SELECT * FROM tell() AS staff (name);ROLLBACK",
    "BEGIN;CREATE FUNCTION tell() RETURNS SETOF staff LANGUAGE sql AS $$SELECT id, ssn, 'x' FROM patient$$;SELECT name FROM tell();SELECT (tell()).name;ROLLBACK",
    "BEGIN;CREATE FUNCTION tell() RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE '%', (SELECT string_agg(ssn, ',') FROM patient); RETURN 'x'; END$$;SELECT tell();ROLLBACK",
    "BEGIN;CREATE FUNCTION tell() RETURNS refcursor LANGUAGE plpgsql AS $$DECLARE c refcursor := 'c'; BEGIN OPEN c FOR SELECT id, ssn AS name FROM patient; RETURN c; END$$;SELECT tell();FETCH ALL FROM c;ROLLBACK",
    "BEGIN;DECLARE c CURSOR FOR SELECT id FROM staff;CREATE FUNCTION again() RETURNS refcursor LANGUAGE plpgsql AS $$DECLARE c refcursor := 'c'; BEGIN CLOSE c; OPEN c FOR SELECT ssn FROM patient; RETURN c; END$$;SELECT again();FETCH ALL FROM c;ROLLBACK",
    "BEGIN;DO $$BEGIN INSERT INTO staff SELECT id + 900, ssn, 'x' FROM patient; END$$;SELECT id FROM patient;ROLLBACK",
    "DO $$BEGIN PERFORM set_config('my.value', (SELECT ssn FROM patient WHERE id = 1), false); END$$;SHOW my.value;SELECT current_setting('my.value');SHOW ALL;SELECT name, setting FROM pg_settings",
    "DO $$BEGIN PERFORM set_config('application_name', (SELECT ssn FROM patient WHERE id = 1), false); END$$;SHOW application_name;SELECT current_setting('application_name');SELECT application_name FROM pg_stat_activity;SELECT setting FROM pg_settings WHERE name = 'application_name'",
    "DO $$BEGIN PERFORM set_config('search_path', (SELECT ssn FROM patient WHERE id = 1), false); END$$;SHOW search_path;SELECT current_schemas(true);SELECT current_setting('search_path')",
    "DO $$BEGIN PERFORM set_config('TimeZone', '<' || (SELECT replace(ssn, '-', '') FROM patient WHERE id = 1) || '>5', false); END$$;SHOW TimeZone;SELECT to_char(now(), 'TZ')",
    "DO $$BEGIN EXECUTE format('PREPARE q AS SELECT %L::text', (SELECT ssn FROM patient WHERE id = 1)); END$$;EXECUTE q;SELECT statement FROM pg_prepared_statements",
    "DO $$BEGIN EXECUTE format('COMMENT ON TABLE staff IS %L', (SELECT ssn FROM patient WHERE id = 1)); END$$;SELECT count(*) FROM patient",
    "LISTEN x;DO $$BEGIN PERFORM pg_notify('x', (SELECT ssn FROM patient WHERE id = 1)); END$$;SELECT 1",
    "DO $$BEGIN RAISE WARNING USING MESSAGE = (SELECT ssn FROM patient WHERE id = 1), DETAIL = (SELECT mrn FROM patient WHERE id = 2), HINT = (SELECT email FROM patient WHERE id = 3); END$$",
    "DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '22000', COLUMN = (SELECT ssn FROM patient WHERE id = 1), CONSTRAINT = 'x', TABLE = (SELECT mrn FROM patient WHERE id = 2); END$$",
    "CREATE TEMP TABLE u (s text UNIQUE);INSERT INTO u SELECT ssn FROM patient;INSERT INTO u SELECT ssn FROM patient",
    "CREATE TEMP TABLE u (s text CHECK (s < '0'));INSERT INTO u SELECT ssn FROM patient",
    "CREATE TEMP TABLE u (s int);INSERT INTO u SELECT email FROM patient WHERE id = 1;UPDATE u SET s = 1 WHERE s::text = (SELECT ssn::date::text FROM patient WHERE id = 1)",
    "BEGIN;CREATE UNIQUE INDEX ON patient ((1), (ssn > ''));ROLLBACK",
    "BEGIN;ALTER TABLE patient ADD CHECK (ssn < '0');ROLLBACK",
    "BEGIN;INSERT INTO patient SELECT * FROM patient;ROLLBACK",
    "CREATE TEMP SEQUENCE s;SELECT setval('s', replace(ssn, '-', '')::bigint) FROM patient WHERE id = 1;SELECT last_value FROM s;SELECT currval('s'), lastval()",
    "SELECT lo_from_bytea(4712, ssn::bytea) FROM patient WHERE id = 1;SELECT lo_get(4712)",
    "PREPARE p AS SELECT name FROM staff;CREATE TEMP TABLE staff AS SELECT ssn AS name FROM patient;EXECUTE p",
    "PREPARE p AS SELECT name FROM staff;BEGIN;CREATE SCHEMA other;CREATE TABLE other.staff AS SELECT ssn AS name FROM patient;SET search_path = other, public;EXECUTE p;SELECT name FROM staff;ROLLBACK",
    "SET session_replication_role = replica;SELECT ssn FROM patient",
    "SET debug_print_plan = on;SET client_min_messages = debug5;SELECT id FROM patient WHERE ssn = (SELECT max(ssn) FROM patient)",
    "SET log_min_messages = debug5;SET client_min_messages = log;SET log_statement = 'all';SET log_parser_stats = on;SELECT id FROM patient WHERE ssn = 'x'",
    "EXPLAIN (ANALYZE, VERBOSE, BUFFERS) SELECT id FROM patient WHERE ssn = (SELECT max(ssn) FROM patient)",
    "SET plan_cache_mode = force_custom_plan;PREPARE p (text) AS SELECT id FROM patient WHERE ssn = $1;EXPLAIN EXECUTE p ((SELECT max(ssn) FROM patient));EXPLAIN VERBOSE EXECUTE p ('x')",
];

#[test]
fn nothing_is_laundered_in_several_steps() {
    let world = world();
    let mut wrong = Vec::new();
    for steps in LAUNDERING {
        let parts: Vec<&str> = steps.split(';').collect();
        // A block of code has semicolons of its own.
        let parts = if steps.contains("$$") { blocks(steps) } else { parts.iter().map(|p| (*p).to_owned()).collect() };
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let said = world.conversation("scratch", &parts);
        if let Some(secret) = world.leaked(&said) {
            wrong.push(format!("{steps}\n    told {secret}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} launder:\n{}", wrong.len(), LAUNDERING.len(), wrong.join("\n"));
    let left = world.server.admin(DATABASE, "SELECT count(*) FROM staff WHERE id >= 900 OR name ~ '-'").unwrap();
    assert_eq!(left.trim(), "0");
}

/// Splits at semicolons that are in no `$$` block.
fn blocks(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for (at, part) in text.split("$$").enumerate() {
        let inside = at % 2 == 1;
        for (nth, piece) in part.split(|c| c == ';' && !inside).enumerate() {
            if nth > 0 {
                all.push(String::new());
            }
            let mark = if at > 0 && nth == 0 { "$$" } else { "" };
            *all.last_mut().unwrap() += &format!("{mark}{piece}");
        }
    }
    all
}

#[test]
fn what_one_session_notifies_another_is_not_told() {
    let world = world();
    let mut listener =
        Wire::login(world.gateway.port(), &token(&world.gateway, "lou", &["scratch"]), "evasions").unwrap();
    said(&mut listener, &query("LISTEN ward"));
    // An application of the house that is not behind the gateway, and somebody who is.
    world.server.admin(DATABASE, "SELECT pg_notify('ward', ssn) FROM patient").unwrap();
    world.conversation("scratch", &["SELECT pg_notify('ward', ssn) FROM patient", "NOTIFY ward, 'x'"]);
    let told = said(&mut listener, &query("SELECT 1"));
    assert!(told.contains("A ") && told.contains("ward"), "no notification came: {told}");
    assert_eq!(world.leaked(&told), None, "{told}");
}

/// What a change returns is masked by where it came from, also where a policy lets the change happen.
const RETURNED: &[&str] = &[
    "BEGIN;UPDATE patient SET state = left(ssn, 2), sex = left(ssn, 1), city = ssn WHERE id < 9 RETURNING city, state, sex;ROLLBACK",
    "CREATE TEMP TABLE x (i int);BEGIN;UPDATE staff SET name = p.ssn FROM patient p WHERE p.id = staff.id RETURNING staff.name, staff.role;ROLLBACK",
    "CREATE TEMP TABLE x (i int);BEGIN;INSERT INTO staff (id, name, role) SELECT id + 900, ssn, mrn FROM patient RETURNING name, role;ROLLBACK",
    "CREATE TEMP TABLE x (i int);BEGIN;WITH w AS (INSERT INTO staff (id, name, role) SELECT id + 900, ssn, mrn FROM patient RETURNING name, role) SELECT name, role FROM w;ROLLBACK",
    "CREATE TEMP TABLE staff AS SELECT id, ssn AS name FROM patient;BEGIN;UPDATE public.staff s SET name = t.name FROM staff t WHERE t.id = s.id RETURNING s.name;ROLLBACK",
    "CREATE TEMP TABLE encounter AS SELECT id, ssn AS department FROM patient;BEGIN;UPDATE public.encounter e SET department = t.department FROM encounter t WHERE t.id = e.id RETURNING e.department;ROLLBACK",
    "CREATE TEMP TABLE encounter AS SELECT id, ssn AS department FROM patient;BEGIN;WITH w AS (UPDATE public.encounter e SET department = t.department FROM encounter t WHERE t.id = e.id RETURNING e.department) SELECT department FROM w;ROLLBACK",
    "CREATE TEMP TABLE x (i int);PREPARE q AS UPDATE staff SET name = (SELECT ssn FROM patient WHERE id = staff.id) WHERE id < 9 RETURNING name;BEGIN;EXECUTE q;ROLLBACK",
    "BEGIN;CREATE FUNCTION c() RETURNS refcursor LANGUAGE plpgsql AS $$DECLARE c refcursor := 'c'; BEGIN OPEN c FOR EXECUTE 'INSERT INTO staff (id, name, role) SELECT id + 900, ssn, mrn FROM patient RETURNING name, role'; RETURN c; END$$;SELECT c();FETCH ALL FROM c;ROLLBACK",
];

#[test]
fn what_a_change_returns_is_masked_by_where_it_came_from() {
    let world = world();
    let (before, rest) = POLICY.split_once("@id(\"no-laundering\")").unwrap();
    let policy = format!("{before}{}{MORE}", rest.split_once("};").unwrap().1);
    let gateway = Gateway::start(&world.server, &Setup { policy, ..setup() }).unwrap();
    let token = token(&gateway, "dana", &["scratch"]);
    for steps in RETURNED {
        let mut wire = Wire::login(gateway.port(), &token, "evasions").unwrap();
        let told: String = blocks(steps).iter().map(|step| said(&mut wire, &query(step))).collect();
        assert!(told.contains("\nD ") && !told.contains("refused"), "{steps} returned nothing:\n{told}");
        assert_eq!(world.leaked(&told), None, "{steps}");
    }
}

/// One message.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind], length.as_slice(), body].concat()
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

/// Binds without parameters; every result in `format`.
fn bind(portal: &str, name: &str, format: u8) -> Vec<u8> {
    message(b'B', &[format!("{portal}\0{name}\0").as_bytes(), &[0, 0, 0, 0, 0, 1, 0, format]].concat())
}

fn describe(what: char, name: &str) -> Vec<u8> {
    message(b'D', format!("{what}{name}\0").as_bytes())
}

fn execute(portal: &str, most: u8) -> Vec<u8> {
    message(b'E', &[format!("{portal}\0").as_bytes(), &[0, 0, 0, most]].concat())
}

fn close(what: char, name: &str) -> Vec<u8> {
    message(b'C', format!("{what}{name}\0").as_bytes())
}

/// Pieces of conversations in the extended protocol, each sent at once, with its own Sync.
#[rustfmt::skip]
fn conversations() -> Vec<(&'static str, Vec<Vec<Vec<u8>>>)> {
    let ssn = "SELECT id, ssn, dob FROM patient ORDER BY id";
    let clear = "SELECT id, name, role FROM staff ORDER BY id";
    let long = "n".repeat(5_000);
    vec![
        ("no Describe", vec![vec![parse("", ssn), bind("", "", 0), execute("", 0)]]),
        ("no Describe, binary", vec![vec![parse("", ssn), bind("", "", 1), execute("", 0)]]),
        ("described as text, bound as binary", vec![vec![parse("a", ssn), describe('S', "a")], vec![bind("", "a", 1), execute("", 0)], vec![bind("", "a", 0), execute("", 0)]]),
        ("a name used again after DEALLOCATE", vec![vec![parse("a", clear), describe('S', "a")], vec![query("DEALLOCATE a")], vec![parse("a", ssn), bind("", "a", 0), execute("", 0)]]),
        ("a name used again after DISCARD ALL", vec![vec![parse("a", clear), describe('S', "a")], vec![query("DISCARD ALL")], vec![parse("a", ssn), bind("", "a", 0), execute("", 0)]]),
        ("a name used again after Close", vec![vec![parse("a", clear), bind("", "a", 0), execute("", 0), close('S', "a"), parse("a", ssn), bind("", "a", 0), execute("", 0)]]),
        ("the unnamed statement replaced", vec![vec![parse("", clear), describe('S', ""), parse("", ssn), bind("", "", 0), execute("", 0)]]),
        ("a portal in pieces", vec![vec![query("BEGIN")], vec![parse("a", ssn), bind("p", "a", 0), execute("p", 2)], vec![execute("p", 3)], vec![execute("p", 0)]]),
        ("two portals of different shapes", vec![vec![query("BEGIN")], vec![parse("a", ssn), parse("b", clear), bind("p", "a", 0), bind("q", "b", 0), execute("q", 2), execute("p", 2)], vec![execute("q", 1), execute("p", 1), execute("q", 0), execute("p", 0)]]),
        ("another portal than the last", vec![vec![parse("a", ssn), bind("p", "a", 0), parse("b", clear), bind("q", "b", 0), describe('P', "q"), execute("p", 0)]]),
        ("a portal bound again", vec![vec![query("BEGIN")], vec![parse("a", clear), bind("p", "a", 0), describe('P', "p"), close('P', "p"), parse("b", ssn), bind("p", "b", 0), execute("p", 0)]]),
        ("refused and permitted in one pipeline", vec![vec![parse("", clear), bind("", "", 0), execute("", 0), parse("", "DROP TABLE patient"), bind("", "", 0), execute("", 0), parse("", ssn), bind("", "", 0), execute("", 0)], vec![parse("", ssn), bind("", "", 0), execute("", 0)]]),
        ("very long names", vec![vec![parse(&long, ssn), bind(&long, &long, 0), describe('P', &long), execute(&long, 0)]]),
        ("a cursor as a portal", vec![vec![query("BEGIN")], vec![query("DECLARE p CURSOR FOR SELECT ssn FROM patient")], vec![execute("p", 0)], vec![describe('P', "p"), execute("p", 2)]]),
        ("SQL's EXECUTE of a statement of the protocol", vec![vec![parse("a", ssn)], vec![query("EXECUTE a")]]),
        ("the protocol's run of SQL's PREPARE", vec![vec![query("PREPARE a AS SELECT ssn FROM patient")], vec![bind("", "a", 1), execute("", 0)]]),
        ("FETCH by the extended protocol", vec![vec![query("BEGIN")], vec![query("DECLARE c CURSOR FOR SELECT ssn FROM patient")], vec![parse("f", "FETCH 3 FROM c"), bind("", "f", 1), execute("", 0)], vec![query("CLOSE c")], vec![query("DECLARE c CURSOR FOR SELECT id, mrn FROM patient")], vec![bind("", "f", 0), execute("", 0)]]),
        ("a statement kept while names change", vec![vec![parse("a", clear), describe('S', "a")], vec![query("CREATE TEMP TABLE staff AS SELECT id, ssn AS name, mrn AS role FROM patient")], vec![bind("", "a", 0), execute("", 0)], vec![bind("", "a", 1), execute("", 0)]]),
        ("COPY by the extended protocol", vec![vec![parse("", "COPY patient TO STDOUT (FORMAT binary)"), bind("", "", 0), execute("", 0)], vec![parse("", "COPY (SELECT ssn FROM patient) TO STDOUT"), bind("", "", 1), execute("", 0)]]),
        ("several shapes in one message", vec![vec![query("SELECT id FROM staff; SELECT id, ssn FROM patient; SELECT 1; SELECT mrn, 1, dob FROM patient")]]),
        ("a parameter that is a name of a column", vec![vec![parse("", "SELECT to_jsonb(p) ->> 'ssn', p.* FROM patient p"), bind("", "", 0), execute("", 0)]]),
    ]
}

#[test]
fn no_conversation_in_the_extended_protocol_tells_anything() {
    let world = world();
    let mut wrong = Vec::new();
    for group in ["analysts", "readers", "scratch"] {
        let token = token(&world.gateway, "dana", &[group]);
        for (name, parts) in conversations() {
            let mut wire = Wire::login(world.gateway.port(), &token, "evasions").unwrap();
            let mut all = String::new();
            for part in parts {
                let simple = part.first().is_some_and(|first| first.first() == Some(&b'Q'));
                let mut bytes = part.concat();
                if !simple {
                    bytes.extend_from_slice(&wire::SYNC);
                }
                all += &said(&mut wire, &bytes);
            }
            assert!(world.gateway.alive(), "{name}: the gateway died; it said:\n{}", world.gateway.log());
            if let Some(secret) = world.leaked(&all) {
                wrong.push(format!("{name} as {group} told {secret}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
