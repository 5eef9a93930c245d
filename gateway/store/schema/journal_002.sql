-- The registry (provisioning/registry.py): who lies where and which device hears them. Pseudonyms only, never names.
CREATE TABLE site (
    id       TEXT PRIMARY KEY
) STRICT;
CREATE TABLE room (
    id       TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    site     TEXT REFERENCES site (id)
) STRICT;
CREATE TABLE resident (
    id       TEXT PRIMARY KEY
) STRICT;
CREATE TABLE bed (
    id        TEXT PRIMARY KEY,
    room      TEXT NOT NULL REFERENCES room (id),
    occupants INTEGER NOT NULL,
    profile   TEXT NOT NULL,
    resident  TEXT UNIQUE REFERENCES resident (id)
) STRICT;
CREATE TABLE device (
    id       TEXT PRIMARY KEY,
    family   TEXT NOT NULL,
    model    TEXT NOT NULL,
    link     TEXT NOT NULL,
    bed      TEXT REFERENCES bed (id),
    address  TEXT NOT NULL,
    settings TEXT NOT NULL,
    UNIQUE (link, family, address)
) STRICT;
