-- journal.db: everything but alarms. Rows are written in groups.
-- Index columns (seq, bed, name, boot, mono_ns) hold no values; these live in `payload` alone, so that it can be sealed.
-- Time indexes lead with (boot, mono_ns) and not with the bed: new rows then touch one page at the end of the index
-- instead of one page for each bed, which would be most of a day's wear.

-- Stream "obs": spot measurements, and events about a person (form: measurement, event).
CREATE TABLE obs (
    seq     INTEGER PRIMARY KEY,
    form    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    bed     TEXT,
    device  TEXT,
    boot    TEXT    NOT NULL,
    mono_ns INTEGER NOT NULL,
    payload BLOB    NOT NULL
) STRICT;
CREATE INDEX obs_time ON obs (boot, mono_ns, bed);

-- Stream "tech": events about the box and its devices, and gaps (form: event, gap).
CREATE TABLE tech (
    seq     INTEGER PRIMARY KEY,
    form    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    bed     TEXT,
    device  TEXT,
    boot    TEXT    NOT NULL,
    mono_ns INTEGER NOT NULL,
    payload BLOB    NOT NULL
) STRICT;
CREATE INDEX tech_time ON tech (boot, mono_ns, bed);
CREATE INDEX tech_gap ON tech (seq) WHERE form = 'gap';

-- Stream "summary": one number for each minute of a bed; its quantities are the rows of `minute` with that number.
CREATE TABLE summary (
    seq     INTEGER PRIMARY KEY,
    bed     TEXT    NOT NULL,
    boot    TEXT    NOT NULL,
    mono_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX summary_time ON summary (boot, mono_ns, bed);
CREATE TABLE minute (
    seq      INTEGER NOT NULL REFERENCES summary (seq) ON DELETE CASCADE,
    quantity TEXT    NOT NULL,
    payload  BLOB    NOT NULL,
    PRIMARY KEY (seq, quantity)
) STRICT, WITHOUT ROWID;

-- How boot time and UTC relate, several for each boot.
CREATE TABLE anchor (
    boot           TEXT    NOT NULL,
    mono_ns        INTEGER NOT NULL,
    utc_ns         INTEGER NOT NULL,
    uncertainty_ns INTEGER NOT NULL,
    source         TEXT    NOT NULL,
    PRIMARY KEY (boot, mono_ns)
) STRICT, WITHOUT ROWID;

-- Bytes that were not understood: counted by device and reason, the last few kept in a ring of slots.
CREATE TABLE rejected (
    device  TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    count   INTEGER NOT NULL,
    boot    TEXT    NOT NULL,
    mono_ns INTEGER NOT NULL,
    slot    INTEGER NOT NULL,
    PRIMARY KEY (device, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE rejected_bytes (
    device  TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    slot    INTEGER NOT NULL,
    payload BLOB    NOT NULL,
    PRIMARY KEY (device, reason, slot)
) STRICT, WITHOUT ROWID;

-- State that belongs to no table of its own: revisioned settings, the rule engine's pending timers.
CREATE TABLE setting (
    key     TEXT    PRIMARY KEY,
    rev     INTEGER NOT NULL,
    payload BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- head: the last number given out.
CREATE TABLE stream (
    name    TEXT    PRIMARY KEY,
    head    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO stream (name, head) VALUES ('obs', 0), ('summary', 0), ('tech', 0);

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
