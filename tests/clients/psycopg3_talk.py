"""psycopg 3: both formats, pipelines, cursors of every kind, COPY, prepared statements, asynchronous use."""

import asyncio
import datetime
import decimal
import ipaddress
import uuid

import psycopg
from psycopg import errors
from psycopg.types.json import Jsonb

from talk import *  # noqa: F403 - the shared vocabulary of the conversations


def connect(**more):
    return psycopg.connect(dsn(), password=PASSWORD, **more)


@scenario
def a_table_is_made():
    with connect() as db:
        db.execute(f"DROP SCHEMA IF EXISTS {SPACE} CASCADE")
        db.execute(f"CREATE SCHEMA {SPACE}")
        db.execute(f"CREATE TABLE {SPACE}.t (id int PRIMARY KEY, name text)")
        with db.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {SPACE}.t VALUES (%s, %s)", [(i, name_of(i)) for i in range(ROWS)])
            return expect(cursor.rowcount, ROWS)


VALUES = [
    ("int2", 7), ("int4", -7), ("int8", 2**62), ("float8", 0.1), ("numeric", decimal.Decimal("-12345.6789")),
    ("bool", True), ("text", "ü 李 🏥"), ("bytea", bytes(range(256))), ("date", datetime.date(2024, 2, 29)),
    ("time", datetime.time(23, 59, 59, 999999)), ("timestamp", datetime.datetime(1999, 12, 31, 23, 59, 59, 5)),
    ("timestamptz", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)),
    ("interval", datetime.timedelta(days=3, seconds=4, microseconds=5)),
    ("uuid", uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")), ("int4[]", [1, None, 3]), ("text[]", ["a b", 'c"d', None]),
    ("inet", ipaddress.ip_address("10.0.0.1")),
]


def round_trip(binary):
    seen = []
    with connect() as db:
        db.execute("SET TIME ZONE 'UTC'")
        for kind, value in VALUES:
            mark = "%b" if binary and kind not in ("inet",) else "%s"
            row = db.execute(f"SELECT {mark}::{kind}", [value], binary=binary).fetchone()
            seen.append(repr(expect(row[0], value, kind)))
        row = db.execute("SELECT %s::jsonb, NULL::int, ''::text, '{}'::int[]", [Jsonb({"a": [1, None]})], binary=binary).fetchone()
        seen.append(repr(expect(row, ({"a": [1, None]}, None, "", []))))
    return seen


@scenario
def values_in_text():
    return round_trip(False)


@scenario
def values_in_binary():
    return round_trip(True)


@scenario
def every_row_is_as_written_in_both_formats():
    with connect() as db:
        for binary in (False, True):
            rows = db.execute(f"SELECT id, name FROM {SPACE}.t ORDER BY id", binary=binary).fetchall()
            expect(rows, [(i, name_of(i)) for i in range(ROWS)])
    return ROWS


@scenario
def a_statement_is_prepared_and_used_again():
    with connect(prepare_threshold=2) as db:
        seen = [db.execute(f"SELECT name FROM {SPACE}.t WHERE id = %s", [i]).fetchone()[0] for i in range(20)]
        names = db.execute("SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql").fetchone()[0]
        expect(names >= 1, True, "a prepared statement")
        return expect(seen, [name_of(i) for i in range(20)])


@scenario
def a_named_cursor_pages_and_moves():
    with connect() as db, db.cursor("pages", scrollable=True) as cursor:
        cursor.execute(f"SELECT id FROM {SPACE}.t ORDER BY id")
        first = cursor.fetchmany(5)
        cursor.scroll(100)
        then = cursor.fetchmany(2)
        cursor.scroll(0, mode="absolute")
        rest = len(cursor.fetchall())
        return expect([first, then, rest], [[(i,) for i in range(5)], [(105,), (106,)], ROWS])


@scenario
def rows_one_at_a_time():
    with connect() as db, db.cursor() as cursor:
        ids = [row[0] for row in cursor.stream(f"SELECT id FROM {SPACE}.t ORDER BY id")]
        return len(expect(ids, list(range(ROWS))))


@scenario
def a_pipeline():
    with connect(autocommit=True) as db, db.pipeline() as pipe:
        cursors = [db.execute(f"SELECT name FROM {SPACE}.t WHERE id = %s", [i]) for i in range(100)]
        pipe.sync()
        return expect([cursor.fetchone()[0] for cursor in cursors], [name_of(i) for i in range(100)])


@scenario
def an_error_inside_a_pipeline():
    seen = []
    with connect(autocommit=True) as db:
        try:
            with db.pipeline() as pipe:
                good = db.execute("SELECT 1")
                db.execute(f"INSERT INTO {SPACE}.t VALUES (-1, 'in an aborted pipeline')")
                db.execute("SELECT 1/0")
                db.execute(f"INSERT INTO {SPACE}.t VALUES (-2, 'never run')")
                pipe.sync()
        except errors.DivisionByZero as error:
            seen.append(error.sqlstate)
        try:
            seen.append(good.fetchone()[0])
        except psycopg.Error as error:
            seen.append(type(error).__name__)
        with db.pipeline():
            seen.append(db.execute("SELECT 'on'").fetchone()[0])
        seen.append(db.execute(f"SELECT count(*) FROM {SPACE}.t WHERE id < 0").fetchone()[0])
    expect(seen[0], "22012")
    return expect(seen[2:], ["on", 0])


@scenario
def copy_in_text_and_binary():
    with connect() as db, db.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {SPACE}.c (a int, b text, c timestamptz)")
        at = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
        for how in ("", " (FORMAT BINARY)"):
            with cursor.copy(f"COPY {SPACE}.c FROM STDIN{how}") as copy:
                copy.set_types(["int4", "text", "timestamptz"])
                for i in range(3000):
                    copy.write_row((i, name_of(i), at))
        count = cursor.execute(f"SELECT count(*), count(DISTINCT (a, b, c)) FROM {SPACE}.c").fetchone()
        expect(count, (6000, 3000))
        seen = []
        for how in ("", " (FORMAT BINARY)"):
            with cursor.copy(f"COPY (SELECT a, b FROM {SPACE}.c ORDER BY a, b) TO STDOUT{how}") as copy:
                copy.set_types(["int4", "text"])
                rows = list(copy.rows())
            expect(rows, [(i, name_of(i)) for i in range(3000) for _ in (0, 1)])
            seen.append(len(rows))
        return seen


@scenario
def a_copy_given_up_half_way():
    with connect(autocommit=True) as db:
        try:
            with db.cursor().copy(f"COPY {SPACE}.c FROM STDIN") as copy:
                copy.write("1\tx\t2026-01-01\n")
                raise RuntimeError("changed my mind")
        except RuntimeError:
            pass
        return expect(db.execute(f"SELECT count(*) FROM {SPACE}.c").fetchone()[0], 6000)


@scenario
def a_copy_out_left_early():
    # The driver leaves such a connection busy, so the client hangs up in the middle; others must not notice.
    db = connect(autocommit=True)
    with db.cursor() as cursor, cursor.copy("COPY (SELECT generate_series(1, 300000)) TO STDOUT") as copy:
        copy.read()
    db.close()
    with connect(autocommit=True) as db:
        return expect(db.execute("SELECT 'on'").fetchone()[0], "on")


@scenario
def errors_carry_their_fields():
    with connect() as db:
        try:
            db.execute(f"INSERT INTO {SPACE}.t VALUES (1, 'again')")
            raise AssertionError("no error")
        except errors.UniqueViolation as error:
            diag = error.diag
            return expect([diag.sqlstate, diag.table_name, diag.constraint_name, diag.severity], ["23505", "t", "t_pkey", "ERROR"]) + [diag.message_detail]


@scenario
def savepoints_nest():
    with connect() as db:
        with db.transaction():
            db.execute(f"INSERT INTO {SPACE}.t VALUES (100001, 'kept')")
            try:
                with db.transaction():
                    db.execute(f"INSERT INTO {SPACE}.t VALUES (100002, 'undone')")
                    db.execute("SELECT 1/0")
            except errors.DivisionByZero:
                pass
        rows = db.execute(f"SELECT id FROM {SPACE}.t WHERE id > 100000").fetchall()
        db.execute(f"DELETE FROM {SPACE}.t WHERE id > 100000")
        return expect(rows, [(100001,)])


@scenario
def cancelling():
    with connect(autocommit=True) as db:
        timer = after(0.7, db.cancel)
        try:
            db.execute("SELECT pg_sleep(30)")
            raise AssertionError("the statement was not cancelled")
        except errors.QueryCanceled as error:
            code = error.sqlstate
        finally:
            timer.cancel()
        return expect([code, db.execute("SELECT 'on'").fetchone()[0]], ["57014", "on"])


@scenario
def cancelling_the_newer_way():
    with connect(autocommit=True) as db:
        timer = after(0.7, lambda: db.cancel_safe(timeout=10))
        try:
            db.execute("SELECT pg_sleep(30)")
            raise AssertionError("the statement was not cancelled")
        except errors.QueryCanceled as error:
            return error.sqlstate
        finally:
            timer.cancel()


@scenario
def notifications_arrive():
    with connect(autocommit=True) as listener, connect(autocommit=True) as db:
        listener.execute(f"LISTEN {SPACE}")
        db.execute(f"NOTIFY {SPACE}, 'hello'")
        db.execute("SELECT pg_notify(%s, %s)", [SPACE, "ü" * 2000])
        notes = [note.payload for note in listener.notifies(timeout=10, stop_after=2)]
        return expect(notes, ["hello", "ü" * 2000])


@scenario
def asynchronous_use():
    async def talk():
        async with await psycopg.AsyncConnection.connect(dsn(), password=PASSWORD) as db:
            cursor = await db.execute("SELECT count(*) FROM generate_series(1, 1000)")
            return (await cursor.fetchone())[0]

    async def many():
        return await asyncio.gather(*(talk() for _ in range(10)))

    return expect(asyncio.run(many()), [1000] * 10)


@scenario
def a_client_cursor_sends_plain_statements():
    with connect(cursor_factory=psycopg.ClientCursor) as db:
        row = db.execute("SELECT %s, %s", [name_of(6), 5]).fetchone()
        return expect(list(row), [name_of(6), 5])


@scenario
def a_large_value_both_ways():
    with connect() as db:
        word = "ü" * 2000000
        row = db.execute("SELECT %s::text, md5(%s::text)", [word, word], binary=True).fetchone()
        expect(row[0] == word, True)
        return row[1]


@scenario
def reported_parameters():
    with connect() as db:
        seen = {name: db.info.parameter_status(name) for name in (
            "server_encoding", "client_encoding", "integer_datetimes", "standard_conforming_strings", "is_superuser", "IntervalStyle")}
        expect(db.info.server_version // 10000, MAJOR)
        db.execute("SET application_name = 'renamed'")
        expect(db.info.parameter_status("application_name"), "renamed")
        return seen


@scenario
def the_transaction_state_is_told():
    with connect() as db:
        states = [db.info.transaction_status.name]
        db.execute("SELECT 1")
        states.append(db.info.transaction_status.name)
        try:
            db.execute("SELECT 1/0")
        except errors.DivisionByZero:
            states.append(db.info.transaction_status.name)
        db.rollback()
        states.append(db.info.transaction_status.name)
        return expect(states, ["IDLE", "INTRANS", "INERROR", "IDLE"])


@scenario
def the_schema_is_dropped():
    with connect() as db:
        db.execute(f"DROP SCHEMA {SPACE} CASCADE")
    return True


main()
