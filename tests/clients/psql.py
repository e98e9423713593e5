"""psql, as a person and as a script uses it."""

import os
import signal
import subprocess
import tempfile
import time

from talk import *  # noqa: F403 - the shared vocabulary of the conversations

PSQL = os.path.join(os.environ["CLIENT_BIN"], "psql") if "CLIENT_BIN" in os.environ else "psql"
# The machine's own psql may be older than what some scenarios need; the newer one is PostgreSQL 18's.
NEWER = "CLIENT_BIN" in os.environ
# Of this program, not of the server.
OWN = int(subprocess.run([PSQL, "--version"], capture_output=True, text=True, check=True).stdout.split()[2].split(".")[0])
WORK = tempfile.mkdtemp(prefix="vestibule-psql-")


def environment():
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    mine.update(PGPASSWORD=PASSWORD, PSQLRC="/dev/null", PAGER="cat", LC_ALL="C.UTF-8", PGCLIENTENCODING="UTF8")
    return mine


def psql(*arguments, script=None, status=0, more=None):
    """Runs psql and hands back what it printed (output, errors)."""
    command = [PSQL, "-X", "-d", dsn(**(more or {})), *arguments]
    done = subprocess.run(command, input=script or "", capture_output=True, text=True, env=environment(), timeout=50)
    if status is not None and done.returncode != status:
        raise AssertionError(f"psql {arguments} ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-1500:]}")
    # psql tells the line of a script, the same on each way; nothing else varies.
    return done.stdout, done.stderr


def plain(*arguments, **how):
    return psql("-A", "-t", "-q", *arguments, **how)[0].rstrip("\n")


@scenario
def a_connection_has_the_session_asked_for():
    out = plain("-c", "SELECT current_database(), current_user = session_user, current_setting('client_encoding')")
    major = plain("-c", "SHOW server_version_num")[:-4]
    expect(int(major), MAJOR, "major version")
    expect(out.split("|")[1:], ["t", "UTF8"])
    return major


@scenario
def a_schema_is_made():
    return psql("-v", "ON_ERROR_STOP=1", script=f"""
        DROP SCHEMA IF EXISTS {SPACE} CASCADE;
        CREATE SCHEMA {SPACE};
        SET search_path = {SPACE};
        CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL, born date, weight numeric(6,2), note jsonb);
        COMMENT ON TABLE person IS 'people of the test';
        CREATE INDEX person_name ON person (name);
        CREATE TABLE visit (id serial PRIMARY KEY, person int NOT NULL REFERENCES person, at timestamptz NOT NULL);
        CREATE VIEW adult AS SELECT id, name FROM person WHERE born < date '2000-01-01';
        CREATE FUNCTION {SPACE}.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n';
        INSERT INTO person SELECT i, 'name ' || i, date '1950-01-01' + i, i * 1.25, jsonb_build_object('i', i)
            FROM generate_series(1, 500) i;
        INSERT INTO visit (person, at) SELECT id, timestamptz '2026-01-01 UTC' + id * interval '1 hour' FROM person;
    """)[0]


@scenario
def a_table_of_results_is_drawn():
    out, _ = psql("-c", f"SELECT * FROM {SPACE}.person ORDER BY id LIMIT 3")
    expect("(3 rows)" in out, True)
    return out


@scenario
def every_kind_of_value_is_shown():
    return plain("-c", r"""SELECT 1::smallint, -2::int, 9223372036854775807::bigint, 1.50::numeric(5,2), 'NaN'::numeric,
        1.5::float4, -0.1::float8, true, 'text ü 李 🏥', 'c'::"char", 'pad'::char(6), E'\\x00ff10'::bytea,
        date '2024-02-29', time '23:59:59.999999', timestamp '1999-12-31 23:59:59', timestamptz '2026-01-02 03:04:05+00'
        AT TIME ZONE 'UTC', interval '1 year 2 days 03:04:05', '{"a":[1,null]}'::json, '{"b":{}}'::jsonb,
        ARRAY[1,NULL,3], ARRAY['a b','c"d'], int4range(1,5), '10.0.0.1/8'::inet, '08:00:2b:01:02:03'::macaddr,
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, point(1,2), B'1010', ROW(1,'x',NULL), NULL::text""")


@scenario
def describing_commands_work():
    parts = [r"\d", r"\dt", r"\dn", r"\dv", r"\di", r"\ds", r"\df twice", r"\d person", r"\d+ adult", r"\d visit", r"\du"]
    # An older psql asks for a column that PostgreSQL 17 renamed.
    if not OWN < 17 <= MAJOR:
        parts.append(r"\l")
    answers = {}
    for part in parts:
        out, _ = psql("-c", f"SET search_path = {SPACE}", "-c", part)
        if part not in (r"\du", r"\l", r"\dn"):
            answers[part] = out
    for word in ("person", "visit", "adult"):
        expect(word in answers[r"\d"], True, f"{word} in \\d")
    expect("person_pkey" in answers[r"\d person"] and "TABLE \"visit\"" in answers[r"\d person"], True, r"\d person")
    expect("adult" in answers[r"\d+ adult"] and "SELECT" in answers[r"\d+ adult"], True, r"\d+ adult")
    return answers


@scenario
def several_statements_in_one_message():
    out, _ = psql("-A", "-t", "-c", f"SELECT 1; SELECT 2; UPDATE {SPACE}.person SET weight = weight WHERE id = 1; SELECT 3")
    return expect(out.split(), ["1", "2", "UPDATE", "1", "3"])


@scenario
def several_commands_one_after_the_other():
    return expect(psql("-A", "-t", "-c", "SELECT 1", "-c", "SELECT 2", "-c", "TABLE pg_catalog.pg_am LIMIT 0")[0].split(), ["1", "2"])


@scenario
def an_empty_statement_is_no_error():
    return expect(psql("-A", "-t", "-c", "", "-c", ";", "-c", "-- only words", "-c", "SELECT 1")[0].split(), ["1"])


@scenario
def an_error_leaves_the_session_usable():
    script = f"SELECT * FROM {SPACE}.missing;\nSELECT 1/0;\nSELECT 'a'::int;\nSELEC 1;\nINSERT INTO {SPACE}.person (id, name) VALUES (1, 'x');\nSELECT 'still here';\n"
    out, errors = psql("-A", "-t", "-v", "VERBOSITY=sqlstate", script=script)
    expect(out.strip(), "still here")
    return expect([line.split()[-1] for line in errors.splitlines()], ["42P01", "22012", "22P02", "42601", "23505"])


@scenario
def an_error_has_all_its_fields():
    _, errors = psql("-v", "VERBOSITY=verbose", "-c", f"INSERT INTO {SPACE}.visit (person, at) VALUES (-1, now())", status=1)
    for word in ("23503", "DETAIL:", "SCHEMA NAME:", "TABLE NAME:", "CONSTRAINT NAME:"):
        expect(word in errors, True, word)
    return [line for line in errors.splitlines() if not line.startswith("LOCATION")]


@scenario
def transactions_commit_and_roll_back():
    script = f"""
        BEGIN; INSERT INTO {SPACE}.person (id, name) VALUES (9001, 'kept'); SAVEPOINT s;
        INSERT INTO {SPACE}.person (id, name) VALUES (9002, 'dropped'); ROLLBACK TO s; COMMIT;
        BEGIN; DELETE FROM {SPACE}.person WHERE id = 9001; ROLLBACK;
        BEGIN; SELECT 1/0; SELECT 2; COMMIT;
        SELECT id FROM {SPACE}.person WHERE id > 9000;"""
    out, errors = psql("-A", "-t", script=script)
    expect("current transaction is aborted" in errors, True, "25P02")
    return expect(out.splitlines()[-1], "9001")


@scenario
def notices_arrive():
    _, errors = psql("-c", f"DROP TABLE IF EXISTS {SPACE}.nothing_of_that_name")
    return expect('NOTICE:  table "nothing_of_that_name" does not exist, skipping' in errors, True)


@scenario
def copy_in_and_out():
    lines = [f"{number}\t{name_of(number)}" for number in range(10, 3010)]
    escaped = "".join(
        f"{number}\t" + name_of(number).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n") + "\n"
        for number in range(10, 3010))
    source, target = os.path.join(WORK, "in.txt"), os.path.join(WORK, "out.txt")
    with open(source, "w", encoding="utf-8") as file:
        file.write(escaped)
    script = f"""CREATE TABLE {SPACE}.copied (id int, name text);
\\copy {SPACE}.copied from '{source}'
\\copy (SELECT * FROM {SPACE}.copied ORDER BY id) to '{target}'
SELECT count(*), min(id), max(id) FROM {SPACE}.copied;
"""
    out, _ = psql("-A", "-t", "-v", "ON_ERROR_STOP=1", script=script)
    with open(target, encoding="utf-8", newline="") as file:
        expect(file.read(), escaped, "copied text")
    expect(out.split()[-1], "3000|10|3009")
    return len(lines)


@scenario
def copy_from_standard_input_and_to_standard_output():
    rows = """ WITH (FORMAT csv);
7,"a ""quoted"" name"
8,"two
lines"
"""
    # An older psql sends the line that ends CSV, which PostgreSQL 18 takes for data.
    if OWN < 18 <= MAJOR:
        rows = ";\n7\ta \"quoted\" name\n8\ttwo\\nlines\n"
    script = f"""COPY {SPACE}.copied FROM STDIN{rows}\\.
COPY (SELECT * FROM {SPACE}.copied WHERE id < 10 ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER);
"""
    out, _ = psql("-q", script=script)
    return expect(out, 'id,name\n7,"a ""quoted"" name"\n8,"two\nlines"\n')


@scenario
def binary_copy():
    target = os.path.join(WORK, "out.bin")
    script = f"\\copy (SELECT * FROM {SPACE}.copied ORDER BY id, name) to '{target}' with (format binary)\nCREATE TABLE {SPACE}.again (LIKE {SPACE}.copied);\n\\copy {SPACE}.again from '{target}' with (format binary)\nSELECT count(*) FROM {SPACE}.again;\n"
    out, _ = psql("-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", script=script)
    with open(target, "rb") as file:
        data = file.read()
    expect(data[:11], b"PGCOPY\n\xff\r\n\0", "signature")
    expect(out.strip(), "3002")
    return digest(data)


@scenario
def a_failing_copy_leaves_the_session_usable():
    script = f"COPY {SPACE}.copied FROM STDIN;\nnot a number\tx\n\\.\nSELECT 'still here';\n"
    out, errors = psql("-A", "-t", "-v", "VERBOSITY=sqlstate", script=script)
    expect(errors.split()[-1], "22P02")
    return expect(out.strip(), "still here")


@scenario
def listen_and_notify():
    script = f"LISTEN {SPACE};\nSELECT 'waiting';\nNOTIFY {SPACE}, 'a word';\nSELECT pg_notify('{SPACE}', 'another');\nUNLISTEN *;\n"
    out, _ = psql("-A", "-t", script=script)
    expect(out.count("Asynchronous notification"), 2, "notifications")
    return ['payload "a word"' in out or "a word" in out, "another" in out]


@scenario
def a_notification_from_another_session_arrives():
    command = [PSQL, "-X", "-A", "-t", "-d", dsn()]
    listener = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
    listener.stdin.write(f"LISTEN {SPACE};\n\\echo ready\n")
    listener.stdin.flush()
    while "ready" not in listener.stdout.readline():
        pass
    plain("-c", f"NOTIFY {SPACE}, 'from elsewhere'")
    time.sleep(0.3)
    out, _ = listener.communicate("SELECT 1;\n", timeout=20)
    return expect("from elsewhere" in out, True)


@scenario
def interrupting_cancels_the_statement_and_keeps_the_session():
    command = [PSQL, "-X", "-A", "-t", "-v", "VERBOSITY=sqlstate", "-d", dsn()]
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    client.stdin.write("\\echo ready\nSELECT pg_sleep(40);\n")
    client.stdin.flush()
    client.stdout.readline()
    time.sleep(1.0)
    start = time.monotonic()
    client.send_signal(signal.SIGINT)
    # A psql that reads a script gives up at an interrupt; what counts is that the statement ended at once with 57014.
    _, errors = client.communicate("SELECT 'still here';\n", timeout=20)
    expect(time.monotonic() - start < 10, True, "ended at once")
    return expect("57014" in errors, True, f"57014 in {errors!r}")


@scenario
def a_statement_timeout_is_the_servers_own_error():
    _, errors = psql("-v", "VERBOSITY=sqlstate", script="SET statement_timeout = '200ms'; SELECT pg_sleep(10); SELECT 1;")
    return expect(errors.split()[-1], "57014")


@scenario
def a_large_row():
    out = plain("-c", "SELECT repeat('0123456789abcdef', 524288)")
    expect(len(out), 8388608)
    return digest(out)


@scenario
def a_large_statement():
    word = "x" * 3000000
    out = plain(script=f"SELECT length('{word}'), md5('{word}');\n")
    return expect(out.split("|")[0], "3000000") and out


@scenario
def a_large_result():
    out = plain("-c", "SELECT i, md5(i::text), NULL FROM generate_series(1, 100000) i")
    expect(out.count("\n"), 99999)
    return digest(out)


@scenario
def fetching_by_cursor():
    out = plain("-v", "FETCH_COUNT=100", "-c", f"SELECT id FROM {SPACE}.person WHERE id <= 500 ORDER BY id")
    return expect([int(line) for line in out.split()], list(range(1, 501))) and 500


@scenario
def prepared_statements_by_sql():
    script = f"PREPARE p (int) AS SELECT name FROM {SPACE}.person WHERE id = $1; EXECUTE p(7); EXECUTE p(8); DEALLOCATE p; EXECUTE p(9);"
    out, errors = psql("-A", "-t", "-q", "-v", "VERBOSITY=sqlstate", script=script)
    expect(errors.split()[-1], "26000")
    return expect(out.split("\n")[:2], ["name 7", "name 8"])


@scenario
def describing_a_statement_and_running_what_it_made():
    out, _ = psql("-A", "-t", script="SELECT 1 AS a, 'x'::text AS b, now() AS c \\gdesc\nSELECT 'SELECT ' || i FROM generate_series(1,3) i \\gexec\nSELECT 5 AS five \\gset\n\\echo :five\nSELECT 1 AS row, 'x' AS col, 2 AS val \\crosstabview\n")
    return expect(out.split("\n")[:7], ["a|integer", "b|text", "c|timestamp with time zone", "1", "2", "3", "5"])


@scenario_if(NEWER)
def bound_parameters():
    out, _ = psql("-A", "-t", script="SELECT $1::int + $2::int \\bind 20 22 \\g\nSELECT $1 \\parse s\n\\bind_named s word \\g\n\\close_prepared s\n")
    return expect(out.split(), ["42", "word"])


@scenario_if(NEWER)
def a_pipeline():
    script = "\\startpipeline\nSELECT $1 \\bind one \\sendpipeline\nSELECT 1/$1 \\bind 0 \\sendpipeline\nSELECT $1 \\bind never \\sendpipeline\n\\syncpipeline\nSELECT $1 \\bind after \\sendpipeline\n\\endpipeline\nSELECT 'and on';\n"
    out, errors = psql("-A", "-t", "-v", "VERBOSITY=sqlstate", script=script)
    expect("22012" in errors, True, "22012")
    words = [word for word in out.split("\n") if word]
    expect("never" in out and "Pipeline aborted" not in out, False, "what follows an error in a pipeline")
    expect(words[0], "one")
    return expect(words[-2:], ["after", "and on"])


@scenario_if(NEWER and DIRECT_TLS)
def direct_tls_negotiation():
    return expect(plain("-c", "SELECT 1", more={"sslnegotiation": "direct"}), "1")


@scenario_if(NEWER)
def a_newer_protocol_version_is_negotiated_down():
    return expect(plain("-c", "SELECT 1", more={"max_protocol_version": "latest"}), "1")


@scenario
def gss_encryption_is_answered():
    # Without a ticket libpq does not even ask, so the question is put by hand. A server built with GSS says yes; the
    # gateway must say no, since it could not see what is inside, and then take TLS on the same connection.
    import socket
    import struct
    for again in (True, False):
        with socket.create_connection((HOST, PORT), timeout=10) as wire:
            if again:
                wire.sendall(struct.pack("!II", 8, 80877104))
                answer = wire.recv(1)
                if answer == b"G":
                    expect(GATEWAY, False, "the gateway agreeing to GSS encryption")
                    continue
                expect(answer, b"N", "answer to GSSENCRequest")
            wire.sendall(struct.pack("!II", 8, 80877103))
            return expect(wire.recv(1), b"N" if SSLMODE == "disable" else b"S", "answer to SSLRequest").decode()


@scenario
def a_wrong_password_is_refused():
    mine = environment()
    mine["PGPASSWORD"] = "not it"
    done = subprocess.run([PSQL, "-X", "-d", dsn(), "-c", "SELECT 1"], capture_output=True, text=True, env=mine, timeout=30)
    expect(done.returncode, 2, "status")
    expect(PASSWORD in done.stderr, False, "the password in the error")
    return expect("FATAL:" in done.stderr, True, done.stderr)


@scenario
def session_settings_hold():
    return expect(plain(script="SET TIME ZONE 'America/New_York'; SET DateStyle = 'German'; SELECT timestamptz '2026-07-01 12:00 UTC';").splitlines()[-1], "01.07.2026 08:00:00 EDT")


@scenario
def settings_at_connection_hold():
    out = plain("-c", "SHOW application_name", more={"application_name": "a test", "options": "-c search_path=pg_catalog"})
    return expect(out, "a test")


@scenario
def the_schema_is_dropped():
    return plain("-c", f"DROP SCHEMA {SPACE} CASCADE", "-c", "SELECT 'gone'")


main()
