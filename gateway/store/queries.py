"""Rows of any stream by number, bed and time, read and decoded on the reader thread."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.model import Minute, Stamp
from gateway.store.lanes import Range
from gateway.store.rows import Row, unpack_form, unpack_minute
from gateway.store.timeline import Window

MAX_TERMS = 500  # of one OR: SQLite parses expressions up to a depth of 1000


_LISTED = (
    "EXISTS (SELECT 1 FROM json_each(?) AS one WHERE boot = json_extract(one.value, '$[0]')"
    " AND mono_ns >= json_extract(one.value, '$[1]') AND mono_ns < json_extract(one.value, '$[2]'))"
)


@dataclass(frozen=True, slots=True)
class Where:
    """Which rows: lo <= seq <= hi, of one bed (None: all), within windows of time (None: any time)."""

    lo: int
    hi: int
    limit: int
    bed: str | None = None
    windows: Sequence[Window] | None = None


def in_windows(windows: Sequence[Window] | None) -> tuple[str, list[object]]:
    """A condition on (boot, mono_ns) and its values; None is any time, no window at all is never."""
    if windows is None:
        return "1", []
    if len(windows) > MAX_TERMS:  # a box that booted hundreds of times in the range: slower, but whole
        listed = json.dumps([(one.boot_id, one.lo_ns, one.hi_ns) for one in windows])
        return _LISTED, [listed]
    terms = " OR ".join("(boot = ? AND mono_ns >= ? AND mono_ns < ?)" for _ in windows)
    return f"({terms or '0'})", [value for one in windows for value in (one.boot_id, one.lo_ns, one.hi_ns)]


def select(db: Any, stream: str, where: Where) -> list[Row]:
    """The rows, lowest number first, decoded."""
    within, values = in_windows(where.windows)
    columns = {"alarm": "'alarm', payload", "summary": "'', x''"}.get(stream, "form, payload")
    sql = (
        f"SELECT seq, bed, boot, mono_ns, {columns} FROM {stream}"  # noqa: S608 - names from this module only
        f" WHERE seq BETWEEN ? AND ? AND (? IS NULL OR bed = ?) AND {within} ORDER BY seq LIMIT ?"
    )
    rows = db.execute(sql, (where.lo, where.hi, where.bed, where.bed, *values, where.limit)).fetchall()
    if stream == "summary":
        return _summaries(db, rows)
    return [
        Row(stream, seq, bed, Stamp(boot, mono_ns), unpack_form(payload, form))
        for seq, bed, boot, mono_ns, form, payload in rows
    ]


def select_ranges(db: Any, stream: str, ranges: Sequence[Range]) -> list[Row]:
    """The rows of ascending ranges of numbers, lowest first."""
    return [row for lo, hi in ranges for row in select(db, stream, Where(lo, hi, hi - lo + 1))]


def bounds(db: Any, stream: str) -> tuple[int, int]:
    """(lowest, highest) number of the stored rows, (0, 0) when there are none."""
    lowest, highest = db.execute(f"SELECT min(seq), max(seq) FROM {stream}").fetchone()  # noqa: S608
    return (lowest or 0, highest or 0)


def tech_and_obs(db: Any, form: str, bed: str | None, limit: int) -> list[bytes]:
    """Payloads of the newest `limit` rows of this form in both streams. Within a boot mono_ns orders them; across
    boots the order of commit in either stream does."""
    found: list[tuple[str, int, int, bytes]] = []
    for stream in ("obs", "tech"):
        sql = (
            f"SELECT boot, mono_ns, seq, payload FROM {stream} WHERE form = ?"  # noqa: S608 - one of two names
            " AND (? IS NULL OR bed = ?) ORDER BY seq DESC LIMIT ?"
        )
        found += db.execute(sql, (form, bed, bed, limit)).fetchall()
    boots = _boots_in_order(db)
    found.sort(key=lambda row: (boots.get(row[0], len(boots)), row[1], row[2]))
    return [payload for _, _, _, payload in found[-limit:]]


def _boots_in_order(db: Any) -> dict[str, int]:
    """Boots by the UTC of their first anchor; one without an anchor is taken for the present one."""
    rows = db.execute("SELECT boot FROM anchor GROUP BY boot ORDER BY min(utc_ns - mono_ns)").fetchall()
    return {boot: place for place, (boot,) in enumerate(rows)}


def _summaries(db: Any, rows: Sequence[Sequence[Any]]) -> list[Row]:
    minutes: dict[int, list[tuple[str, bytes]]] = {}
    sql = (
        "SELECT seq, quantity, payload FROM minute WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq, quantity"
    )
    for seq, quantity, payload in db.execute(sql, (json.dumps([row[0] for row in rows]),)):
        minutes.setdefault(seq, []).append((quantity, payload))
    found = []
    for seq, bed, boot, mono_ns, *_ in rows:
        start = Stamp(boot, mono_ns)
        body: tuple[Minute, ...] = tuple(
            unpack_minute(payload, bed, quantity, start) for quantity, payload in minutes.get(seq, ())
        )
        found.append(Row("summary", seq, bed, start, body))
    return found
