"""libpq of PostgreSQL 18, as the psycopg wheel ships it, called by ctypes: logging in with OAUTHBEARER and a token of
ours, direct TLS negotiation, and protocol 3.2 asked for."""

import ctypes
import glob
import os
import sysconfig

from talk import *  # noqa: F403 - the shared vocabulary of the conversations


def load():
    import psycopg.pq  # noqa: F401 - loads the wheel's libraries, and with them what its libpq needs

    folder = os.path.join(sysconfig.get_paths()["platlib"], "psycopg_binary.libs")
    found = glob.glob(os.path.join(folder, "libpq-*.so*"))
    if not found:
        raise Skip("the psycopg wheel ships no libpq of its own here")
    lib = ctypes.CDLL(found[0])
    lib.PQconnectdbParams.restype = ctypes.c_void_p
    lib.PQerrorMessage.restype = ctypes.c_char_p
    lib.PQexec.restype = ctypes.c_void_p
    lib.PQgetvalue.restype = ctypes.c_char_p
    for name in ("PQstatus", "PQerrorMessage", "PQfinish", "PQsslInUse", "PQfullProtocolVersion"):
        if hasattr(lib, name):
            getattr(lib, name).argtypes = [ctypes.c_void_p]
    lib.PQexec.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    lib.PQgetvalue.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    if lib.PQlibVersion() < 180000:
        raise Skip(f"the psycopg wheel ships libpq {lib.PQlibVersion()}")
    return lib


class BearerRequest(ctypes.Structure):
    """PGoauthBearerRequest of libpq-fe.h."""


ASYNC = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(BearerRequest), ctypes.c_void_p)
CLEANUP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(BearerRequest))
BearerRequest._fields_ = [
    ("openid_configuration", ctypes.c_char_p), ("scope", ctypes.c_char_p), ("start", ASYNC), ("cleanup", CLEANUP),
    ("token", ctypes.c_char_p), ("user", ctypes.c_void_p),
]
HOOK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
PQAUTHDATA_OAUTH_BEARER_TOKEN = 1


def connect(lib, **words):
    base = {"host": HOST, "port": str(PORT), "dbname": DB, "user": USER, "sslmode": SSLMODE, "sslrootcert": CA, "connect_timeout": "20"}
    base.update(words)
    names = (ctypes.c_char_p * (len(base) + 1))(*[name.encode() for name in base], None)
    values = (ctypes.c_char_p * (len(base) + 1))(*[word.encode() for word in base.values()], None)
    db = lib.PQconnectdbParams(names, values, 0)
    if lib.PQstatus(db) != 0:
        words = lib.PQerrorMessage(db).decode()
        lib.PQfinish(db)
        raise ConnectionError(words)
    return db


def ask(lib, db, sql):
    return lib.PQgetvalue(lib.PQexec(db, sql.encode()), 0, 0).decode()


def with_bearer(lib, token, work):
    asked = []

    def hook(kind, _connection, data):
        if kind != PQAUTHDATA_OAUTH_BEARER_TOKEN:
            return 0
        request = ctypes.cast(data, ctypes.POINTER(BearerRequest))
        asked.append((request.contents.openid_configuration or b"").decode())
        request.contents.token = token
        return 1

    kept = HOOK(hook)
    lib.PQsetAuthDataHook.argtypes = [HOOK]
    lib.PQsetAuthDataHook(kept)
    try:
        return work(), asked
    finally:
        lib.PQsetAuthDataHook(HOOK())


def bearer_words():
    """libpq says to nobody that it has an issuer configured, and takes no other way to log in then: `options` says it."""
    issuer = os.environ.get("ISSUER", "https://vestibule.invalid")
    return {"oauth_issuer": issuer, "oauth_client_id": "libpq", "require_auth": "oauth", "options": f"-c vestibule.oauth={issuer}"}


@scenario
def a_password_over_tls():
    lib = load()
    db = connect(lib, password=PASSWORD)
    seen = ask(lib, db, "SELECT 'on'")
    expect(bool(lib.PQsslInUse(db)), SSLMODE != "disable", "TLS")
    lib.PQfinish(db)
    return expect(seen, "on")


@scenario_if(DIRECT_TLS)
def direct_tls_negotiation():
    lib = load()
    db = connect(lib, password=PASSWORD, sslnegotiation="direct")
    seen = ask(lib, db, "SELECT 'on'")
    lib.PQfinish(db)
    return expect(seen, "on")


@scenario
def protocol_3_2_is_asked_for():
    lib = load()
    db = connect(lib, password=PASSWORD, max_protocol_version="latest")
    version = lib.PQfullProtocolVersion(db)
    seen = ask(lib, db, "SELECT 'on'")
    lib.PQfinish(db)
    expect(version in (30000, 30002), True, f"version {version}")
    return expect(seen, "on")


@scenario_if(GATEWAY)
def a_bearer_token():
    lib = load()
    how = bearer_words()

    def work():
        db = connect(lib, **how)
        seen = ask(lib, db, "SELECT 'on'")
        lib.PQfinish(db)
        return seen

    seen, _ = with_bearer(lib, PASSWORD.encode(), work)
    return expect(seen, "on")


@scenario_if(GATEWAY)
def a_wrong_bearer_token_is_refused():
    lib = load()
    how = bearer_words()
    try:
        with_bearer(lib, b"bm90LmEudG9rZW4", lambda: connect(lib, **how))
    except ConnectionError as error:
        expect("bm90LmEudG9rZW4" in str(error), False, "the token in the error")
        return True
    raise AssertionError("a wrong token was taken")


main()
