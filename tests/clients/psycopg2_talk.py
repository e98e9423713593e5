"""psycopg 2."""

import io
import select

import psycopg2
import psycopg2.errors
import psycopg2.extras

from talk import *  # noqa: F403 - the shared vocabulary of the conversations


def connect(**more):
    return psycopg2.connect(dsn(), password=PASSWORD, **more)


@scenario
def a_table_is_made():
    with connect() as db, db.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {SPACE} CASCADE; CREATE SCHEMA {SPACE}")
        cursor.execute(f"CREATE TABLE {SPACE}.t (id int PRIMARY KEY, name text)")
        psycopg2.extras.execute_values(cursor, f"INSERT INTO {SPACE}.t VALUES %s", [(i, name_of(i)) for i in range(ROWS)])
    return ROWS


@scenario
def values_come_back_as_they_went():
    with connect() as db, db.cursor() as cursor:
        cursor.execute("SELECT %s, %s::text, %s::numeric, %s::bytea, %s::int[], %s::jsonb, %s::date",
                       (1, None, "12.50", b"\x00\xff", [1, None], '{"a": 1}', "2024-02-29"))
        row = cursor.fetchone()
        expect(row[0], 1)
        expect(bytes(row[3]), b"\x00\xff")
        return [str(value) if not isinstance(value, memoryview) else bytes(value).hex() for value in row] + [
            (column.name, column.type_code) for column in cursor.description]


@scenario
def every_row_is_as_written():
    with connect() as db, db.cursor() as cursor:
        cursor.execute(f"SELECT id, name FROM {SPACE}.t ORDER BY id")
        return len(expect(cursor.fetchall(), [(i, name_of(i)) for i in range(ROWS)]))


@scenario
def a_server_side_cursor_pages():
    with connect() as db, db.cursor("pages") as cursor:
        cursor.itersize = 300
        cursor.execute(f"SELECT id FROM {SPACE}.t ORDER BY id")
        return len(expect([row[0] for row in cursor], list(range(ROWS))))


@scenario
def an_error_aborts_the_transaction_until_rollback():
    db = connect()
    with db.cursor() as cursor:
        codes = []
        for sql in ("SELECT 1/0", "SELECT 1"):
            try:
                cursor.execute(sql)
            except psycopg2.Error as error:
                codes.append(error.pgcode)
        db.rollback()
        cursor.execute("SELECT 'on'")
        expect(cursor.fetchone(), ("on",))
    db.close()
    return expect(codes, ["22012", "25P02"])


@scenario
def a_rollback_undoes():
    db = connect()
    with db.cursor() as cursor:
        cursor.execute(f"DELETE FROM {SPACE}.t WHERE id < 100")
        expect(cursor.rowcount, 100)
        db.rollback()
        cursor.execute(f"SELECT count(*) FROM {SPACE}.t")
        return expect(cursor.fetchone()[0], ROWS)


@scenario
def copy_both_ways():
    with connect() as db, db.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {SPACE}.c (a int, b text)")
        text = "".join(f"{i}\tname {i}\n" for i in range(5000))
        cursor.copy_expert(f"COPY {SPACE}.c FROM STDIN", io.StringIO(text))
        expect(cursor.rowcount, 5000)
        out = io.StringIO()
        cursor.copy_expert(f"COPY (SELECT * FROM {SPACE}.c ORDER BY a) TO STDOUT", out)
        return digest(expect(out.getvalue(), text))


@scenario
def notifications_arrive():
    listener = connect()
    listener.autocommit = True
    listener.cursor().execute(f"LISTEN {SPACE}")
    with connect() as db, db.cursor() as cursor:
        cursor.execute(f"SELECT pg_notify('{SPACE}', 'hello')")
    expect(bool(select.select([listener], [], [], 10)[0]), True, "something to read")
    listener.poll()
    return expect([note.payload for note in listener.notifies], ["hello"])


@scenario
def cancelling():
    db = connect()
    timer = after(0.7, db.cancel)
    try:
        db.cursor().execute("SELECT pg_sleep(30)")
        raise AssertionError("the statement was not cancelled")
    except psycopg2.errors.QueryCanceled as error:
        code = error.pgcode
    finally:
        timer.cancel()
    db.rollback()
    cursor = db.cursor()
    cursor.execute("SELECT 'on'")
    expect(cursor.fetchone(), ("on",))
    return expect(code, "57014")


@scenario
def notices_arrive():
    db = connect()
    db.cursor().execute(f"DROP TABLE IF EXISTS {SPACE}.none_such")
    return expect(len(db.notices), 1) and db.notices


@scenario
def several_statements_at_once_give_the_last_result():
    with connect() as db, db.cursor() as cursor:
        cursor.execute("SELECT 1; SELECT 2 AS two")
        return expect(cursor.fetchall(), [(2,)])


@scenario
def a_large_value_both_ways():
    with connect() as db, db.cursor() as cursor:
        word = "ü" * 2000000
        cursor.execute("SELECT %s::text, md5(%s)", (word, word))
        row = cursor.fetchone()
        expect(row[0] == word, True)
        return row[1]


@scenario
def two_phase_commit_speaks_as_the_server_does():
    # Test servers keep max_prepared_transactions at 0: the refusal must be the server's own.
    db = connect()
    try:
        db.tpc_begin(db.xid(1, "g", "b"))
        db.cursor().execute("SELECT 1")
        db.tpc_prepare()
        raise AssertionError("prepared transactions are off on this server")
    except psycopg2.Error as error:
        return expect(error.pgcode, "55000")


@scenario
def the_schema_is_dropped():
    with connect() as db, db.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA {SPACE} CASCADE")
    return True


main()
