"""alarms.db: every transition of an alarm in a transaction of its own, and commands before they act.

Numbers of the stream "alarm" are given out before the commit, because an alarm is published after 200 ms even when the
disk is slow. They are reserved in blocks, so that no number is ever given twice; what a crash burns is recorded in
`unused` and reported as a Gap. A transition that the disk refuses is kept in memory and tried again until it is stored.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from gateway.core.clock import Clock, call_later_real
from gateway.core.errors import StoreError
from gateway.core.model import Alarm, Gap
from gateway.store.lanes import Range
from gateway.store.queries import Where, select
from gateway.store.rows import PLAIN, Row, pack, unpack
from gateway.store.writer import Group

log = logging.getLogger(__name__)

BLOCK = 256  # numbers reserved ahead; a crash burns at most this many
LOW_WATER = 128  # numbers left when the next block is reserved: more than any burst within one commit
RETRY_S = 1.0  # real seconds between tries while the disk refuses
MAX_UNSAVED = 10_000  # transitions kept for a disk that refuses, about 10 MB; the oldest is dropped and becomes a Gap
MAX_COMMANDS = 10_000  # answers kept for repeats; the oldest goes

_INSERT = (
    "INSERT INTO alarm (seq, id, rev, bed, boot, mono_ns, payload) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (seq) DO NOTHING"
)
_NOW = (
    "INSERT INTO alarm_now (id, seq, rev, bed, is_open) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
    " seq = excluded.seq, rev = excluded.rev, bed = excluded.bed, is_open = excluded.is_open, progress = NULL"
    " WHERE excluded.rev > rev"
)
_PROGRESS = "UPDATE alarm_now SET progress = ? WHERE id = ? AND rev = ?"
_OPEN = "SELECT seq, progress FROM alarm_now WHERE is_open = 1 ORDER BY seq"
_NOW_OF = "SELECT seq, progress FROM alarm_now WHERE id = ?"
_NEWEST = (
    "SELECT coalesce(progress, payload) FROM alarm JOIN alarm_now USING (seq) WHERE (? IS NULL OR alarm_now.bed = ?)"
    " ORDER BY alarm_now.seq DESC LIMIT ?"
)
_COMMAND = (
    "INSERT INTO command (key, verb, boot, mono_ns, payload) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
)
_ANSWER = (
    "INSERT INTO command (key, verb, boot, mono_ns, payload, answer) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET answer = excluded.answer"
)
_PRUNE_COMMANDS = f"DELETE FROM command WHERE number <= (SELECT max(number) FROM command) - {MAX_COMMANDS}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it is known under its key. new: it was not there before, the caller may act on it."""

    key: str
    verb: str
    payload: bytes
    answer: bytes | None
    new: bool


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where the stream stands at start: the highest stored number, and all up to `reserved` may have been given out."""

    stored: int
    reserved: int
    unused: tuple[Range, ...]
    burnt: tuple[Range, ...]  # those of `unused` that were found just now


class AlarmStore:
    """Alarms, their numbers, and commands. All methods are called on the event loop."""

    def __init__(self, group: Group, read: Callable[[Callable[[Any], Any]], Awaitable[Any]], clock: Clock,
                 numbers: Numbers, note_loss: Callable[[Gap], None]) -> None:  # fmt: skip
        self._group = group
        self._read = read
        self._clock = clock
        self._note_loss = note_loss
        self._loop = asyncio.get_running_loop()
        self._next = numbers.reserved + 1
        self._reserved = numbers.reserved
        self._reserving = False
        self._unsaved: dict[int, tuple[Alarm, Row]] = {}
        self._retry: asyncio.TimerHandle | None = None
        self.head = numbers.stored
        self.unused: list[Range] = list(numbers.unused)
        self.on_stored: Callable[[int, bool], None] = lambda seq, late: None
        self._reserve()

    # -- numbers ------------------------------------------------------------------------------------------------------

    @property
    def reserved(self) -> int:
        """The highest number that may be given out before the next block is on disk."""
        return self._reserved

    @property
    def unsaved(self) -> int:
        """Transitions that the disk has refused so far and that are tried again."""
        return len(self._unsaved)

    def next_seq(self) -> int:
        """A number of stream "alarm" that was never given before and never will be again; it must then be saved."""
        seq = self._next
        self._next += 1
        if self._reserved - seq < LOW_WATER:
            self._reserve()
        return seq

    def _reserve(self) -> None:
        if self._reserving:
            return
        self._reserving = True
        wanted = max(self._reserved, self._next - 1) + BLOCK
        done = self._group.run(lambda db: db.execute("UPDATE stream SET head = ? WHERE name = 'alarm'", (wanted,)))
        done.add_done_callback(lambda future: self._reserved_to(wanted, future))

    def _reserved_to(self, wanted: int, done: "asyncio.Future[Any]") -> None:
        self._reserving = False
        if not done.cancelled() and done.exception() is None:
            self._reserved = wanted

    # -- writing ------------------------------------------------------------------------------------------------------

    def save(self, alarm: Alarm, seq: int) -> asyncio.Future[int]:
        """Commit one transition at once. The future carries `seq`; StoreError when the disk refused it for now: it is
        then tried again until it is stored."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._store(alarm, Row("alarm", seq, alarm.bed, self._clock.now(), alarm), future)
        return future

    def progress(self, alarm: Alarm) -> asyncio.Future[None]:
        """Keep how far the delivery of the newest revision has got: no transition, no number, no news for anybody."""
        payload = pack(alarm)

        def work(db: Any) -> None:
            db.execute(_PROGRESS, (payload, alarm.id, alarm.rev))

        return self._group.run(work)

    def _store(self, alarm: Alarm, row: Row, future: asyncio.Future[int] | None) -> None:
        at, payload = row.at, pack(alarm)

        def work(db: Any) -> None:
            values = (row.seq, alarm.id, alarm.rev, alarm.bed, at.boot_id, at.mono_ns, payload)
            if db.execute(_INSERT, values).rowcount == 0:
                _must_be_the_same(db, row.seq, payload)
            db.execute(_NOW, (alarm.id, row.seq, alarm.rev, alarm.bed, int(alarm.open)))

        self._group.run(work).add_done_callback(lambda done: self._stored(alarm, row, done, future))

    def _stored(
        self, alarm: Alarm, row: Row, done: "asyncio.Future[None]", future: asyncio.Future[int] | None
    ) -> None:
        error = done.exception()
        if error is None:
            late = self._unsaved.pop(row.seq, None) is not None
            self.head = max(self.head, row.seq)
            self.on_stored(row.seq, late)
            if self._unsaved and future is None:
                self._try_again()
        elif isinstance(error, StoreError):
            self._keep(alarm, row)
        else:
            self._unsaved.pop(row.seq, None)
            log.critical("alarm %s rev %d, number %d, cannot be stored: %s", alarm.id, alarm.rev, row.seq, error)
            self._note_loss(Gap("alarm", f"not_stored:{row.seq}", row.at, 1, row.bed))
        if future is not None and not future.done():
            if error is None:
                future.set_result(row.seq)
            else:
                future.set_exception(error)
                future.exception()  # told through Health as well: not a bug when the caller does not look

    def _keep(self, alarm: Alarm, row: Row) -> None:
        """Try again later; the earliest is tried first and the others follow when it succeeds."""
        if row.seq not in self._unsaved and len(self._unsaved) >= MAX_UNSAVED:
            _, dropped = self._unsaved.pop(min(self._unsaved))
            self._note_loss(Gap("alarm", "disk_full", dropped.at, 1, dropped.bed))
        self._unsaved[row.seq] = (alarm, row)
        if self._retry is None:
            self._retry = call_later_real(RETRY_S, self._try_again)

    def _try_again(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._unsaved:
            self._store(*self._unsaved[min(self._unsaved)], None)

    # -- commands -----------------------------------------------------------------------------------------------------

    def command(self, key: str, verb: str, payload: bytes = b"") -> asyncio.Future[Command]:
        """Commit a command before it acts. A key that is known gives what was stored then, and its answer if any."""
        at = self._clock.now()

        def work(db: Any) -> Command:
            cursor = db.execute(_COMMAND, (key, verb, at.boot_id, at.mono_ns, PLAIN + payload))
            new = cursor.rowcount == 1
            known = db.execute("SELECT verb, payload, answer FROM command WHERE key = ?", (key,)).fetchone()
            if new:
                db.execute(_PRUNE_COMMANDS)
            return Command(key, known[0], known[1][1:], known[2][1:] if known[2] else None, new)

        return self._group.run(work)

    def answer(self, key: str, answer: bytes, *, verb: str = "") -> asyncio.Future[None]:
        """Keep the answer to a command, for repeats; a key that is not known yet is added."""
        at = self._clock.now()

        def work(db: Any) -> None:
            db.execute(_ANSWER, (key, verb, at.boot_id, at.mono_ns, PLAIN, PLAIN + answer))
            db.execute(_PRUNE_COMMANDS)

        return self._group.run(work)

    async def answered(self, key: str) -> bytes | None:
        """The answer kept under `key`, None when there is none."""
        row = await self._read(lambda db: db.execute("SELECT answer FROM command WHERE key = ?", (key,)).fetchone())
        return row[0][1:] if row and row[0] else None

    # -- reading: what is committed -----------------------------------------------------------------------------------

    async def open_alarms(self) -> list[Alarm]:
        """The newest state of every alarm that is still open, in order of its last transition."""
        return [row.body for row in await self.open_rows() if isinstance(row.body, Alarm)]

    async def open_rows(self) -> list[Row]:
        """The same as rows, with the number under which each was stored."""

        def work(db: Any) -> list[Row]:
            return [_row_as_now(db, seq, progress) for seq, progress in db.execute(_OPEN).fetchall()]

        found: list[Row] = await self._read(work)
        return found

    async def newest_row(self, alarm_id: str) -> Row | None:
        """The newest state of one alarm as the row under whose number it was stored, None when it is unknown."""

        def work(db: Any) -> Row | None:
            known = db.execute(_NOW_OF, (alarm_id,)).fetchone()
            return _row_as_now(db, *known) if known else None

        found: Row | None = await self._read(work)
        return found

    async def history(self, limit: int, bed: str | None = None) -> list[Alarm]:
        """The newest state of the last `limit` alarms, the latest first."""
        rows = await self._read(lambda db: db.execute(_NEWEST, (bed, bed, limit)).fetchall())
        return [unpack(payload, Alarm) for (payload,) in rows]

    async def alarm(self, alarm_id: str) -> Alarm | None:
        """The newest state of one alarm, None when it is unknown."""
        sql = "SELECT coalesce(progress, payload) FROM alarm JOIN alarm_now USING (seq) WHERE alarm_now.id = ?"
        row = await self._read(lambda db: db.execute(sql, (alarm_id,)).fetchone())
        return unpack(row[0], Alarm) if row else None

    async def transitions(self, alarm_id: str) -> list[Alarm]:
        """Every stored state of one alarm, by revision."""
        sql = "SELECT payload FROM alarm WHERE id = ? ORDER BY rev"
        rows = await self._read(lambda db: db.execute(sql, (alarm_id,)).fetchall())
        return [unpack(payload, Alarm) for (payload,) in rows]

    # -- closing ------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Try once more what the disk refused, and give back the numbers that were reserved and not used."""
        for seq in sorted(self._unsaved):
            again: asyncio.Future[int] = self._loop.create_future()
            self._store(*self._unsaved[seq], again)
            await asyncio.wait((again,))
        if self._retry is not None:
            self._retry.cancel()
        last = self._next - 1
        await asyncio.wait(
            (self._group.run(lambda db: db.execute("UPDATE stream SET head = ? WHERE name = 'alarm'", (last,))),)
        )


def _row_as_now(db: Any, seq: int, progress: bytes | None) -> Row:
    (row,) = select(db, "alarm", Where(seq, seq, 1))
    return row if progress is None else replace(row, body=unpack(progress, Alarm))


def _must_be_the_same(db: Any, seq: int, payload: bytes) -> None:
    """A transition that was committed although the disk reported a fault is written again: that is no conflict."""
    (stored,) = db.execute("SELECT payload FROM alarm WHERE seq = ?", (seq,)).fetchone()
    if stored != payload:
        raise ValueError(f"number {seq} of stream alarm holds another transition: take a new one from next_seq()")


def open_numbers(db: Any, floor: int) -> Numbers:
    """Settle what an unclean stop left: every number up to `head` that is no row is unused for good. `floor` is what
    the other database knows, for the case that this file was lost."""
    head, checked = db.execute("SELECT head, checked FROM stream WHERE name = 'alarm'").fetchone()
    present = [seq for (seq,) in db.execute("SELECT seq FROM alarm WHERE seq > ? ORDER BY seq", (checked,))]
    reserved = max(head, floor, *present[-1:])
    burnt, expected = [], checked + 1
    for seq in [*present, reserved + 1]:
        if seq > expected:
            burnt.append((expected, seq - 1))
        expected = seq + 1
    db.conn.executemany("INSERT INTO unused (stream, lo, hi) VALUES ('alarm', ?, ?)", burnt)
    db.execute("UPDATE stream SET head = ?, checked = ? WHERE name = 'alarm'", (reserved, reserved))
    unused = tuple(db.execute("SELECT lo, hi FROM unused WHERE stream = 'alarm' ORDER BY lo").fetchall())
    stored = db.execute("SELECT coalesce(max(seq), 0) FROM alarm").fetchone()[0]
    return Numbers(stored, reserved, unused, tuple(burnt))
