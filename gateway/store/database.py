"""The store as the daemon holds it: both databases, one writer thread, one reader thread.

`alarms.db` and `journal.db` each know where the other's sequence numbers stand (table `floor`), so that a file that was
lost or put aside as damaged never makes a number come twice.
"""

import asyncio
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from gateway.core.clock import Anchor, Clock
from gateway.core.errors import StoreBusyError, StoreError
from gateway.core.model import Event, Gap, Stamp
from gateway.store import reserve
from gateway.store.alarms import AlarmStore, Numbers, open_numbers
from gateway.store.journal import Journal
from gateway.store.losses import Losses
from gateway.store.outbox import Lanes, Outbox, Shelf, load_lanes
from gateway.store.queries import bounds
from gateway.store.rows import JOURNAL_STREAMS
from gateway.store.sqlite import Opened, SqliteFile, hint_of, open_file, open_reader, store_error
from gateway.store.timeline import Timeline
from gateway.store.writer import Group, Health, Write

log = logging.getLogger(__name__)

T = TypeVar("T")
FileName = Literal["journal", "alarms"]

GROUP_S = 1.0  # real seconds: at 200 rows/s 0.9 kB written a row, WAL and checkpoint together (measured)
JOURNAL_STEP = 1 << 20  # the floor of a journal stream is raised in steps: one more write in a million rows
ALARM_STEP = 1 << 12
LOST_BOTH_SHIFT = 20  # with both files gone numbers start at UTC seconds << 20: above all that counting ever reached
_FLOOR = "INSERT OR REPLACE INTO floor (stream, seq) VALUES (?, ?)"


@dataclass(frozen=True, slots=True)
class _Found:
    """What the writer thread hands to the loop after opening."""

    journal: Opened
    alarms: Opened
    numbers: Numbers
    heads: dict[str, int]
    lows: dict[str, int]
    lanes: Lanes
    anchors: list[Anchor]


class Store:
    """Everything the box keeps. Open it on the running loop; close it last."""

    def __init__(self, found: _Found, clock: Clock, threads: "_Threads", group_s: float, health: Health) -> None:
        self._clock = clock
        self._threads = threads
        self._files = {"journal": found.journal.file, "alarms": found.alarms.file}
        self._losses = Losses()
        self._timeline = Timeline(found.anchors)
        self._floors: dict[str, int] = {}
        self._closed = False
        self.health = health
        group = partial(Group, threads.writer, health=health, group_s=group_s, note_loss=self._note_loss)
        self._groups = {
            "journal": group(file=found.journal.file, heads=found.heads),
            "alarms": group(file=found.alarms.file, heads={}),
        }
        self.journal = Journal(self._groups["journal"], self._reader("journal"), clock, self._losses, self._timeline)
        self.alarms = AlarmStore(
            self._groups["alarms"], self._reader("alarms"), clock, found.numbers, self._note_loss
        )
        self.outbox = self._make_outbox(found)
        self.findings = tuple(self._report(found))
        self._connect_groups()

    @classmethod
    async def open(
        cls, directory: Path, clock: Clock, *, group_s: float = GROUP_S,
        on_trouble: Callable[[str], None] | None = None, on_recovered: Callable[[], None] | None = None,
    ) -> "Store":  # fmt: skip
        """Check, mend or put aside, migrate and open both databases in `directory`, which is made if need be.

        on_trouble(reason) is called once when rows can no longer be kept ("disk_full", ...), on_recovered() once when
        they can. `findings` then holds a box_trouble event for each file put aside, for the daemon to tell the house.
        StoreError: another process has the store, a database is newer than this code, or it cannot be opened at all.
        """
        threads = _Threads()
        health = Health()
        health.on_trouble = on_trouble or health.on_trouble
        health.on_recovered = on_recovered or health.on_recovered
        aside = datetime.fromtimestamp(clock.anchor().utc_ns // 10**9, tz=UTC)
        try:
            found = await threads.write(lambda: _open_with_reserve(directory, aside))
            threads.lock = found[1]
            return cls(found[0], clock, threads, group_s, health)
        except BaseException:
            threads.stop()
            raise

    async def close(self) -> None:
        """Commit what has gathered, give back unused alarm numbers, and close both databases. What the disk still
        refuses then is lost with the process; its futures and the log say so. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for group in self._groups.values():
            await group.flush()
        await self.alarms.close()
        for group in self._groups.values():
            await group.flush()
            group.close()
        self._say_what_is_lost()
        await self._threads.read(self._threads.close_readers)
        await self._threads.write(self._close_files)
        self._threads.stop()

    async def flush(self) -> None:
        """Commit what has gathered so far without waiting for the interval."""
        for group in self._groups.values():
            await group.flush()

    async def utc(self, stamps: Sequence[Stamp]) -> list[int | None]:
        """UTC of each stamp in ns since 1970, of any boot; None where its boot left no anchor."""
        return [self._timeline.utc_ns(at) for at in stamps]

    def anchor_of(self, at: Stamp) -> Anchor | None:
        """The anchor that times `at`: the nearest of its boot, one with a time source before one without."""
        return self._timeline.anchor_of(at)

    async def read(self, file: FileName, work: Callable[[Any], T]) -> T:
        """`work(db)` on the read-only connection, a `sqlite_utils.Database`, on the reader thread."""
        try:
            return await self._threads.read(lambda: work(self._threads.reader(self._files[file])))
        except sqlite3.Error as error:
            raise store_error(error, f"{file}.db could not be read") from error

    def write(self, file: FileName, work: Callable[[Any], T]) -> asyncio.Future[T]:
        """`work(db)` in a transaction of its own on the writer thread; for what is rare, such as the registry."""
        return self._groups[file].run(work)

    def _say_what_is_lost(self) -> None:
        """The last chance: with the process even the memory of these losses goes."""
        lost = [f"{gap.lost} of {gap.what}" for gap in self._losses.take()]
        if self.alarms.unsaved:
            lost.append(f"{self.alarms.unsaved} transitions of alarms")
        if lost:
            log.critical("closed without keeping %s (%s)", ", ".join(lost), hint_of(self.health.reason))

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()

    def _reader(self, file: FileName) -> Callable[[Callable[[Any], Any]], Any]:
        return partial(self.read, file)

    def _make_outbox(self, found: _Found) -> Outbox:
        journal = Shelf(
            self._groups["journal"], self._reader("journal"), lambda stream: self._groups["journal"].heads[stream],
            found.lows,
        )  # fmt: skip
        alarms = Shelf(
            self._groups["alarms"], self._reader("alarms"), lambda _: self.alarms.head, found.lows, self.alarms.unused
        )
        return Outbox(journal, alarms, found.lanes, self._timeline)

    def _connect_groups(self) -> None:
        self._groups["journal"].sources.append(lambda: self._raise_floors({"alarm": self.alarms.reserved}, ALARM_STEP))
        self._groups["alarms"].sources.append(lambda: self._raise_floors(self._groups["journal"].heads, JOURNAL_STEP))
        self._groups["journal"].after_commit = self._journal_committed
        self.alarms.on_stored = self._alarm_stored
        for group in self._groups.values():
            group.wake()

    def _journal_committed(self, streams: frozenset[str]) -> None:
        heads = self._groups["journal"].heads
        if any(heads[stream] + JOURNAL_STEP // 2 > self._floors.get(stream, 0) for stream in streams):
            self._groups["alarms"].wake()
        self.outbox.committed(streams)

    def _alarm_stored(self, seq: int, late: bool) -> None:
        if late:
            self.outbox.came_late("alarm", seq)
        self.outbox.committed(("alarm",))

    def _raise_floors(self, reached: dict[str, int], step: int) -> list[Write]:
        """Tell this database how far the other's numbers may go before it must be told again."""
        loop = asyncio.get_running_loop()
        writes = []
        for stream, seq in reached.items():
            if seq + step // 2 > self._floors.get(stream, 0):
                floor = (seq // step + 2) * step
                future: asyncio.Future[int] = loop.create_future()
                future.add_done_callback(partial(self._floor_raised, stream, floor))
                writes.append(Write(future, partial(_floor_statements, stream, floor)))
        return writes

    def _floor_raised(self, stream: str, floor: int, done: "asyncio.Future[int]") -> None:
        if done.exception() is None:
            self._floors[stream] = floor

    def _note_loss(self, gap: Gap) -> None:
        self._losses.add(gap)
        self._groups["journal"].wake()

    def _report(self, found: _Found) -> list[Event]:
        """Say what was put aside, and which alarm numbers an unclean stop burnt."""
        now = self._clock.now()
        events = []
        for opened in (found.journal, found.alarms):
            if opened.quarantined:
                name = opened.file.path.name
                detail = {"part": "store", "reason": "database_damaged", "file": name, "damage": opened.damage[:200],
                          "put_aside": opened.quarantined.name}  # fmt: skip
                events.append(Event("box_trouble", now, detail=detail))
        reason = "database_lost" if found.alarms.fresh else "numbers_unused"
        for lo, hi in found.numbers.burnt:
            self.journal.gap(Gap("alarm", f"{reason}:{lo}-{hi}", now, hi - lo + 1))
        return events


class _Threads:
    """The two threads of the store; connections never leave the one they were made on."""

    def __init__(self) -> None:
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.lock: int | None = None
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="store-read")
        self._open: dict[str, Any] = {}

    async def write(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.writer, job)

    async def read(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, job)

    def reader(self, file: SqliteFile) -> Any:
        """On the reader thread: the read-only connection of this database."""
        if file.name not in self._open:
            self._open[file.name] = open_reader(file.path)
        return self._open[file.name]

    def close_readers(self) -> None:
        for db in self._open.values():
            db.close()
        self._open.clear()

    def stop(self) -> None:
        self.writer.shutdown()
        self._readers.shutdown()
        if self.lock is not None:
            os.close(self.lock)


def _open_with_reserve(directory: Path, now: datetime) -> tuple[_Found, int]:
    """On a disk that others have filled, the reserve makes room for the start: SOS must be heard all the same."""
    try:
        found = _open(directory, now)
    except StoreBusyError:
        raise
    except StoreError:
        if not reserve.spend(directory):
            raise
        return _open(directory, now)
    reserve.keep(directory)
    return found


def _open(directory: Path, now: datetime) -> tuple[_Found, int]:
    """On the writer thread: everything the loop needs to know, and the lock that keeps a second process out."""
    with ExitStack() as undo:
        lock = _lock(directory)
        undo.callback(os.close, lock)
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        journal, alarms = (_open_one(name, directory, stamp, undo) for name in ("journal", "alarms"))
        try:
            found = _find(journal, alarms, now)
        except sqlite3.Error as error:
            raise store_error(error, f"the databases in {directory} cannot be opened") from error
        undo.pop_all()
    return found, lock


def _open_one(name: str, directory: Path, stamp: str, undo: ExitStack) -> Opened:
    opened = open_file(name, directory, stamp)
    undo.callback(opened.file.close)
    return opened


def _find(journal: Opened, alarms: Opened, now: datetime) -> _Found:
    """Settle numbers, and read marks and anchors."""
    lost_both = int(now.timestamp()) << LOST_BOTH_SHIFT if journal.quarantined and alarms.quarantined else 0
    floor = max(lost_both, _floor(journal, "alarm")) if alarms.fresh else 0
    numbers = alarms.file.transact(lambda db: open_numbers(db, floor))
    floors = {stream: max(lost_both, _floor(alarms, stream)) for stream in JOURNAL_STREAMS}
    heads = journal.file.transact(lambda db: _open_heads(db, floors if journal.fresh else {}))
    lows = {stream: bounds(journal.file.db, stream)[0] or head + 1 for stream, head in heads.items()}
    lows["alarm"] = bounds(alarms.file.db, "alarm")[0] or numbers.stored + 1
    lanes = {**load_lanes(journal.file.db), **load_lanes(alarms.file.db)}
    anchors = [Anchor(*row) for row in journal.file.db.execute(_ANCHORS).fetchall()]
    return _Found(journal, alarms, numbers, heads, lows, lanes, anchors)


_ANCHORS = "SELECT boot, mono_ns, utc_ns, uncertainty_ns, source FROM anchor ORDER BY boot, mono_ns"


def _open_heads(db: Any, floors: dict[str, int]) -> dict[str, int]:
    """The head of each journal stream; a journal that was lost goes on above everything it may have given out."""
    for stream, floor in floors.items():
        db.execute("UPDATE stream SET head = ? WHERE name = ?", (floor, stream))
    return dict(db.execute("SELECT name, head FROM stream").fetchall())


def _floor(other: Opened, stream: str) -> int:
    row = other.file.db.execute("SELECT seq FROM floor WHERE stream = ?", (stream,)).fetchone()
    return int(row[0]) if row else 0


def _floor_statements(stream: str, floor: int, _: int) -> list[tuple[str, tuple[str, int]]]:
    return [(_FLOOR, (stream, floor))]


def _lock(directory: Path) -> int:
    """A descriptor that holds the lock for as long as it is open. StoreError when somebody else has it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / "store.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise store_error(error, f"{directory} cannot be used as the state directory") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StoreBusyError(
            f"the databases in {directory} are in use by another process",
            hint="a carebed daemon runs on them: stop it (systemctl stop carebed), or ask it with `carebed status`",
        ) from error
    return lock
