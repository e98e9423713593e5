//! Real, unmodified clients talk to a real server through the interpreter, which a referee drives.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

#[cfg(test)]
mod pump;

use pump::{Gateway, Rules};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use vestibule_e2e::postgres::{DATABASE, PASSWORD, Server, installation, login, machine_installation};
use vestibule_e2e::run::{Ended, run};
use vestibule_e2e::talk::{self, Address, CLIENTS, Verdict, Via};
use vestibule_testkit::Blackout;

const LIMIT: Duration = Duration::from_secs(90);

const CLINIC: &str = "
CREATE TABLE patient (id int PRIMARY KEY, name text NOT NULL, ssn text, born date, seen timestamptz, weight numeric,
  chart uuid, notes jsonb, photo bytea, address inet, alive boolean);
INSERT INTO patient SELECT n, 'Name' || n, '078-05-' || lpad(n::text, 4, '0'), date '1950-01-01' + n,
  timestamptz '2020-01-01 00:00:00+00' + n * interval '1 hour', 60 + n / 10.0, md5(n::text)::uuid,
  jsonb_build_object('n', n, 'ssn', '078-05-' || lpad(n::text, 4, '0')), decode(md5(n::text), 'hex'),
  ('10.0.0.' || n % 250)::inet, n % 2 = 0 FROM generate_series(1, 300) n;
CREATE VIEW chart AS SELECT id, ssn AS number FROM patient;
CREATE TABLE ward (id int PRIMARY KEY, beds int, name text);
INSERT INTO ward VALUES (1, 10, 'North'), (2, 20, 'South'), (3, 30, NULL);
CREATE TABLE note (id int, words text);
CREATE FUNCTION tell() RETURNS int LANGUAGE plpgsql AS $$ DECLARE s text; BEGIN
  SELECT ssn INTO s FROM patient WHERE id = 1; RAISE NOTICE 'it is %', s; RETURN s::int; END $$;
";

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Server::start(&machine_installation().unwrap()).unwrap();
        server.admin(DATABASE, &format!("SET ROLE {}; {CLINIC}", login("scram-sha-256"))).unwrap();
        server
    })
}

fn open(rules: Rules) -> Gateway {
    Gateway::start(server().port(), DATABASE, login("scram-sha-256"), PASSWORD, rules)
}

fn client(program: &str, port: u16, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env("PGHOST", "127.0.0.1").env("PGPORT", port.to_string()).env("PGUSER", login("scram-sha-256"));
    command.env("PGPASSWORD", PASSWORD).env("PGDATABASE", DATABASE).env("PGSSLMODE", "disable");
    command.env("PGTZ", "UTC").args(words);
    command
}

fn psql(port: u16, script: &str) -> Ended {
    run(&mut client("psql", port, &["-X", "-A", "-c", script]), LIMIT).unwrap()
}

fn psql_file(port: u16, script: &str, words: &[&str]) -> Ended {
    let dir = vestibule_e2e::temp::TempDir::new("live").unwrap();
    let file = dir.path().join("script.sql");
    std::fs::write(&file, script).unwrap();
    let mut command = client("psql", port, &["-X", "-A", "-f", "script.sql"]);
    run(command.current_dir(dir.path()).args(words), LIMIT).unwrap()
}

/// With nothing masked, what psql shows is the same with and without us.
#[test]
fn psql_sees_the_same() {
    let script = r"
        SELECT 1; SELECT 1, 2 AS b \; SELECT 'x' ;
        BEGIN; SELECT count(*) FROM patient; SAVEPOINT a; SELECT 1/0; ROLLBACK TO a; SELECT 'on'; COMMIT;
        \d patient
        \dt
        \l
        SELECT * FROM patient WHERE id < 4 ORDER BY id;
        CREATE TEMP TABLE t1 (a int, b text); COPY t1 FROM STDIN;
1	one
2	two
\.
        COPY t1 TO STDOUT; COPY t1 TO STDOUT (FORMAT csv, HEADER);
        COPY t1 FROM STDIN;
x	bad
\.
        SELECT * FROM t1;
        PREPARE p (int) AS SELECT name FROM patient WHERE id = $1; EXECUTE p(3); DEALLOCATE p;
        BEGIN; DECLARE c CURSOR FOR SELECT id FROM patient ORDER BY id; FETCH 3 FROM c; MOVE 2 IN c; FETCH c; CLOSE c; END;
        SELECT nonsense FROM nowhere; SELEC 1;
        SET search_path = pg_catalog; SELECT count(*) > 0 FROM pg_class; RESET search_path; SELECT beds FROM ward ORDER BY 1;
        LISTEN here; NOTIFY here, 'words'; SELECT 1;
        \set FETCH_COUNT 50
        SELECT id FROM patient ORDER BY id;
        DO $$ BEGIN RAISE NOTICE 'hello'; END $$;
        EXPLAIN (COSTS off) SELECT * FROM ward; TABLE ward; VALUES (1, 'a'), (2, NULL);
        SET client_encoding = 'LATIN1'; SELECT 'ü'; ;;
        INSERT INTO note SELECT n, 'n' FROM generate_series(1, 10) n RETURNING id; UPDATE note SET words = 'm' WHERE id > 5;
        DELETE FROM note; \gdesc
        SELECT 1 AS a, 'x' AS b \gdesc
        SELECT pg_sleep(0.01);
    ";
    let straight = psql_file(server().port(), script, &[]);
    let gateway = open(Rules::default());
    let through = psql_file(gateway.port(), script, &[]);
    let plain = |text: &str| {
        // Process numbers in notifications differ.
        text.lines().filter(|l| !l.contains("received from server process")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(plain(&through.stdout), plain(&straight.stdout));
    assert_eq!(plain(&through.stderr), plain(&straight.stderr));
    gateway.finish();
}

#[test]
fn pgbench_runs_in_every_mode() {
    let gateway = open(Rules::default());
    let set_up = run(&mut client("pgbench", server().port(), &["-i", "-q", "-s", "1"]), LIMIT).unwrap();
    assert!(set_up.success(), "{}", set_up.stderr);
    for mode in ["simple", "extended", "prepared"] {
        for script in ["select-only", "tpcb-like"] {
            let words = ["-n", "-M", mode, "-b", script, "-c", "4", "-j", "2", "-t", "50"];
            let ended = run(&mut client("pgbench", gateway.port(), &words), LIMIT).unwrap();
            assert!(
                ended.success() && ended.stdout.contains("200/200"),
                "{mode} {script}: {}{}",
                ended.stdout,
                ended.stderr
            );
        }
    }
    let dir = vestibule_e2e::temp::TempDir::new("bench").unwrap();
    let file = dir.path().join("pipeline.sql");
    std::fs::write(
        &file,
        "\\startpipeline\nSELECT 1;\nSELECT 2;\nSELECT abalance FROM pgbench_accounts WHERE aid = 5;\n\\endpipeline\n",
    )
    .unwrap();
    for mode in ["extended", "prepared"] {
        let words = ["-n", "-M", mode, "-c", "2", "-t", "50", "-f", file.to_str().unwrap()];
        let ended = run(&mut client("pgbench", gateway.port(), &words), LIMIT).unwrap();
        assert!(ended.success(), "{mode}: {}{}", ended.stdout, ended.stderr);
    }
    gateway.finish();
}

fn masking() -> Rules {
    let columns = ["patient.ssn", "patient.notes", "patient.born", "patient.photo", "patient.address", "patient.chart"];
    Rules { mask: Blackout { columns: columns.map(str::to_owned).to_vec() }, scrub: true, ..Rules::default() }
}

/// However the secret is asked for, it does not come.
#[test]
fn the_secret_never_comes() {
    let gateway = open(masking());
    let asks = [
        "SELECT * FROM patient",
        "SELECT ssn FROM patient",
        "SELECT p.ssn AS x FROM patient p",
        "SELECT upper(ssn) FROM patient",
        "SELECT ssn || '' FROM patient",
        "SELECT number FROM chart",
        "SELECT row_to_json(p) FROM patient p",
        "SELECT p FROM patient p",
        "SELECT array_agg(ssn) FROM patient",
        "WITH s AS (SELECT ssn FROM patient) SELECT * FROM s",
        "SELECT ssn FROM patient UNION SELECT name FROM ward",
        "COPY patient TO STDOUT",
        "COPY patient (ssn) TO STDOUT (FORMAT csv)",
        "COPY (SELECT notes, ssn, id FROM patient) TO STDOUT (FORMAT csv, QUOTE '''', ESCAPE '\\')",
        "COPY (SELECT upper(ssn) FROM patient) TO STDOUT",
        "COPY patient TO STDOUT (FORMAT binary)",
        "SELECT ssn::int FROM patient",
        "SELECT tell()",
        "INSERT INTO patient (id, name, ssn) VALUES (1, 'x', '078-05-0001')",
        "PREPARE p AS SELECT ssn FROM patient; EXECUTE p",
        "BEGIN; DECLARE c CURSOR FOR SELECT ssn FROM patient; FETCH 10 FROM c; COMMIT",
        "CREATE TEMP TABLE ward AS SELECT id, 1 AS beds, ssn AS name FROM patient; SELECT upper(name) FROM ward",
        "CREATE TEMP TABLE ward AS SELECT id, 1 AS beds, ssn AS name FROM patient; COPY ward TO STDOUT",
        "EXPLAIN ANALYZE SELECT * FROM patient WHERE ssn = (SELECT max(ssn) FROM patient)",
        "UPDATE patient SET weight = weight WHERE id = 5 RETURNING ssn",
        "NOTIFY a; LISTEN a; SELECT pg_notify('a', (SELECT max(ssn) FROM patient)); SELECT 1",
        "SELECT query_to_xml('SELECT ssn FROM patient', true, true, '')",
        "SELECT max(born)::text FROM patient",
        "SELECT 1 WHERE 1 = (SELECT ssn::int FROM patient LIMIT 1)",
        "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT ssn FROM patient WHERE id = 7); END $$",
        "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT ssn FROM patient WHERE id = 7) USING ERRCODE = '42601'; END $$",
        "SET search_path = pg_catalog; SELECT ssn FROM public.patient",
    ];
    for ask in asks {
        for words in [&["-X", "-A"][..], &["-X", "-1"][..]] {
            let mut command = client("psql", gateway.port(), words);
            for part in ask.split(';') {
                command.arg("-c").arg(part.trim());
            }
            let ended = run(&mut command, LIMIT).unwrap();
            let told = format!("{}{}", ended.stdout, ended.stderr);
            assert!(!told.contains("078-05-") && !told.contains("ssn: 0"), "{ask}: {told}");
            assert!(!told.contains("ended this session"), "{ask}: {told}");
        }
        let whole = psql(gateway.port(), ask);
        assert!(!whole.stdout.contains("078-05-") && !whole.stderr.contains("078-05-"), "{ask}");
    }
    let masked = psql(gateway.port(), "SELECT id, name, ssn, born FROM patient WHERE id = 2");
    assert!(masked.stdout.contains("2|Name2|xxx|1970-01-01"), "{}{}", masked.stdout, masked.stderr);
    gateway.finish();
}

/// Clients that speak binary, prepare by name, never describe a portal, page through portals and copy.
#[test]
fn the_secret_never_comes_in_binary() {
    const SCRIPT: &str = r#"
import asyncio, asyncpg, io, psycopg, sys
port, user, password, database = sys.argv[1:]
async def main():
    db = await asyncpg.connect(host="127.0.0.1", port=port, user=user, password=password, database=database, ssl=False)
    for _ in range(2):
        rows = await db.fetch("SELECT * FROM patient ORDER BY id LIMIT 3")
        print(*(tuple(map(str, row.values())) for row in rows))
    statement = await db.prepare("SELECT id, ssn, notes, born, seen FROM patient WHERE id = $1")
    print(await statement.fetchrow(5), await statement.fetchval(6, column=1))
    async with db.transaction():
        async for row in db.cursor("SELECT ssn, photo, address FROM patient ORDER BY id", prefetch=7):
            print(row)
    for form in "text", "csv", "binary":
        data = io.BytesIO()
        await db.copy_from_query("SELECT id, ssn, chart FROM patient", output=data, format=form)
        print(data.getvalue())
    try:
        await db.fetchval("SELECT ssn::int FROM patient WHERE id = 1")
    except asyncpg.PostgresError as error:
        print(repr(error), error.detail)
    await db.close()
asyncio.run(main())
with psycopg.connect(host="127.0.0.1", port=port, user=user, password=password, dbname=database, sslmode="disable") as db:
    with db.cursor(binary=True) as cursor:
        print(cursor.execute("SELECT id, name, ssn, born, photo, address, chart FROM patient ORDER BY id").fetchmany(3))
    with db.pipeline(), db.cursor() as cursor:
        for n in range(5):
            cursor.execute("SELECT ssn, id FROM patient WHERE id = %s", [n], prepare=True)
        print(cursor.fetchall())
print("told")
"#;
    let gateway = open(masking());
    let mut command = Command::new(vestibule_e2e::cache::python());
    command.args(["-c", SCRIPT, &gateway.port().to_string(), login("scram-sha-256"), PASSWORD, DATABASE]);
    let ended = run(&mut command, LIMIT).unwrap();
    assert!(ended.success() && ended.stdout.contains("told"), "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stdout.contains("078-05-"), "{}", ended.stdout);
    for secret in ["1950-", "1950,", "c4ca4238", "10.0.0.", "\\xc4\\xca"] {
        assert!(!ended.stdout.contains(secret), "{secret}: {}", ended.stdout);
    }
    assert!(ended.stdout.contains("'Name1', 'xxx'"), "{}", ended.stdout);
    gateway.finish();
}

/// A refused statement is not run, aborts the transaction it is in, and leaves the session usable.
#[test]
fn refusals_are_ordinary_errors() {
    let rules = Rules { refuse: vec!["DELETE".into(), "DROP".into()], ..Rules::default() };
    let gateway = open(rules);
    let ended = psql_file(
        gateway.port(),
        "CREATE TABLE keep (a int); INSERT INTO keep VALUES (1);
         DELETE FROM keep; SELECT 'after', count(*) FROM keep;
         SELECT 'one' \\; DELETE FROM keep \\; SELECT 'two';
         BEGIN; INSERT INTO keep VALUES (2); DELETE FROM keep; INSERT INTO keep VALUES (3); COMMIT;
         BEGIN; SAVEPOINT s; DELETE FROM keep; ROLLBACK TO s; INSERT INTO keep VALUES (4); COMMIT;
         SELECT 'left', array_agg(a ORDER BY a) FROM keep;",
        &["-t"],
    );
    assert!(ended.stdout.contains("after|1"), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("left|{1,4}"), "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stdout.contains("one") && !ended.stdout.contains("two"), "{}", ended.stdout);
    assert_eq!(ended.stderr.matches("refused: DELETE is not for you").count(), 4, "{}", ended.stderr);
    assert!(ended.stderr.contains("HINT:  ask somebody"), "{}", ended.stderr);
    assert!(ended.stderr.contains("current transaction is aborted"), "{}", ended.stderr);
    server().admin(DATABASE, "DROP TABLE keep").unwrap();
    gateway.finish();
}

#[test]
fn rows_beyond_the_limit_are_withheld_and_words_are_shown() {
    let rules = Rules { row_limit: Some(5), notice: Some("careful".into()), ..Rules::default() };
    let gateway = open(rules);
    let ended = psql(gateway.port(), "SELECT id FROM patient ORDER BY id");
    assert!(ended.stdout.contains("(5 rows)"), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("careful") && ended.stderr.contains("5 rows are shown and 295 withheld"),
        "{}",
        ended.stderr
    );
    let copied = psql(gateway.port(), "COPY patient (id) TO STDOUT");
    assert_eq!(copied.stdout.lines().count(), 5, "{}", copied.stdout);
    gateway.finish();
}

/// The conversations of clients tell the same through us. The suite holds those that differ most, on the machine's own
/// server; `LIVE_CLIENTS=all LIVE_MAJORS="13 18"` all of them on others.
#[test]
fn every_client_tells_the_same() {
    let mut failures = Vec::new();
    let majors = std::env::var("LIVE_MAJORS").unwrap_or_else(|_| "0".to_owned());
    let wanted = std::env::var("LIVE_CLIENTS").unwrap_or_else(|_| "libpq asyncpg psycopg3".to_owned());
    for major in majors.split(' ').map(|major| major.parse::<u32>().unwrap()) {
        let started = (major > 0).then(|| Server::start(&installation(major).unwrap()).unwrap());
        let server = started.as_ref().unwrap_or_else(|| self::server());
        let user = login("scram-sha-256");
        let gateway = Gateway::start(server.port(), DATABASE, user, PASSWORD, Rules::default());
        for client in CLIENTS.iter().filter(|c| wanted == "all" || wanted.split(' ').any(|w| w == c.name)) {
            let address = |port, via| Address {
                host: "127.0.0.1".into(),
                port,
                database: DATABASE.into(),
                user: user.into(),
                password: PASSWORD.into(),
                sslmode: "disable".into(),
                ca: server.authority().ca(),
                major: server.major(),
                via,
            };
            let straight = talk::hold(client, &address(server.port(), Via::Direct), LIMIT);
            let told = talk::compare(&straight, talk::hold(client, &address(gateway.port(), Via::Gateway), LIMIT));
            for line in told {
                // What fails without us is not ours (a client that insists on TLS, a program that is not there).
                let direct_fails =
                    straight.iter().any(|s| s.name == line.name && matches!(s.verdict, Verdict::Failed(_)));
                if let Verdict::Failed(why) = line.verdict
                    && !direct_fails
                {
                    failures.push(format!("{} on {}: {}: {why}", client.name, server.major(), line.name));
                }
            }
        }
        gateway.finish();
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn cancelling_reaches_the_right_statement() {
    let gateway = Arc::new(open(Rules::default()));
    let ended = run(
        Command::new("timeout").args(["-s", "INT", "1", "psql", "-X", "-c", "SELECT pg_sleep(20)"]).envs(
            client("psql", gateway.port(), &[]).get_envs().filter_map(|(k, v)| v.map(|v| (k.to_owned(), v.to_owned()))),
        ),
        LIMIT,
    )
    .unwrap();
    assert!(ended.stderr.contains("canceling statement due to user request"), "{}", ended.stderr);
    Arc::into_inner(gateway).unwrap().finish();
}
