"""pg_dump, restoring with psql and pg_restore, and dumping again: the two dumps must be the same."""

import os
import re
import subprocess
import tempfile

from talk import *  # noqa: F403 - the shared vocabulary of the conversations

BIN = os.environ["CLIENT_BIN"]
WORK = tempfile.mkdtemp(prefix="vestibule-dump-")


def run(program, *arguments, script=None):
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    mine["PGPASSWORD"] = PASSWORD
    command = [os.path.join(BIN, program), "-d", dsn(), *arguments]
    done = subprocess.run(command, input=script, capture_output=True, text=True, env=mine, timeout=55)
    if done.returncode:
        raise AssertionError(f"{program} {arguments} ended with {done.returncode}: {done.stderr[-1500:]}")
    return done.stdout


def dump(*arguments):
    return run("pg_dump", "-n", SPACE, "--no-owner", *arguments)


def restorable(text):
    """From 17 on pg_dump writes a setting that older servers do not know, and restoring goes on past that error. Here an
    error is an error, so the setting is left out for them."""
    return text if MAJOR >= 17 else re.sub(r"^SET transaction_timeout = 0;$", "", text, flags=re.MULTILINE)


def normal(text):
    """Without what differs from run to run: the word that guards a plain dump, and the dump's own header."""
    return re.sub(r"^(\\(un)?restrict .*|-- Dumped .*)$", "", text, flags=re.MULTILINE)


def told(text):
    # The schema's name tells the way the conversation took.
    return digest(normal(text).replace(SPACE, "SPACE"))


@scenario
def objects_of_many_kinds_are_made():
    run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", script=f"""
        DROP SCHEMA IF EXISTS {SPACE} CASCADE;
        CREATE SCHEMA {SPACE};
        SET search_path = {SPACE};
        CREATE TYPE mood AS ENUM ('well', 'ill');
        CREATE DOMAIN positive AS int CHECK (VALUE > 0);
        CREATE SEQUENCE counter START 42;
        CREATE TABLE ward (id int PRIMARY KEY, name text UNIQUE NOT NULL DEFAULT 'none');
        CREATE TABLE patient (id positive PRIMARY KEY, name text, mood mood, ward int REFERENCES ward,
            born date, picture bytea, note jsonb, tags text[], weight numeric(6,2),
            shout text GENERATED ALWAYS AS (upper(name)) STORED);
        CREATE TABLE reading (at timestamptz NOT NULL, value float8) PARTITION BY RANGE (at);
        CREATE TABLE reading_2026 PARTITION OF reading FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
        CREATE INDEX ON patient USING gin (note);
        CREATE INDEX patient_lower ON patient (lower(name)) WHERE ward IS NOT NULL;
        CREATE VIEW ill AS SELECT id, name FROM patient WHERE mood = 'ill';
        CREATE MATERIALIZED VIEW by_ward AS SELECT ward, count(*) FROM patient GROUP BY ward;
        CREATE FUNCTION half(n int) RETURNS int LANGUAGE sql AS 'SELECT n / 2';
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note = coalesce(NEW.note, $j$[]$j$); RETURN NEW; END';
        CREATE TRIGGER touch BEFORE INSERT ON patient FOR EACH ROW EXECUTE FUNCTION touch();
        COMMENT ON COLUMN patient.note IS 'what''s said; with a semicolon';
        INSERT INTO ward SELECT i, 'ward ' || i FROM generate_series(1, 10) i;
        INSERT INTO patient (id, name, mood, ward, born, picture, note, tags, weight)
            SELECT i, E'n\\t' || i || E'\\\\ ü\\n', (ARRAY['well', 'ill'])[1 + i % 2]::mood, 1 + i % 10,
                date '1950-01-01' + i, decode(lpad(to_hex(i), 8, '0'), 'hex'), jsonb_build_object('k', i),
                ARRAY['a b', NULL, '"' || i], i / 4.0 FROM generate_series(1, 2000) i;
        INSERT INTO reading SELECT timestamptz '2026-01-01 UTC' + i * interval '1 hour', sqrt(i) FROM generate_series(1, 500) i;
        REFRESH MATERIALIZED VIEW by_ward;
        SELECT nextval('counter');
        """)
    return True


@scenario
def the_schema_alone():
    text = dump("--schema-only")
    for word in ("CREATE TYPE", "CREATE DOMAIN", "CREATE TABLE", "PARTITION", "CREATE TRIGGER", "CREATE MATERIALIZED VIEW"):
        expect(word in text, True, word)
    expect("COPY" in normal(text).split("\n"), False)
    return told(text)


@scenario
def the_data_alone():
    text = dump("--data-only")
    expect(text.count(f"COPY {SPACE}."), 3, "tables with data")
    return told(text)


@scenario
def the_data_as_inserts():
    text = dump("--data-only", "--rows-per-insert=100", "-t", f"{SPACE}.patient")
    expect(text.count("INSERT INTO"), 20)
    return told(text)


@scenario
def a_plain_dump_restores_to_the_same():
    first = dump()
    run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", f"DROP SCHEMA {SPACE} CASCADE")
    run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", script=restorable(first))
    expect(normal(dump()) == normal(first), True, "the second dump equals the first")
    return told(first)


@scenario
def an_archive_restores_to_the_same():
    first = dump()
    archive = os.path.join(WORK, "archive")
    dump("-Fc", "-f", archive)
    if MAJOR >= 17:
        run("pg_restore", "--clean", "--if-exists", "--no-owner", archive)
    else:
        command = [os.path.join(BIN, "pg_restore"), "--clean", "--if-exists", "--no-owner", "-f", "-", archive]
        script = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True).stdout
        run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", script=restorable(script))
    expect(normal(dump()) == normal(first), True, "the second dump equals the first")
    return told(first)


@scenario
def several_jobs_dump_the_same():
    folder = os.path.join(WORK, "folder")
    dump("-Fd", "-j", "2", "-f", folder)
    done = subprocess.run([os.path.join(BIN, "pg_restore"), "--no-owner", "-f", "-", folder], capture_output=True, text=True, timeout=50)
    expect(done.returncode, 0, done.stderr)
    ours, theirs = (sorted(line for line in normal(text).splitlines() if line and not line.startswith("--")) for text in (done.stdout, dump()))
    expect(ours == theirs, True, "the same lines")
    return len(theirs)


@scenario
def everything_is_dropped():
    run("psql", "-X", "-q", "-c", f"DROP SCHEMA {SPACE} CASCADE")
    return True


main()
