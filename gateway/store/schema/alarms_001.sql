-- alarms.db: small, written with synchronous=FULL, each transition in a transaction of its own.
-- Index columns hold no values; what an alarm says lives in `payload` alone, so that it can be sealed.

-- One row for each transition of an alarm: the upstream stream "alarm".
CREATE TABLE alarm (
    seq     INTEGER PRIMARY KEY,
    id      TEXT    NOT NULL,
    rev     INTEGER NOT NULL,
    bed     TEXT,
    boot    TEXT    NOT NULL,
    mono_ns INTEGER NOT NULL,
    payload BLOB    NOT NULL
) STRICT;
CREATE INDEX alarm_id ON alarm (id, rev);
CREATE INDEX alarm_time ON alarm (boot, mono_ns);

-- The newest transition of each alarm. progress: the same revision once its delivery has got further (published,
-- received by a platform), which is no transition and no news for anybody; NULL before.
CREATE TABLE alarm_now (
    id       TEXT    PRIMARY KEY,
    seq      INTEGER NOT NULL,
    rev      INTEGER NOT NULL,
    bed      TEXT,
    is_open  INTEGER NOT NULL,
    progress BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX alarm_open ON alarm_now (seq) WHERE is_open = 1;
CREATE INDEX alarm_newest ON alarm_now (seq);

-- Commands are committed before they act; the same key again gets the first answer.
CREATE TABLE command (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    key     TEXT    NOT NULL UNIQUE,
    verb    TEXT    NOT NULL,
    boot    TEXT    NOT NULL,
    mono_ns INTEGER NOT NULL,
    payload BLOB    NOT NULL,
    answer  BLOB
) STRICT;

-- head: the last number that may have been given out (numbers are reserved ahead in blocks), checked: up to here every
-- number is either a row of `alarm` or in `unused`.
CREATE TABLE stream (
    name    TEXT    PRIMARY KEY,
    head    INTEGER NOT NULL,
    checked INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO stream (name, head) VALUES ('alarm', 0);

-- Numbers that a crash burnt: they never were a row and never will be.
CREATE TABLE unused (
    stream  TEXT    NOT NULL,
    lo      INTEGER NOT NULL,
    hi      INTEGER NOT NULL,
    PRIMARY KEY (stream, lo)
) STRICT, WITHOUT ROWID;

-- Where the streams of the *other* database start should that file be lost: sequence numbers never go back.
CREATE TABLE floor (
    stream  TEXT    PRIMARY KEY,
    seq     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What each upstream has acknowledged: everything up to `live` except the ranges in `backlog`.
CREATE TABLE mark (
    upstream TEXT   NOT NULL,
    stream  TEXT    NOT NULL,
    live    INTEGER NOT NULL,
    PRIMARY KEY (upstream, stream)
) STRICT, WITHOUT ROWID;
CREATE TABLE backlog (
    upstream TEXT   NOT NULL,
    stream  TEXT    NOT NULL,
    lo      INTEGER NOT NULL,
    hi      INTEGER NOT NULL,
    PRIMARY KEY (upstream, stream, lo)
) STRICT, WITHOUT ROWID;
