"""journal.db: everything but alarms, enqueued on the loop, committed in groups, read on a thread of its own.

Every write returns a future that resolves when the row is committed and synced; it carries the row's number in its
stream (0 for what has none) or StoreError when the row was not kept, which is then counted as a Gap.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.core.clock import Anchor, Clock
from gateway.core.model import Event, Gap, Measurement, Minute, Stamp
from gateway.store.losses import Losses
from gateway.store.queries import in_windows, tech_and_obs
from gateway.store.rows import PLAIN, pack, pack_minute, stream_of, unpack, unpack_minute
from gateway.store.sqlite import Statement
from gateway.store.timeline import Timeline, Window
from gateway.store.writer import Group, Write

RAW_KEPT = 8  # rejected readings kept of each device and reason; also in _REJECTED
RAW_BYTES = 256  # of each: longer than any frame whose format is to be understood from it

T = TypeVar("T")
Read = Callable[[Callable[[Any], T]], Awaitable[T]]

_FACT = "INSERT INTO {stream} (seq, form, name, bed, device, boot, mono_ns, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT = {stream: _FACT.format(stream=stream) for stream in ("obs", "tech")}
_SUMMARY = "INSERT INTO summary (seq, bed, boot, mono_ns) VALUES (?, ?, ?, ?)"
_MINUTE = "INSERT INTO minute (seq, quantity, payload) VALUES (?, ?, ?)"
_ANCHOR = "INSERT OR REPLACE INTO anchor (boot, mono_ns, utc_ns, uncertainty_ns, source) VALUES (?, ?, ?, ?, ?)"
_SETTING = (
    "INSERT INTO setting (key, rev, payload) VALUES (?, 1, ?)"
    " ON CONFLICT (key) DO UPDATE SET rev = rev + 1, payload = excluded.payload"
)
_REJECTED = (
    "INSERT INTO rejected (device, reason, count, boot, mono_ns, slot) VALUES (?, ?, ?, ?, ?, 0)"
    " ON CONFLICT (device, reason) DO UPDATE SET count = count + excluded.count, boot = excluded.boot,"
    " mono_ns = excluded.mono_ns, slot = (slot + 1) % 8"
)
_REJECTED_BYTES = (
    "INSERT OR REPLACE INTO rejected_bytes (device, reason, slot, payload)"
    " SELECT device, reason, slot, ? FROM rejected WHERE device = ? AND reason = ?"
)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Bytes of one device that were not understood: how often, last when, and the last few of them, newest first."""

    device: str
    reason: str
    count: int
    last: Stamp
    raw: tuple[bytes, ...]


class Journal:
    """The facts of the house. All methods are called on the event loop."""

    def __init__(self, group: Group, read: Callable[[Callable[[Any], Any]], Awaitable[Any]], clock: Clock,
                 losses: Losses, timeline: Timeline) -> None:  # fmt: skip
        self._group = group
        self._read = read
        self._clock = clock
        self._losses = losses
        self._timeline = timeline
        self._loop = asyncio.get_running_loop()
        group.sources.append(self._loss_writes)

    # -- writing ------------------------------------------------------------------------------------------------------

    def bed_minute(self, bed: str, start: Stamp, minutes: Sequence[Minute]) -> asyncio.Future[int]:
        """One row of stream "summary" with all quantities of the bed's minute."""
        columns = [(minute.quantity, pack_minute(minute)) for minute in minutes]
        when = (bed, start.boot_id, start.mono_ns)

        def statements(seq: int) -> list[Statement]:
            return [(_SUMMARY, (seq, *when)), *((_MINUTE, (seq, *column)) for column in columns)]

        return self._group.add(self._write(statements, "summary", Gap("summary", "", start, 1, bed)))

    def observation(self, measurement: Measurement) -> asyncio.Future[int]:
        """One spot measurement, a row of stream "obs"."""
        return self._fact("obs", "measurement", measurement.quantity, measurement)

    def event(self, event: Event) -> asyncio.Future[int]:
        """One event: a row of "tech" or "obs", as `rows.stream_of` decides."""
        return self._fact(stream_of(event), "event", event.kind, event)

    def gap(self, gap: Gap) -> asyncio.Future[int]:
        """Data that will never come: a row of stream "tech"; itself never lost, at worst merged with its like."""
        return self._group.add(self._gap_write(gap))

    def rejected(self, device: str, reason: str, raw: bytes, count: int) -> asyncio.Future[int]:
        """Count bytes that were not understood, and keep the last few."""
        at = self._clock.now()
        statements = [
            (_REJECTED, (device, reason, count, at.boot_id, at.mono_ns)),
            (_REJECTED_BYTES, (PLAIN + raw[:RAW_BYTES], device, reason)),
        ]
        return self._group.add(self._write(lambda _: statements, "", Gap("rejected", "", at, count, None, device)))

    def anchor(self, anchor: Anchor) -> asyncio.Future[int]:
        """How boot time and UTC relate now; known to `Store.utc` at once."""
        self._timeline.add(anchor)
        values = (anchor.boot_id, anchor.mono_ns, anchor.utc_ns, anchor.uncertainty_ns, anchor.source)
        return self._group.add(self._write(lambda _: [(_ANCHOR, values)]))

    def set_setting(self, key: str, value: bytes) -> asyncio.Future[int]:
        """Keep `value` under `key`; its revision rises by one."""
        return self._group.add(self._write(lambda _: [(_SETTING, (key, PLAIN + value))]))

    def _fact(self, stream: str, form: str, name: str, fact: Measurement | Event | Gap) -> asyncio.Future[int]:
        return self._group.add(self._fact_write(stream, form, name, fact))

    def _fact_write(self, stream: str, form: str, name: str, fact: Measurement | Event | Gap) -> Write:
        values = (form, name, fact.bed, fact.device, fact.at.boot_id, fact.at.mono_ns, pack(fact))
        loss = fact if isinstance(fact, Gap) else Gap(stream, "", fact.at, 1, fact.bed)
        return self._write(lambda seq: [(_INSERT[stream], (seq, *values))], stream, loss)

    def _gap_write(self, gap: Gap) -> Write:
        return self._fact_write("tech", "gap", gap.what, gap)

    def _write(
        self, statements: Callable[[int], Sequence[Statement]], stream: str = "", loss: Gap | None = None
    ) -> Write:
        return Write(self._loop.create_future(), statements, stream, loss)

    def _loss_writes(self) -> list[Write]:
        return [self._gap_write(gap) for gap in self._losses.take()]

    # -- reading: what is committed -----------------------------------------------------------------------------------

    async def setting(self, key: str) -> bytes | None:
        """The committed value of `key`, None when it was never set."""
        revision = await self.setting_rev(key)
        return revision[1] if revision else None

    async def setting_rev(self, key: str) -> tuple[int, bytes] | None:
        """(revision, value) of `key`, None when it was never set."""

        def work(db: Any) -> tuple[int, bytes] | None:
            row = db.execute("SELECT rev, payload FROM setting WHERE key = ?", (key,)).fetchone()
            return (row[0], row[1][1:]) if row else None

        found: tuple[int, bytes] | None = await self._read(work)
        return found

    async def minutes(
        self, bed: str, quantity: str, from_: Stamp | None, to: Stamp | None, limit: int
    ) -> list[Minute]:
        """The newest `limit` minutes with from_ <= start < to, in order of time; the two may be of any boot."""
        where, values = in_windows(self._windows(from_, to))
        sql = (
            "SELECT boot, mono_ns, minute.payload FROM summary JOIN minute USING (seq)"  # noqa: S608 - no value in it
            f" WHERE bed = ? AND quantity = ? AND {where} ORDER BY seq DESC LIMIT ?"
        )

        def work(db: Any) -> list[Minute]:
            rows = db.execute(sql, (bed, quantity, *values, limit)).fetchall()
            return [unpack_minute(payload, bed, quantity, Stamp(boot, ns)) for boot, ns, payload in reversed(rows)]

        found: list[Minute] = await self._read(work)
        return found

    async def gaps(
        self, limit: int, *, bed: str | None = None, from_: Stamp | None = None, to: Stamp | None = None
    ) -> list[Gap]:
        """The newest `limit` gaps, in order of their commit."""
        where, values = in_windows(self._windows(from_, to))
        sql = (
            "SELECT payload FROM tech WHERE form = 'gap'"  # noqa: S608 - no value in it
            f" AND (? IS NULL OR bed = ?) AND {where} ORDER BY seq DESC LIMIT ?"
        )
        rows = await self._read(lambda db: db.execute(sql, (bed, bed, *values, limit)).fetchall())
        return [unpack(payload, Gap) for (payload,) in reversed(rows)]

    async def events(self, limit: int, *, bed: str | None = None) -> list[Event]:
        """The newest `limit` events of both streams, in order of time."""
        rows = await self._read(lambda db: tech_and_obs(db, "event", bed, limit))
        return [unpack(payload, Event) for payload in rows]

    async def observations(
        self, limit: int, *, bed: str | None = None, quantity: str | None = None
    ) -> list[Measurement]:
        """The newest `limit` spot measurements, in order of their commit."""
        sql = (
            "SELECT payload FROM obs WHERE form = 'measurement' AND (? IS NULL OR bed = ?)"
            " AND (? IS NULL OR name = ?) ORDER BY seq DESC LIMIT ?"
        )
        rows = await self._read(lambda db: db.execute(sql, (bed, bed, quantity, quantity, limit)).fetchall())
        return [unpack(payload, Measurement) for (payload,) in reversed(rows)]

    async def rejections(self) -> list[Rejection]:
        """What was not understood, by device and reason."""
        found: list[Rejection] = await self._read(_rejections)
        return found

    async def counts(self) -> dict[str, int]:
        """Rows by stream, gaps, and rejected readings, as committed."""
        found: dict[str, int] = await self._read(_counts)
        return found

    def _windows(self, from_: Stamp | None, to: Stamp | None) -> list[Window] | None:
        """None when no bound is given: then rows of boots without an anchor are meant too."""
        if from_ is None and to is None:
            return None
        utc = [None if at is None else self._timeline.utc_ns(at) for at in (from_, to)]
        if (from_ is not None and utc[0] is None) or (to is not None and utc[1] is None):
            return self._same_boot(from_, to)
        return self._timeline.windows(utc[0], utc[1])

    def _same_boot(self, from_: Stamp | None, to: Stamp | None) -> list[Window]:
        """A boot without an anchor has no UTC: its stamps compare among themselves only."""
        boot = (from_ or to or self._clock.now()).boot_id
        lo_ns = from_.mono_ns if from_ and from_.boot_id == boot else 0
        hi_ns = to.mono_ns if to and to.boot_id == boot else 2**62
        return [Window(boot, lo_ns, hi_ns)]


def _rejections(db: Any) -> list[Rejection]:
    found = []
    for device, reason, count, boot, mono_ns, slot in db.execute(
        "SELECT device, reason, count, boot, mono_ns, slot FROM rejected ORDER BY device, reason"
    ).fetchall():
        raw = dict(
            db.execute("SELECT slot, payload FROM rejected_bytes WHERE device = ? AND reason = ?", (device, reason))
        )
        newest_first = [raw[(slot - back) % RAW_KEPT] for back in range(RAW_KEPT) if (slot - back) % RAW_KEPT in raw]
        found.append(
            Rejection(device, reason, count, Stamp(boot, mono_ns), tuple(payload[1:] for payload in newest_first))
        )
    return found


def _counts(db: Any) -> dict[str, int]:
    counts = {}
    for stream in ("obs", "summary", "tech"):
        (lowest, highest) = db.execute(f"SELECT min(seq), max(seq) FROM {stream}").fetchone()  # noqa: S608
        counts[stream] = 0 if lowest is None else highest - lowest + 1
    counts["gap"] = db.execute("SELECT count(*) FROM tech WHERE form = 'gap'").fetchone()[0]
    counts["rejected"] = db.execute("SELECT coalesce(sum(count), 0) FROM rejected").fetchone()[0]
    return counts
