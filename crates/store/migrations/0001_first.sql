-- Points in time are microseconds since 1970-01-01T00:00:00Z. Lists and maps are JSON text, digests hex text:
-- the same statements then run on PostgreSQL, where only this file differs (STRICT, AUTOINCREMENT).

CREATE TABLE sessions (
    sid            TEXT    NOT NULL PRIMARY KEY,
    identity_id    TEXT    NOT NULL,
    identity_name  TEXT    NOT NULL,
    identity_kind  TEXT    NOT NULL CHECK (identity_kind IN ('person', 'service', 'agent')),
    target         TEXT    NOT NULL,
    protocol       TEXT    NOT NULL,
    source         TEXT    NOT NULL,
    recording      TEXT,
    opened         INTEGER NOT NULL,
    closed         INTEGER,
    reason         TEXT,
    ops            INTEGER NOT NULL DEFAULT 0,
    row_count      INTEGER NOT NULL DEFAULT 0,
    denied         INTEGER NOT NULL DEFAULT 0,
    masked         TEXT    NOT NULL DEFAULT '{}',
    revealed       TEXT    NOT NULL DEFAULT '{}',
    CHECK ((closed IS NULL) = (reason IS NULL))
) STRICT;
CREATE INDEX sessions_by_opened ON sessions (opened, sid);
CREATE INDEX sessions_by_identity ON sessions (identity_id, opened);
CREATE INDEX sessions_open ON sessions (opened) WHERE closed IS NULL;

-- A number is never used twice, even after a row was removed: people write numbers into tickets.
CREATE TABLE requests (
    number          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    sid             TEXT    NOT NULL,
    op              INTEGER NOT NULL,
    requester_id    TEXT    NOT NULL,
    requester_name  TEXT    NOT NULL,
    acting_for      TEXT    NOT NULL,
    target          TEXT    NOT NULL,
    effect          TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    statement       TEXT    NOT NULL,
    digest          TEXT    NOT NULL CHECK (length(digest) = 64),
    classes         TEXT    NOT NULL,
    approver_groups TEXT    NOT NULL,
    quorum          INTEGER NOT NULL CHECK (quorum >= 1),
    reason          TEXT    NOT NULL,
    created         INTEGER NOT NULL,
    expires         INTEGER NOT NULL,
    state           TEXT    NOT NULL
        CHECK (state IN ('draft', 'pending', 'approved', 'denied', 'expired', 'withdrawn')),
    settled_at      INTEGER,
    settled_why     TEXT,
    CHECK ((settled_at IS NULL) = (state IN ('draft', 'pending')))
) STRICT;
CREATE INDEX requests_by_created ON requests (created, number);
CREATE INDEX requests_unsettled ON requests (requester_id) WHERE settled_at IS NULL;

CREATE TABLE rulings (
    request       INTEGER NOT NULL REFERENCES requests (number),
    approver_id   TEXT    NOT NULL,
    approver_name TEXT    NOT NULL,
    yes           INTEGER NOT NULL CHECK (yes IN (0, 1)),
    reason        TEXT    NOT NULL,
    ruled_at      INTEGER NOT NULL,
    PRIMARY KEY (request, approver_id)
) STRICT;

-- What may no longer be used: a token (by its id), an identity, a session.
CREATE TABLE revocations (
    kind       TEXT    NOT NULL CHECK (kind IN ('token', 'identity', 'session')),
    subject    TEXT    NOT NULL,
    revoked_at INTEGER NOT NULL,
    revoked_by TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    until      INTEGER,
    PRIMARY KEY (kind, subject)
) STRICT;

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
