"""What each upstream has yet to get: marks per upstream and stream over the stream tables themselves, no copies.

Live rows are those after the live mark. When a link comes up, what it missed becomes ranges of backlog and the mark
jumps to the head, so that live rows never queue behind old ones. Order is strict within live and within backlog. A row
counts as delivered when `live_acked` or `backlog_acked` says so, which is on PUBACK and nowhere else; what was in
flight at a crash is sent again under the same number. No row knows of upstreams or of the configuration.

Marks change in memory at once and reach the disk with the next group; each database holds the marks of its own streams,
so that marks and rows can only be lost together.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from gateway.store.lanes import Lane, Range
from gateway.store.queries import Where, bounds, select, select_ranges
from gateway.store.rows import STREAMS, Row
from gateway.store.sqlite import Statement
from gateway.store.timeline import FOREVER_NS, Timeline
from gateway.store.writer import Group, Write

Start = Literal["oldest", "head"]
Reader = Callable[[Callable[[Any], Any]], Awaitable[Any]]

_MARK = "INSERT OR REPLACE INTO mark (upstream, stream, live) VALUES (?, ?, ?)"
_ADD = "INSERT INTO backlog (upstream, stream, lo, hi) VALUES (?, ?, ?, ?)"
_REMOVE = "DELETE FROM backlog WHERE upstream = ? AND stream = ? AND lo = ?"
_FORGET = ("DELETE FROM mark WHERE upstream = ?", "DELETE FROM backlog WHERE upstream = ?")


@dataclass(slots=True)
class Shelf:
    """One database as the outbox sees it: its group, its reader, and the heads of its streams.

    low: lowest stored number of each stream when the store was opened. unused: numbers that are no rows.
    """

    group: Group
    read: Reader
    head: Callable[[str], int]
    low: dict[str, int]
    unused: list[Range] = field(default_factory=list)


@dataclass(slots=True)
class _Entry:
    """A lane with the futures of those who wait for its marks to be on disk."""

    lane: Lane
    waiters: list["asyncio.Future[None]"] = field(default_factory=list)
    committing: bool = False


Lanes = dict[tuple[str, str], Lane]


def load_lanes(db: Any) -> Lanes:
    """All marks and ranges of one database, by (upstream, stream)."""
    ranges: dict[tuple[str, str], list[Range]] = {}
    for upstream, stream, lo, hi in db.execute("SELECT upstream, stream, lo, hi FROM backlog"):
        ranges.setdefault((upstream, stream), []).append((lo, hi))
    marks = db.execute("SELECT upstream, stream, live FROM mark").fetchall()
    return {(upstream, stream): Lane(live, ranges.get((upstream, stream), ())) for upstream, stream, live in marks}


class Outbox:
    """Marks of all upstreams. All methods are called on the event loop."""

    def __init__(self, journal: Shelf, alarms: Shelf, lanes: Lanes, timeline: Timeline) -> None:
        self._shelves = {stream: alarms if stream == "alarm" else journal for stream in STREAMS}
        self._entries = {key: _Entry(lane) for key, lane in lanes.items()}
        self._timeline = timeline
        self._loop = asyncio.get_running_loop()
        self._watchers: list[Callable[[str], None]] = []
        for shelf in (journal, alarms):
            shelf.group.sources.append(partial(self._mark_writes, shelf))

    # -- who --------------------------------------------------------------------------------------------------------

    def register(self, upstream: str, *, start: Start = "oldest") -> None:
        """Make an upstream known before its first link, so that it misses nothing; one that is known keeps its marks.
        start: a new one gets all that is stored ("oldest"), or only what comes from now on ("head")."""
        for stream, shelf in self._shelves.items():
            if (upstream, stream) not in self._entries:
                head = shelf.head(stream)
                mark = head if start == "head" else min(head, shelf.low[stream] - 1)
                self._entries[upstream, stream] = _Entry(Lane(mark, saved=False))
                shelf.group.wake()

    def upstreams(self) -> tuple[str, ...]:
        """Every upstream that has marks, whether it is configured now or not."""
        return tuple(sorted({upstream for upstream, _ in self._entries}))

    async def forget(self, upstream: str) -> None:
        """Drop the marks of an upstream that will not come back; the rows stay."""
        for stream in STREAMS:
            self._entries.pop((upstream, stream), None)
        for shelf in {id(shelf): shelf for shelf in self._shelves.values()}.values():
            await shelf.group.run(lambda db: [db.execute(sql, (upstream,)) for sql in _FORGET])

    def watch(self, on_rows: Callable[[str], None]) -> None:
        """Call `on_rows(stream)` on the loop whenever rows of a stream were committed."""
        self._watchers.append(on_rows)

    def committed(self, streams: Iterable[str]) -> None:
        """Told by the store after each commit."""
        for stream in streams:
            for on_rows in self._watchers:
                on_rows(stream)

    def came_late(self, stream: str, seq: int) -> None:
        """Told by the store when a row was stored that the disk had refused at first. Whoever is past it gets it as
        backlog, even where the alarm itself was published before its commit: the number tells the copy."""
        for (_, of), entry in self._entries.items():
            if of == stream:
                entry.lane.came_late(seq)
        self._shelves[stream].group.wake()

    # -- live -------------------------------------------------------------------------------------------------------

    async def live(self, upstream: str, stream: str, limit: int, *, after: int = 0) -> list[Row]:
        """Committed rows after the live mark (and after number `after`, for what is in flight), lowest first."""
        lane, shelf = self._lane(upstream, stream), self._shelves[stream]
        where = Where(max(lane.mark, after) + 1, shelf.head(stream), limit)
        rows: list[Row] = await shelf.read(lambda db: select(db, stream, where))
        return [row for row in rows if row.seq > lane.mark]  # the mark may have moved meanwhile

    def live_acked(self, upstream: str, stream: str, seq: int) -> asyncio.Future[None]:
        """PUBACK: everything live up to `seq` is delivered. An open alarm that was sent again with a number before the
        mark leaves the backlog. The future resolves when that is on disk."""
        self._lane(upstream, stream).live_acked(seq)
        return self._changed(upstream, stream)

    # -- backlog ----------------------------------------------------------------------------------------------------

    async def link_up(self, upstream: str) -> None:
        """Everything not yet acknowledged becomes backlog and the live mark jumps to the head, in every stream."""
        self.register(upstream)
        for stream, shelf in self._shelves.items():
            self._lane(upstream, stream).link_up(shelf.head(stream), shelf.unused)
            shelf.group.wake()

    async def backlog(self, upstream: str, stream: str, max_rows: int, *, after: int = 0) -> list[Row]:
        """The oldest missed rows (after number `after`, for what is in flight), at most `max_rows`."""
        lane, shelf = self._lane(upstream, stream), self._shelves[stream]
        missed = lane.missed(max_rows, after)
        rows: list[Row] = await shelf.read(lambda db: select_ranges(db, stream, missed))
        return [row for row in rows if lane.still_missed(row.seq)]

    def backlog_acked(self, upstream: str, stream: str, seqs: Sequence[int]) -> asyncio.Future[None]:
        """PUBACK: these missed rows are delivered. The future resolves when that is on disk."""
        self._lane(upstream, stream).acked(seqs)
        return self._changed(upstream, stream)

    def waiting(self, upstream: str) -> dict[str, int]:
        """Rows not yet acknowledged, by stream, live and missed together."""
        counts = {}
        for stream, shelf in self._shelves.items():
            lane = self._lane(upstream, stream)
            counts[stream] = lane.waiting + max(0, shelf.head(stream) - lane.mark)
        return counts

    # -- proof and pull ---------------------------------------------------------------------------------------------

    async def manifest(self, upstream: str) -> dict[str, dict[str, int]]:
        """By stream: lo and hi (lowest and highest number stored; hi is the head even when nothing is stored), acked_hi
        (everything up to here is acknowledged), pruned_lo (numbers below are no longer stored), waiting (rows)."""
        found = {}
        waiting = self.waiting(upstream)
        for stream, shelf in self._shelves.items():
            lowest, _ = await shelf.read(partial(bounds, stream=stream))
            head = shelf.head(stream)
            found[stream] = {
                "lo": lowest, "hi": head, "acked_hi": self._lane(upstream, stream).acked_hi,
                "pruned_lo": lowest or head + 1, "waiting": waiting[stream],
            }  # fmt: skip
        return found

    async def range(
        self, stream: str, after_seq: int, limit: int, *, bed: str | None = None, from_utc_ms: int | None = None,
        to_utc_ms: int | None = None, hi: int | None = None,
    ) -> list[Row]:  # fmt: skip
        """Rows with after_seq < seq <= hi, of one bed, from <= UTC < to, lowest number first; for any caller, without
        touching marks. With a bound in time, rows of a boot without any anchor are left out: their time is unknown."""
        windows = None
        if from_utc_ms is not None or to_utc_ms is not None:
            windows = self._timeline.windows(_ns(from_utc_ms), _ns(to_utc_ms))
        where = Where(after_seq + 1, FOREVER_NS if hi is None else hi, limit, bed, windows)
        rows: list[Row] = await self._shelves[stream].read(lambda db: select(db, stream, where))
        return rows

    # -- marks to disk ----------------------------------------------------------------------------------------------

    def _lane(self, upstream: str, stream: str) -> Lane:
        if (upstream, stream) not in self._entries:
            self.register(upstream)
        return self._entries[upstream, stream].lane

    def _changed(self, upstream: str, stream: str) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        self._entries[upstream, stream].waiters.append(future)
        self._shelves[stream].group.wake()
        return future

    def _mark_writes(self, shelf: Shelf) -> list[Write]:
        """Asked by the group before each commit: one write for each lane whose marks the disk does not have."""
        writes = []
        for (upstream, stream), entry in self._entries.items():
            if self._shelves[stream] is shelf and not entry.committing and (entry.lane.dirty or entry.waiters):
                writes.append(self._mark_write(upstream, stream, entry))
        return writes

    def _mark_write(self, upstream: str, stream: str, entry: _Entry) -> Write:
        state, (gone, added) = entry.lane.state, entry.lane.changes()
        waiters, entry.waiters, entry.committing = entry.waiters, [], True
        statements: list[Statement] = [
            *((_REMOVE, (upstream, stream, lo)) for lo, _ in gone),
            *((_ADD, (upstream, stream, lo, hi)) for lo, hi in added),
            (_MARK, (upstream, stream, state[0])),
        ]

        def done(future: asyncio.Future[int]) -> None:
            entry.committing = False
            error = future.exception()
            if error is None:
                entry.lane.saved(state)
            _resolve(waiters, error)
            if entry.lane.dirty or entry.waiters:
                self._shelves[stream].group.wake()

        future: asyncio.Future[int] = self._loop.create_future()
        future.add_done_callback(done)
        return Write(future, lambda _: statements)


def _resolve(waiters: Iterable["asyncio.Future[None]"], error: BaseException | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
            waiter.exception()  # told through Health; the mark itself is kept and tried again


def _ns(utc_ms: int | None) -> int | None:
    return None if utc_ms is None else utc_ms * 1_000_000


