"""asyncpg, which speaks the extended protocol in binary and reads types from the catalog."""

import asyncio
import datetime
import decimal
import functools
import io
import ssl
import uuid

import asyncpg

import talk
from talk import *  # noqa: F403 - the shared vocabulary of the conversations


def tls():
    if SSLMODE == "disable":
        return False
    return ssl.create_default_context(cafile=CA)


async def connect(**more):
    return await asyncpg.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, database=DB, ssl=tls(), timeout=20, **more)


def scenario(function):
    """A scenario that is handed a connection."""

    @functools.wraps(function)
    def whole():
        async def run():
            db = await connect()
            try:
                return await function(db)
            finally:
                await db.close(timeout=5)

        return asyncio.run(run())

    return talk.scenario(whole)


@scenario
async def a_table_is_made(db):
    await db.execute(f"DROP SCHEMA IF EXISTS {SPACE} CASCADE; CREATE SCHEMA {SPACE}; CREATE TABLE {SPACE}.t (id int PRIMARY KEY, name text)")
    await db.executemany(f"INSERT INTO {SPACE}.t VALUES ($1, $2)", [(i, name_of(i)) for i in range(ROWS)])
    return expect(await db.fetchval(f"SELECT count(*) FROM {SPACE}.t"), ROWS)


@scenario
async def values_come_back_as_they_went(db):
    values = [
        ("int2", 7), ("int4", -7), ("int8", 2**62), ("float8", 0.1), ("numeric", decimal.Decimal("-12345.6789")), ("bool", True),
        ("text", "ü 李 🏥"), ("bytea", bytes(range(256))), ("date", datetime.date(2024, 2, 29)), ("time", datetime.time(23, 59, 59, 999999)),
        ("timestamptz", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)), ("interval", datetime.timedelta(days=3, seconds=4)),
        ("uuid", uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")), ("int4[]", [1, None, 3]), ("text[]", ["a b", None]), ("jsonb", '{"a": 1}'),
    ]
    return [repr(expect(await db.fetchval(f"SELECT $1::{kind}", value), value, kind)) for kind, value in values]


@scenario
async def every_row_is_as_written(db):
    rows = await db.fetch(f"SELECT id, name FROM {SPACE}.t ORDER BY id")
    return len(expect([tuple(row) for row in rows], [(i, name_of(i)) for i in range(ROWS)]))


@scenario
async def types_are_read_from_the_catalog(db):
    await db.execute(f"CREATE TYPE {SPACE}.mood AS ENUM ('well', 'ill'); CREATE TYPE {SPACE}.pair AS (a int, b {SPACE}.mood); CREATE DOMAIN {SPACE}.pos AS int CHECK (VALUE > 0)")
    row = await db.fetchrow(f"SELECT 'ill'::{SPACE}.mood AS m, ROW(1, 'well')::{SPACE}.pair AS p, ARRAY[ROW(2, 'ill')::{SPACE}.pair] AS ps, 5::{SPACE}.pos AS d, int4range(1, 5) AS r")
    expect(row["p"]["b"], "well")
    return [row["m"], tuple(row["p"]), [tuple(one) for one in row["ps"]], row["d"], [row["r"].lower, row["r"].upper]]


@scenario
async def a_prepared_statement_is_described_and_reused(db):
    statement = await db.prepare(f"SELECT id, name FROM {SPACE}.t WHERE id = $1")
    names = [(await statement.fetchrow(i))["name"] for i in range(50)]
    expect(names, [name_of(i) for i in range(50)])
    return [[part.name for part in statement.get_parameters()], [(part.name, part.type.name) for part in statement.get_attributes()]]


@scenario
async def a_cursor_pages(db):
    async with db.transaction():
        cursor = await db.cursor(f"SELECT id FROM {SPACE}.t ORDER BY id")
        first = await cursor.fetch(5)
        await cursor.forward(100)
        then = await cursor.fetch(2)
        seen = [row[0] for row in first + then]
    async with db.transaction():
        ids = [row[0] async for row in db.cursor(f"SELECT id FROM {SPACE}.t ORDER BY id", prefetch=64)]
    expect(ids, list(range(ROWS)))
    return expect(seen, [0, 1, 2, 3, 4, 105, 106])


@scenario
async def errors_and_going_on(db):
    codes = []
    for sql in (f"SELECT * FROM {SPACE}.missing", "SELECT 1/0", "SELEC 1", f"INSERT INTO {SPACE}.t VALUES (1, 'x')"):
        try:
            await db.fetch(sql)
        except asyncpg.PostgresError as error:
            codes.append(error.sqlstate)
    expect(await db.fetchval("SELECT 'on'"), "on")
    return expect(codes, ["42P01", "22012", "42601", "23505"])


@scenario
async def an_error_in_a_batch_undoes_the_batch(db):
    try:
        await db.executemany(f"INSERT INTO {SPACE}.t VALUES ($1, $2)", [(-1, "a"), (-2, "b"), (1, "again")])
        raise AssertionError("no error")
    except asyncpg.UniqueViolationError:
        pass
    return expect(await db.fetchval(f"SELECT count(*) FROM {SPACE}.t WHERE id < 0"), 0)


@scenario
async def nested_transactions(db):
    async with db.transaction():
        await db.execute(f"INSERT INTO {SPACE}.t VALUES (-1, 'kept')")
        try:
            async with db.transaction():
                await db.execute(f"INSERT INTO {SPACE}.t VALUES (-2, 'undone')")
                raise RuntimeError
        except RuntimeError:
            pass
    rows = await db.fetch(f"DELETE FROM {SPACE}.t WHERE id < 0 RETURNING id")
    return expect([row[0] for row in rows], [-1])


@scenario
async def copy_records_in_and_query_out(db):
    await db.execute(f"CREATE TABLE {SPACE}.c (a int, b text)")
    status = await db.copy_records_to_table("c", schema_name=SPACE, records=[(i, name_of(i)) for i in range(5000)])
    out = io.BytesIO()
    await db.copy_from_query(f"SELECT * FROM {SPACE}.c ORDER BY a", output=out, format="csv")
    back = await db.copy_to_table("c", schema_name=SPACE, source=io.BytesIO(out.getvalue()), format="csv")
    return [status, back, digest(out.getvalue())]


@scenario
async def notifications_arrive(db):
    got = asyncio.Queue()
    await db.add_listener(SPACE, lambda *words: got.put_nowait(words[3]))
    other = await connect()
    await other.execute(f"NOTIFY {SPACE}, 'hello'")
    await other.close()
    return expect(await asyncio.wait_for(got.get(), 10), "hello")


@scenario
async def a_timeout_cancels(db):
    try:
        await db.fetch("SELECT pg_sleep(30)", timeout=0.7)
        raise AssertionError("the statement was not cancelled")
    except asyncio.TimeoutError:
        pass
    return expect(await db.fetchval("SELECT 'on'"), "on")


@scenario
async def cancelling_a_task(db):
    task = asyncio.create_task(db.fetch("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.5)
    task.cancel()
    try:
        await task
        raise AssertionError("the statement was not cancelled")
    except asyncio.CancelledError:
        pass
    return expect(await db.fetchval("SELECT 'on'"), "on")


@scenario
async def a_pool_resets_what_was_set(_db):
    async with asyncpg.create_pool(host=HOST, port=PORT, user=USER, password=PASSWORD, database=DB, ssl=tls(), min_size=2, max_size=4) as pool:
        async def work(number):
            async with pool.acquire() as db:
                await db.execute("SET work_mem = '8MB'")
                return await db.fetchval("SELECT $1::int * 2", number)

        seen = await asyncio.gather(*(work(number) for number in range(40)))
        after_reset = await pool.fetchval("SHOW work_mem")
    expect(after_reset, "4MB")
    return expect(seen, [number * 2 for number in range(40)])


@scenario
async def a_large_value_both_ways(db):
    word = "ü" * 2000000
    row = await db.fetchrow("SELECT $1::text AS word, md5($1) AS sum", word)
    expect(row["word"] == word, True)
    return row["sum"]


@scenario
async def the_schema_is_dropped(db):
    return await db.execute(f"DROP SCHEMA {SPACE} CASCADE")


main()
