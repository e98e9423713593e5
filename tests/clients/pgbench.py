"""pgbench: its own tables, each protocol mode, several clients, and a script with a pipeline."""

import glob
import os
import re
import subprocess
import tempfile

from talk import *  # noqa: F403 - the shared vocabulary of the conversations

PGBENCH = (sorted(glob.glob("/usr/lib/postgresql/*/bin/pgbench")) or ["pgbench"])[-1]


def pgbench(*arguments, status=0):
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    mine["PGPASSWORD"] = PASSWORD
    # pgbench's -d is for debugging in older versions, so the connection string stands as the database's name.
    options = f"-c search_path={SPACE}"
    command = [PGBENCH, *arguments, dsn(options=options)]
    done = subprocess.run(command, capture_output=True, text=True, env=mine, timeout=55)
    if done.returncode != status:
        raise AssertionError(f"pgbench {arguments} ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-1500:]}")
    return done.stdout + done.stderr


def psql(sql):
    mine = dict(os.environ, PGPASSWORD=PASSWORD)
    done = subprocess.run(["psql", "-XAtq", "-d", dsn(), "-c", sql], capture_output=True, text=True, env=mine, timeout=55)
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout.strip()


def processed(text, wanted):
    seen = re.search(r"number of transactions actually processed: (\d+)", text)
    expect(int(seen.group(1)) if seen else text, wanted, "transactions")
    failed = re.search(r"number of failed transactions: (\d+)", text)
    if failed:
        expect(failed.group(1), "0", "failed transactions")
    return wanted


@scenario
def tables_are_made():
    psql(f"DROP SCHEMA IF EXISTS {SPACE} CASCADE; CREATE SCHEMA {SPACE}")
    pgbench("-i", "-s", "1", "-q")
    return expect(psql(f"SELECT count(*), sum(abalance) FROM {SPACE}.pgbench_accounts"), "100000|0")


@scenario
def reading_simple():
    return processed(pgbench("-S", "-n", "-M", "simple", "-c", "4", "-j", "2", "-t", "250"), 1000)


@scenario
def reading_extended():
    return processed(pgbench("-S", "-n", "-M", "extended", "-c", "4", "-j", "2", "-t", "250"), 1000)


@scenario
def reading_prepared():
    return processed(pgbench("-S", "-n", "-M", "prepared", "-c", "4", "-j", "2", "-t", "250"), 1000)


@scenario
def writing_in_each_mode_adds_up():
    for mode in ("simple", "extended", "prepared"):
        processed(pgbench("-n", "-M", mode, "-c", "4", "-j", "2", "-t", "50"), 200)
    sums = psql(f"""SELECT count(*), sum(delta) = (SELECT sum(abalance) FROM {SPACE}.pgbench_accounts),
        sum(delta) = (SELECT sum(bbalance) FROM {SPACE}.pgbench_branches),
        sum(delta) = (SELECT sum(tbalance) FROM {SPACE}.pgbench_tellers) FROM {SPACE}.pgbench_history""")
    return expect(sums, "600|t|t|t")


@scenario
def a_new_connection_for_each_transaction():
    return processed(pgbench("-S", "-n", "-C", "-c", "2", "-t", "10"), 20)


@scenario
def a_pipeline():
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("\\startpipeline\n" + "SELECT abalance FROM pgbench_accounts WHERE aid = 1;\n" * 20 + "\\endpipeline\n")
        script.flush()
        for mode in ("extended", "prepared"):
            processed(pgbench("-n", "-M", mode, "-f", script.name, "-c", "2", "-t", "50"), 100)
    return 200


@scenario
def tables_are_dropped():
    return psql(f"DROP SCHEMA {SPACE} CASCADE")


main()
