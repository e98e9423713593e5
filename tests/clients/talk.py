"""What every conversation in Python shares: where to go, scenarios, and telling how they went.

A scenario is a function that raises when what it sees is wrong and returns what it saw, for a conversation through the
gateway to be held against one without it. It therefore returns nothing that differs from run to run (no object
identifiers, process numbers or times).
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
import traceback

HOST = os.environ["HOST"]
PORT = int(os.environ["PORT"])
DB = os.environ["DB"]
USER = os.environ["USER"]
PASSWORD = os.environ["PASSWORD"]
SSLMODE = os.environ["SSLMODE"]
CA = os.environ["CA"]
MAJOR = int(os.environ["MAJOR"])
GATEWAY = os.environ["VIA"] == "gateway"
SPACE = os.environ["SPACE"]
# Servers before 17 have no direct TLS; the gateway has it whatever stands behind it.
DIRECT_TLS = SSLMODE != "disable" and (MAJOR >= 17 or GATEWAY)
SCENARIO_SECONDS = 60

# The values of the session's table, known to the checks below; every kind of character a text can hold but NUL.
ROWS = 2000
NAMES = ["Ann", "Bjørn", "Çelik", "李雷", "O'Hara", 'qu"ote', "back\\slash", "tab\there", "new\nline", "", "🏥"]

_scenarios = []


class Skip(Exception):
    """This scenario cannot be tried here, for the reason given."""


def scenario(function):
    _scenarios.append(function)
    return function


def scenario_if(there):
    """A scenario of something that this client, or this server, may not have at all."""
    return scenario if there else lambda function: function


def dsn(**more):
    """A libpq connection string."""
    words = {"host": HOST, "port": PORT, "dbname": DB, "user": USER, "sslmode": SSLMODE, "connect_timeout": 20}
    if SSLMODE != "disable":
        words["sslrootcert"] = CA
    words.update(more)
    return " ".join(f"{name}='{value}'" for name, value in words.items())


def expect(seen, wanted, what="value"):
    if seen != wanted:
        raise AssertionError(f"{what}: saw {seen!r}, wanted {wanted!r}")
    return seen


def digest(data):
    if isinstance(data, str):
        data = data.encode()
    return hashlib.sha256(data).hexdigest()


def after(seconds, action):
    """Does `action` on another thread after a while."""
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()
    return timer


def name_of(number):
    return NAMES[number % len(NAMES)]


def _tell(**line):
    sys.stdout.write(json.dumps(line, ensure_ascii=True, default=str) + "\n")
    sys.stdout.flush()


class _Late(Exception):
    pass


def _late(_signal, _frame):
    raise _Late(f"took longer than {SCENARIO_SECONDS} s")


def main():
    signal.signal(signal.SIGALRM, _late)
    for function in _scenarios:
        name = function.__name__
        start = time.monotonic()
        signal.alarm(SCENARIO_SECONDS)
        try:
            value = function()
            _tell(name=name, ok=True, value=value, seconds=round(time.monotonic() - start, 3))
        except Skip as reason:
            _tell(name=name, skip=str(reason))
        except BaseException as error:  # noqa: BLE001 - whatever it was, it is the scenario's failure
            where = "".join(traceback.format_tb(error.__traceback__)[-2:]).strip()
            _tell(name=name, ok=False, error=f"{type(error).__name__}: {error}\n{where}")
        finally:
            signal.alarm(0)
    _tell(done=len(_scenarios))
