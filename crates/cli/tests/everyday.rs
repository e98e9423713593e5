//! Everyday life: what psql, drivers, frameworks and browsers of databases send all day goes through for somebody who
//! sees no PHI, and what holds none comes out as it is.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::{clinic, guarded, token};
use std::sync::OnceLock;
use std::time::Duration;
use vestibule_e2e::gateway::Gateway;
use vestibule_e2e::postgres::{DATABASE, Server, login};
use vestibule_e2e::run::run;

struct World {
    server: Server,
    gateway: Gateway,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let server = clinic(20);
        let gateway = guarded(&server);
        World { server, gateway }
    })
}

/// Statements as tools send them. What they say is the same with and without the gateway.
const SAME: &[&str] = &[
    // psql
    "\\d",
    "\\d patient",
    "\\d+ staff",
    "\\dt",
    "\\dt+",
    "\\dv",
    "\\di",
    "\\ds",
    "\\dn",
    "\\dn+",
    "\\du",
    "\\l",
    "\\df",
    "\\df+ pg_catalog.lower",
    "\\dT",
    "\\dx",
    "\\dp",
    "\\ddp",
    "\\dC",
    "\\do pg_catalog.+",
    "\\db",
    "\\dD",
    "\\dE",
    "\\dF",
    "\\dL",
    "\\dm",
    "\\dO",
    "\\dy",
    "\\drds",
    "\\sv patient_contact",
    "\\encoding",
    // sessions
    "BEGIN; SAVEPOINT a; RELEASE a; COMMIT",
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1; ROLLBACK",
    "SET application_name = 'everyday'; SHOW application_name",
    "SET statement_timeout = '30s'; SHOW statement_timeout",
    "SET TimeZone = 'UTC'; SHOW TimeZone",
    "SET client_encoding = 'UTF8'; SHOW client_encoding",
    "SET DateStyle = ISO; SET extra_float_digits = 3; SET client_min_messages TO warning",
    "SET search_path = public; SHOW search_path",
    "SHOW server_version",
    "SHOW standard_conforming_strings",
    "SHOW transaction_isolation",
    "SHOW max_identifier_length",
    "LISTEN news",
    "UNLISTEN *",
    "DISCARD ALL",
    "RESET ALL",
    "SELECT 1",
    "SELECT NULL",
    "SELECT version()",
    "SELECT current_database(), current_schema()",
    "SELECT 1 + 1 AS two",
    "SELECT current_schemas(true)",
    "SELECT pg_is_in_recovery()",
    "SELECT current_setting('server_version_num')::int",
    "SELECT upper('a') || lower('B'), length('abc'), now() > '2000-01-01'",
    "SELECT generate_series(1, 3)",
    "VALUES (1, 'a'), (2, 'b')",
    "SELECT pg_encoding_to_char(6)",
    // the clinic, what is clear
    "SELECT * FROM staff ORDER BY id",
    "SELECT count(*) FROM patient",
    "SELECT state, sex, count(*) FROM patient GROUP BY state, sex ORDER BY state, sex",
    "SELECT department, count(*) FROM encounter GROUP BY department ORDER BY department",
    "SELECT p.id, p.state, e.department FROM patient p JOIN encounter e ON e.patient_id = p.id ORDER BY e.id LIMIT 10",
    "SELECT id FROM patient ORDER BY id LIMIT 5 OFFSET 2",
    "EXPLAIN (COSTS OFF) SELECT * FROM staff WHERE id = 1",
    "WITH a AS (SELECT id, role FROM staff) SELECT role, count(*) FROM a GROUP BY role ORDER BY role",
    "BEGIN; DECLARE c CURSOR FOR SELECT id, name FROM staff ORDER BY id; FETCH 2 FROM c; CLOSE c; COMMIT",
    // drivers: JDBC's DatabaseMetaData
    "SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE NULL END AS TABLE_TYPE, d.description AS REMARKS FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass) WHERE c.relnamespace = n.oid AND n.nspname = 'public' ORDER BY TABLE_TYPE, TABLE_SCHEM, TABLE_NAME",
    "SELECT n.nspname, c.relname, a.attname, a.atttypid, a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull, a.atttypmod, a.attlen, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum, pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc, dsc.description FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid) JOIN pg_catalog.pg_attribute a ON (a.attrelid = c.oid) JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid) LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid = def.adrelid AND a.attnum = def.adnum) LEFT JOIN pg_catalog.pg_description dsc ON (c.oid = dsc.objoid AND a.attnum = dsc.objsubid) WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relname LIKE 'patient' ORDER BY n.nspname, c.relname, attnum",
    "SELECT nspname AS TABLE_SCHEM, NULL AS TABLE_CATALOG FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast' AND nspname !~ '^pg_temp_' ORDER BY TABLE_SCHEM",
    "SELECT datname AS TABLE_CAT FROM pg_catalog.pg_database WHERE datallowconn = true ORDER BY datname",
    "SELECT result.A AS PK, result.B FROM (SELECT c.relname AS A, (information_schema._pg_expandarray(i.indkey)).n AS B FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON c.oid = i.indexrelid WHERE i.indisprimary) result WHERE result.A LIKE 'patient%' ORDER BY 1, 2",
    "SELECT e.typdelim FROM pg_catalog.pg_type t, pg_catalog.pg_type e WHERE t.oid = 1009 AND t.typelem = e.oid",
    "SELECT typinput = 'pg_catalog.array_in'::regproc AS is_array, typtype, typname, pg_type.oid FROM pg_catalog.pg_type LEFT JOIN (SELECT ns.oid AS nspoid, ns.nspname, r.r FROM pg_namespace AS ns JOIN (SELECT s.r, (current_schemas(false))[s.r] AS nspname FROM generate_series(1, array_upper(current_schemas(false), 1)) AS s (r)) AS r USING (nspname)) AS sp ON sp.nspoid = typnamespace WHERE typname = 'jsonb' ORDER BY sp.r, pg_type.oid DESC",
    // SQLAlchemy
    "SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p']) AND pg_catalog.pg_class.relpersistence != 't' AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != 'pg_catalog' ORDER BY 1",
    "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef) AS DEFAULT, a.attnotnull, a.attnum, a.attidentity FROM pg_catalog.pg_attribute a WHERE a.attrelid = 'staff'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
    "SELECT r.conname, pg_catalog.pg_get_constraintdef(r.oid, true) AS condef, n.nspname FROM pg_catalog.pg_constraint r, pg_namespace n, pg_class c WHERE r.conrelid = 'encounter'::regclass AND r.contype = 'f' AND c.oid = confrelid AND n.oid = c.relnamespace ORDER BY 1",
    "SELECT t.typname, t.oid, t.typarray FROM pg_type t WHERE t.typname = 'hstore'",
    "SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid WHERE typname = 'hstore'",
    // Django
    "SELECT c.relname, CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END, obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1",
    "SELECT c.conname, array(SELECT attname FROM unnest(c.conkey) WITH ORDINALITY cols(colid, arridx) JOIN pg_attribute AS ca ON cols.colid = ca.attnum WHERE ca.attrelid = c.conrelid ORDER BY cols.arridx), c.contype, (SELECT fkc.relname || '.' || fka.attname FROM pg_attribute AS fka JOIN pg_class AS fkc ON fka.attrelid = fkc.oid WHERE fka.attrelid = c.confrelid AND fka.attnum = c.confkey[1]), cl.reloptions FROM pg_constraint AS c JOIN pg_class AS cl ON c.conrelid = cl.oid WHERE cl.relname = 'encounter' AND pg_catalog.pg_table_is_visible(cl.oid) ORDER BY 1",
    "SELECT indexname, array_agg(attname ORDER BY arridx), indisunique, indisprimary, array_agg(ordering ORDER BY arridx), amname FROM (SELECT c2.relname AS indexname, idx.*, attr.attname, am.amname, CASE idx.arridx WHEN 0 THEN 'x' ELSE 'ASC' END AS ordering FROM (SELECT * FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS keys (key, arridx)) idx LEFT JOIN pg_class c ON idx.indrelid = c.oid LEFT JOIN pg_class c2 ON idx.indexrelid = c2.oid LEFT JOIN pg_am am ON c2.relam = am.oid LEFT JOIN pg_attribute attr ON attr.attrelid = c.oid AND attr.attnum = idx.key WHERE c.relname = 'encounter') s2 GROUP BY indexname, indisunique, indisprimary, amname ORDER BY 1",
    // Rails
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod, c.collname, col_description(a.attrelid, a.attnum) AS comment FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum LEFT JOIN pg_type t ON a.atttypid = t.oid LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation WHERE a.attrelid = '\"patient\"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
    "SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype FROM pg_type AS t LEFT JOIN pg_range AS r ON oid = rngtypid WHERE t.typname IN ('int2', 'text', 'json') ORDER BY 1",
    // information_schema, as Metabase, DBeaver and pgAdmin read it
    "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
    "SELECT column_name, data_type, is_nullable, ordinal_position FROM information_schema.columns WHERE table_name = 'patient' ORDER BY ordinal_position",
    "SELECT kcu.column_name FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage kcu ON kcu.constraint_name = tc.constraint_name WHERE tc.table_name = 'patient' AND tc.constraint_type = 'PRIMARY KEY'",
    "SELECT schema_name FROM information_schema.schemata ORDER BY 1",
    "SELECT view_definition FROM information_schema.views WHERE table_name = 'patient_contact'",
    "SELECT pg_get_viewdef('patient_contact'::regclass, true)",
    "SELECT schemaname, tablename, hasindexes FROM pg_tables WHERE schemaname = 'public' ORDER BY 2",
    "SELECT indexdef FROM pg_indexes WHERE tablename = 'patient' ORDER BY 1",
    "SELECT has_table_privilege('patient', 'SELECT'), has_schema_privilege('public', 'USAGE'), has_database_privilege(current_database(), 'CONNECT')",
    "SELECT db.oid AS did, db.datname, db.datallowconn, pg_encoding_to_char(db.encoding) AS serverencoding, has_database_privilege(db.oid, 'CREATE') AS cancreate FROM pg_catalog.pg_database db WHERE db.datname = current_database()",
    "SELECT rolname, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user",
    "SELECT extname, extversion FROM pg_extension ORDER BY 1",
    // pg_dump's
    "SELECT pg_catalog.set_config('search_path', '', false)",
    "SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint WHERE conrelid = 'public.encounter'::regclass ORDER BY 1",
    "SELECT t.tableoid, i.indexrelid::regclass, pg_catalog.pg_get_indexdef(i.indexrelid) AS indexdef, i.indisclustered FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class t ON t.oid = i.indexrelid WHERE i.indrelid = 'public.patient'::regclass ORDER BY 2",
    "SELECT oid, typname, typnamespace, typtype FROM pg_type WHERE typname = 'patient'",
    "SELECT a.attnum, a.attname, a.attstorage, a.attislocal, pg_catalog.array_to_string(a.attoptions, ', ') AS o FROM pg_catalog.pg_attribute a WHERE a.attrelid = 'public.patient'::regclass AND a.attnum > 0 ORDER BY a.attnum",
];

/// One statement after the other, as tools send them.
fn words(sql: &str) -> Vec<&str> {
    sql.split("; ").flat_map(|statement| ["-c", statement]).collect()
}

/// What `psql` printed of this, straight to the server as the user the gateway logs in as.
fn direct(sql: &str) -> (String, String) {
    let world = world();
    let mut psql = std::process::Command::new("psql");
    psql.args(["-X", "-A", "-t", "-U", login("scram-sha-256"), "-d", DATABASE, "-p", &world.server.port().to_string()]);
    psql.arg("-h").arg("localhost").env("PGPASSWORD", vestibule_e2e::postgres::PASSWORD).args(words(sql));
    let ended = run(&mut psql, Duration::from_secs(30)).unwrap();
    (ended.stdout, ended.stderr)
}

#[test]
fn what_tools_ask_all_day_is_answered_as_it_is() {
    let world = world();
    let token = token(&world.gateway, "dana", &["analysts"]);
    let mut wrong = Vec::new();
    for sql in SAME {
        let (out, error) = direct(sql);
        assert!(!error.contains("ERROR"), "{sql} fails by itself: {error}");
        let ended = run(&mut world.gateway.psql(&token, &words(sql)), Duration::from_secs(30)).unwrap();
        if ended.stdout != out || ended.stderr.contains("ERROR") {
            let differs = out.lines().zip(ended.stdout.lines()).find(|(a, b)| a != b);
            wrong.push(format!("{sql}\n    {}{differs:?}", ended.stderr));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), SAME.len(), wrong.join("\n"));
}
